# SPDX-License-Identifier: Apache-2.0
"""Depth completion: an image and a sensor's depth go in, and depth for each pixel comes out."""

from __future__ import annotations

from typing import cast

from isaac_inference.errors import ModelError
from isaac_inference.models.card.assumption import Assumption
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.inputs import ValueRole
from isaac_inference.models.card.sourced import Sourced, values_of
from isaac_inference.models.card.tasks import DepthCompletionSpec
from isaac_inference.models.recognition.image_input import InputFinding, find_inputs
from isaac_inference.models.recognition.layouts.candidate import Evidence
from isaac_inference.models.recognition.maps import DenseMap
from isaac_inference.models.recognition.preprocessing import PreprocessFinding, choose_convention, likeliest_convention
from isaac_inference.models.recognition.probe import Probe
from isaac_inference.models.recognition.tasks.base import Outputs, Reading, Recognizer, Subject, Trial, sourced_fields
from isaac_inference.models.recognition.tasks.confidence import CONFIDENCE, confidence_output
from isaac_inference.models.recognition.tasks.mono_depth import (
    check_no_effect,
    judge_one_number,
    one_number_output,
    unit_scale,
)

_ROLE = 'depth'
_NAMES = ('dense', 'depth', 'pred', 'final', 'out')
_COMMON = ('imagenet', 'unit', 'half_range', 'bytes', 'bytes_bgr')


def recognize(subject: Subject) -> Reading | None:
    """The reading of a network that completes depth."""
    file, values, exporter, problems = subject.file, subject.values, subject.exporter, subject.problems
    inputs: InputFinding | None = None
    with problems:
        inputs = find_inputs(file, values, exporter, problems, takes_depth=True)
    if inputs is None:
        return None
    with problems:
        if not any(role is ValueRole.DEPTH for role, _ in inputs.values):
            raise ModelError(
                f'{file.path}: the task is {subject.task.value.value} ({subject.task.source}), but no input takes the '
                "sensor's depth: expected a float input [N, 1, height, width] beside the image. "
                f'Found:{file.describe()}'
            )
    scale: Sourced[float] | None = None
    with problems:
        check_no_effect(values, 'depth completion', 'depth.kind', 'depth.shift')
        scale = unit_scale(values)
    evidence = Evidence(file, inputs.wh.value, None, exporter, values=Probe(file, inputs))
    read: tuple[Sourced[DenseMap], tuple[str, ...]] | None = None
    with problems:
        read = one_number_output(evidence, subject, _ROLE, _NAMES)
    sure: Sourced[str] | None = None
    with problems:
        sure = confidence_output(evidence, values, () if read is None else (read[0].value.spec.name,))
    prepared: PreprocessFinding | None = None
    with problems:
        likeliest = likeliest_convention(values, exporter, _COMMON, 'depth completion')
        prepared = choose_convention(file, inputs.image.value, values, likeliest, _COMMON)
    if problems or prepared is None or read is None:
        return None
    found, notes = read
    unit = scale or Sourced(1.0, 'assumed: m')
    unknown = values.get('depth.unknown', Sourced(0.0, 'as most networks have it'))
    roles = {_ROLE: Sourced(found.value.spec.name, found.source), **({} if sure is None else {CONFIDENCE: sure})}
    return Reading(
        DepthCompletionSpec(values_of(roles), unit.value, unknown.value),
        inputs,
        prepared,
        sources={
            **sourced_fields('roles', roles),
            'depth.scale': unit.source,
            'depth.unknown': unknown.source,
        },
        notes=notes,
        assumptions=() if scale is not None else (_assumed_unit(),),
    )


def judge(card: ModelCard, outputs: Outputs) -> Trial:
    """Whether one run's output can be depth."""
    spec = cast(DepthCompletionSpec, card.spec)
    return judge_one_number(outputs[spec.roles[_ROLE]], may_be_negative=False)


RECOGNIZER = Recognizer(recognize, judge)


def _assumed_unit() -> Assumption:
    """The unit of depths is in no file."""
    return Assumption(
        'depth.unit',
        'm',
        'the file does not say in what unit depths go in and come out',
        (('depth: {unit: mm}', 'networks trained on the millimetres of depth cameras'),),
    )
