# SPDX-License-Identifier: Apache-2.0
"""Keypoints of the one person in the picture: MoveNet, BlazePose, SimCC, heatmaps, and what a card says of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from isaac_inference.errors import ModelError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.conventions import CONVENTIONS
from isaac_inference.models.card.tasks import PRESENCE, KeypointForm, PointUnit, TopDownKeypointsSpec
from isaac_inference.models.recognition.image_input import InputFinding, find_inputs
from isaac_inference.models.recognition.layouts import values as numbers
from isaac_inference.models.recognition.layouts.candidate import Evidence
from isaac_inference.models.recognition.preprocessing import PreprocessFinding, choose_convention, likeliest_convention
from isaac_inference.models.recognition.probe import Probe
from isaac_inference.models.recognition.tasks.base import Outputs, Reading, Recognizer, Subject, Trial
from isaac_inference.models.recognition.top_down.check import problems_of, shape_problems
from isaac_inference.models.recognition.top_down.fields import Fields, find_fields
from isaac_inference.models.recognition.top_down.layouts import numbers_each

_COMMON = {
    KeypointForm.POINTS: ('mediapipe', 'mmpose', 'bytes'),
    KeypointForm.SIMCC: ('mmpose', 'mediapipe'),
    KeypointForm.HEATMAPS: ('mmpose', 'mediapipe', 'half_range'),
}
_AROUND = 0.5  # of the input's size that a keypoint may lie outside
_LEAST_SPREAD = 0.01  # of the input's size over which the keypoints must lie
_HIGHEST_PEAK = 3.0
_LARGEST_LOGIT = 50.0


def recognize(subject: Subject) -> Reading | None:
    """The reading of a top-down network."""
    file, values, exporter, problems = subject.file, subject.values, subject.exporter, subject.problems
    inputs: InputFinding | None = None
    with problems:
        inputs = find_inputs(file, values, exporter, problems)
    if inputs is None:
        return None
    evidence = Evidence(file, inputs.wh.value, None, exporter, values=Probe(file, inputs))
    found: Fields | None = None
    with problems:
        found = find_fields(evidence, values)
        wrong = problems_of(found.spec(), file.outputs, inputs.wh.value)
        if wrong:
            raise ModelError(f'{file.path}: ' + '\n  and: '.join(wrong))
    prepared: PreprocessFinding | None = None
    with problems:
        prepared = _prepared(subject, inputs, found)
    if problems or found is None or prepared is None:
        return None
    return Reading(
        found.spec(),
        inputs,
        prepared,
        sources=found.sources(),
        notes=_notes(evidence, found),
        assumptions=tuple(found.assumptions),
    )


def judge(card: ModelCard, outputs: Outputs) -> Trial:
    """Whether one run's keypoints can be right: finite, in or near the picture, and not all in one place."""
    spec = cast(TopDownKeypointsSpec, card.spec)
    arrays = {role: np.asarray(outputs[name], np.float64) for role, name in spec.roles.items()}
    for role, array in arrays.items():
        if not array.size or not np.isfinite(array).all():
            return Trial('', f'the output {spec.roles[role]} has NaN, infinity or nothing')
    wrong = shape_problems(
        spec, {role: array.shape for role, array in arrays.items()}, card.image.wh, lambda role: spec.roles[role]
    )
    if wrong:
        return Trial('', wrong[0])
    if PRESENCE in arrays and spec.presence_activation == 'none' and not numbers.are_probabilities(arrays[PRESENCE]):
        return Trial('', f'the presence is {arrays[PRESENCE].ravel()[0]:.4g}, so it needs an activation')
    if spec.form is not KeypointForm.POINTS:
        peak = max(float(array.max()) for role, array in arrays.items() if role != PRESENCE)
        if spec.activation == 'none' and peak > _HIGHEST_PEAK:
            return Trial('', f'the highest peak is {peak:.4g}, so it needs an activation')
        return Trial(f'tried on a picture: highest peak {peak:.2f}')
    return _judge_points(spec, arrays['keypoints'], card.image.wh)


def _judge_points(spec: TopDownKeypointsSpec, array: np.ndarray, input_wh: tuple[int, int]) -> Trial:
    rows = array.reshape(len(array), -1, len(spec.columns))[0, : spec.keypoints.count]
    unit = np.array(input_wh if spec.unit is PointUnit.PIXELS else (1, 1))
    places = rows[:, [spec.columns.index('x'), spec.columns.index('y')]] / unit
    low, high = places.min(), places.max()
    near = ((places > -_AROUND) & (places < 1 + _AROUND)).all(axis=1).mean()
    if near < 0.5:
        return Trial('', f'x and y reach from {low:.4g} to {high:.4g} times the input, so most lie outside of it')
    if np.ptp(places, axis=0).max() < _LEAST_SPREAD:
        return Trial('', 'all keypoints lie in one place')
    sure = rows[:, [index for index, name in enumerate(spec.columns) if name == 'confidence']]
    if sure.size and spec.activation == 'sigmoid' and np.abs(sure).max() > _LARGEST_LOGIT:
        return Trial('', f'the confidences reach {np.abs(sure).max():.4g}, which no logit does')
    if sure.size and spec.activation == 'none' and not numbers.are_probabilities(sure):
        return Trial('', f'the confidences reach from {sure.min():.4g} to {sure.max():.4g}, so they need an activation')
    return Trial(f'tried on a picture: x and y from {low:.2f} to {high:.2f} of its size')


RECOGNIZER = Recognizer(recognize, judge)


def _notes(evidence: Evidence, found: Fields) -> tuple[str, ...]:
    """What is worth a line in a log: an output that may say whether anybody is there, and is not read."""
    if PRESENCE in found.roles:
        return ()
    flags = [spec.name for spec in evidence.outputs if numbers_each(evidence, spec) == 1]
    return tuple(
        f'{name} is one number for each image and is not read; if it says whether anybody is there, add to the card: '
        f'`outputs: {{presence: {name}}}`'
        for name in flags
    )


def _prepared(subject: Subject, inputs: InputFinding, found: Fields | None) -> PreprocessFinding:
    """How an image becomes the input tensor."""
    common: Sequence[str] = _COMMON[KeypointForm.HEATMAPS if found is None else found.form.value]
    likeliest = likeliest_convention(subject.values, subject.exporter, common, 'keypoints of one person')
    if found is not None and found.convention and not likeliest[2]:
        likeliest = CONVENTIONS[found.convention], found.form.source, True
    return choose_convention(subject.file, inputs.image.value, subject.values, likeliest, common)
