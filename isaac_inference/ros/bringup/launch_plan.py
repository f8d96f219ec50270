# SPDX-License-Identifier: Apache-2.0
"""What `perception.launch.py` starts, as data: its arguments, and the nodes that follow from them.

launch_actions.py only turns this into actions, so that all of it can be tested without a launch system installed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from isaac_inference.errors import ConfigError
from isaac_inference.ops.geometry.calibration import rectified_by_name
from isaac_inference.ros.bringup.graph import PROPOSED, NodeSpec
from isaac_inference.ros.bringup.names import AUTO, SWITCH, check_files, check_namespace, resolve, switch
from isaac_inference.ros.bringup.networks.paths import MODEL, absolute, located
from isaac_inference.ros.bringup.node_list import NODES
from isaac_inference.ros.bringup.one_camera import KEYPOINTS
from isaac_inference.ros.bringup.params_file import ParamsFile
from isaac_inference.ros.bringup.pipelines.of_arguments import of_arguments
from isaac_inference.ros.bringup.pipelines.of_file import of_file
from isaac_inference.ros.bringup.pipelines.placed import PlacedNode, check_nodes, placed_nodes, shared_by_cameras
from isaac_inference.ros.bringup.pipelines.shared_images import share_preprocessing
from isaac_inference.ros.bringup.pipelines.topics import check_topics
from isaac_inference.ros.bringup.pipelines.wanted import separate_processes
from isaac_inference.ros.bringup.qos_choice import read_qos, with_qos

CONTAINER_EXECUTABLE = 'component_container'


@dataclass(frozen=True)
class LaunchArgument:
    """One argument of the launch file; empty `choices` mean free text."""

    name: str
    default: str
    description: str
    choices: tuple[str, ...] = ()


LOG_LEVEL = LaunchArgument(
    'log_level', 'info', 'minimum severity that is logged', ('debug', 'info', 'warn', 'error', 'fatal')
)
RESPAWN = LaunchArgument('respawn', 'true', 'start a process that ends by itself again, with its nodes', SWITCH)
ARGUMENTS = (
    LaunchArgument('model', '', 'ONNX model; empty leaves it to the parameter file'),
    LaunchArgument(
        'model_card',
        '',
        'YAML card of the model, or of both, with a comma; empty looks beside the model. Or one of objects alone',
    ),
    LaunchArgument('image', 'image', 'topic that carries the images'),
    LaunchArgument('camera_info', 'camera_info', "topic that carries the camera's calibration"),
    LaunchArgument('depth', 'depth/image', 'topic that carries depth, registered to the images'),
    LaunchArgument('depth_info', 'depth/camera_info', "topic that carries the depth image's calibration"),
    LaunchArgument('stereo', 'auto', 'depth of two cameras; auto: with a network for that', AUTO),
    LaunchArgument('left', 'left/image', 'topic that carries the images of the left camera, for stereo'),
    LaunchArgument('left_info', 'left/camera_info', "topic that carries the left camera's calibration"),
    LaunchArgument('right', 'right/image', 'topic that carries the images of the right camera'),
    LaunchArgument('right_info', 'right/camera_info', "topic that carries the right camera's calibration"),
    LaunchArgument('completion', 'auto', 'fill the holes of depth, by the image; auto: with a network for that', AUTO),
    LaunchArgument('depth_model', '', 'ONNX network for stereo or for completion, beside a model that finds objects'),
    LaunchArgument(
        'rectify',
        'false',
        'rectify the images for the model by their camera_info; boxes and poses are those of rectified/image_rect',
        SWITCH,
    ),
    LaunchArgument(
        'models',
        '',
        'instead of model, a person detector and the model that finds the keypoints of each person: '
        'person.onnx,pose.onnx; or with cameras, several models, each with a namespace of its own',
    ),
    LaunchArgument(
        'cameras',
        '',
        'names of several cameras, front,left: each is a namespace, in which its topics and all results are; the model '
        'runs once',
    ),
    LaunchArgument(
        'pipelines', '', 'YAML file of models, their cameras and priorities, like those of config/pipelines'
    ),
    LaunchArgument(
        'simulate',
        'false',
        'simulated cameras in place of those of cameras or pipelines, to try what runs on them',
        SWITCH,
    ),
    LaunchArgument(
        'budget',
        '',
        'watch a latency budget: slow_mobile, fast_mobile, manipulation, humanoid, moving_pick, or a YAML file',
    ),
    LaunchArgument('tags', '', 'YAML card of objects with printed tags, which are found instead of those of a model'),
    LaunchArgument(
        'detections', '', 'topic of a detector of your own, whose Detection2DArray takes the place of a model here'
    ),
    LaunchArgument('keypoints', KEYPOINTS, 'topic that carries the keypoints of these detections'),
    LaunchArgument(
        'source', '', 'start a camera node on this image folder, video, recording or camera index; empty: none'
    ),
    LaunchArgument('poses', 'auto', "6-DoF poses; auto: if the card gives the objects' sizes, or tags", AUTO),
    LaunchArgument('track', 'auto', 'persistent object ids and smooth poses; auto: with poses', AUTO),
    LaunchArgument('target_frame', '', "frame of the poses, such as base_link; empty: the camera's optical frame"),
    LaunchArgument('qos', '', "quality of service between the nodes: realtime, or a YAML file; empty: each node's own"),
    LaunchArgument('annotate', 'true', 'start the node that draws pictures', SWITCH),
    LaunchArgument(
        'namespace', '', 'namespace of all nodes, below that of an including launch file unless it begins with /'
    ),
    LaunchArgument('params_file', '', 'ROS parameter file, like config/perception.yaml, which has all defaults'),
    LaunchArgument(
        'use_sim_time', '', "take the time from /clock; empty: as an including launch file's SetParameter says"
    ),
    LaunchArgument('composed', 'true', 'all nodes in one container (true) or one process per node (false)', SWITCH),
    LaunchArgument(
        'container', 'perception_container', 'name of the container; a full one, as /front/box, stays as it is'
    ),
    LaunchArgument('attach', 'false', 'load into an already running container of that name', SWITCH),
    RESPAWN,
    LOG_LEVEL,
)


@dataclass(frozen=True)
class Program:
    """A process beside the graph: `executable` of `package`, or its path if `package` is ''."""

    name: str
    executable: str
    package: str = ''
    arguments: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    remappings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LaunchPlan:
    """The nodes with their parameters resolved, and how to start them.

    Attributes:
        namespace: of all nodes, '' or with a leading slash.
        container: full name of the container, whose namespace may be another one.
        remarks: what the user should know, a sentence each.
    """

    nodes: tuple[NodeSpec, ...]
    namespace: str
    composed: bool
    container: str
    attach: bool
    log_level: str
    respawn: bool
    programs: tuple[Program, ...] = ()
    remarks: tuple[str, ...] = ()


def launch_plan(given: Mapping[str, str], pushed: str = '') -> LaunchPlan:
    """From arguments to nodes.

    Args:
        given: every argument's value, by name.
        pushed: the namespace that including launch files have pushed.

    Raises:
        ConfigError: a file is missing or a switch is neither true nor false.
    """
    switches = {name: switch(name, given[name]) for name in ('annotate', 'composed', 'attach', 'respawn', 'rectify')}
    if switches['attach'] and not switches['composed']:
        raise ConfigError(
            'launch argument attach: true, but composed is false; separate processes have no container to attach to'
        )
    check_files(given, 'model', *([] if given['models'] else ['model_card']), 'tags', 'params_file')
    check_files(given, 'depth_model', 'pipelines')
    namespace = resolve(pushed, given['namespace'])
    check_namespace(namespace or '/')
    defaults = {argument.name: argument.default for argument in ARGUMENTS}
    wanted = of_file(given, defaults) if given['pipelines'] else of_arguments(given)
    placed: list[PlacedNode] = []
    for pipeline in wanted.pipelines:
        placed += placed_nodes(pipeline, namespace, given['params_file'], wanted.budget)
    check_nodes(given['pipelines'], wanted.pipelines, placed)
    placed += [PlacedNode(spec) for spec in wanted.cameras]  # last: no image comes before those who wait for it
    placed = [node.replaced(_with_time(node.spec, given['use_sim_time'])) for node in placed]
    remarks = separate_processes(wanted, composed=switches['composed'])
    if given['params_file']:  # else the nodes' own defaults, which a SetParameter of an including launch file changes
        file = ParamsFile(absolute(given['params_file']))
        own = [node.spec.full_name(namespace) for node in placed]
        remarks += file.unused(own, NODES, never=shared_by_cameras(wanted.pipelines, namespace))
        placed = [
            node.replaced(_with_file(node.spec, file.node_section(node.spec.full_name(namespace)), node.in_file))
            for node in placed
        ]
    qos = read_qos(given['qos'])
    placed = [node.replaced(with_qos(node.spec, qos)) for node in placed]
    _check_streams(placed, given['params_file'])
    for pipeline in wanted.pipelines:
        _check_rectified([node.spec for node in placed if node.pipeline is pipeline], pipeline.given)
    nodes = share_preprocessing([node.with_params() for node in placed], namespace)
    check_topics(nodes, namespace)
    return LaunchPlan(
        tuple(nodes),
        namespace,
        switches['composed'],
        resolve(namespace, given['container']),
        switches['attach'],
        given['log_level'],
        switches['respawn'],
        remarks=tuple(remarks),
    )


def _with_time(spec: NodeSpec, use_sim_time: str) -> NodeSpec:
    if not use_sim_time:
        return spec
    return dataclasses.replace(
        spec, parameters={**spec.parameters, 'use_sim_time': switch('use_sim_time', use_sim_time)}
    )


def _with_file(spec: NodeSpec, from_file: Mapping[str, Any], found: Mapping[str, str]) -> NodeSpec:
    """A node with its section of the parameter file.

    Args:
        spec: what the graph gives the node, before which a parameter file goes only where that is a proposal.
        from_file: its section.
        found: model and model_card that the graph has from the preprocess node's section; empty where arguments name
            them. A node whose own section names either has both from there.
    """
    given = dict(spec.parameters)
    if {name: given[name] for name in MODEL if name in given} == found and any(map(from_file.get, MODEL)):
        given = {name: value for name, value in given.items() if name not in MODEL}
    own = str(from_file.get('model', ''))
    if own and located(own) != given.get('model', own):  # its card is that of the model that is not taken
        from_file = {name: value for name, value in from_file.items() if name not in MODEL}
    # launch_ros accepts no empty list, which is the default of every parameter that is a list of names
    parameters = {**{name: value for name, value in from_file.items() if value != []}, **given}
    if from_file.get('depth_rectified', 'auto') != 'auto':  # the graph goes by names, the user knows
        parameters['depth_rectified'] = from_file['depth_rectified']
    proposed = PROPOSED.get(spec.name, frozenset())
    parameters.update({name: value for name, value in from_file.items() if name in proposed})
    return dataclasses.replace(spec, parameters=parameters)


def _check_streams(placed: Iterable[PlacedNode], params_file: str) -> None:
    """Refuse streams of a parameter file in a graph that has none: nobody would publish them.

    Raises:
        ConfigError: says what to give.
    """
    for node in placed:
        streams = node.spec.parameters.get('streams')
        if node.pipeline is not None and not node.pipeline.cameras and streams:
            raise ConfigError(
                f'launch argument params_file: {params_file} has streams: {list(streams)} for {node.spec.name}, and no '
                f'node here publishes them; give cameras:={",".join(map(str, streams))}, which tells all nodes'
            )


def _check_rectified(nodes: Sequence[NodeSpec], given: Mapping[str, str]) -> None:
    """Refuse what a parameter file says of rectified images, where the graph is for others.

    Raises:
        ConfigError: says what to give.
    """
    rectify = switch('rectify', given['rectify'])
    if not rectify and any(spec.parameters.get('rectify') for spec in nodes):
        raise ConfigError(
            f'launch argument params_file: {given["params_file"]} has rectify: true for preprocess, but the nodes that '
            'look at what is found need the CameraInfo of the rectified images; give rectify:=true, which tells them'
        )
    if rectify and not rectified_by_name(given['depth']):
        _check_alignment(nodes, given['depth'])


def _check_alignment(nodes: Iterable[NodeSpec], depth: str) -> None:
    """Refuse to fit depth of rectified images to depth that is not: each pixel would be that of another place.

    Raises:
        ConfigError: it is asked for.
    """
    if any(spec.name == 'depth' and spec.parameters.get('align') == 'depth' for spec in nodes):
        raise ConfigError(
            f'launch argument rectify:=true with align: depth: {depth} is taken to be registered to the raw image, as '
            "its name does not say `rect`, and the network's depth is of the rectified one; leave rectify out, or "
            'rectify depth, too'
        )
