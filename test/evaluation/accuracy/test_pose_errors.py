# SPDX-License-Identifier: Apache-2.0
"""ADD, ADD-S, translation and rotation errors, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.frame_records import SIZE, pose

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation import ObjectGeometry
from isaac_inference.evaluation.accuracy.pose_errors import (
    add,
    add_or_add_s,
    add_s,
    cuboid_points,
    cylinder_points,
    relative_translation_error,
    rotation_error_deg,
    translation_error,
)
from isaac_inference.ops.geometry.symmetry import Symmetry

BOX = ObjectGeometry.from_size(SIZE)
CAN = ObjectGeometry.from_size((0.06, 0.06, 0.1), (Symmetry('z', 0),))
angles = st.floats(-180, 180)


def test_points_of_a_cuboid_and_its_diameter():
    points = cuboid_points(SIZE)
    assert points.shape == (98, 3)
    assert len(np.unique(points, axis=0)) == 98
    assert np.allclose(np.abs(points / SIZE).max(axis=1), 0.5), 'all on a face'
    assert BOX.diameter == pytest.approx(np.linalg.norm(SIZE))


@pytest.mark.parametrize('axis', ['x', 'y', 'z'])
def test_points_of_a_cylinder(axis):
    size = np.roll([0.06, 0.06, 0.1], 'xyz'.index(axis) - 2)
    points = cylinder_points(size, axis)
    along = points[:, 'xyz'.index(axis)]
    radius = np.linalg.norm(np.delete(points, 'xyz'.index(axis), axis=1), axis=1)
    assert np.allclose(np.ptp(points, axis=0), size)
    assert np.all(np.isclose(radius, 0.03) | np.isclose(np.abs(along), 0.05)), 'all on the side or an end'
    assert ObjectGeometry(points).diameter == pytest.approx(np.hypot(0.06, 0.1))


def test_two_free_axes_make_a_ball():
    ball = ObjectGeometry.from_size((0.1, 0.1, 0.1), (Symmetry('z', 0), Symmetry('x', 0)))
    assert np.allclose(np.linalg.norm(ball.points, axis=1), 0.05)
    assert rotation_error_deg(pose(), pose(turn=(40, 50, 60)), ball) == pytest.approx(0, abs=1e-5)


def test_add_of_a_shift_is_the_shift_in_any_orientation():
    truth, estimate = pose(0.1, 0.2, 1, (30, 40, 50)), pose(0.103, 0.2, 1.004, (30, 40, 50))
    assert add(truth, estimate, BOX) == pytest.approx(0.005)
    assert translation_error(truth, estimate) == pytest.approx(0.005)
    assert relative_translation_error(truth, estimate) == pytest.approx(0.005 / np.sqrt(1.05))


def test_add_of_half_a_turn_by_hand():
    points = ObjectGeometry(np.array([[0.1, 0, 0], [0, 0.2, 0], [0, 0, 0.5]]))
    assert add(pose(), pose(turn=(0, 0, 180)), points) == pytest.approx((0.2 + 0.4 + 0) / 3)


def test_add_s_takes_the_closest_point():
    pair = np.array([[0.1, 0, 0], [-0.1, 0, 0]])
    turned = pose(turn=(0, 0, 180))
    assert add(pose(), turned, ObjectGeometry(pair)) == pytest.approx(0.2)
    assert add_s(pose(), turned, ObjectGeometry(pair)) == pytest.approx(0, abs=1e-9)
    line = ObjectGeometry(np.array([[0.0, 0, 0], [0.1, 0, 0], [0.3, 0, 0]]))
    # true 0, 0.1, 0.3 against 0.1, 0.2, 0.4: 0.1, 0, 0.1
    assert add_s(pose(), pose(x=0.1), line) == pytest.approx(0.2 / 3)


def test_only_symmetric_objects_are_measured_by_add_s():
    turned = pose(turn=(0, 0, 90))
    assert add_or_add_s(pose(), turned, BOX) == add(pose(), turned, BOX) > 0.02
    assert add_or_add_s(pose(), turned, CAN) == pytest.approx(0, abs=1e-9)
    assert add_or_add_s(pose(), pose(turn=(0, 90, 0)), CAN) > 0.005, 'a can that lies is not one that stands'


@settings(deadline=None, max_examples=40)
@given(angles, angles, st.floats(1, 179))
def test_a_can_s_rotation_error_is_the_angle_between_axes(spin, about, tilt):
    direction = np.array([np.cos(np.radians(about)), np.sin(np.radians(about)), 0])
    estimate = pose(turn=tilt * direction) @ pose(z=0, turn=(0, 0, spin))
    truth = pose(turn=(20, 30, 40))
    assert rotation_error_deg(truth, truth @ estimate, CAN) == pytest.approx(tilt, abs=1e-6)
    assert rotation_error_deg(truth, truth @ estimate, BOX) > tilt - 1e-6, 'a box has no turn to spare'


@pytest.mark.parametrize(
    ('symmetries', 'turn', 'error'),
    [
        ((), (0, 0, 177), 177),
        ((Symmetry('z', 2),), (0, 0, 177), 3),
        ((Symmetry('z', 4),), (0, 0, 92), 2),
        ((Symmetry('z', 4),), (92, 0, 0), 92),
        ((Symmetry('z', 0), Symmetry('x', 2)), (178, 0, 0), 2),
        ((Symmetry('z', 0),), (178, 0, 0), 178),
    ],
)
def test_the_rotation_error_is_the_least_over_the_symmetries(symmetries, turn, error):
    model = ObjectGeometry.from_size(SIZE, symmetries)
    assert rotation_error_deg(pose(), pose(turn=turn), model) == pytest.approx(error, abs=1e-6)


@pytest.mark.parametrize(
    'points', [np.empty((0, 3)), np.zeros((5, 2)), np.array([[0, 0, np.nan]])], ids=['none', 'flat', 'nan']
)
def test_points_that_are_none_are_refused(points):
    with pytest.raises(ConfigError, match='model points'):
        ObjectGeometry(points)


def test_a_size_of_zero_is_refused():
    with pytest.raises(ConfigError, match='three sides in metres'):
        ObjectGeometry.from_size((0.1, 0.0, 0.1))
