# SPDX-License-Identifier: Apache-2.0
"""Rotated boxes: corners, overlap, NMS, and the way back to the source image."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.nms import box_iou, nms
from isaac_inference.ops.boxes.rotated import corner_points, enclosing_boxes, polygon_iou
from isaac_inference.ops.image.letterbox import Letterbox

QUARTER, EIGHTH = np.pi / 2, np.pi / 4


def iou(box_a: list, angle_a: float, box_b: list, angle_b: float) -> float:
    a, b = (corner_points(np.array([box]), np.array([angle])) for box, angle in ((box_a, angle_a), (box_b, angle_b)))
    return float(polygon_iou(a, b)[0])


def random_boxes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    center, size = rng.uniform(0, 60, (count, 2)), rng.uniform(2, 50, (count, 2))
    return np.concatenate((center - size / 2, center + size / 2), axis=1), rng.uniform(-4, 4, count)


def test_positive_angles_turn_clockwise_in_the_image() -> None:
    corners = corner_points(np.array([[0, 0, 20, 10]]), np.array([0.5]))[0]
    cos, sin = np.cos(0.5), np.sin(0.5)
    # the right end of the long side goes down, where y grows
    np.testing.assert_allclose((corners[1] + corners[2]) / 2, [10 + 10 * cos, 5 + 10 * sin])


@pytest.mark.parametrize(
    ('b', 'angle_a', 'angle_b', 'expected'),
    [
        ([0, 0, 4, 2], 0, 0, 1),
        ([0, 0, 4, 2], 0, np.pi, 1),
        ([0, 0, 4, 2], 0.3, 0.3 - 2 * np.pi, 1),
        ([0, 0, 4, 2], 0, QUARTER, 4 / 12),  # a cross
        ([2, 0, 6, 2], 0, 0, 4 / 12),
        ([1, -1, 3, 3], 0, QUARTER, 1),  # the same rectangle, written otherwise
        ([4, 0, 8, 2], 0, 0, 0),  # a common edge
        ([9, 9, 12, 12], 0.1, 0.7, 0),
        ([1, 0.5, 3, 1.5], 0, 0, 2 / 8),  # one in the other
        ([1, 1, 1, 1], 0, 0, 0),  # no area
    ],
)
def test_known_overlaps(b: list, angle_a: float, angle_b: float, expected: float) -> None:
    assert iou([0, 0, 4, 2], angle_a, b, angle_b) == pytest.approx(expected, abs=1e-9)
    assert iou(b, angle_b, [0, 0, 4, 2], angle_a) == pytest.approx(expected, abs=1e-9)


def test_far_from_the_origin_and_tiny() -> None:
    assert iou([10000, 10000, 10000.2, 10000.1], 0.4, [10000, 10000, 10000.2, 10000.1], 0.4) == pytest.approx(1)


def test_random_pairs_against_opencv() -> None:
    (boxes_a, a), (boxes_b, b) = random_boxes(500, 0), random_boxes(500, 1)
    found = polygon_iou(corner_points(boxes_a, a), corner_points(boxes_b, b))
    for one, box_a, angle_a, box_b, angle_b in zip(found, boxes_a, a, boxes_b, b, strict=True):
        rects = [
            ((box[:2] + box[2:]) / 2, box[2:] - box[:2], np.degrees(angle))
            for box, angle in ((box_a, angle_a), (box_b, angle_b))
        ]
        _, points = cv2.rotatedRectangleIntersection(*rects)
        shared = 0.0 if points is None else cv2.contourArea(cv2.convexHull(points))
        union = sum(float(np.prod(size)) for _, size, _ in rects) - shared
        assert one == pytest.approx(shared / union, abs=1e-3)


def test_upright_boxes_overlap_as_boxes_do() -> None:
    boxes, _ = random_boxes(300, 2)
    other = np.roll(boxes, 1, axis=0)
    found = polygon_iou(corner_points(boxes, np.zeros(300)), corner_points(other, np.zeros(300)))
    np.testing.assert_allclose(found, np.diag(box_iou(boxes, other)), atol=1e-6)


def test_what_encloses_a_box() -> None:
    found = enclosing_boxes(np.array([[-1, -1, 1, 1]]), np.array([EIGHTH]))
    np.testing.assert_allclose(found, [[-(2**0.5), -(2**0.5), 2**0.5, 2**0.5]])


# NMS


def detections(
    boxes: list, angles: list | None, scores: list | None = None, class_ids: list | None = None
) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(np.linspace(0.9, 0.5, count) if scores is None else scores, np.float32),
        np.zeros(count, np.int32) if class_ids is None else np.array(class_ids, np.int32),
        angles=None if angles is None else np.array(angles, np.float32),
    )


def test_crossing_bars_are_two_objects_however_much_their_upright_boxes_overlap() -> None:
    bars = [[0, 40, 100, 60], [0, 40, 100, 60], [0, 41, 100, 61]]
    found = nms(detections(bars, [EIGHTH, -EIGHTH, EIGHTH]), iou_threshold=0.5)
    assert found.angles.tolist() == pytest.approx([EIGHTH, -EIGHTH])


def test_without_a_turn_it_is_the_nms_of_upright_boxes() -> None:
    boxes, _ = random_boxes(300, 3)
    scores, class_ids = np.random.default_rng(4).uniform(0, 1, 300), np.arange(300) % 3
    for settings in ({}, {'class_aware': False}, {'top_k': 50}, {'max_detections': 7}):
        upright = nms(detections(boxes.tolist(), None, scores, class_ids), iou_threshold=0.3, **settings)
        rotated = nms(detections(boxes.tolist(), [0] * 300, scores, class_ids), iou_threshold=0.3, **settings)
        assert rotated.boxes.tolist() == upright.boxes.tolist()
        assert rotated.scores.tolist() == upright.scores.tolist()


def test_nothing_stays_nothing() -> None:
    assert nms(detections([], []), iou_threshold=0.5).angles.shape == (0,)


# Back to the source image


def test_equal_scales_keep_the_angle() -> None:
    letterbox = Letterbox.between((1280, 720), (640, 640))
    boxes, angles = np.array([[10, 130, 50, 150]], np.float32), np.array([1.0], np.float32)
    found, turned = letterbox.rotated_to_source(boxes, angles)
    assert found.tolist() == [[20, -20, 100, 20]] and turned.tolist() == [1.0]  # not clipped


@pytest.mark.parametrize('angle', [-2.0, 0.0, 0.4, QUARTER, 3.0, 7.0])
def test_a_stretched_image_keeps_the_longer_edge(angle: float) -> None:
    letterbox = Letterbox.between((1280, 720), (640, 640), 'stretch')
    boxes, angles = np.array([[300, 310, 340, 320]], np.float32), np.array([angle], np.float32)
    found, turned = letterbox.rotated_to_source(boxes, angles)
    expected = letterbox.points_to_source(corner_points(boxes, angles))[0]
    corners = corner_points(found, turned)[0]
    long_edge, short_edge = expected[1] - expected[0], expected[3] - expected[0]
    np.testing.assert_allclose(corners.mean(axis=0), expected.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(corners[1] - corners[0], long_edge, atol=1e-3)
    assert np.hypot(*(corners[3] - corners[0])) == pytest.approx(np.hypot(*short_edge), abs=1e-3)
    assert abs(turned[0] - angle) < QUARTER


def test_no_boxes() -> None:
    letterbox = Letterbox.between((1280, 720), (640, 640), 'stretch')
    boxes, angles = letterbox.rotated_to_source(np.empty((0, 4), np.float32), np.empty(0, np.float32))
    assert boxes.shape == (0, 4) and angles.shape == (0,)
