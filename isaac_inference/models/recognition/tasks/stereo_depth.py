# SPDX-License-Identifier: Apache-2.0
"""Disparity of a stereo pair: which input is which image, and how many px one unit of the output is."""

from __future__ import annotations

from typing import cast

import numpy as np

from isaac_inference.errors import ModelError
from isaac_inference.models.card.assumption import Assumption
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.sourced import CardValues, Sourced, values_of
from isaac_inference.models.card.tasks import StereoDepthSpec
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.image_input import InputFinding, find_inputs
from isaac_inference.models.recognition.layouts.candidate import Evidence
from isaac_inference.models.recognition.layouts.roles import base_name
from isaac_inference.models.recognition.maps import DenseMap, numbers_of
from isaac_inference.models.recognition.preprocessing import PreprocessFinding, choose_convention, likeliest_convention
from isaac_inference.models.recognition.probe import Probe, probe_disparity
from isaac_inference.models.recognition.tasks.base import Outputs, Reading, Recognizer, Subject, Trial, sourced_fields
from isaac_inference.models.recognition.tasks.confidence import CONFIDENCE, confidence_output
from isaac_inference.models.recognition.tasks.mono_depth import judge_one_number, one_number_output

_ROLE = 'disparity'
_NAMES = ('disp', 'final', 'refined', 'flow_up', 'out')
_LEFT, _RIGHT = (
    ('left', 'img_l', 'image_l', 'imgl', 'image1', 'img1'),
    ('right', 'img_r', 'image_r', 'imgr', 'image2', 'img2'),
)
_COMMON = ('imagenet', 'unit', 'half_range', 'bytes', 'bytes_bgr')
_WITHIN = 0.25  # of the pair's disparity
_SHARE = 0.6  # of the pixels


def recognize(subject: Subject) -> Reading | None:
    """The reading of a network that gives disparities."""
    file, values, exporter, problems = subject.file, subject.values, subject.exporter, subject.problems
    inputs: InputFinding | None = None
    certain = True
    with problems:
        left, right, certain = _images(file, values)
        role = 'pair' if right is None else 'left'
        inputs = find_inputs(file, values, exporter, problems, image=left, role=role, right=right)
    if inputs is None:
        return None
    evidence = Evidence(file, inputs.wh.value, None, exporter, values=Probe(file, inputs))
    read: tuple[Sourced[DenseMap], tuple[str, ...]] | None = None
    with problems:
        read = one_number_output(evidence, subject, _ROLE, _NAMES)
    sure: Sourced[str] | None = None
    with problems:
        sure = confidence_output(evidence, values, () if read is None else (read[0].value.spec.name,))
    prepared: PreprocessFinding | None = None
    with problems:
        likeliest = likeliest_convention(values, exporter, _COMMON, 'stereo')
        prepared = choose_convention(file, inputs.image.value, values, likeliest, _COMMON)
    if problems or prepared is None or read is None:
        return None
    found, notes = read
    scale, assumed = _scale(evidence, values, found.value)
    if not certain and (scale.value < 0 or assumed):
        assumed = (*assumed, _assumed_order(inputs))
    roles = {_ROLE: Sourced(found.value.spec.name, found.source), **({} if sure is None else {CONFIDENCE: sure})}
    return Reading(
        StereoDepthSpec(values_of(roles), scale.value),
        inputs,
        prepared,
        sources={**sourced_fields('roles', roles), 'disparity.scale': scale.source},
        notes=notes,
        assumptions=assumed,
    )


def judge(card: ModelCard, outputs: Outputs) -> Trial:
    """Whether one run's output can be disparities."""
    spec = cast(StereoDepthSpec, card.spec)
    return judge_one_number(outputs[spec.roles[_ROLE]], may_be_negative=True)


RECOGNIZER = Recognizer(recognize, judge)


def _images(file: ModelFile, values: CardValues) -> tuple[Sourced[TensorSpec], Sourced[TensorSpec] | None, bool]:
    """The left image's tensor and the right one's, None where one tensor takes both; and whether that is certain.

    Raises:
        ModelError: a card that names no such inputs, or a model that takes no pair.
    """
    given = {role: values[f'images.{role}'] for role in ('left', 'right') if f'images.{role}' in values}
    by_name = {spec.name: spec for spec in file.inputs}
    unknown = [item for item in given.values() if item.value not in by_name]
    if unknown:
        raise ModelError(
            f'{unknown[0].source}: images: {file.path.name} has no input {unknown[0].value!r}; its inputs are: '
            f'{", ".join(by_name)}'
        )
    candidates = [spec for spec in file.inputs if len(spec.shape) == 4 and (3 in (spec.shape[1], spec.shape[3]))]
    if len(given) == 2:
        if given['left'].value == given['right'].value:
            raise ModelError(
                f'{given["left"].source}: images: got {given["left"].value!r} for both sides; give two inputs, or '
                'leave the section out where one tensor of six channels takes both images'
            )
        left, right = (Sourced(by_name[given[role].value], given[role].source) for role in ('left', 'right'))
        return left, _alike(file, left.value, right), True
    six = [spec for spec in file.inputs if len(spec.shape) == 4 and 6 in (spec.shape[1], spec.shape[3])]
    if len(six) == 1 and not given:
        return Sourced(six[0], 'the only input of six channels'), None, True
    if len(candidates) != 2:
        raise file.unclear(
            f'a stereo network takes two images of 3 channels, or one of 6; there are {len(candidates)} images of 3',
            'images: {left: <name>, right: <name>}',
        )
    first, second = candidates
    if given:
        ((role, item),) = given.items()
        chosen = by_name[item.value]
        other = second if chosen is first else first
        pair = (chosen, other) if role == 'left' else (other, chosen)
        return Sourced(pair[0], item.source), _alike(file, pair[0], Sourced(pair[1], item.source)), True
    sides = [_side(spec.name) for spec in candidates]
    if set(sides) == {'left', 'right'}:
        left_spec, right_spec = (first, second) if sides[0] == 'left' else (second, first)
        right = Sourced(right_spec, f'name of {right_spec.name}')
        return Sourced(left_spec, f'name of {left_spec.name}'), _alike(file, left_spec, right), True
    source = 'order of the inputs'
    return Sourced(first, source), _alike(file, first, Sourced(second, source)), False


def _alike(file: ModelFile, left: TensorSpec, right: Sourced[TensorSpec]) -> Sourced[TensorSpec]:
    """The right image's tensor; raises ModelError where it is not like the left one's."""
    if left.shape != right.value.shape or left.dtype != right.value.dtype:
        raise ModelError(
            f'{file.path}: the images of the pair differ: {left.describe()} and {right.value.describe()}; expected two '
            'of one shape and type'
        )
    return right


def _side(name: str) -> str:
    """'left' or 'right' by an input's name, '' where it does not say."""
    plain = base_name(name)
    sides = [side for side, words in (('left', _LEFT), ('right', _RIGHT)) if any(word in plain for word in words)]
    if not sides and plain in ('l', 'r'):
        return 'left' if plain == 'l' else 'right'
    return sides[0] if len(sides) == 1 else ''


def _scale(evidence: Evidence, values: CardValues, found: DenseMap) -> tuple[Sourced[float], tuple[Assumption, ...]]:
    """px of the input that one unit is: by the card, else by a pair whose disparity is known."""
    given = values.get('disparity.scale')
    if given is not None:
        return given, ()
    width, true = evidence.input_wh[0], float(probe_disparity(evidence.input_wh[0]))
    array = numbers_of(evidence, found)
    if array is not None and np.isfinite(array).all():
        inner = array[0, :, array.shape[-1] // 8 : -(array.shape[-1] // 8) or None]
        for scale in (1.0, -1.0, float(width), -float(width), float(found.stride or 1), -float(found.stride or 1)):
            if (np.abs(inner * scale - true) < _WITHIN * true).mean() > _SHARE:
                return Sourced(scale, f'one run on a pair shifted by {true:g} px'), ()
    assumption = Assumption(
        'disparity.scale',
        '1',
        'the file does not say in what unit disparities are, and a run on a shifted picture does not show it',
        (('disparity: {scale: -1}', 'RAFT-Stereo and others whose output is a flow, which is negative'),),
    )
    return Sourced(1.0, 'assumed'), (assumption,)


def _assumed_order(inputs: InputFinding) -> Assumption:
    """Which image is the left one is not in the names."""
    left, right = inputs.image.value.name, '' if inputs.right is None else inputs.right.value.name
    line = f'images: {{left: {right}, right: {left}}}'
    why = 'the first input is taken for the left image; nothing names the sides'
    return Assumption('images', f'left {left}, right {right}', why, ((line, 'the other way round'),))
