# SPDX-License-Identifier: Apache-2.0
"""Builds the model card: cards first, then the exporter's metadata, shapes, and the family's defaults.

Every step returns its value together with where it came from (`Sourced`). What a task needs of the outputs is in the
task's own file in `tasks`; here is what all of them share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from isaac_inference.models.card.assumption import Assumption
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.inputs import PreprocessSpec
from isaac_inference.models.card.sourced import CardValues, Sourced, values_of
from isaac_inference.models.card.tasks import Task
from isaac_inference.models.onnx.exporter import exporter_facts
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.advice import tried
from isaac_inference.models.recognition.image_input import InputFinding, find_inputs
from isaac_inference.models.recognition.preprocessing import PreprocessFinding
from isaac_inference.models.recognition.probe import outputs_of
from isaac_inference.models.recognition.problems import Problems
from isaac_inference.models.recognition.tasks import (
    boxes,
    depth_completion,
    mono_depth,
    semantic_segmentation,
    stereo_depth,
    top_down_keypoints,
)
from isaac_inference.models.recognition.tasks.base import Reading, Recognizer, Subject, Trial, sourced_fields
from isaac_inference.models.recognition.tasks.find_task import TaskFinding, check_keys, find_task

RECOGNIZERS: Mapping[Task, Recognizer] = {
    Task.DETECTION: boxes.RECOGNIZER,
    Task.KEYPOINTS: boxes.RECOGNIZER,
    Task.INSTANCE_SEGMENTATION: boxes.RECOGNIZER,
    Task.TOP_DOWN_KEYPOINTS: top_down_keypoints.RECOGNIZER,
    Task.SEMANTIC_SEGMENTATION: semantic_segmentation.RECOGNIZER,
    Task.MONO_DEPTH: mono_depth.RECOGNIZER,
    Task.STEREO_DEPTH: stereo_depth.RECOGNIZER,
    Task.DEPTH_COMPLETION: depth_completion.RECOGNIZER,
}
"""How the models of each task are recognised."""


def build_card(file: ModelFile, values: CardValues) -> ModelCard:
    """The card of one model.

    Args:
        file: what the ONNX file says.
        values: what the cards say, already merged.

    Raises:
        ModelError: a card contradicts the file, or something is not said anywhere: all of it at once. Where lines in
            the card settle all of it, each line that the error tells to add has been tried on the file.
    """
    problems = Problems(file)
    card = _build(file, values, problems)
    if card is not None and not problems:
        return card

    def again(more: CardValues) -> Trial:
        fresh = Problems(file)
        made = _build(file, {**values, **more}, fresh)
        if made is None or fresh:
            raise fresh.error()
        return judge(file, made)

    raise tried(file, problems, again).error()


def judge(file: ModelFile, card: ModelCard) -> Trial:
    """What a card makes of one run of its model on a picture."""
    outputs = outputs_of(file, card)
    if not outputs:
        return Trial('fits the shapes; it could not be run here')
    return RECOGNIZERS[card.task].judge(card, outputs)


def _build(file: ModelFile, values: CardValues, problems: Problems) -> ModelCard | None:
    """The card as far as it can be made; None, and what is wrong in `problems`, where it cannot."""
    exporter = exporter_facts(file.metadata)
    found: TaskFinding | None = None
    with problems:
        found = find_task(file, values, exporter)
    if found is None:  # what is wrong with the inputs is said with it
        with problems:
            find_inputs(file, values, exporter, problems)
        return None
    with problems:
        check_keys(values, found.task)
    reading = RECOGNIZERS[found.task.value].recognize(Subject(file, values, exporter, found.task, problems))
    if reading is None or problems:
        return None
    card = _card_of(file, values.get('name', Sourced(file.path.stem, 'file name')), found, reading)
    if reading.check is not None:
        with problems:
            reading.check(card)
    return card


def _card_of(file: ModelFile, name: Sourced[str], task: TaskFinding, found: Reading) -> ModelCard:
    """The card that a reading makes."""
    inputs, size = _settled_size(found.inputs, found.prepared)
    labels, objects, prepared = found.labels, found.objects, found.prepared
    sources = {
        'name': name.source,
        'task': task.task.source,
        'labels': labels[0].source,
        **inputs.sources(),
        **found.sources,
        **sourced_fields('objects', objects[0]),
        'preprocess.convention': prepared.source,
        **sourced_fields('preprocess', prepared.values),
    }
    images = inputs.image_inputs(PreprocessSpec(**values_of(prepared.values)), prepared.convention.name)
    return ModelCard(
        name=name.value,
        path=file.path,
        sha256=file.sha256,
        inputs=(*images, *inputs.value_inputs()),
        outputs=file.outputs,
        spec=found.spec,
        labels=labels[0].value,
        objects=values_of(objects[0]),
        sources=sources,
        notes=(*found.notes, *labels[1], *objects[1]),
        assumptions=(*task.assumptions, *prepared.assumptions, *size, *found.assumptions),
        opset=file.opset,
        producer=file.producer,
    )


def _settled_size(inputs: InputFinding, prepared: PreprocessFinding) -> tuple[InputFinding, tuple[Assumption, ...]]:
    """The inputs with the size that the family usually has, where the file takes any."""
    if not inputs.size_is_assumed:
        return inputs, ()
    width, height = prepared.convention.input_wh
    assumption = Assumption(
        'input_size',
        f'[{width}, {height}]',
        f'the file takes any size; {prepared.convention.title} usually have this one',
        (('input_size: [width, height]', 'the size that it was trained with'),),
    )
    source = f'assumed, as for the convention {prepared.convention.name}'
    return replace(inputs, wh=Sourced((width, height), source)), (assumption,)
