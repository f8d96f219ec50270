# SPDX-License-Identifier: Apache-2.0
"""The example planner takes an object by its best hypothesis, wherever that stands."""

from __future__ import annotations

from typing import Any

import pytest
from support.ros.pick_bench import Thing, frame, load_planner
from vision_msgs.msg import ObjectHypothesisWithPose

from isaac_inference.ros.messages.poses import pose_array

planner = load_planner()


@pytest.fixture
def node(ros: None) -> Any:
    made = planner.PickPlanner()
    yield made
    made.destroy_node()


def hypothesis(name: str, score: float) -> ObjectHypothesisWithPose:
    result = ObjectHypothesisWithPose()
    result.hypothesis.class_id, result.hypothesis.score = name, score
    return result


def see(node: Any, results: list[ObjectHypothesisWithPose]) -> None:
    """Five frames of one object that may be several things."""
    for number in range(5):
        array = frame([Thing()], number)
        poses = pose_array(array)
        array.detections[0].results = results
        node.pair(0, poses)
        node.pair(1, array)


@pytest.mark.parametrize('ascending', [True, False])
def test_the_class_and_the_score_are_those_of_the_best_hypothesis(node, ascending):
    results = [hypothesis('spoon', 0.1), hypothesis('tea_box', 0.9)]
    see(node, results if ascending else results[::-1])
    assert node.target == ('tea_box', '1')


def test_an_object_without_a_hypothesis_is_no_target(node):
    see(node, [])
    assert node.target is None
