# SPDX-License-Identifier: Apache-2.0
"""Builds the model card: cards first, then the exporter's metadata, shapes, and the family's defaults.

Every step returns its value together with where it came from (`Sourced`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isaac_inference.errors import ModelError
from isaac_inference.models.card.assumption import Assumption
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.families import FAMILIES
from isaac_inference.models.card.inputs import PreprocessSpec
from isaac_inference.models.card.objects import ObjectSpec
from isaac_inference.models.card.sourced import CardValues, Sourced, values_of
from isaac_inference.models.card.tasks import SPECS, DetectionSpec, KeypointDetectionSpec, KeypointSpec, Task
from isaac_inference.models.onnx.exporter import ExporterFacts, exporter_facts
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.advice import nonsense, tried
from isaac_inference.models.recognition.class_labels import (
    UNUSED,
    Found,
    known_label_count,
    known_labels,
    resolve_labels,
)
from isaac_inference.models.recognition.class_objects import resolve_objects
from isaac_inference.models.recognition.decoder_choice import DecoderFinding, find_decoder
from isaac_inference.models.recognition.decoder_options import OptionFinding, resolve_options
from isaac_inference.models.recognition.image_input import InputFinding, find_inputs
from isaac_inference.models.recognition.keypoints import resolve_keypoints
from isaac_inference.models.recognition.layouts.candidate import Evidence
from isaac_inference.models.recognition.preprocessing import PreprocessFinding, resolve_preprocess
from isaac_inference.models.recognition.probe import Probe, outputs_of
from isaac_inference.models.recognition.problems import Problems
from isaac_inference.models.vocabulary.embeddings import find_embeddings


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

    def again(more: CardValues) -> tuple[ModelCard, Mapping[str, np.ndarray]]:
        fresh = Problems(file)
        made = _build(file, {**values, **more}, fresh)
        if made is None or fresh:
            raise fresh.error()
        return made, outputs_of(file, made)

    raise tried(file, problems, again).error()


@dataclass(frozen=True)
class _Findings:
    """Everything that a card is made of, each part with where it came from."""

    file: ModelFile
    name: Sourced[str]
    task: Sourced[Task]
    keypoints: Sourced[KeypointSpec] | None
    inputs: InputFinding
    decoder: DecoderFinding
    options: OptionFinding
    labels: Found
    objects: tuple[Mapping[str, Sourced[ObjectSpec]], tuple[str, ...]]
    prepared: PreprocessFinding


def _build(file: ModelFile, values: CardValues, problems: Problems) -> ModelCard | None:
    """The card as far as it can be made; None, and what is wrong in `problems`, where it cannot."""
    exporter = exporter_facts(file.metadata)
    name = values.get('name', Sourced(file.path.stem, 'file name'))
    task: Sourced[Task] | None = None
    keypoints: Sourced[KeypointSpec] | None = None
    with problems:
        task = _task(file, values, exporter)
        keypoints = resolve_keypoints(file, values, exporter, task)
    points = None if keypoints is None else keypoints.value
    inputs: InputFinding | None = None
    with problems:
        inputs = _with_embeddings(file, values, exporter, find_inputs(file, values, exporter, problems))
    if inputs is None or task is None or (points is None and task.value is Task.KEYPOINTS):
        return None
    count = known_label_count(values, exporter)
    evidence = Evidence(file, inputs.wh.value, count, exporter, points, values=Probe(file, inputs))
    read: tuple[DecoderFinding, OptionFinding] | None = None
    with problems:
        decoder = find_decoder(evidence, values)
        read = decoder, resolve_options(evidence, decoder, values, inputs.scales_boxes)
    if read is None:
        return None
    decoder, options = read
    labels: Found = (Sourced((), ''), ())
    with problems:
        labels = resolve_labels(
            file,
            values,
            exporter,
            options.class_count,
            has_spare=decoder.decoder.value == 'detr',
            unused_ids=decoder.unused_ids,
        )
    objects: tuple[Mapping[str, Sourced[ObjectSpec]], tuple[str, ...]] = ({}, ())
    if labels[0].value:
        with problems:
            objects = resolve_objects(values, labels[0].value, points)
    prepared: PreprocessFinding | None = None
    with problems:
        activation = options.options['activation'].value if 'activation' in options.options else None
        prepared = resolve_preprocess(file, inputs.image.value, values, exporter, decoder, activation)
    if problems or prepared is None:
        return None
    if decoder.decoder.value == 'detr':
        options = replace(options, options=_with_unused(options.options, labels[0].value, decoder, values))
    card = _card_of(_Findings(file, name, task, keypoints, inputs, decoder, options, labels, objects, prepared))
    with problems:
        _check_decoder(file, card, decoder)
    return card


def _card_of(found: _Findings) -> ModelCard:
    """The card that findings make."""
    inputs, size = _settled_size(found.inputs, found.prepared)
    options, points = found.options.options, None if found.keypoints is None else found.keypoints.value
    sources = {
        'name': found.name.source,
        'task': found.task.source,
        'decoder': found.decoder.decoder.source,
        'labels': found.labels[0].source,
        **({} if found.keypoints is None else {'keypoints': found.keypoints.source}),
        **inputs.sources(),
        **_sources('decoder_options', options),
        **_sources('roles', found.decoder.roles),
        **_sources('objects', found.objects[0]),
        'preprocess.convention': found.prepared.source,
        **_sources('preprocess', found.prepared.values),
    }
    spec = PreprocessSpec(**values_of(found.prepared.values))
    image = inputs.image_input(spec, found.prepared.convention.name)
    return ModelCard(
        name=found.name.value,
        path=found.file.path,
        sha256=found.file.sha256,
        inputs=(image, *inputs.value_inputs()),
        outputs=found.file.outputs,
        spec=_spec(found.decoder, values_of(options), points),
        labels=found.labels[0].value,
        objects=values_of(found.objects[0]),
        sources=sources,
        notes=(*found.decoder.notes, *found.labels[1], *found.objects[1]),
        assumptions=(*found.prepared.assumptions, *size, *found.options.assumptions),
        opset=found.file.opset,
        producer=found.file.producer,
    )


def _with_embeddings(
    file: ModelFile, values: CardValues, exporter: ExporterFacts, inputs: InputFinding
) -> InputFinding:
    """The inputs with the classes of an open-vocabulary detector; as they are for any other model."""
    spec = inputs.takes_embeddings
    if spec is not None:
        return inputs.feed(find_embeddings(file, spec, values, known_labels(values, exporter)))
    needless = next((item for key, item in values.items() if key.startswith('vocabulary.')), None)
    if needless is not None:
        raise ModelError(
            f'{needless.source}: vocabulary: {file.path.name} has no input for text embeddings; leave the section out, '
            f'or name the input: `value_inputs: {{text_embeddings: <name>}}`. Found:{file.describe()}'
        )
    return inputs


def _with_unused(
    options: Mapping[str, Sourced[Any]], labels: Sequence[str], finding: DecoderFinding, values: CardValues
) -> Mapping[str, Sourced[Any]]:
    """The options, with `unused` naming the columns that no class has, so that nothing is found as one of them."""
    if options['activation'].value != 'sigmoid' or 'decoder_options.unused' in values:
        return options
    nameless = [index for index, label in enumerate(labels) if label.startswith(UNUSED)]
    last = max(set(range(len(labels))) - set(nameless), default=len(labels))
    unused = tuple(index for index in nameless if index > last or index in finding.unused_ids)
    if not unused:
        return options
    return {**options, 'unused': Sourced(unused, 'columns without a class')}


def _check_decoder(file: ModelFile, card: ModelCard, finding: DecoderFinding) -> None:
    """Raise ModelError where a card names another decoder than the outputs speak for, and it reads nonsense."""
    if not finding.looks_like:
        return
    wrong = nonsense(card, outputs_of(file, card))
    if wrong is not None:
        raise ModelError(
            f'{file.path}: decoder: {finding.decoder.value} ({finding.decoder.source}) reads nonsense from this file, '
            f'on a picture: {wrong}. The outputs look like {finding.looks_like}: '
            f'{FAMILIES[finding.looks_like].layout}. Correct the line, or leave it out. Found:{file.describe()}'
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


def _sources(section: str, found: Mapping[str, Sourced[Any]]) -> dict[str, str]:
    """Where each value of a section came from, under the names that a card has for them."""
    return {f'{section}.{name}': item.source for name, item in found.items()}


def _spec(finding: DecoderFinding, options: Mapping[str, Any], keypoints: KeypointSpec | None) -> DetectionSpec:
    """What the task says about the outputs."""
    roles = {role: item.value.name for role, item in finding.roles.items()}
    if keypoints is None:
        return DetectionSpec(roles, finding.decoder.value, options)
    return KeypointDetectionSpec(roles, finding.decoder.value, options, keypoints)


def _task(file: ModelFile, values: CardValues, exporter: ExporterFacts) -> Sourced[Task]:
    """What the model is for; tasks that cannot be run yet are refused by name."""
    if 'task' in values:
        return Sourced(Task(values['task'].value), values['task'].source)
    keypoints = next((value for key, value in values.items() if key.startswith('keypoints.')), None)
    if keypoints is not None:
        return Sourced(Task.KEYPOINTS, f'keypoints of {keypoints.source}')
    if 'decoder' in values and FAMILIES[values['decoder'].value].task is Task.KEYPOINTS:
        return Sourced(Task.KEYPOINTS, 'the decoder')
    if exporter.task in (None, 'obb'):
        return Sourced(Task.DETECTION, 'the outputs')
    supported = [task.value for task in SPECS]
    if exporter.task not in supported:
        what = f'task {exporter.task} is not supported yet (metadata "task"); supported: {", ".join(supported)}'
        if exporter.task == 'segment':
            raise file.unclear(f'{what}. Its boxes alone can be read', 'task: detection')
        raise ModelError(f'{file.path}: {what}. Give a model for one of them')
    return Sourced(Task(exporter.task), 'metadata "task"')
