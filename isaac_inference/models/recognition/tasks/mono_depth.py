# SPDX-License-Identifier: Apache-2.0
"""Depth from one image: which output has it, and whether its numbers are metres, relative, or relative and inverse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from isaac_inference.errors import ModelError
from isaac_inference.models.card.assumption import Assumption
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.sourced import CardValues, Sourced
from isaac_inference.models.card.tasks import DEPTH_UNITS, DepthKind, MonoDepthSpec
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.image_input import InputFinding, find_inputs
from isaac_inference.models.recognition.layouts.candidate import Evidence
from isaac_inference.models.recognition.layouts.roles import base_name
from isaac_inference.models.recognition.maps import (
    PATCH_WH,
    DenseMap,
    dense_maps,
    has_patches,
    numbers_of,
    pick_map,
    with_patches,
)
from isaac_inference.models.recognition.preprocessing import PreprocessFinding, choose_convention, likeliest_convention
from isaac_inference.models.recognition.probe import Probe
from isaac_inference.models.recognition.tasks.base import Outputs, Reading, Recognizer, Subject, Trial

_ROLE = 'depth'
_NAMES = ('depth', 'disp', 'pred', 'out')
_BESIDE = ('conf', 'sky', 'uncertainty', 'valid')
_INVERSE_NAMES = ('disp', 'inverse', 'inv_depth')
_METRIC_WORDS = ('zoedepth', 'metric_bins', 'attractor', 'metric3d', 'unidepth', 'depth_pro')
_INVERSE_WORDS = ('depth_anything', 'midas', 'refinenet', 'scratch.output_conv', 'depth_head')
_HALF_WORDS = ('dpt', 'beit', 'zoedepth', 'swin')
_OTHERS = {
    DepthKind.METRIC: 'networks trained on metres',
    DepthKind.INVERSE: 'MiDaS, Depth Anything 1 and 2: larger is nearer',
    DepthKind.RELATIVE: 'Depth Anything 3: larger is farther',
}


def recognize(subject: Subject) -> Reading | None:
    """The reading of a network that gives depth of one image."""
    file, values, exporter, problems = subject.file, subject.values, subject.exporter, subject.problems
    inputs: InputFinding | None = None
    with problems:
        inputs = with_patches(file, find_inputs(file, values, exporter, problems))
    if inputs is None:
        return None
    evidence = Evidence(file, inputs.wh.value, None, exporter, values=Probe(file, inputs))
    read: tuple[Sourced[DenseMap], tuple[str, ...]] | None = None
    with problems:
        read = one_number_output(evidence, subject, _ROLE, _NAMES)
    if read is None:
        return None
    found, notes = read
    kind, assumed = _kind(evidence, values, found.value)
    scale: tuple[Sourced[float] | None, Sourced[float] | None] = (None, None)
    with problems:
        check_no_effect(values, 'depth from one image', 'depth.unknown', 'outputs.confidence')
    with problems:
        scale = _scale(values, kind.value)
    prepared: PreprocessFinding | None = None
    with problems:
        prepared = _prepared(subject, inputs)
    if problems or prepared is None:
        return None
    first, shift = scale
    spec = MonoDepthSpec(
        {_ROLE: found.value.spec.name},
        kind.value,
        None if first is None else first.value,
        None if shift is None else shift.value,
    )
    sources = {f'roles.{_ROLE}': found.source, 'depth.kind': kind.source}
    sources |= {f'depth.{name}': item.source for name, item in (('scale', first), ('shift', shift)) if item is not None}
    return Reading(spec, inputs, prepared, sources=sources, notes=notes, assumptions=assumed)


def judge(card: ModelCard, outputs: Outputs) -> Trial:
    """Whether one run's output can be depth: finite, not the same everywhere, and not negative where it is metres."""
    spec = cast(MonoDepthSpec, card.spec)
    return judge_one_number(outputs[spec.roles[_ROLE]], may_be_negative=spec.kind is not DepthKind.METRIC)


def judge_one_number(output: np.ndarray, *, may_be_negative: bool) -> Trial:
    """Whether one number for each pixel can be right: finite, not the same everywhere, and in its bounds."""
    values = np.asarray(output, np.float64)
    if not values.size or not np.isfinite(values).all():
        return Trial('', 'the output has NaN, infinity or nothing')
    low, high = float(values.min()), float(values.max())
    if low == high:
        return Trial('', f'the output is {low:.4g} everywhere')
    if low < 0 and not may_be_negative:
        return Trial('', f'the output reaches from {low:.4g} to {high:.4g}, and depth in m is not negative')
    return Trial(f'tried on a picture: {low:.4g} to {high:.4g}')


RECOGNIZER = Recognizer(recognize, judge)


def one_number_output(
    evidence: Evidence, subject: Subject, role: str, names: Sequence[str]
) -> tuple[Sourced[DenseMap], tuple[str, ...]]:
    """The output with one number for each pixel that plays a role, and notes.

    Args:
        evidence: what is known about the model.
        subject: the model and its task.
        role: key of the card's section `outputs`.
        names: parts of names that speak for an output, the strongest first.

    Raises:
        ModelError: there is none, or a card names another.
    """
    maps = [item for spec in evidence.outputs for item in dense_maps(evidence, spec) if item.has_one_channel]
    maps = [item for item in maps if item.spec.dtype.startswith('float')]
    maps = [item for item in maps if not any(word in base_name(item.spec.name) for word in _BESIDE)] or maps
    if not maps and f'outputs.{role}' not in subject.values:
        outputs = '; '.join(spec.describe() for spec in evidence.file.outputs)
        wh = f'{evidence.input_wh[0]} x {evidence.input_wh[1]}'
        raise evidence.file.unclear(
            f'the task is {subject.task.value.value} ({subject.task.source}), but no output ({outputs}) has one number '
            f'for each pixel of an input of {wh}: expected [1, 1, rows, columns], [1, rows, columns] or [1, rows, '
            'columns, 1], at full, half, a quarter or an eighth of its size',
            *(('task: semantic_segmentation', 'task: detection') if len(evidence.file.inputs) == 1 else ()),
        )
    word = next((word for word in names if any(word in base_name(item.spec.name) for item in maps)), '')
    found, notes = pick_map(evidence, subject.values, role, maps, (word,) if word else ())
    if found.value.channels not in (1, None):
        raise ModelError(
            f'{found.source}: outputs.{role}: {found.value.spec.describe()} has {found.value.channels} channels; '
            'expected one number for each pixel'
        )
    return found, notes


def check_no_effect(values: CardValues, what: str, *keys: str) -> None:
    """Raise ModelError for keys of a card that mean nothing for `what`."""
    for key in keys:
        if key in values:
            raise ModelError(f'{values[key].source}: {key}: no effect on {what}; remove the line')


def unit_scale(values: CardValues) -> Sourced[float] | None:
    """m that one unit of depth is, as a card says by `depth.scale` or `depth.unit`; None where it does not.

    Raises:
        ModelError: it says both.
    """
    scale, unit = values.get('depth.scale'), values.get('depth.unit')
    if scale is not None and unit is not None:
        raise ModelError(
            f'{unit.source}: depth: got scale {scale.value:g} ({scale.source}) and unit {unit.value}, which say the '
            'same; remove one of them'
        )
    return scale if unit is None else Sourced(DEPTH_UNITS[unit.value], f'unit of {unit.source}')


def _kind(evidence: Evidence, values: CardValues, found: DenseMap) -> tuple[Sourced[DepthKind], tuple[Assumption, ...]]:
    """What the numbers mean, and whether that is assumed."""
    given = values.get('depth.kind')
    if given is not None:
        return Sourced(DepthKind(given.value), given.source), ()
    name, file, tail = base_name(found.spec.name), evidence.file, evidence.tail(found.spec)
    if any(word in name for word in _INVERSE_NAMES):
        return Sourced(DepthKind.INVERSE, f'name of {found.spec.name}'), ()
    said = file.mentions(*_METRIC_WORDS)
    if said:
        return Sourced(DepthKind.METRIC, f'names in the graph ({said})'), ()
    kind, why = DepthKind.INVERSE, 'nothing in the file says it; so nothing is published as metres that are none'
    array = numbers_of(evidence, found)
    said = file.mentions(*_INVERSE_WORDS)
    if 'Sigmoid' in tail.ops and array is not None and array.max() > 1.0 + 1e-3:
        kind, why = (
            DepthKind.METRIC,
            'a sigmoid times a largest depth, as metric networks have; the file does not say m',
        )
    elif any(any(word in base_name(spec.name) for word in _BESIDE) for spec in file.outputs) and 'depth' in name:
        kind, why = DepthKind.RELATIVE, 'depth and its confidence, as Depth Anything 3 has; the file does not state it'
    elif said:
        why = f'names in the graph ({said}), as of networks for relative inverse depth; the file does not state it'
    others = tuple((f'depth: {{kind: {item.value}}}', whose) for item, whose in _OTHERS.items() if item is not kind)
    return Sourced(kind, f'assumed: {why}'), (Assumption('depth.kind', kind.value, why, others),)


def _scale(values: CardValues, kind: DepthKind) -> tuple[Sourced[float] | None, Sourced[float] | None]:
    """From numbers to m, or 1/m: what a card says, else 1 and 0 for metric depth."""
    unit = values.get('depth.unit')
    if unit is not None and kind is not DepthKind.METRIC:
        raise ModelError(
            f'{unit.source}: depth.unit: got {unit.value}, but the depth is {kind.value}, which has no unit; say '
            '`depth: {kind: metric}`, or give scale and shift of a network that is calibrated'
        )
    scale, shift = unit_scale(values), values.get('depth.shift')
    if kind is DepthKind.METRIC:
        source = 'as metric depth has'
        return scale or Sourced(1.0, source), shift or Sourced(0.0, source)
    if (scale is None) != (shift is None):
        source = (scale or shift or Sourced(0.0, '')).source
        raise ModelError(
            f'{source}: depth: got {"scale" if shift is None else "shift"} alone; {kind.value} depth needs both, or '
            'neither for a network that is not calibrated'
        )
    return scale, shift


def _prepared(subject: Subject, inputs: InputFinding) -> PreprocessFinding:
    """How an image becomes the input tensor."""
    names = _conventions(subject.file)
    likeliest = likeliest_convention(subject.values, subject.exporter, names, 'depth from one image')
    found = choose_convention(subject.file, inputs.image.value, subject.values, likeliest, names)
    if has_patches(subject.file):
        return replace(found, convention=replace(found.convention, input_wh=PATCH_WH))
    return found


def _conventions(file: ModelFile) -> Sequence[str]:
    """How such networks prepare images, the likeliest first."""
    if file.mentions('depth_anything', 'dinov2'):
        return ('imagenet', 'half_range', 'unit')
    if file.mentions(*_HALF_WORDS):
        return ('half_range', 'imagenet', 'unit', 'bytes')
    return ('imagenet', 'half_range', 'unit', 'bytes', 'bytes_bgr')
