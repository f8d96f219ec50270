# SPDX-License-Identifier: Apache-2.0
"""Box agreement: who is paired with whom, which boxes count, and what the share comes to."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.evaluation.agreement.boxes import ImageAgreement, agreement, match_boxes
from isaac_inference.ops.boxes.detections import Detections


def boxes(*rows, keypoints=None):
    """(x, class, score) rows as 100 px squares at that x; an overlap of o px is an IoU of o / (200 - o)."""
    corners = np.array([[x, 0, x + 100, 100] for x, _, _ in rows], np.float32).reshape(-1, 4)
    points = None if keypoints is None else np.array(keypoints, np.float32)
    return Detections(
        corners,
        np.array([score for *_, score in rows], np.float32),
        np.array([label for _, label, _ in rows], np.int32),
        points,
    )


def image(reference, candidate, threshold=0.25):
    return ImageAgreement.of('a.jpg', reference, candidate, threshold)


def test_the_best_overlap_is_paired_first():
    reference = boxes((0, 0, 0.9), (30, 0, 0.8))
    candidate = boxes((25, 0, 0.7))  # touches both, nearer to the second
    found = match_boxes(reference, candidate)
    assert found.pairs.tolist() == [[1, 0]] and found.missing == (0,) and found.extra == ()
    assert found.ious == pytest.approx([95 / 105]) and found.score_differences == pytest.approx([-0.1])


def test_a_box_has_one_partner():
    found = match_boxes(boxes((0, 0, 0.9)), boxes((0, 0, 0.9), (2, 0, 0.8)))
    assert found.pairs.tolist() == [[0, 0]] and found.extra == (1,)


def test_classes_do_not_mix():
    found = match_boxes(boxes((0, 0, 0.9)), boxes((0, 1, 0.9)))
    assert not len(found.pairs) and found.missing == (0,) and found.extra == (0,)
    assert image(boxes((0, 0, 0.9)), boxes((0, 1, 0.9))).matched(0.5) == 0


def test_a_higher_threshold_keeps_the_pairs_that_reach_it():
    reference, candidate = boxes((0, 0, 0.9), (300, 0, 0.8)), boxes((1, 0, 0.9), (320, 0, 0.8))
    low, high = match_boxes(reference, candidate, 0.1), match_boxes(reference, candidate, 0.9)
    assert low.ious[low.ious >= 0.9].tolist() == high.ious.tolist() and len(low.pairs) == 2


def test_an_iou_of_exactly_the_threshold_matches():
    same = boxes((0, 0, 0.9))
    assert len(match_boxes(same, same, 1.0).pairs) == 1


@pytest.mark.parametrize(
    ('reference', 'candidate', 'expected'),
    [
        ([], [], 1.0),
        ([(0, 0, 0.9)], [], 0.0),
        ([], [(0, 0, 0.9)], 0.0),
        ([(0, 0, 0.9)], [(0, 0, 0.8)], 1.0),
        ([(0, 0, 0.9), (300, 0, 0.9)], [(0, 0, 0.8)], 2 / 3),
        ([(0, 0, 0.9)], [(20, 0, 0.9)], 0.0),  # IoU 80 / 120
    ],
)
def test_the_share_is_twice_the_pairs_over_all_boxes(reference, candidate, expected):
    assert agreement([image(boxes(*reference), boxes(*candidate))], 0.9) == pytest.approx(expected)


def test_every_box_of_all_images_weighs_the_same():
    right = image(boxes(*[(200 * i, 0, 0.9) for i in range(4)]), boxes(*[(200 * i, 0, 0.9) for i in range(4)]))
    wrong = image(boxes((0, 0, 0.9)), boxes())
    assert agreement([right, wrong], 0.9) == pytest.approx(8 / 9)


def test_a_partner_just_below_the_threshold_is_borderline_and_not_missing():
    seen = image(boxes((0, 0, 0.26)), boxes((0, 0, 0.24)))
    assert (seen.reference, seen.candidate, seen.borderline) == (1, 0, 1)
    assert agreement([seen], 0.9) == 1.0 and agreement([seen], 0.9, strict=True) == 0.0


def test_boxes_below_the_threshold_on_both_sides_do_not_count():
    seen = image(boxes((0, 0, 0.24), (300, 0, 0.23)), boxes((0, 0, 0.24)))
    assert (seen.reference, seen.candidate, len(seen.ious)) == (0, 0, 0)
    assert agreement([seen], 0.9) == 1.0


def test_keypoints_of_a_pair_are_compared():
    near = [[(0, 0, 1), (10, 0, 1)]]
    moved = [[(3, 4, 1), (10, 0, 1)]]
    seen = image(boxes((0, 0, 0.9), keypoints=near), boxes((0, 0, 0.9), keypoints=moved))
    assert seen.keypoint_px == pytest.approx([2.5])
