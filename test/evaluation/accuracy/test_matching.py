# SPDX-License-Identifier: Apache-2.0
"""Which estimate belongs to which object."""

from __future__ import annotations

import pytest
from support.frame_records import pose, poses

from isaac_inference.evaluation import Poses
from isaac_inference.evaluation.accuracy.matching import match_poses


def match(truth, found, limit=0.2, **options):
    return match_poses(truth, found, limit=lambda row: limit, **options)


def cups(*places, visible=1.0):
    return poses(*(('cup', visible, pose(x=x)) for x in places))


def test_the_sum_of_distances_is_least():
    # taking the nearest pair first, 0.1 and 0.06, would pair 0 with 0.19
    found = match(cups(0.0, 0.1), cups(0.19, 0.06))
    assert found.pairs == ((0, 1), (1, 0))
    assert found.missed == found.false == ()


def test_another_class_is_a_miss_and_a_false_pose():
    found = match(cups(0.0), poses(('can', 1, pose())))
    assert (found.pairs, found.missed, found.false) == ((), (0,), (0,))


@pytest.mark.parametrize(('gap', 'pairs'), [(0.19, 1), (0.2, 0), (3.0, 0)])
def test_the_limit_is_the_object_s_diameter(gap, pairs):
    found = match(cups(0.0), cups(gap))
    assert len(found.pairs) == pairs
    assert len(found.missed) == len(found.false) == 1 - pairs


def test_a_far_estimate_does_not_bend_the_near_pairs():
    found = match(cups(0.0, 1.0), cups(5.0, 0.01))
    assert (found.pairs, found.missed, found.false) == (((0, 1),), (1,), (0,))


def test_hidden_objects_count_neither_way_and_keep_their_estimates():
    truth = poses(('cup', 1.0, pose(x=0.0)), ('cup', 0.1, pose(x=0.1)))
    found = match(truth, cups(0.1))
    assert (found.pairs, found.missed, found.false, found.ignored) == ((), (0,), (), ((1, 0),))
    assert match(truth, cups(0.0)).missed == ()
    assert match(truth, cups(0.0), min_visibility=0.05).missed == (1,)


def test_nothing_to_match():
    assert match(Poses.empty(), cups(0.0)).false == (0,)
    assert match(cups(0.0), Poses.empty()).missed == (0,)
    assert match(Poses.empty(), Poses.empty()).pairs == ()
