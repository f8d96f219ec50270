# SPDX-License-Identifier: Apache-2.0
"""Joints behind what is seen of them: what a body's own lengths say."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.models.card.skeletons.published import COCO_17
from isaac_inference.ops.keypoints.body import body_of
from isaac_inference.ops.keypoints.hidden.limbs import PlacedJoints, behind_what_is_seen

BODY = body_of(COCO_17.names, COCO_17.edges)
AT = {name: index for index, name in enumerate(COCO_17.names)}
UP = np.array((0.0, -1.0, 0.0))
# a standing body that faces the camera, m, at 3 m; its left is to the right
BONES = {
    'shoulder': (0.19, -0.45), 'elbow': (0.24, -0.14), 'wrist': (0.26, 0.12), 'hip': (0.1, 0.05), 'knee': (0.11, 0.48),
    'ankle': (0.11, 0.91),
}  # fmt: skip


def standing(yaw_deg: float = 0.0) -> np.ndarray:
    places = np.full((17, 3), np.nan)
    yaw = np.deg2rad(yaw_deg)
    for name, (aside, down) in BONES.items():
        for side, sign in (('left', 1.0), ('right', -1.0)):
            places[AT[f'{side}_{name}']] = sign * aside * np.cos(yaw), down, 3.0 + sign * aside * np.sin(yaw)
    return places


def judged(
    places: np.ndarray, left: tuple[float, float, float] = (0.0, 0.0, 0.0), odds: dict[str, float] | None = None
):
    told = np.zeros(17)
    for name, value in (odds or {}).items():
        told[AT[name]] = value
    rays = places / np.linalg.norm(places, axis=1)[:, None]
    error = np.full(17, 0.025)
    seen = PlacedJoints(places, rays, error, error, 1.75)
    return behind_what_is_seen(seen, BODY, told, np.array(left), UP)


@pytest.mark.parametrize('yaw', [0.0, 40.0, -40.0, 180.0])
def test_a_body_whose_bones_fit_is_seen(yaw: float) -> None:
    hidden, behind, square = judged(standing(yaw))
    assert (hidden < 0.15).all() and (behind < 0.05).all() and (square >= behind**2).all()


def test_from_the_side_one_of_each_pair_is_hidden_and_the_head_says_which() -> None:
    """Depth shows the near shoulder and hip at both: where that far shoulder is, no bone is too long."""
    places = standing(90.0)  # the left side is the far one
    for name in ('shoulder', 'hip'):
        places[AT[f'left_{name}']] = places[AT[f'right_{name}']] + (0.02, 0.0, 0.0)
    for name in ('elbow', 'wrist'):
        places[AT[f'left_{name}']] = np.nan
    hidden, behind, _ = judged(places, left=(0.0, 0.0, 0.9))
    assert hidden[AT['left_shoulder']] > 0.8 and hidden[AT['right_shoulder']] < 0.2
    assert behind[AT['left_shoulder']] == pytest.approx(0.38, abs=0.12)
    mirrored, _, _ = judged(places, left=(0.0, 0.0, -0.9))
    assert mirrored[AT['left_shoulder']] < hidden[AT['left_shoulder']]


def test_an_elbow_does_not_reach_through_the_trunk() -> None:
    """The far shoulder is not known; the near one and the head say where it is."""
    places = standing(90.0)
    places[AT['left_shoulder']] = np.nan
    places[AT['left_elbow']] = (0.05, -0.15, 2.8)  # where the near arm or the trunk is seen
    hidden, _, _ = judged(places, left=(0.0, 0.0, 0.9))
    assert hidden[AT['left_elbow']] > 0.6 and hidden[AT['right_elbow']] < 0.15


def test_two_knees_are_not_in_one_place() -> None:
    places = standing(90.0)
    places[AT['left_knee']] = places[AT['right_knee']] + (0.01, 0.0, 0.0)
    hidden, _, _ = judged(places)
    assert hidden[AT['left_knee']] + hidden[AT['right_knee']] > 0.7


def test_what_is_seen_around_a_joint_counts() -> None:
    low, _, _ = judged(standing(), odds={'left_wrist': -2.0})
    high, behind, _ = judged(standing(), odds={'left_wrist': 4.0})
    assert low[AT['left_wrist']] < 0.05 and high[AT['left_wrist']] > 0.5 and behind[AT['left_wrist']] > 0.05
    assert high[AT['left_elbow']] > low[AT['left_elbow']], 'who hides the one may hide the next one'


def test_who_is_left_out_and_who_is_no_limb_is_not_judged() -> None:
    places = standing()
    places[AT['left_ankle']] = np.nan
    results = judged(places)
    for index in (AT['left_ankle'], AT['nose'], AT['left_ear']):
        assert all(result[index] == 0.0 for result in results)


def test_a_skeleton_without_limbs_has_nothing_to_judge() -> None:
    body = body_of(['tip', 'middle', 'end'], [(0, 1), (1, 2)])
    places = np.array([(0.0, 0, 2), (0.1, 0, 2), (0.2, 0, 2)])
    seen = PlacedJoints(places, places / 2, np.full(3, 0.02), np.full(3, 0.02), 1.7)
    for result in behind_what_is_seen(seen, body, np.zeros(3), np.zeros(3), UP):
        assert result.tolist() == [0.0, 0.0, 0.0]


def test_nothing_that_is_given_is_changed() -> None:
    places = standing(30.0)
    before = places.copy()
    judged(places, left=(0.5, 0.0, 0.2))
    np.testing.assert_array_equal(places, before)
