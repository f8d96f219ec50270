# SPDX-License-Identifier: Apache-2.0
"""What is wrong with pipelines that are well written: names, cameras, topics, and what their models can do."""

from __future__ import annotations

import difflib
import itertools
import os
from collections import Counter
from collections.abc import Iterator, Mapping

from isaac_inference.errors import PerceptionError
from isaac_inference.models import DetectionSpec, ModelCard, Task, read_card
from isaac_inference.serving.pipelines.spec import Added, PipelineSpec, Setup

NOT_OF_ONE_IMAGE = (Task.STEREO_DEPTH, Task.DEPTH_COMPLETION, Task.POLICY)
"""Tasks of networks that look at more than one image of a camera."""
_PROFILE = 'tensorrt.max_batch'


def check(setup: Setup, reads: Mapping[int, frozenset[Task]]) -> list[str]:
    """What is wrong, a sentence each.

    Args:
        setup: cameras and pipelines.
        reads: by number of the pipeline, the tasks that its model is said to be for.
    """
    return [
        *_names(setup),
        *_shared_topics(setup),
        *(
            problem
            for number, pipeline in enumerate(setup.pipelines)
            for problem in (*_cameras(setup, pipeline, number), *_models(pipeline, number, reads.get(number) or ()))
        ),
    ]


def place(pipeline: PipelineSpec, number: int) -> str:
    """Where a pipeline is in the file."""
    return f'pipelines[{number}]' + (f' ({pipeline.name})' if pipeline.name else '')


def _names(setup: Setup) -> Iterator[str]:
    for name, count in Counter(pipeline.name for pipeline in setup.pipelines if pipeline.name).items():
        if count > 1:
            yield f'pipelines: {count} are named {name}, expected one; give each a name of its own'


def _shared_topics(setup: Setup) -> Iterator[str]:
    """Two that would publish the same topics: of one namespace and camera, or of images that are also published."""
    for (i, one), (j, other) in itertools.combinations(enumerate(setup.pipelines), 2):
        both = [camera for camera in one.cameras if camera in other.cameras]
        if both and one.name != other.name and one.below == other.below:
            yield (
                f'{place(other, j)}.namespace: got {other.below!r}, which is that of {place(one, i)}, too: both would '
                f'publish /{one.below}/{both[0]}/...; give each a namespace of its own, or leave it out'
            )
    made = [camera for camera in setup.cameras if camera.source or camera.simulator is not None]
    for first, second in itertools.combinations(made, 2):
        topics = [
            camera.image if camera.image.startswith('/') else f'/{camera.name}/{camera.image}'
            for camera in (first, second)
        ]
        if topics[0] == topics[1]:
            yield (
                f'cameras.{second.name}.image: got {second.image!r}, which is that of cameras.{first.name}, too: both '
                'publish there; give each a topic of its own'
            )


def _cameras(setup: Setup, pipeline: PipelineSpec, number: int) -> Iterator[str]:
    known = [camera.name for camera in setup.cameras]
    where = f'{place(pipeline, number)}.cameras'
    for name in dict.fromkeys(pipeline.cameras):
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f'did you mean {close[0]}?' if close else f'there are: {", ".join(known) or "none"}'
            yield f'{where}: got {name!r}, a stream without a camera, {hint}; cameras are defined under cameras:'
        if pipeline.cameras.count(name) > 1:
            yield f'{where}: {name} comes {pipeline.cameras.count(name)} times, expected once: its stream has one name'
    if not pipeline.cameras and known:
        yield f'{where}: got none, expected at least one of {", ".join(known)}'


def _models(pipeline: PipelineSpec, number: int, reads: frozenset[Task] | tuple[()]) -> Iterator[str]:
    where = place(pipeline, number)
    if not pipeline.model:
        return
    card, fault = _read(pipeline.model, pipeline.model_card)
    if fault:
        yield f'{where}.model: {fault}'
    behind = None
    if pipeline.keypoints_model:
        behind, fault = _read(pipeline.keypoints_model, pipeline.keypoints_card)
        if fault:
            yield f'{where}.keypoints_model: {fault}'
    elif pipeline.keypoints_card:
        yield f'{where}.keypoints_card: got {pipeline.keypoints_card!r} without keypoints_model; give the model, too'
    if card is None:
        return
    if card.task in NOT_OF_ONE_IMAGE:
        yield (
            f'{where}.model: {pipeline.model} is for {card.task.value}, which takes more than one image of a camera; '
            'start it with perception.launch.py depth_model:=, which docs/tasks.md shows'
        )
        return
    if pipeline.keypoints_model and behind is not None:
        yield from _chain(card, behind, where)
    yield from _tasks(pipeline, card, behind, reads, where)
    yield from _batch(pipeline, card, where)


def _read(model: str, model_card: str) -> tuple[ModelCard | None, str]:
    """The card of a model, and '' or why there is none."""
    if not os.path.isfile(model):
        return None, f'no such file {model!r}; give an existing one, relative to this file or absolute'
    try:
        return read_card(model, model_card or None), ''
    except PerceptionError as error:
        return None, str(error)


def _chain(card: ModelCard, behind: ModelCard, where: str) -> Iterator[str]:
    if behind.task is not Task.TOP_DOWN_KEYPOINTS:
        yield (
            f'{where}.keypoints_model: {behind.path} is for {behind.task.value}, expected a model of top-down keypoints'
        )
    if not isinstance(card.spec, DetectionSpec) or card.keypoints is not None:
        yield (
            f'{where}.model: {card.path} is for {card.task.value}, expected a detector of boxes alone before '
            'keypoints_model'
        )


def _tasks(
    pipeline: PipelineSpec,
    card: ModelCard,
    behind: ModelCard | None,
    reads: frozenset[Task] | tuple[()],
    where: str,
) -> Iterator[str]:
    """Tasks that the model cannot do, or gives no reason to."""
    finds = _found(card, behind)
    said = f'{card.path} is for {card.task.value}'
    for task in sorted(reads, key=lambda task: task.value):
        if task not in finds:
            yield f'{where}.tasks: got {task.value}, but {said}; it gives {", ".join(one.value for one in finds)}'
    wants = {added for added in Added if pipeline.wants(added)}
    boxes = isinstance(card.spec, DetectionSpec)
    if Added.POSES in wants and not boxes:
        yield f'{where}.tasks: got poses, but {said} and finds no objects; leave it out, or give a detector'
    elif Added.POSES in wants and not card.objects:
        yield (
            f'{where}.tasks: got poses, but nothing says how large the objects of {card.path} are; add objects: with '
            'sizes to its card, which docs/poses.md shows, or leave poses out'
        )
    if Added.TRACK in wants and not boxes and card.task is not Task.TOP_DOWN_KEYPOINTS:
        yield f'{where}.tasks: got track, but {said} and finds no objects; leave it out, or give a detector'
    if Added.SKELETONS in wants and not _has_skeleton(behind or card):
        yield (
            f'{where}.tasks: got skeletons, but {(behind or card).path} has no skeleton; add keypoints: {{skeleton: '
            'coco17}} to its card, or leave skeletons out'
        )
    if Added.ANNOTATE in wants and card.task is Task.MONO_DEPTH:
        yield f'{where}.tasks: got annotate, but {said}, which is not drawn; leave it out'


def _found(card: ModelCard, behind: ModelCard | None) -> list[Task]:
    """What can be read from the models' outputs."""
    finds = {card.task}
    if isinstance(card.spec, DetectionSpec):
        finds.add(Task.DETECTION)
    if card.masks is not None:
        finds.add(Task.INSTANCE_SEGMENTATION)
    if card.keypoints is not None or card.task is Task.TOP_DOWN_KEYPOINTS:
        finds.add(Task.KEYPOINTS)
    if behind is not None:
        finds |= {Task.KEYPOINTS, Task.TOP_DOWN_KEYPOINTS}
    return sorted(finds, key=lambda task: task.value)


def _has_skeleton(card: ModelCard) -> bool:
    keypoints = getattr(card.spec, 'keypoints', None)
    return keypoints is not None and keypoints.skeleton is not None


def _batch(pipeline: PipelineSpec, card: ModelCard, where: str) -> Iterator[str]:
    wanted, streams = pipeline.max_batch, len(pipeline.cameras)
    most = most_at_once(card)
    if most is not None and wanted > most:
        yield (
            f'{where}.max_batch: got {wanted}, but {card.path} takes {most} image{"s" * (most != 1)} at a time; leave '
            'max_batch out, or export the model with a dynamic batch axis'
        )
    profile = pipeline.params.get('inference', {}).get(_PROFILE)
    if isinstance(profile, int) and wanted > profile:
        yield (
            f'{where}.max_batch: got {wanted}, but params.inference.{_PROFILE} is {profile}, and the engine takes no '
            'more; make them equal'
        )
    if wanted > max(streams, 1):
        yield (
            f'{where}.max_batch: got {wanted} with {streams} camera{"s" * (streams != 1)}, and a batch has at most one '
            f'frame of each; give at most {streams}'
        )


def most_at_once(card: ModelCard) -> int | None:
    """How many images a model takes at once; None for any number."""
    if card.dynamic_batch:
        return None
    image = card.images[0]
    return (image.tensor.shape[0] or 1) if image.has_batch else 1
