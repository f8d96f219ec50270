# SPDX-License-Identifier: Apache-2.0
"""Builds the model card: cards first, then the exporter's metadata, shapes, and the family's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isaac_inference.errors import ModelError
from isaac_inference.models.card.card import ModelCard, PreprocessSpec, Task
from isaac_inference.models.card.card_file import SECTIONS, CardValues
from isaac_inference.models.card.families import FAMILIES, preprocess_default
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.onnx.exporter import ExporterFacts, exporter_facts
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.onnx.unclear import unclear
from isaac_inference.models.recognition.class_labels import resolve_labels
from isaac_inference.models.recognition.class_objects import resolve_objects
from isaac_inference.models.recognition.decoder_options import class_columns, resolve_options
from isaac_inference.models.recognition.detect_decoder import DecoderFinding, Evidence, detect_decoder
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
    sources: dict[str, str] = {}
    task = _task(file, values, exporter, sources)
    keypoints = resolve_keypoints(file, values, exporter, task, sources)
    inputs = find_inputs(file, values, exporter)
    sources.update(inputs.sources)
    known_labels = values['labels'].value if 'labels' in values else exporter.labels
    label_count = None if known_labels is None else len(known_labels)
    evidence = Evidence(file, inputs.input_wh, label_count, exporter, keypoints)
    finding = _decoder(evidence, values, sources)
    columns = class_columns(evidence, finding.decoder, finding.roles)
    options, option_notes = resolve_options(evidence, finding, values, columns, inputs.size_input is not None, sources)
    softmax = options.get('activation') == 'softmax'
    class_count = columns - 1 if softmax and columns is not None else columns
    labels, label_notes = resolve_labels(file, values, exporter, class_count, sources)
    objects, object_notes = resolve_objects(values, labels, keypoints, sources)
    preprocess = _preprocess(finding.decoder, options, columns, inputs.image, values, sources)
    sources['name'] = values['name'].source if 'name' in values else 'file name'
    return ModelCard(
        name=values['name'].value if 'name' in values else file.path.stem,
        path=file.path,
        sha256=file.sha256,
        task=task,
        decoder=finding.decoder,
        decoder_options=options,
        image_input=inputs.image,
        layout=inputs.layout,
        input_wh=inputs.input_wh,
        size_input=inputs.size_input,
        outputs=file.outputs,
        roles={role: spec.name for role, spec in finding.roles.items()},
        labels=labels,
        preprocess=preprocess,
        keypoints=keypoints,
        objects=objects,
        sources=sources,
        notes=(*finding.notes, *option_notes, *label_notes, *object_notes),
        opset=file.opset,
        producer=file.producer,
    )


def _task(file: ModelFile, values: CardValues, exporter: ExporterFacts, sources: dict[str, str]) -> Task:
    """What the model is for; other tasks than `Task`'s are refused by name."""
    if 'task' in values:
        sources['task'] = values['task'].source
        return Task(values['task'].value)
    keypoints = next((value for key, value in values.items() if key.startswith('keypoints.')), None)
    if keypoints is not None:
        sources['task'] = f'keypoints of {keypoints.source}'
        return Task.POSE
    if 'decoder' in values and FAMILIES[values['decoder'].value].task is Task.POSE:
        sources['task'] = 'the decoder'
        return Task.POSE
    if exporter.task is None:
        sources['task'] = 'the decoder'
        return Task.DETECTION
    supported = [task.value for task in Task]
    if exporter.task not in supported:
        raise ModelError(
            f'{file.path}: task {exporter.task} is not supported yet (metadata "task"); '
            f'supported: {", ".join(supported)}. Give a model for one of them'
        )
    sources['task'] = 'metadata "task"'
    return Task(exporter.task)


def _decoder(evidence: Evidence, values: CardValues, sources: dict[str, str]) -> DecoderFinding:
    """The decoder and its outputs, as the card says or as the file shows."""
    file = evidence.file
    if 'decoder' not in values:
        finding = detect_decoder(evidence)
        given = roles_from_card(file, finding.decoder, values)
        finding = _with_roles(file, finding, given)
    else:
        decoder, source = str(values['decoder'].value), values['decoder'].source
        _check_task(decoder, source, evidence.keypoints is not None)
        given = roles_from_card(file, decoder, values)
        finding = _with_roles(file, DecoderFinding(decoder, {}, source), given)
    sources['decoder'] = finding.source
    for role in finding.roles:
        sources[f'roles.{role}'] = (
            values[f'outputs.{role}'].source if role in given else 'shapes and names of the outputs'
        )
    return finding


def _check_task(decoder: str, source: str, has_keypoints: bool) -> None:
    """Raise ModelError for a decoder that reads no keypoints where there are some, and the other way round."""
    if (FAMILIES[decoder].task is Task.POSE) is has_keypoints:
        return
    task = Task.POSE if has_keypoints else Task.DETECTION
    fitting = [name for name, family in FAMILIES.items() if family.task is task]
    reads = 'reads no keypoints, but the model has some' if has_keypoints else 'reads keypoints, but there are none'
    raise ModelError(
        f'{source}: decoder: {decoder} {reads} (task {task.value}); expected one of {", ".join(fitting)}, or no '
        'line `decoder`'
    )


def _with_roles(file: ModelFile, finding: DecoderFinding, given: Mapping[str, TensorSpec]) -> DecoderFinding:
    """The finding with every role of its decoder played by one output."""
    decoder = finding.decoder
    if finding.roles and not given:
        return finding
    roles = match_roles(decoder, file.outputs, given)
    if roles is None:
        names = ', '.join(f'{role}: <tensor name>' for role in FAMILIES[decoder].roles)
        raise unclear(
            file,
            f'the decoder {decoder} ({finding.source}) reads {FAMILIES[decoder].layout}, and the outputs '
            'do not show which is which',
            f'outputs: {{{names}}}',
        )
    return DecoderFinding(decoder, roles, finding.source, finding.options, finding.notes)


def _preprocess(
    decoder: str,
    options: Mapping[str, Any],
    columns: int | None,
    image: TensorSpec,
    values: CardValues,
    sources: dict[str, str],
) -> PreprocessSpec:
    """How an image becomes the input tensor: the family's defaults, with what the card says instead."""
    default, default_source = preprocess_default(decoder, options, columns)
    fields: dict[str, Any] = {}
    for name in SECTIONS['preprocess']:
        given = values.get(f'preprocess.{name}')
        fields[name] = given.value if given is not None else getattr(default, name)
        sources[f'preprocess.{name}'] = given.source if given is not None else default_source
    if image.dtype == 'uint8':
        for name, raw in (('scale', 1.0), ('mean', (0.0, 0.0, 0.0)), ('std', (1.0, 1.0, 1.0))):
            given = values.get(f'preprocess.{name}')
            if given is not None and given.value != raw:
                raise ModelError(
                    f'{given.source}: preprocess.{name}: got {given.value}, but the image input '
                    f'{image.describe()} takes whole numbers 0 to 255; remove the line'
                )
            fields[name], sources[f'preprocess.{name}'] = raw, f'element type of {image.name}'
    return PreprocessSpec(**fields)
