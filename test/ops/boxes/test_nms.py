# SPDX-License-Identifier: Apache-2.0
"""Non-maximum suppression against the slow greedy algorithm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.detections import Row, detections, random_detections

from isaac_inference.errors import ConfigError
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.nms import box_iou, nms

# (0, 0, 10, 10) with these: shares 50 of 150, 50 of 100 and everything
THIRD, HALF, SAME = [5, 0, 15, 10], [0, 0, 10, 5], [0, 0, 10, 10]


def iou(a: np.ndarray, b: np.ndarray) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def greedy(found: Detections, threshold: float, class_aware: bool, top_k: int, max_detections: int) -> list[int]:
    """One box at a time, as textbooks have it."""
    boxes = found.boxes.astype(float)
    order = sorted(range(len(found)), key=lambda i: -found.scores[i])
    kept: list[int] = []
    for i in order[:top_k]:
        rivals = [j for j in kept if not class_aware or found.class_ids[i] == found.class_ids[j]]
        if all(np.float32(iou(boxes[i], boxes[j])) <= np.float32(threshold) for j in rivals):
            kept.append(i)
    return kept[:max_detections]


def assert_greedy(
    found: Detections,
    threshold: float,
    class_aware: bool = True,
    top_k: int = 1000,
    max_detections: int = 300,
) -> None:
    kept = nms(found, iou_threshold=threshold, class_aware=class_aware, top_k=top_k, max_detections=max_detections)
    expected = found.select(np.array(greedy(found, threshold, class_aware, top_k, max_detections), np.intp))
    np.testing.assert_array_equal(kept.boxes, expected.boxes)
    np.testing.assert_array_equal(kept.scores, expected.scores)
    np.testing.assert_array_equal(kept.class_ids, expected.class_ids)


@pytest.mark.parametrize(
    ('rows', 'threshold', 'kept'),
    [
        ([], 0.5, []),
        ([(SAME, 0.9, 0)], 0.5, [0]),
        ([(SAME, 0.2, 0), ([20, 20, 30, 30], 0.9, 0)], 0.5, [1, 0]),  # apart: both, the better first
        ([(SAME, 0.9, 0), (HALF, 0.8, 0)], 0.51, [0, 1]),  # just under the threshold
        ([(SAME, 0.9, 0), (HALF, 0.8, 0)], 0.5, [0, 1]),  # equal to it: both
        ([(SAME, 0.9, 0), (HALF, 0.8, 0)], 0.49, [0]),  # just over it
        ([(HALF, 0.8, 0), (SAME, 0.9, 0)], 0.49, [1]),  # the order of arrival doesn't matter
        ([(SAME, 0.9, 0), (THIRD, 0.8, 0)], 1 / 3, [0, 1]),  # equal, though no binary fraction
        ([(SAME, 0.9, 0), (SAME, 0.8, 1)], 0.5, [0, 1]),  # other class
        ([(SAME, 0.7, 0), (SAME, 0.7, 0), (SAME, 0.7, 0)], 0.5, [0]),  # a tie: the first
        ([(SAME, 0.7, 2), (SAME, 0.7, 1), (SAME, 0.7, 0)], 0.5, [0, 1, 2]),  # ties keep their order
        ([(SAME, 0.9, 0), (SAME, 0.8, 0)], 1.0, [0, 1]),  # nothing overlaps by more than all
        ([(SAME, 0.9, 0), ([10, 0, 20, 10], 0.8, 0)], 0.0, [0, 1]),  # touching is not overlapping
        ([(SAME, 0.9, 0), ([9, 0, 19, 10], 0.8, 0)], 0.0, [0]),
        # the second goes, so the third, which only the second overlaps, stays
        ([(SAME, 0.9, 0), ([4, 0, 14, 10], 0.8, 0), ([8, 0, 18, 10], 0.7, 0)], 0.3, [0, 2]),
    ],
)
def test_table(rows: list[Row], threshold: float, kept: list[int]) -> None:
    found = detections(*rows)
    expected = found.select(np.array(kept, np.intp))
    result = nms(found, iou_threshold=threshold)
    np.testing.assert_array_equal(result.boxes, expected.boxes)
    np.testing.assert_array_equal(result.class_ids, expected.class_ids)
    assert_greedy(found, threshold)


def test_class_agnostic() -> None:
    found = detections((SAME, 0.8, 0), (SAME, 0.9, 1), (THIRD, 0.7, 2))
    assert nms(found, iou_threshold=0.3, class_aware=False).class_ids.tolist() == [1]
    assert nms(found, iou_threshold=0.3).class_ids.tolist() == [1, 0, 2]


@settings(max_examples=300)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(0, 40),
    class_count=st.integers(1, 4),
    threshold=st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.45, 0.5, 0.7, 1.0]),
    class_aware=st.booleans(),
    spread=st.sampled_from([1.0, 10.0, 100.0]),
)
def test_equals_greedy(
    seed: int, count: int, class_count: int, threshold: float, class_aware: bool, spread: float
) -> None:
    found = random_detections(np.random.default_rng(seed), count, class_count, spread)
    assert_greedy(found, threshold, class_aware)


@pytest.mark.parametrize('count', [127, 128, 129, 256, 700])  # blocks are 128 boxes long
@pytest.mark.parametrize('class_count', [1, 20])
@pytest.mark.parametrize('spread', [20.0, 300.0])
def test_equals_greedy_over_blocks(count: int, class_count: int, spread: float) -> None:
    found = random_detections(np.random.default_rng(count), count, class_count, spread)
    for class_aware in (True, False):
        assert_greedy(found, 0.3, class_aware)
    assert_greedy(found, 0.3, top_k=count // 2, max_detections=20)
    assert_greedy(found, 0.3, max_detections=1)


def test_long_chain() -> None:
    """Each box overlaps the next one only: the slowest case of the iteration, every other box stays."""
    x = np.arange(1000, dtype=np.float32) * 4
    boxes = np.stack((x, np.zeros_like(x), x + 10, np.full_like(x, 10)), axis=1)
    found = Detections(boxes, np.linspace(1, 0.1, 1000, dtype=np.float32), np.zeros(1000, np.int32))
    kept = nms(found, iou_threshold=0.3, max_detections=1000)
    np.testing.assert_array_equal(kept.boxes, boxes[::2])


@pytest.mark.parametrize('top_k', [1, 3, 5, 100])
def test_top_k_takes_the_best_and_of_ties_the_first(top_k: int) -> None:
    scores = np.tile([0.5, 0.9, 0.5, 0.1], 25).astype(np.float32)
    x = np.arange(100, dtype=np.float32) * 20
    boxes = np.stack((x, x, x + 10, x + 10), axis=1)
    kept = nms(Detections(boxes, scores, np.arange(100, dtype=np.int32)), iou_threshold=0.5, top_k=top_k)
    assert kept.class_ids.tolist() == np.argsort(-scores, kind='stable')[:top_k].tolist()


@pytest.mark.parametrize(
    'box',
    [
        [5, 5, 5, 9],  # no width
        [5, 5, 9, 5],  # no height
        [9, 5, 5, 9],  # inverted in x
        [9, 9, 5, 5],  # inverted in both, so the product of the sides is positive
        [np.nan, 5, 9, 9],
        [5, 5, np.inf, 9],
        [-np.inf, 5, np.inf, 9],
        [-3e38, -3e38, 3e38, 3e38],  # its area is more than float32 holds
    ],
)
def test_degenerate_boxes_are_dropped_and_suppress_nothing(box: list[float]) -> None:
    found = detections((box, 0.99, 0), (SAME, 0.5, 0))
    for class_aware in (True, False):
        assert nms(found, iou_threshold=0.0, class_aware=class_aware).boxes.tolist() == [SAME]
    assert len(nms(detections((box, 0.9, 0)), iou_threshold=0.5)) == 0


@pytest.mark.parametrize('score', [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_are_dropped(score: float) -> None:
    found = detections((SAME, score, 0), (SAME, 0.5, 0))
    assert nms(found, iou_threshold=0.5).scores.tolist() == [0.5]


@pytest.mark.parametrize(
    ('options', 'error'),
    [
        ({'iou_threshold': -0.1}, 'iou_threshold: got -0.1, expected 0..1'),
        ({'iou_threshold': 1.1}, 'iou_threshold: got 1.1'),
        ({'iou_threshold': float('nan')}, 'iou_threshold: got nan'),
        ({'iou_threshold': 0.5, 'top_k': 0}, 'got 0 and 300, expected at least 1'),
        ({'iou_threshold': 0.5, 'max_detections': 0}, 'got 1000 and 0'),
    ],
)
def test_wrong_options(options: dict, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        nms(Detections.empty(), **options)


@pytest.mark.parametrize(
    ('a', 'b', 'expected'),
    [
        (np.zeros((0, 4)), [SAME], np.zeros((0, 1))),
        ([SAME], np.zeros((0, 4)), np.zeros((1, 0))),
        ([SAME], [SAME], [[1.0]]),
        ([SAME], [THIRD, HALF], [[1 / 3, 0.5]]),
        ([THIRD, HALF], [SAME], [[1 / 3], [0.5]]),  # symmetric
        ([SAME], [[10, 0, 20, 10]], [[0.0]]),  # touching
        ([[0, 0, 0, 0]], [[0, 0, 0, 0]], [[0.0]]),  # nothing over nothing
        ([[5, 5, 1, 1]], [[5, 5, 1, 1]], [[0.0]]),  # inverted
        ([[np.nan, 0, 1, 1], [0, 0, np.inf, 1]], [SAME], [[0.0], [0.0]]),
        ([[0, 0, 3e38, 3e38]], [[0, 0, 3e38, 3e38]], [[1.0]]),  # no overflow
    ],
)
def test_box_iou(a: list, b: list, expected: list) -> None:
    result = box_iou(np.array(a, np.float32), np.array(b, np.float32))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=1e-6)


@given(seed=st.integers(0, 1000))
def test_box_iou_pair_by_pair(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = random_detections(rng, 7, 1, 30).boxes, random_detections(rng, 5, 1, 30).boxes
    expected = [[iou(row, column) for column in b] for row in a]
    np.testing.assert_allclose(box_iou(a, b), expected, rtol=1e-6)
    np.testing.assert_array_equal(box_iou(a, b), box_iou(b, a).T)


def test_keypoints_stay_with_their_boxes() -> None:
    rng = np.random.default_rng(3)
    found = random_detections(rng, 50, 3)
    keypoints = np.repeat(np.arange(50, dtype=np.float32), 6).reshape(50, 2, 3)
    marked = Detections(found.boxes, found.scores, found.class_ids, keypoints)
    kept = nms(marked, iou_threshold=0.3)
    assert kept.keypoints is not None
    rows = kept.keypoints[:, 0, 0].astype(int)
    np.testing.assert_array_equal(kept.boxes, found.boxes[rows])
    np.testing.assert_array_equal(kept.scores, found.scores[rows])


def test_nothing_left_keeps_the_keypoints_shape() -> None:
    flat = detections(([0, 0, 0, 5], 0.9, 0))
    kept = nms(
        Detections(flat.boxes, flat.scores, flat.class_ids, np.zeros((1, 8, 3), np.float32)), iou_threshold=0.5
    ).keypoints
    assert kept is not None
    assert kept.shape == (0, 8, 3)
