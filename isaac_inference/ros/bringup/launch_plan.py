# SPDX-License-Identifier: Apache-2.0
"""What `perception.launch.py` starts, as data: its arguments, and the nodes that follow from them.

launch_actions.py only turns this into actions, so that all of it can be tested without a launch system installed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isaac_inference.errors import ConfigError
from isaac_inference.models import AnyCard, DetectionSpec, ModelCard, Task
from isaac_inference.ops.geometry.calibration import rectified_by_name
from isaac_inference.ros.bringup.budget_watch import budget_nodes
from isaac_inference.ros.bringup.graph import (
    PROPOSED,
    CameraTopics,
    CropModel,
    FoundTopics,
    NodeSpec,
    found_by,
    perception_graph,
)
from isaac_inference.ros.bringup.networks.made_depth import KINDS, MadeDepth, made_depth
from isaac_inference.ros.bringup.networks.model_chain import ChainPaths, chain_paths
from isaac_inference.ros.bringup.networks.named_in_file import NamedInFile
from isaac_inference.ros.bringup.networks.paths import MODEL, absolute, card_of, located
from isaac_inference.ros.bringup.node_list import NODES
from isaac_inference.ros.bringup.params_file import ParamsFile
from isaac_inference.ros.bringup.qos_choice import read_qos, with_qos

_MODELS = 'launch argument models'
_KEYPOINTS = FoundTopics().keypoints
CONTAINER_EXECUTABLE = 'component_container'
SWITCH = ('true', 'false')
_AUTO = ('auto', *SWITCH)


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
    LaunchArgument('stereo', 'auto', 'depth of two cameras; auto: with a network for that', _AUTO),
    LaunchArgument('left', 'left/image', 'topic that carries the images of the left camera, for stereo'),
    LaunchArgument('left_info', 'left/camera_info', "topic that carries the left camera's calibration"),
    LaunchArgument('right', 'right/image', 'topic that carries the images of the right camera'),
    LaunchArgument('right_info', 'right/camera_info', "topic that carries the right camera's calibration"),
    LaunchArgument('completion', 'auto', 'fill the holes of depth, by the image; auto: with a network for that', _AUTO),
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
        'person.onnx,pose.onnx',
    ),
    LaunchArgument('tags', '', 'YAML card of objects with printed tags, which are found instead of those of a model'),
    LaunchArgument(
        'detections', '', 'topic of a detector of your own, whose Detection2DArray takes the place of a model here'
    ),
    LaunchArgument('keypoints', _KEYPOINTS, 'topic that carries the keypoints of these detections'),
    LaunchArgument(
        'source', '', 'start a camera node on this image folder, video, recording or camera index; empty: none'
    ),
    LaunchArgument('poses', 'auto', "6-DoF poses; auto: if the card gives the objects' sizes, or tags", _AUTO),
    LaunchArgument('track', 'auto', 'persistent object ids and smooth poses; auto: with poses', _AUTO),
    LaunchArgument('target_frame', '', "frame of the poses, such as base_link; empty: the camera's optical frame"),
    LaunchArgument(
        'budget',
        '',
        'watch a latency budget: slow_mobile, fast_mobile, manipulation, humanoid, moving_pick, or a YAML file',
    ),
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
    check_files(given, 'depth_model')
    namespace = resolve(pushed, given['namespace'])
    in_file = NamedInFile(given['params_file'], namespace)
    crops = _behind_detections(given, in_file)
    if crops is not None:
        given = {**given, 'model': '', 'model_card': ''}
    _check_detector(given)
    if switches['rectify']:
        _check_rectification(given)
    chain: ChainPaths | None
    if given['models']:
        chain, origin = chain_paths(given['models'], given['model_card'], _MODELS), _MODELS
        card_path = chain.keypoints_card or in_file.card('crops', chain.keypoints)
        chain = dataclasses.replace(chain, keypoints_card=card_path)
        given = {**given, 'model': chain.detector, 'model_card': chain.detector_card}
    else:
        chain, origin = in_file.chain(given)
    if chain is not None:
        crops = CropModel.of(chain.keypoints, chain.keypoints_card, chain.read(origin).keypoints)
    elif crops is None:
        crops = in_file.crops(given)
    found = in_file.detector(given)
    named = {**given, **found}
    card = card_of(named['model'], named['tags'] or named['model_card'])
    _check_task(named, card)
    made = _made_depth(named, in_file, card, 'model' in found)
    poses = bool(card and card.objects) if given['poses'] == 'auto' else switch('poses', given['poses'])
    graph = perception_graph(
        model=located(named['model']),
        model_card=located(given['tags'] or named['model_card']),
        tags=bool(given['tags']),
        found=FoundTopics(given['detections'], given['keypoints']) if given['detections'] else None,
        camera=_camera(given, made),
        source=_source(given['source']),
        poses=poses,
        track=poses if given['track'] == 'auto' else switch('track', given['track']),
        annotate=switches['annotate'],
        **found_by(card),
        crops=crops,
        pose_parameters={'target_frame': given['target_frame']} if given['target_frame'] else None,
        rectify=switches['rectify'],
        late_depth=made is not None,
    )
    if made is not None:
        graph = (*made.nodes(given), *(() if made.is_alone else graph))
    graph = (*graph, *budget_nodes(graph, given['budget'], given['camera_info']))
    nodes = [_with_time(spec, given['use_sim_time']) for spec in graph]
    remarks: list[str] = []
    if given['params_file']:  # else the nodes' own defaults, which a SetParameter of an including launch file changes
        file = ParamsFile(absolute(given['params_file']))
        remarks = file.unused([f'{namespace}/{spec.name}' for spec in nodes], NODES)
        nodes = [_with_file(spec, file.node_section(f'{namespace}/{spec.name}'), found) for spec in nodes]
    qos = read_qos(given['qos'])
    nodes = [with_qos(spec, qos) for spec in nodes]
    if not switches['rectify'] and any(spec.parameters.get('rectify') for spec in nodes):
        raise ConfigError(
            f'launch argument params_file: {given["params_file"]} has rectify: true for preprocess, but the nodes that '
            'look at what is found need the CameraInfo of the rectified images; give rectify:=true, which tells them'
        )
    if switches['rectify'] and not rectified_by_name(given['depth']):
        _check_alignment(nodes, given['depth'])
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


def _made_depth(
    given: Mapping[str, str], in_file: NamedInFile, card: AnyCard | None, is_model_of_file: bool
) -> MadeDepth | None:
    """The depth that the graph makes itself; raises ConfigError as `made_depth` and `NamedInFile.depth_network`."""
    switches = {
        name: str(switch(name, given[name])).lower() for name in ('rectify', *KINDS.values()) if given[name] != 'auto'
    }
    depth_model, depth_card, origin = in_file.depth_network(given)
    paths = {**{name: located(given[name]) for name in MODEL}, 'depth_model': depth_model}
    origins = {'model': in_file.origin('preprocess')} if is_model_of_file else {}
    if origin:
        origins['depth_model'] = origin
    return made_depth({**given, **switches, **paths}, card, card_of, depth_card, origins)


def _camera(given: Mapping[str, str], made: MadeDepth | None) -> CameraTopics:
    """The topics of the camera, and of its depth or that which is made."""
    topics = CameraTopics(given['image'], given['camera_info'], given['depth'], given['depth_info'])
    return topics if made is None else made.camera(topics)


def resolve(namespace: str, name: str) -> str:
    """A name as ROS reads it: below the namespace, unless it begins with a slash; '' is the root namespace."""
    words = [] if name.startswith('/') else namespace.split('/')
    return ''.join(f'/{word}' for word in [*words, *name.split('/')] if word)


def check_files(given: Mapping[str, str], *names: str) -> None:
    """Refuse arguments that name no file; '' names none on purpose.

    Raises:
        ConfigError: a file is missing.
    """
    for name in names:
        if given[name] and not Path(given[name]).expanduser().is_file():
            raise ConfigError(
                f'launch argument {name}: no such file {given[name]!r}; give an existing one, best as an absolute path'
            )


def _with_time(spec: NodeSpec, use_sim_time: str) -> NodeSpec:
    if not use_sim_time:
        return spec
    return dataclasses.replace(
        spec, parameters={**spec.parameters, 'use_sim_time': switch('use_sim_time', use_sim_time)}
    )


def _behind_detections(given: Mapping[str, str], in_file: NamedInFile) -> CropModel | None:
    """The top-down model that is given beside the detections of a detector elsewhere; None for other models.

    Raises:
        ConfigError: the keypoints of these detections are given, too.
    """
    if not (given['detections'] and given['model']) or given['models']:
        return None
    model = absolute(given['model'])
    model_card = located(given['model_card']) or in_file.card('crops', model)
    card = card_of(model, model_card)
    if not isinstance(card, ModelCard) or card.task is not Task.TOP_DOWN_KEYPOINTS:
        return None
    if given['keypoints'] != _KEYPOINTS:
        raise ConfigError(
            f'launch arguments keypoints:={given["keypoints"]} and model:={given["model"]}: each gives the keypoints '
            f'of {given["detections"]}; leave keypoints out for those of the model, which are on {_KEYPOINTS}, or '
            'model for your own'
        )
    return CropModel.of(model, model_card, card)


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
    parameters.update({name: value for name, value in from_file.items() if name in PROPOSED})
    return dataclasses.replace(spec, parameters=parameters)


def _check_detector(given: Mapping[str, str]) -> None:
    """Refuse two sources of detections.

    Raises:
        ConfigError: names both.
    """
    used = [f'{name}:={given[name]}' for name in ('model', 'models', 'tags', 'detections') if given[name]]
    if len(used) > 1:
        raise ConfigError(
            f'launch arguments {" and ".join(used)}: each is a detector, expected one; launch the other ones a second '
            'time, with a namespace of their own'
        )
    if given['tags'] and given['model_card']:
        raise ConfigError(
            f'launch arguments tags:={given["tags"]} and model_card:={given["model_card"]}: tags names the card of all '
            'nodes; put what the other says of the objects into it'
        )
    if given['keypoints'] != _KEYPOINTS and not given['detections']:
        raise ConfigError(
            f'launch argument keypoints:={given["keypoints"]}: it belongs to detections, which is not given; set it too'
        )


def _check_rectification(given: Mapping[str, str]) -> None:
    """Refuse to rectify for what takes its images elsewhere.

    Raises:
        ConfigError: names it.
    """
    for name in ('tags', 'detections'):
        if given[name]:
            raise ConfigError(
                f'launch arguments rectify:=true and {name}:={given[name]}: images are rectified for a model alone; '
                'leave rectify out, since poses go by K and D of a raw image, or give image and camera_info the topics '
                'of images that are rectified already'
            )


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


def _check_task(given: Mapping[str, str], card: AnyCard | None) -> None:
    """Refuse what a model cannot give; a card of objects alone, or none, is no such model.

    Raises:
        ConfigError: poses or tracks are asked of a model that finds no objects.
    """
    if not isinstance(card, ModelCard):
        return
    task = card.task
    if not isinstance(card.spec, DetectionSpec):
        for name in ('poses',) if task is Task.TOP_DOWN_KEYPOINTS else ('poses', 'track'):
            if given[name] != 'auto' and switch(name, given[name]):
                raise ConfigError(
                    f'launch argument {name}: true, but {given["model"]} is for {task.value} and finds no objects; '
                    'leave it out, or give a detector'
                )


def switch(name: str, value: str) -> bool:
    """A launch argument that is true or false.

    Raises:
        ConfigError: it is neither.
    """
    if value.lower() not in SWITCH:
        raise ConfigError(f'launch argument {name}: got {value!r}, expected true or false')
    return value.lower() == 'true'


def _source(source: str) -> str:
    return source if source.isdigit() else absolute(source)
