# SPDX-License-Identifier: Apache-2.0
"""What is known of bodies, by the names of a skeleton's points."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.models.card.skeletons.published import COCO_17
from isaac_inference.ops.keypoints.body import body_of

AT = {name: index for index, name in enumerate(COCO_17.names)}


def test_both_sides_are_alike() -> None:
    body = body_of(COCO_17.names, COCO_17.edges)
    mirrored = list(COCO_17.mirrored)
    np.testing.assert_array_equal(body.behind, body.behind[mirrored])
    np.testing.assert_allclose(body.reach, body.reach[np.ix_(mirrored, mirrored)])


def test_every_edge_of_coco_has_a_length_and_everything_is_joined() -> None:
    body = body_of(COCO_17.names, COCO_17.edges)
    assert np.isfinite(body.lengths).all()
    assert np.isfinite(body.reach).all(), 'the head too, which no edge of COCO joins to the body'
    assert body.reach[AT['left_wrist'], AT['left_ankle']] == pytest.approx(0.146 + 0.186 + 0.29 + 0.245 + 0.246)
    assert 1.2 < 1.75 * body.reach.max() < 3.0


def test_a_neck_that_a_skeleton_has_is_not_made_again() -> None:
    names = ['nose', 'left_ear', 'left_shoulder']
    assert len(body_of(names, [(0, 2)]).bones) == 1
    assert len(body_of(names, []).bones) == 1  # ear to shoulder


def test_points_between_the_sides_are_half_way() -> None:
    body = body_of(['hip', 'left_hip', 'right_hip', 'neck', 'left_shoulder'], [(0, 1), (0, 2), (3, 4), (3, 0)])
    np.testing.assert_allclose(body.lengths, [0.065, 0.065, 0.115, 0.29])


def test_fingers_do_not_tell_the_stature() -> None:
    names = ['left_wrist', 'left_thumb', 'left_index', 'left_elbow']
    body = body_of(names, [(0, 1), (0, 2), (0, 3)])
    assert body.is_long.tolist() == [False, False, True]
    assert np.isfinite(body.lengths).all()


def test_a_point_of_another_name_is_on_the_skin_and_its_bone_has_no_length() -> None:
    body = body_of(['left_wrist', 'left_antenna'], [(0, 1)])
    assert body.behind[1] == 0.0
    assert np.isnan(body.lengths).all()
    assert np.isfinite(body.reach).all()


@pytest.mark.parametrize(
    'names', [('l_wrist', 'r_wrist'), ('wrist left', 'wrist right'), ('Left_Wrist', 'RIGHT_WRIST')]
)
def test_sides_are_told_however_they_are_written(names: tuple[str, str]) -> None:
    assert body_of(names, []).behind.tolist() == [0.025, 0.025]


def test_depths_behind_the_skin_are_set_by_joint_or_by_side() -> None:
    body = body_of(COCO_17.names, COCO_17.edges, {'hip': 0.1, 'left_hip': 0.12})
    assert (body.behind[AT['left_hip']], body.behind[AT['right_hip']]) == (0.12, 0.1)


def test_a_joint_that_there_is_not_cannot_be_set() -> None:
    with pytest.raises(ValueError, match="'tail' is none of the points nose, left_eye"):
        body_of(COCO_17.names, COCO_17.edges, {'tail': 0.1})
