# SPDX-License-Identifier: Apache-2.0
"""Objects that are filtered together get what they get one by one."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ops.geometry.symmetry import Symmetry
from isaac_inference.ops.tracking import PoseFilter, TwoPoseFilter

STEP_S = 1 / 30
SYMMETRIES = ((), (Symmetry('z', 0),), (), (Symmetry('z', 2), Symmetry('x', 2)), (Symmetry('y', 0), Symmetry('x', 2)))


def trajectory(rng):
    """A pose at any time, and measurements of it with now and then a jump, or no covariance."""
    start, speed, spin = rng.normal(0, 0.2, 3) + (0, 0, 1), rng.normal(0, 0.2, 3), rng.normal(0, 0.5, 3)
    turn = so3_exp(rng.normal(0, 1, 3))

    def measured(time_s):
        jump = rng.random() < 0.08
        noise = rng.normal(0, 0.5 if jump else 0.02, 3)
        pose = Pose(so3_exp(noise) @ so3_exp(spin * time_s) @ turn, start + speed * time_s + noise / 5)
        root = rng.normal(0, 1, (6, 6)) * ([0.002] * 3 + [0.02] * 3)
        return pose, None if rng.random() < 0.2 else root.T @ root + 1e-8 * np.eye(6)

    return measured


def agree(one, other):
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        np.testing.assert_allclose(one.pose.matrix(), other.pose.matrix(), rtol=0, atol=1e-10)
        np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-8, atol=1e-14)


@pytest.mark.parametrize('kind', [PoseFilter, TwoPoseFilter])
@pytest.mark.parametrize('seed', range(3))
def test_every_object_gets_what_it_gets_alone(kind, seed):
    rng = np.random.default_rng(seed)
    sources = [trajectory(rng) for _ in SYMMETRIES]
    together, alone = ([kind(symmetries=symmetries) for symmetries in SYMMETRIES] for _ in range(2))
    follows = 'follows' if kind is PoseFilter else 'follows_one'
    rejected = 0
    for frame in range(90):
        stamp_s = frame * STEP_S
        seen = [row for row in range(len(sources)) if rng.random() < 0.85]  # so stamps of the last update differ
        given = {row: sources[row](stamp_s) for row in seen}
        expected = {row: alone[row].update(stamp_s, *given[row]) for row in seen}
        ready = [row for row in seen if getattr(together[row], follows)(stamp_s)]
        for row in set(seen) - set(ready):
            agree(together[row].update(stamp_s, *given[row]), expected[row])
        poses, covariances = [given[row][0] for row in ready], [given[row][1] for row in ready]
        found = kind.update_together([together[row] for row in ready], stamp_s, poses, covariances)
        for row, result in zip(ready, found, strict=True):
            agree(result, expected[row])
            rejected += result is None
    assert rejected, 'no outlier was tried'


@pytest.mark.parametrize(
    ('pose', 'covariance'),
    [
        (Pose(np.eye(3), np.array([0.0, np.nan, 1.0])), None),
        (Pose(np.full((3, 3), np.inf), np.zeros(3)), None),
        (Pose.identity(), -np.eye(6)),
        (Pose.identity(), np.full((6, 6), np.nan)),
        (Pose.identity(), np.eye(5)),
    ],
)
def test_what_cannot_be_used_changes_none_of_them(pose, covariance):
    good = PoseFilter(), PoseFilter()
    for frame in range(3):
        for one in good:
            one.update(frame * STEP_S, Pose.identity(), 1e-4 * np.eye(6))
    with pytest.raises(FrameError, match='pose') as error:
        PoseFilter.update_together(good, 3 * STEP_S, [Pose.identity(), pose], [None, covariance])
    assert error.value.reason == 'bad_pose'
    assert [one.stamp_s for one in good] == [2 * STEP_S] * 2


def test_a_covariance_of_lower_rank_is_one():
    filters = PoseFilter(), PoseFilter()
    flat = np.diag([1e-6, 0, 1e-6, 1e-4, 0, 1e-4])
    for one in filters:
        one.update(0.0, Pose.identity(), flat)
    assert None not in PoseFilter.update_together(filters, STEP_S, [Pose.identity()] * 2, [flat] * 2)
    assert [one.hits for one in filters] == [2, 2]


def test_nothing_gives_nothing():
    assert PoseFilter.update_together([], 1.0, [], []) == []
