# SPDX-License-Identifier: Apache-2.0
"""Builds the model card: cards first, then the exporter's metadata, shapes, and the family's defaults.

Every step returns its value together with where it came from (`Sourced`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isaac_inference.errors import ModelError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.card_file import SECTIONS
from isaac_inference.models.card.families import FAMILIES, preprocess_default
from isaac_inference.models.card.inputs import PreprocessSpec
from isaac_inference.models.card.sourced import CardValues, Sourced, values_of
from isaac_inference.models.card.tasks import SPECS, DetectionSpec, KeypointDetectionSpec, KeypointSpec, Task
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.onnx.exporter import ExporterFacts, exporter_facts
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.class_labels import resolve_labels
from isaac_inference.models.recognition.class_objects import resolve_objects
from isaac_inference.models.recognition.decoder_options import class_columns, resolve_options
from isaac_inference.models.recognition.detect_decoder import (
    DecoderFinding,
    Evidence,
    detect_decoder,
    sourced_roles,
)
from isaac_inference.models.recognition.image_input import find_inputs
from isaac_inference.models.recognition.keypoints import resolve_keypoints
from isaac_inference.models.recognition.output_roles import match_roles, roles_from_card


def build_card(file: ModelFile, values: CardValues) -> ModelCard:
    """The card of one model.

    Args:
        file: what the ONNX file says.
        values: what the cards say, already merged.

    Raises:
        ModelError: a card contradicts the file, or something is not said anywhere.
    """
    exporter = exporter_facts(file.path, file.metadata)
    name = values.get('name', Sourced(file.path.stem, 'file name'))
    task = _task(file, values, exporter)
    keypoints = resolve_keypoints(file, values, exporter, task)
    points = None if keypoints is None else keypoints.value
    inputs = find_inputs(file, values, exporter)
    known_labels = values['labels'].value if 'labels' in values else exporter.labels
    label_count = None if known_labels is None else len(known_labels)
    evidence = Evidence(file, inputs.wh.value, label_count, exporter, points)
    finding = _decoder(evidence, values)
    roles = values_of(finding.roles)
    columns = class_columns(evidence, finding.decoder.value, roles)
    options, option_notes = resolve_options(evidence, finding, values, columns, inputs.size is not None)
    softmax = 'activation' in options and options['activation'].value == 'softmax'
    class_count = columns - 1 if softmax and columns is not None else columns
    labels, label_notes = resolve_labels(file, values, exporter, class_count)
    objects, object_notes = resolve_objects(values, labels.value, points)
    preprocess = _preprocess(finding.decoder.value, values_of(options), columns, inputs.image.value, values)
    sources = {
        'name': name.source,
        'task': task.source,
        'decoder': finding.decoder.source,
        'labels': labels.source,
        **({} if keypoints is None else {'keypoints': keypoints.source}),
        **inputs.sources(),
        **_sources('decoder_options', options),
        **_sources('roles', finding.roles),
        **_sources('objects', objects),
        **_sources('preprocess', preprocess),
    }
    return ModelCard(
        name=name.value,
        path=file.path,
        sha256=file.sha256,
        inputs=(inputs.image_input(PreprocessSpec(**values_of(preprocess))), *inputs.value_inputs()),
        outputs=file.outputs,
        spec=_spec(finding, values_of(options), points),
        labels=labels.value,
        objects=values_of(objects),
        sources=sources,
        notes=(*finding.notes, *option_notes, *label_notes, *object_notes),
        opset=file.opset,
        producer=file.producer,
    )


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
    if exporter.task is None:
        return Sourced(Task.DETECTION, 'the decoder')
    supported = [task.value for task in SPECS]
    if exporter.task not in supported:
        raise ModelError(
            f'{file.path}: task {exporter.task} is not supported yet (metadata "task"); '
            f'supported: {", ".join(supported)}. Give a model for one of them'
        )
    return Sourced(Task(exporter.task), 'metadata "task"')


def _decoder(evidence: Evidence, values: CardValues) -> DecoderFinding:
    """The decoder and its outputs, as the card says or as the file shows."""
    if 'decoder' in values:
        _check_task(values['decoder'], evidence.keypoints is not None)
        finding = DecoderFinding(values['decoder'], {})
    else:
        finding = detect_decoder(evidence)
    given = roles_from_card(evidence.file, finding.decoder.value, values)
    return _with_roles(evidence.file, finding, given)


def _check_task(decoder: Sourced[str], has_keypoints: bool) -> None:
    """Raise ModelError for a decoder that reads no keypoints although there are some, or vice versa."""
    if (FAMILIES[decoder.value].task is Task.KEYPOINTS) is has_keypoints:
        return
    task = Task.KEYPOINTS if has_keypoints else Task.DETECTION
    fitting = [name for name, family in FAMILIES.items() if family.task is task]
    reads = 'reads no keypoints, but the model has some' if has_keypoints else 'reads keypoints, but there are none'
    raise ModelError(
        f'{decoder.source}: decoder: {decoder.value} {reads} (task {task.value}); expected one of '
        f'{", ".join(fitting)}, or no line `decoder`'
    )


def _with_roles(file: ModelFile, finding: DecoderFinding, given: Mapping[str, Sourced[TensorSpec]]) -> DecoderFinding:
    """The finding with one output for every role of its decoder."""
    decoder = finding.decoder.value
    if finding.roles and not given:
        return finding
    roles = match_roles(decoder, file.outputs, values_of(given))
    if roles is None:
        names = ', '.join(f'{role}: <tensor name>' for role in FAMILIES[decoder].roles)
        raise file.unclear(
            f'the decoder {decoder} ({finding.decoder.source}) reads {FAMILIES[decoder].layout}, and the outputs '
            'do not show which is which',
            f'outputs: {{{names}}}',
        )
    return DecoderFinding(finding.decoder, {**sourced_roles(roles), **given}, finding.options, finding.notes)


def _preprocess(
    decoder: str, options: Mapping[str, Any], columns: int | None, image: TensorSpec, values: CardValues
) -> dict[str, Sourced[Any]]:
    """How an image becomes the input tensor: the family's defaults, overridden by the card."""
    default, default_source = preprocess_default(decoder, options, columns)
    found: dict[str, Sourced[Any]] = {}
    for name in SECTIONS['preprocess']:
        found[name] = values.get(f'preprocess.{name}', Sourced(getattr(default, name), default_source))
    if image.dtype == 'uint8':
        for name, raw in (('scale', 1.0), ('mean', (0.0, 0.0, 0.0)), ('std', (1.0, 1.0, 1.0))):
            given = values.get(f'preprocess.{name}')
            if given is not None and given.value != raw:
                raise ModelError(
                    f'{given.source}: preprocess.{name}: got {given.value}, but the image input '
                    f'{image.describe()} takes whole numbers 0 to 255; remove the line'
                )
            found[name] = Sourced(raw, f'element type of {image.name}')
    return found
