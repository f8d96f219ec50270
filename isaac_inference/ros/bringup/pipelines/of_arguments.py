# SPDX-License-Identifier: Apache-2.0
"""The pipelines of launch arguments: of one model, of a chain of two, or of several."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from isaac_inference.errors import ConfigError
from isaac_inference.models import AnyCard, ModelCard, Task
from isaac_inference.ros.bringup.names import check_paths, switch
from isaac_inference.ros.bringup.networks.paths import absolute, card_of
from isaac_inference.ros.bringup.one_camera import MODELS
from isaac_inference.ros.bringup.pipelines.placed import Placed
from isaac_inference.ros.bringup.pipelines.wanted import OF_CAMERA, Wanted, camera_nodes
from isaac_inference.serving.pipelines import SIMULATED, CameraSpec, is_name

_TOPICS = (*OF_CAMERA, 'detections', 'keypoints')
_OF_PAIRS = ('left', 'left_info', 'right', 'right_info')
_OF_ONE_GRAPH = ('stereo', 'completion', 'depth_model')  # what makes depth for one camera's graph


def of_arguments(given: Mapping[str, str]) -> Wanted:
    """The pipelines that launch arguments ask for.

    Args:
        given: every argument's value, by name.

    Raises:
        ConfigError: arguments that contradict each other, or of which it is unclear what they mean.
    """
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
    topics = {topic: first[topic] for topic in OF_CAMERA}
    specs = [CameraSpec(name, **topics, source=source, simulator=SIMULATED if simulate else None) for name in cameras]
    without = {'source': ''} if cameras else {}
    return Wanted(
        tuple(
            Placed({**own, **without}, name, name, {camera: {} for camera in cameras}, is_simulated=simulate)
            for name, own in given.items()
        ),
        tuple(camera_nodes(specs)),
        first['budget'],
    )


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
