# SPDX-License-Identifier: Apache-2.0
"""The example planner's file and its geometry."""

from __future__ import annotations

import ast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.ros.pick_bench import DOWN, FILE, SIZE, load_planner

from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ros.messages.poses import pose_from_message

vectors = st.tuples(*[st.floats(-3, 3)] * 3).map(np.array)
planner = load_planner()


def grasp(rotation=None, center=(0.5, 0.1, 0.04), size=SIZE, max_opening=0.1, finger_depth=0.04):
    rotation = np.eye(3) if rotation is None else rotation
    return planner.grasp_of(rotation, np.array(center), size, max_opening, finger_depth)


def about(x=0.0, y=0.0, z=0.0) -> np.ndarray:
    return so3_exp(np.radians([x, y, z]))


# The file


def test_it_is_short_and_depends_on_no_code_of_ours():
    text = FILE.read_text(encoding='utf-8')
    assert len(text.splitlines()) < 120
    names = {node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
    names |= {a.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import) for a in node.names}
    used = {name.split('.')[0] for name in names}
    assert used <= {'contextlib', 'signal', 'numpy', 'rclpy', 'rcl_interfaces', 'geometry_msgs', 'vision_msgs'}


# Geometry


@given(vectors, vectors)
def test_messages_and_matrices_agree(turn, position):
    pose = Pose(so3_exp(turn), position)
    message = planner.pose_of(pose.rotation, pose.translation)
    assert np.allclose(planner.rotation_of(message.orientation), pose.rotation, atol=1e-9)
    again = pose_from_message(message)
    assert np.allclose(again.matrix(), pose.matrix(), atol=1e-9)


@pytest.mark.parametrize('half_turn', [(180, 0, 0), (0, 180, 0), (0, 0, 180), (127.2792206, 127.2792206, 0)])
def test_half_turns_have_a_quaternion(half_turn):
    rotation = about(*half_turn)
    assert np.allclose(planner.rotation_of(planner.pose_of(rotation, np.zeros(3)).orientation), rotation, atol=1e-9)


def test_an_upright_box_is_taken_from_above_across_its_shorter_level_side():
    turn, position = grasp()
    assert np.allclose(turn[:, 2], DOWN)
    assert np.allclose(turn[:, 1], (0, 1, 0))  # 0.09 m; its 0.08 m point upwards
    assert np.allclose(position, (0.5, 0.1, 0.04))  # fingers reach the centre


def test_the_fingers_turn_with_the_box():
    turn, _ = grasp(about(z=30))
    assert np.allclose(turn[:, 1], about(z=30)[:, 1])
    assert np.allclose(turn[:, 2], DOWN)


def test_a_tall_box_is_taken_near_its_top():
    turn, position = grasp(center=(0.5, 0.1, 0.12), size=(0.16, 0.06, 0.24))
    assert np.allclose(position, (0.5, 0.1, 0.20))
    assert np.allclose(turn[:, 1], (0, 1, 0))


def test_fingers_close_level_though_an_upright_side_is_shorter():
    turn, _ = grasp(size=(0.09, 0.095, 0.02))
    assert np.allclose(np.abs(turn[:, 1]), (1, 0, 0))


def test_a_lean_along_the_fingers_is_followed_and_one_across_is_not():
    turn, _ = grasp(about(x=20))  # y, along which the fingers close, is no longer level
    assert np.allclose(turn[:, 1], about(x=20)[:, 1])
    assert np.allclose(turn[:, 2], about(x=20) @ DOWN)
    turn, _ = grasp(about(y=20))
    assert np.allclose(turn[:, 2], DOWN)


@pytest.mark.parametrize('flip', [(0, 0, 0), (180, 0, 0), (0, 180, 0), (0, 0, 180)])
def test_the_same_box_upside_down_or_turned_by_half_is_taken_alike(flip):
    assert np.allclose(grasp(about(*flip))[0], grasp()[0])


@pytest.mark.parametrize('size', [(0.11, 0.11, 0.11), (0.15, 0.22, 0.035), (0.0, 0.0, 0.0), (np.nan,) * 3])
def test_what_does_not_fit_is_refused(size):
    assert grasp(size=size) is None


def test_the_opening_decides():
    assert grasp(max_opening=0.09) is not None
    assert grasp(max_opening=0.0899) is None


def test_an_unset_orientation_is_refused():
    message = planner.Pose()
    message.orientation.w = 0.0
    assert grasp(planner.rotation_of(message.orientation)) is None


@settings(max_examples=200)
@given(vectors, st.tuples(*[st.floats(0.01, 0.2)] * 3))
def test_every_grasp_is_a_right_handed_frame_that_comes_from_above_and_fits(turn, size):
    rotation = so3_exp(turn)
    found = grasp(rotation, size=size)
    assert found is not None or min(size) > 0.1 or np.min(np.abs(rotation[2, np.array(size) <= 0.1])) > 0.707
    if found is not None:
        gripper, position = found
        assert np.allclose(gripper.T @ gripper, np.eye(3), atol=1e-9) and np.linalg.det(gripper) > 0
        assert gripper[:, 2] @ DOWN > 0.707
        side = int(np.argmax(np.abs(rotation.T @ gripper[:, 1])))
        assert size[side] <= 0.1
        assert np.all(np.abs(rotation.T @ (position - (0.5, 0.1, 0.04))) <= np.array(size) / 2 + 1e-9)  # within the box
