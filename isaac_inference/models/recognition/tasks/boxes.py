# SPDX-License-Identifier: Apache-2.0
"""Detectors, with keypoints, masks or neither: which decoder reads them, and what classes and objects they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from isaac_inference.errors import FrameError, ModelError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.families import FAMILIES
from isaac_inference.models.card.objects import ObjectSpec
from isaac_inference.models.card.sourced import CardValues, Sourced, values_of
from isaac_inference.models.card.tasks import (
    DetectionSpec,
    InstanceSegmentationSpec,
    KeypointDetectionSpec,
    KeypointSpec,
    Task,
)
from isaac_inference.models.onnx.exporter import ExporterFacts
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.class_labels import (
    UNUSED,
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
from isaac_inference.models.recognition.layouts.masks import without_coefficients
from isaac_inference.models.recognition.masks import MaskFinding, coefficients, resolve_masks
from isaac_inference.models.recognition.preprocessing import PreprocessFinding, resolve_preprocess
from isaac_inference.models.recognition.probe import Probe, outputs_of
from isaac_inference.models.recognition.read_outputs import decode_all
from isaac_inference.models.recognition.tasks.base import (
    NO_LABELS,
    Outputs,
    Reading,
    Recognizer,
    Subject,
    Trial,
    sourced_fields,
)
from isaac_inference.models.vocabulary.embeddings import find_embeddings
from isaac_inference.ops.boxes.plausibility import implausible, implausibly_alike


def recognize(subject: Subject) -> Reading | None:
    """The reading of a detector."""
    file, values, exporter, problems = subject.file, subject.values, subject.exporter, subject.problems
    keypoints: Sourced[KeypointSpec] | None = None
    with problems:
        keypoints = resolve_keypoints(file, values, exporter, subject.task)
    points = None if keypoints is None else keypoints.value
    inputs: InputFinding | None = None
    with problems:
        inputs = _with_embeddings(file, values, exporter, find_inputs(file, values, exporter, problems))
    if inputs is None or (points is None and subject.task.value is Task.KEYPOINTS):
        return None
    count = known_label_count(values, exporter)
    evidence = Evidence(file, inputs.wh.value, count, exporter, points, values=Probe(file, inputs))
    read: tuple[DecoderFinding, OptionFinding] | None = None
    with problems:
        rows = without_coefficients(evidence, coefficients(evidence, values))
        decoder = find_decoder(rows, values)
        read = decoder, resolve_options(rows, decoder, values, inputs.scales_boxes)
    if read is None:
        return None
    decoder, options = read
    with problems:
        _check_size(decoder, inputs)
    masks: MaskFinding | None = None
    with problems:
        masks = resolve_masks(evidence, decoder, values, subject.task, rows.left_out)
    is_detr = decoder.decoder.value == 'detr'
    labels = NO_LABELS
    with problems:
        labels = resolve_labels(
            file,
            values,
            exporter,
            options.class_count,
            has_spare=is_detr,
            unused_ids=decoder.unused_ids,
            own=FAMILIES[decoder.decoder.value].labels,
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
    if is_detr:
        options = replace(options, options=_with_unused(options.options, labels[0].value, decoder, values))
    return Reading(
        _spec(decoder, values_of(options.options), points, masks),
        inputs,
        prepared,
        labels,
        objects,
        sources={
            'decoder': decoder.decoder.source,
            **({} if keypoints is None else {'keypoints': keypoints.source}),
            **({} if masks is None else _sources_of(masks)),
            **sourced_fields('decoder_options', options.options),
            **sourced_fields('roles', decoder.roles),
        },
        notes=decoder.notes,
        assumptions=(*options.assumptions, *(() if masks is None else masks.assumptions)),
        check=lambda card: _check_decoder(file, card, decoder),
    )


def judge(card: ModelCard, outputs: Outputs) -> Trial:
    """What a card makes of one run's outputs, every box whatever it scores."""
    try:
        found = decode_all(card, outputs)
    except FrameError as error:
        return Trial('', str(error))
    wrong = implausible(found, card.image.wh, found.best_score) or implausibly_alike(found, card.image.wh)
    shown = f'tried on a picture: best score {found.scores.max():.2f}' if len(found) else 'fits the shapes'
    return Trial(shown, None if wrong is None else wrong.sentence)


RECOGNIZER = Recognizer(recognize, judge)


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
    outputs = outputs_of(file, card)
    wrong = judge(card, outputs).wrong if outputs else None
    if wrong is not None:
        raise ModelError(
            f'{file.path}: decoder: {finding.decoder.value} ({finding.decoder.source}) reads nonsense from this file, '
            f'on a picture: {wrong}. The outputs look like {finding.looks_like}: '
            f'{FAMILIES[finding.looks_like].layout}. Correct the line, or leave it out. Found:{file.describe()}'
        )


def _check_size(finding: DecoderFinding, inputs: InputFinding) -> None:
    """Raise ModelError for an input size that the network cannot be run at."""
    family, (width, height) = FAMILIES[finding.decoder.value], inputs.wh.value
    step = family.size_step
    if (width % step or height % step) and not inputs.size_is_assumed:
        raise ModelError(
            f'{inputs.wh.source}: input_size: got [{width}, {height}] (w, h), expected multiples of {step} for '
            f'{family.title}'
        )


def _sources_of(masks: MaskFinding) -> dict[str, str]:
    """Where the parts of the masks came from."""
    found = {f'masks.{name}': source for name, source in masks.fields.items()}
    return {**found, f'roles.{masks.spec.role}': masks.output.source}


def _spec(
    finding: DecoderFinding, options: Mapping[str, Any], keypoints: KeypointSpec | None, masks: MaskFinding | None
) -> DetectionSpec:
    """What the task says about the outputs."""
    roles = {role: item.value.name for role, item in finding.roles.items()}
    if masks is not None:
        roles[masks.spec.role] = masks.output.value.name
    spec = None if masks is None else masks.spec
    if keypoints is not None:
        return KeypointDetectionSpec(roles, finding.decoder.value, options, keypoints, masks=spec)
    kind = DetectionSpec if spec is None else InstanceSegmentationSpec
    return kind(roles, finding.decoder.value, options, masks=spec)
