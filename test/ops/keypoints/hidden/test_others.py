# SPDX-License-Identifier: Apache-2.0
"""Joints of one person that were put on another one."""

from __future__ import annotations

import numpy as np

from isaac_inference.models.card.skeletons.published import COCO_17
from isaac_inference.ops.keypoints.body import body_of
from isaac_inference.ops.keypoints.hidden import on_others
from isaac_inference.ops.keypoints.joints import HIDDEN, PersonJoints
from isaac_inference.sim import default_camera
from isaac_inference.sim.people import PeopleScene

BODY = body_of(COCO_17.names, COCO_17.edges)
AT = {name: index for index, name in enumerate(COCO_17.names)}


def people(seed: int = 1003, count: int = 2) -> list[np.ndarray]:
    return [truth.joints.copy() for truth in PeopleScene(default_camera(), seed, people=count).frame(0.0).truths]


def test_people_who_are_apart_have_their_own() -> None:
    for seed in range(1003, 1013):
        for own in on_others(people(seed, 3), BODY):
            assert not own.joints.any() and own.whole == -1


def test_a_hand_on_the_body_of_who_stands_before_is_hidden() -> None:
    near, far = sorted(people(), key=lambda joints: joints[:, 2].mean())
    assert near[:, 2].mean() < far[:, 2].mean() - 0.1
    far[AT['left_wrist']] = near[[AT['left_shoulder'], AT['right_hip']]].mean(axis=0)
    first, second = on_others([near, far], BODY)
    assert not first.joints.any() and first.whole == -1
    assert np.flatnonzero(second.joints).tolist() == [AT['left_wrist']]


def test_who_is_where_somebody_else_is_has_no_joints() -> None:
    """All of the hidden one's keypoints fall on the other: smaller, and less than all of that one's joints on them."""
    near = people()[0]
    hidden = near.mean(axis=0) + 0.6 * (near - near.mean(axis=0))
    hidden[[AT['left_ankle'], AT['right_ankle'], AT['nose']]] = np.nan
    first, second = on_others([near, hidden], BODY)
    assert (first.whole, second.whole) == (-1, 0)


def test_one_person_or_nobody() -> None:
    assert on_others([], BODY) == []
    nowhere = np.full((17, 3), np.nan)
    for own in on_others([people()[0], nowhere], BODY):
        assert not own.joints.any() and own.whole == -1


def test_what_is_taken_away_says_why() -> None:
    joints = PersonJoints(people()[0], np.tile(np.eye(3), (17, 1, 1)), ('',) * 16 + ('joint_bone',), 1.7)
    hidden = np.zeros(17, bool)
    hidden[[3, 5]] = True
    left = joints.without(hidden)
    assert [index for index, reason in enumerate(left.left_out) if reason == HIDDEN] == [3, 5]
    assert np.isnan(left.positions[3]).all() and np.isnan(left.covariances[5]).all()
    assert left.left_out[16] == 'joint_bone' and np.isfinite(joints.positions).all()
    assert joints.without(np.zeros(17, bool)) is joints
