# SPDX-License-Identifier: Apache-2.0
"""What holds for every decoder: nothing found, missing outputs, wrong thresholds, float16, NaN."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
import pytest

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.decoders import DECODERS

Outputs = dict[str, np.ndarray]
OPTIONS = {  # those without a default, by decoder
    'yolov8_pose': {'keypoint_count': 2, 'keypoint_dims': 3},
    'end_to_end_pose': {'keypoint_count': 2, 'keypoint_dims': 3},
    'movenet_multipose': {'keypoint_count': 2, 'keypoint_dims': 3},
    'anchor_heads': {'anchors': [[(10, 13), (16, 30)]], 'formula': 'v3', 'activated': True},
}
COMMON = {'outputs', 'input_wh', 'class_count', 'score_threshold'}
INPUT_WH, CLASS_COUNT = (64, 64), 3
CELLS = 8 * 8 + 4 * 4 + 2 * 2


def boxes_of(count: int, box: list[float]) -> np.ndarray:
    return np.tile(np.array(box, np.float32), (count, 1))


def grid(count: int, columns: int, scores: slice, value: float) -> np.ndarray:
    predictions = np.zeros((count, columns), np.float32)
    predictions[:, scores] = value
    return predictions


def first_class(shape: tuple[int, ...], value: float) -> np.ndarray:
    """Maps whose first one is `value` and whose others are low: each class of a cell is a box of its own."""
    maps = np.full(shape, min(value, 0.05), np.float32)
    maps[0] = value
    return maps


# All scores are `value` (sigmoid and softmax apart), all boxes sensible.
BUILDERS: dict[str, Callable[[float], Outputs]] = {
    'yolox': lambda value: {'predictions': grid(CELLS, 8, slice(4, 8), value**0.5)},
    'yolov5': lambda value: {'predictions': grid(9, 8, slice(4, 8), value**0.5)},
    'yolov8': lambda value: {'predictions': grid(9, 7, slice(4, 7), value).T.copy()},
    'yolov8_pose': lambda value: {'predictions': grid(15, 13, slice(4, 7), value).T.copy()},
    'end_to_end': lambda value: {'predictions': grid(9, 6, slice(4, 5), value)},
    'end_to_end_pose': lambda value: {'predictions': grid(9, 12, slice(4, 5), value)},
    'movenet_multipose': lambda value: {'predictions': grid(9, 11, slice(10, 11), value)},
    'detr': lambda value: {
        'logits': np.full((9, 3), np.log(value / (1 - value)) if 0 < value < 1 else value or -100.0, np.float32),
        'boxes': boxes_of(9, [0.5, 0.5, 0.1, 0.1]),
    },
    'boxes_scores_labels': lambda value: {
        'boxes': boxes_of(9, [1, 2, 3, 4]),
        'scores': np.full(9, value, np.float32),
        'labels': np.zeros(9, np.int64),
    },
    'efficient_nms': lambda value: {
        'num_detections': np.array([9], np.int32),
        'boxes': boxes_of(9, [1, 2, 3, 4]),
        'scores': np.full(9, value, np.float32),
        'labels': np.zeros(9, np.int32),
    },
    'nanodet': lambda value: {'predictions': grid(CELLS + 1, 3 + 4 * 8, slice(0, 3), value)},
    'yolov8_obb': lambda value: {'predictions': grid(15, 8, slice(4, 7), value).T.copy()},
    'boxes_scores': lambda value: {'boxes': boxes_of(9, [1, 2, 3, 4]), 'scores': np.full((9, 3), value, np.float32)},
    'anchor_free_heads': lambda value: {
        'scores_8': np.full((64, 3), value, np.float32),
        'boxes_8': np.ones((64, 4), np.float32),
    },
    'anchor_heads': lambda value: {'predictions_8': grid(128, 8, slice(4, 8), value**0.5).reshape(2, 8, 8, 8)},
    'detectnet': lambda value: {
        'scores': first_class((3, 4, 4), value),
        'boxes': np.ones((12, 4, 4), np.float32),
    },
    'centernet': lambda value: {
        'heatmap': first_class((3, 16, 16), value),
        'sizes': np.ones((2, 16, 16), np.float32),
    },
}
NAMES = sorted(DECODERS)
BOXES = ('boxes', 'boxes_8', 'sizes', 'predictions', 'predictions_8')  # where the boxes may be


def needed(name: str) -> set[str]:
    """The outputs that a decoder cannot do without, of the one level that there is here."""
    return set(DECODERS[name].roles) | {f'{role}_8' for role in DECODERS[name].level_roles}


def decode(name: str, outputs: Outputs, score_threshold: float | np.ndarray = 0.5) -> Detections:
    return DECODERS[name].decode(
        outputs,
        input_wh=INPUT_WH,
        class_count=CLASS_COUNT,
        score_threshold=score_threshold,
        **OPTIONS.get(name, {}),
    )


def test_every_decoder_is_tested_here() -> None:
    assert set(BUILDERS) == set(DECODERS)


@pytest.mark.parametrize('name', NAMES)
def test_description_fits_the_function(name: str) -> None:
    decoder = DECODERS[name]
    assert decoder.name == name
    outputs = BUILDERS[name](0.5)
    assert needed(name) <= set(outputs) <= needed(name) | set(decoder.optional_roles)
    assert set(decoder.ranks) == {*decoder.roles, *decoder.optional_roles, *decoder.level_roles}
    assert {role: array.ndim in decoder.ranks_of(role) for role, array in outputs.items()} == dict.fromkeys(
        outputs, True
    )
    assert set(inspect.signature(decoder.decode).parameters) == COMMON | set(decoder.option_names)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize(('score', 'threshold', 'finds'), [(0.0, 0.5, False), (0.36, 0.35, True), (0.36, 0.37, False)])
def test_both_sides_of_the_threshold(name: str, score: float, threshold: float, finds: bool) -> None:
    found = decode(name, BUILDERS[name](score), threshold)
    assert (len(found) > 0) is finds


@pytest.mark.parametrize('name', sorted(set(NAMES) - {'detr', 'yolox', 'yolov5'}))
@pytest.mark.parametrize('score', [0.25, 0.35, 0.7])  # of which two are no binary fractions
def test_a_score_equal_to_the_threshold_is_kept(name: str, score: float) -> None:
    assert len(decode(name, BUILDERS[name](score), score)) > 0
    assert len(decode(name, BUILDERS[name](score), np.array([score, 1, 1]))) > 0


@pytest.mark.parametrize('name', NAMES)
def test_per_class_thresholds(name: str) -> None:
    outputs = BUILDERS[name](0.36)  # class 0 is the best everywhere, as the first of equals
    assert len(decode(name, outputs, np.array([0.35, 0.9, 0.9]))) > 0
    assert len(decode(name, outputs, np.array([0.37, 0.1, 0.1]))) == 0


@pytest.mark.parametrize('name', NAMES)
def test_float16_outputs(name: str) -> None:
    outputs = BUILDERS[name](0.75)
    half = {role: array.astype(np.float16) if array.dtype.kind == 'f' else array for role, array in outputs.items()}
    expected, found = decode(name, outputs), decode(name, half)
    np.testing.assert_allclose(found.boxes, expected.boxes, rtol=0.01)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0.01)


@pytest.mark.parametrize('name', NAMES)
def test_outputs_are_left_as_they_are(name: str) -> None:
    outputs = BUILDERS[name](0.75)
    kept = {role: array.copy() for role, array in outputs.items()}
    for array in outputs.values():
        array.setflags(write=False)
    decode(name, outputs)
    for role, array in outputs.items():
        np.testing.assert_array_equal(array, kept[role])


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_noticed(name: str, value: float) -> None:
    """NaN >= threshold is false, so without a check this would be an empty image."""
    with pytest.raises(FrameError, match='got NaN or infinity') as caught:
        decode(name, BUILDERS[name](value))
    assert caught.value.reason == 'non_finite_output'


@pytest.mark.parametrize(
    ('name', 'value'),
    # a logit of minus infinity is a fair answer: NanoDet rules a distance out
    [(name, value) for name in NAMES for value in (np.nan, np.inf, -np.inf) if (name, value) != ('nanodet', -np.inf)],
)
def test_boxes_that_are_no_numbers_are_noticed(name: str, value: float) -> None:
    def with_value(score: float) -> Outputs:
        outputs = BUILDERS[name](score)
        array = next(outputs[role] for role in BOXES if role in outputs)
        first, columns = np.s_[0, :], np.s_[..., 0]
        where = {'yolov8': first, 'yolov8_pose': first, 'yolov8_obb': first, 'nanodet': np.s_[:, 3]}.get(name, columns)
        array[where] = value
        return outputs

    with pytest.raises(FrameError, match='got NaN or infinity'):
        decode(name, with_value(0.9))
    assert len(decode(name, with_value(0.1))) == 0  # no candidate, no matter


@pytest.mark.parametrize('name', NAMES)
def test_missing_outputs(name: str) -> None:
    for role in needed(name):
        outputs = BUILDERS[name](0.9)
        del outputs[role]
        with pytest.raises(FrameError, match=f"output '{role}': missing, got ") as caught:
            decode(name, outputs)
        assert caught.value.reason == 'missing_output'


@pytest.mark.parametrize('name', NAMES)
def test_wrong_types(name: str) -> None:
    for role in needed(name) - {'labels', 'num_detections'}:
        outputs = BUILDERS[name](0.9)
        outputs[role] = outputs[role].astype(np.int32)
        with pytest.raises(FrameError, match=f"output '{role}': got int32, expected floating point") as caught:
            decode(name, outputs)
        assert caught.value.reason == 'bad_output_type'


@pytest.mark.parametrize('name', NAMES)
def test_a_batch_axis_is_a_wrong_shape(name: str) -> None:
    for role in needed(name) - {'num_detections'}:
        outputs = BUILDERS[name](0.9)
        outputs[role] = outputs[role][None]
        with pytest.raises(FrameError, match=f"output '{role}': got .*without the batch axis") as caught:
            decode(name, outputs)
        assert caught.value.reason == 'bad_output_shape'


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize(
    ('threshold', 'class_count', 'error'),
    [
        (np.array([0.1, 0.2]), 3, 'score_threshold: got .*expected one number, or 3: one per class'),
        (float('nan'), 3, 'score_threshold: got nan'),
        (0.5, 0, 'class_count: got 0, expected at least 1'),
    ],
)
def test_wrong_options(name: str, threshold: float, class_count: int, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        DECODERS[name].decode(
            BUILDERS[name](0.9),
            input_wh=INPUT_WH,
            class_count=class_count,
            score_threshold=threshold,
            **OPTIONS.get(name, {}),
        )
