# SPDX-License-Identifier: Apache-2.0
"""Which pipelines there are: of launch arguments, or of a YAML file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from isaac_inference.errors import ConfigError
from isaac_inference.models import AnyCard, ModelCard, Task
from isaac_inference.ros.bringup.graph import CameraTopics, NodeSpec
from isaac_inference.ros.bringup.names import check_paths, switch
from isaac_inference.ros.bringup.networks.model_chain import chain_paths
from isaac_inference.ros.bringup.networks.paths import absolute, card_of
from isaac_inference.ros.bringup.one_camera import MODELS
from isaac_inference.ros.bringup.pipelines.own_params import check_params
from isaac_inference.ros.bringup.pipelines.placed import Placed
from isaac_inference.serving.pipelines import (
    Added,
    CameraSpec,
    PipelineSpec,
    Setup,
    is_name,
    read_pipelines,
    simulated_camera,
)

# What the launch file may be given beside a YAML of pipelines: how nodes are started, and what is for all of them.
_BESIDE = (
    'pipelines',
    'namespace',
    'params_file',
    'use_sim_time',
    'composed',
    'container',
    'attach',
    'respawn',
    'log_level',
    'simulate',
    'budget',
    'qos',
)
_OF_CAMERA = ('image', 'camera_info', 'depth', 'depth_info')
_TOPICS = (*_OF_CAMERA, 'detections', 'keypoints')
_OF_PAIRS = ('left', 'left_info', 'right', 'right_info')
_OF_ONE_GRAPH = ('stereo', 'completion', 'depth_model')  # what makes depth for one camera's graph


@dataclass(frozen=True)
class Wanted:
    """What a graph is made of.

    Attributes:
        pipelines: one at least.
        cameras: nodes that publish images, in the cameras' namespaces.
        budget: as of `serving.pipelines.Setup`.
        origin: the file, or '' for launch arguments.
    """

    pipelines: tuple[Placed, ...]
    cameras: tuple[NodeSpec, ...] = ()
    budget: str = ''
    origin: str = ''


def wanted_pipelines(given: Mapping[str, str], defaults: Mapping[str, str]) -> Wanted:
    """The pipelines that launch arguments ask for.

    Args:
        given: every argument's value, by name.
        defaults: what it is where nobody gave it.

    Raises:
        ConfigError: arguments that contradict each other, or what is wrong with the YAML of pipelines.
    """
    if given['pipelines']:
        _refuse_beside(given, defaults)
        setup = read_pipelines(absolute(given['pipelines']))
        return of_setup(setup.simulated() if switch('simulate', given['simulate']) else setup, given)
    cameras = _cameras(given)
    models = [part.strip() for part in given['models'].split(',')] if given['models'] else []
    if len(models) < 2 or not all(models):
        return _alike({'': given}, cameras)
    cards = [part.strip() for part in given['model_card'].split(',')] if given['model_card'] else [''] * len(models)
    if cameras and len(cards) != len(models):
        raise ConfigError(
            f'{MODELS}: the cards are {given["model_card"]!r}, expected one for each of {len(models)} models, of which '
            'any may be empty: a.yaml,,c.yaml'
        )
    read = [card_of(*pair) for pair in zip(models, cards, strict=False)]
    top_down = [path for path, card in zip(models, read, strict=False) if _is_top_down(card)]
    if not cameras:
        _check_chain(given, is_meant=bool(top_down))
    if not cameras or (len(models) == 2 and (_is_top_down(read[-1]) or read[-1] is None)):
        return _alike({'': given}, cameras)  # a chain: the second finds keypoints in the boxes of the first
    if top_down:
        raise ConfigError(
            f'{MODELS}: {", ".join(top_down)} finds the keypoints of a person in a box, and of {len(models)} models it '
            'is unclear whose boxes; write pipelines:=FILE.yaml, with keypoints_model: in the pipeline of its '
            'detector, as docs/pipelines.md shows'
        )
    check_paths(MODELS, (*models, *filter(None, cards)))
    for name in _OF_ONE_GRAPH:
        if given[name] not in ('auto', 'false', ''):
            raise ConfigError(
                f'launch arguments models:={given["models"]} and {name}:={given[name]}: it is unclear which of the '
                'models its depth is for; launch the one that takes it a second time'
            )
    named = zip(_names(models, read), models, cards, strict=True)
    return _alike(
        {name: {**given, 'models': '', 'model': model, 'model_card': card} for name, model, card in named}, cameras
    )


def separate_processes(wanted: Wanted, *, composed: bool) -> list[str]:
    """What is lost where each node is a process."""
    if composed or not any(pipeline.name for pipeline in wanted.pipelines):
        return []
    classes = sorted({pipeline.priority for pipeline in wanted.pipelines})
    if len(classes) < 2:
        return []
    return [
        f'composed:=false: the priorities {", ".join(map(str, classes))} hold within a process, and each inference '
        'node is one of its own; leave composed out, so that they wait for each other'
    ]


def of_setup(setup: Setup, given: Mapping[str, str]) -> Wanted:
    """The pipelines of a YAML file.

    Args:
        setup: what it says.
        given: every launch argument's value, by name.

    Raises:
        ConfigError: parameters that its nodes do not have.
    """
    check_params(setup)
    pipelines = tuple(_placed(pipeline, setup, given) for pipeline in setup.pipelines)
    nodes = tuple(node for camera in setup.cameras for node in _camera_nodes(camera))
    return Wanted(pipelines, nodes, given['budget'] or setup.budget, setup.path)


def _placed(pipeline: PipelineSpec, setup: Setup, given: Mapping[str, str]) -> Placed:
    said = {Added.POSES: 'poses', Added.TRACK: 'track', Added.ANNOTATE: 'annotate'}
    switches = {
        argument: str(wanted).lower()
        for added, argument in said.items()
        if (wanted := pipeline.wants(added)) is not None
    }
    models = (
        {
            'models': f'{pipeline.model},{pipeline.keypoints_model}',
            'model_card': f'{pipeline.model_card},{pipeline.keypoints_card}',
        }
        if pipeline.keypoints_model
        else {'model': pipeline.model, 'model_card': pipeline.model_card}
    )
    cameras = {name: setup.camera(name) for name in pipeline.cameras}
    same = ('name', 'priority', 'threads', 'max_batch', 'batch_wait_ms', 'target_rate_hz', 'params')
    return Placed(
        {**given, **models, **switches, **_ways(pipeline)},
        namespace=pipeline.below,
        cameras={name: {topic: getattr(camera, topic) for topic in _OF_CAMERA} for name, camera in cameras.items()},
        is_simulated=any(camera.simulator is not None for camera in setup.cameras),
        leaves_out=frozenset({'skeletons'}) if pipeline.wants(Added.SKELETONS) is False else frozenset(),
        **{name: getattr(pipeline, name) for name in same},
    )


def _ways(pipeline: PipelineSpec) -> dict[str, str]:
    """The launch arguments that say how a pipeline sees and answers."""
    return {'rectify': str(pipeline.rectify).lower(), 'target_frame': pipeline.target_frame}


def _camera_nodes(camera: CameraSpec) -> list[NodeSpec]:
    """The node that publishes a camera's images, where there is one."""
    topics = CameraTopics(camera.image, camera.camera_info, camera.depth, camera.depth_info)
    if camera.simulator is not None:
        frames = {'frame_id': f'{camera.name}_optical_frame'}
        return [NodeSpec.of('sim_camera', {**frames, **camera.simulator}, topics.all, namespace=camera.name)]
    if camera.source:
        return [NodeSpec.of('camera', {'source': camera.source}, topics.color, namespace=camera.name)]
    return []


def _alike(given: Mapping[str, Mapping[str, str]], cameras: Sequence[str]) -> Wanted:
    """Pipelines by name, '' for the only one, all on the same cameras."""
    first = next(iter(given.values()))
    simulate = switch('simulate', first['simulate'])
    if simulate and not cameras:
        raise ConfigError('launch argument simulate: true, but no cameras are named; give cameras:=front')
    if simulate and first['source']:
        raise ConfigError(
            f'launch arguments simulate:=true and source:={first["source"]}: each is the images; give one'
        )
    source = first['source'] if first['source'].isdigit() else absolute(first['source'])
    topics = {topic: first[topic] for topic in _OF_CAMERA}
    specs = [
        CameraSpec(name, **topics, source=source, simulator=simulated_camera(number) if simulate else None)
        for number, name in enumerate(cameras, 1)
    ]
    without = {'source': ''} if cameras else {}
    return Wanted(
        tuple(
            Placed({**own, **without}, name, name, {camera: {} for camera in cameras}, is_simulated=simulate)
            for name, own in given.items()
        ),
        tuple(node for camera in specs for node in _camera_nodes(camera)),
        first['budget'],
    )


def _check_chain(given: Mapping[str, str], *, is_meant: bool) -> None:
    """Refuse models that are no chain, with what makes pipelines of them."""
    try:
        chain_paths(given['models'], given['model_card'], MODELS).read(MODELS)
    except ConfigError as error:
        if is_meant:
            raise
        raise ConfigError(
            f'{error}; or give cameras:=front, for each model to be a pipeline on these cameras'
        ) from None


def _cameras(given: Mapping[str, str]) -> list[str]:
    """The cameras of the argument of that name."""
    cameras = [part.strip() for part in given['cameras'].split(',')] if given['cameras'] else []
    problems = []
    for name in cameras:
        if not is_name(name):
            problems.append(
                f'got {name!r} in {given["cameras"]!r}, expected names of letters, digits and single _ that begin with '
                'a letter, with commas: front,left'
            )
    problems += [
        f"{name} comes {count} times, expected once: two streams of one name would take each other's frames"
        for name, count in Counter(cameras).items()
        if count > 1
    ]
    if len(cameras) > 1:
        topics = [name for name in (*_TOPICS, *_OF_PAIRS) if given[name].startswith('/')]
        problems += [
            f'{name}:={given[name]} would be the topic of each of {", ".join(cameras)}; give it without a slash, which '
            f'is then below each of them, or write pipelines:=FILE.yaml, which has the topics of each camera'
            for name in topics
        ]
        if given['source']:
            problems.append(
                f'source:={given["source"]} is the images of one camera, and there are {len(cameras)}; write '
                'pipelines:=FILE.yaml, which has a source for each'
            )
    if problems:
        raise ConfigError('; '.join(f'launch argument cameras: {problem}' for problem in problems))
    return cameras


def _names(models: Sequence[str], cards: Sequence[AnyCard | None]) -> list[str]:
    """A name for each pipeline: that of the model, or of its task where models are named alike."""
    stems = [
        _ros_name(card.name if isinstance(card, ModelCard) else path) for path, card in zip(models, cards, strict=True)
    ]
    if len(set(stems)) == len(stems):
        return stems
    tasks = [card.task.value if isinstance(card, ModelCard) else stem for stem, card in zip(stems, cards, strict=True)]
    if len(set(tasks)) == len(tasks):
        return tasks
    twice = next(name for name, count in Counter(stems).items() if count > 1)
    raise ConfigError(
        f'{MODELS}: two pipelines would be named {twice}; write pipelines:=FILE.yaml, in which each has a name'
    )


def _ros_name(text: str) -> str:
    """A name that can be part of a ROS name."""
    stem = text.rsplit('/', 1)[-1].removesuffix('.onnx')
    name = re.sub(r'[^A-Za-z0-9]+', '_', stem).strip('_')
    return name if is_name(name) else f'model_{name}'.strip('_')


def _is_top_down(card: AnyCard | None) -> bool:
    return isinstance(card, ModelCard) and card.task is Task.TOP_DOWN_KEYPOINTS


def _refuse_beside(given: Mapping[str, str], defaults: Mapping[str, str]) -> None:
    """Refuse what the file says itself."""
    said = [f'{name}:={value}' for name, value in given.items() if name not in _BESIDE and value != defaults[name]]
    if said:
        raise ConfigError(
            f'launch arguments pipelines:={given["pipelines"]} and {" and ".join(said)}: the file says what runs on '
            'which cameras; write it there, and leave the argument out'
        )
