# SPDX-License-Identifier: Apache-2.0
"""Canonical poses: one for all that look alike, with the camera's azimuth nearest 0."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from isaac_inference.errors import ConfigError
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.rigid import Pose, rotation_angle, so3_exp
from isaac_inference.ops.geometry.symmetry import Symmetry, canonical, equivalents, nearest, rotation_error

SETS = {
    'can': (('z', 0),),
    'lying can': (('x', 0),),
    'wheel': (('y', 0),),
    'square post': (('z', 4),),
    'prism': (('x', 3),),
    'half turn': (('y', 2),),
    'plain can': (('z', 0), ('x', 2)),
    'plain can, flipped about y': (('z', 0), ('y', 2)),
    'brick': (('x', 2), ('y', 2), ('z', 2)),
    'dice': (('z', 4), ('x', 4)),
    'plain prism': (('z', 3), ('x', 2)),
    'ten-sided': (('z', 5), ('x', 2), ('y', 2)),
    'ball': (('z', 0), ('x', 0)),
    'ball again': (('z', 0), ('x', 3)),
}
COUNTS = {'square post': 4, 'prism': 3, 'half turn': 2, 'brick': 4, 'dice': 24, 'plain prism': 6, 'ten-sided': 20}
every = pytest.mark.parametrize('name', SETS)
coordinate = st.floats(-3, 3)
poses = st.builds(
    lambda turn, x, y, z: Pose(so3_exp(turn), np.array([x, y, z])),
    st.tuples(coordinate, coordinate, coordinate),
    st.floats(-1, 1),
    st.floats(-1, 1),
    st.floats(0.3, 4),
)


def symmetries(name: str) -> tuple[Symmetry, ...]:
    return tuple(Symmetry(axis, order) for axis, order in SETS[name])


def azimuth(pose: Pose, axis: str) -> float:
    """Of the camera, seen in the object's frame."""
    x, y, z = pose.inverse().translation
    return float({'x': np.arctan2(z, y), 'y': np.arctan2(x, z), 'z': np.arctan2(y, x)}[axis])


@every
@settings(max_examples=15, deadline=None)
@given(pose=poses)
def test_poses_that_look_alike_have_one_canonical_pose(name: str, pose: Pose) -> None:
    # On the border between two turns rounding decides.
    for axis, order in SETS[name]:
        if order:
            turns = azimuth(pose, axis) / (2 * np.pi / order)
            assume(abs(turns % 1.0 - 0.5) > 1e-6)
    expected = canonical(pose, symmetries(name))
    for alike in equivalents(pose, symmetries(name), steps=7):
        found = canonical(alike, symmetries(name))
        assert rotation_angle(expected.rotation.T @ found.rotation) < 1e-6
        np.testing.assert_array_equal(found.translation, pose.translation)
    assert rotation_error(expected, pose, symmetries(name)) < 1e-7  # and it does look alike


@pytest.mark.parametrize('axis', 'xyz')
@pytest.mark.parametrize('order', [0, 2, 3, 4, 12])
@settings(max_examples=10, deadline=None)
@given(pose=poses)
def test_the_camera_s_azimuth_is_nearest_0(axis: str, order: int, pose: Pose) -> None:
    found = canonical(pose, (Symmetry(axis, order),))
    seen = found.inverse().translation
    assume(np.linalg.norm(np.delete(seen, 'xyz'.index(axis))) > 1e-3)
    limit = np.pi / order if order else 0.0
    assert abs(azimuth(found, axis)) <= limit + 1e-6
    turn = pose.rotation.T @ found.rotation  # in the object's frame, about its axis
    np.testing.assert_allclose(turn[:, 'xyz'.index(axis)], np.eye(3)['xyz'.index(axis)], atol=1e-9)


@every
def test_from_straight_above_it_is_still_one_pose(name: str) -> None:
    above = Pose(np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, 1.0]))
    found = [canonical(alike, symmetries(name)) for alike in equivalents(above, symmetries(name), steps=5)]
    assert max(rotation_angle(found[0].rotation.T @ other.rotation) for other in found) < 1e-7


def test_a_camera_at_the_origin_of_the_object() -> None:
    pose = Pose(so3_exp((1, 2, 3)), np.zeros(3))
    assert np.isfinite(canonical(pose, symmetries('plain can')).rotation).all()


def test_nothing_to_turn() -> None:
    pose = Pose(so3_exp((1, 2, 3)), np.ones(3))
    assert canonical(pose, ()) is pose
    assert nearest(pose, Pose.identity(), ()) is pose
    assert len(equivalents(pose, ())) == 1
    assert rotation_error(pose, Pose.identity()) == pytest.approx(2 * np.pi - np.sqrt(14))


@pytest.mark.parametrize('name', COUNTS)
def test_how_many_poses_look_alike(name: str) -> None:
    pose = Pose(so3_exp((1, 2, 3)), np.ones(3))
    found = equivalents(pose, symmetries(name))
    assert len(found) == COUNTS[name]
    np.testing.assert_allclose(found[0].matrix(), pose.matrix())
    flat = np.stack([alike.rotation.ravel() for alike in found])
    distances = np.abs(flat[:, None] - flat).max(axis=2) + np.eye(len(flat))
    assert distances.min() > 1e-3


def test_dice_corners_stay_corners() -> None:
    corners = cuboid_corners((1, 1, 1))
    for alike in equivalents(Pose.identity(), symmetries('dice')):
        assert sorted(np.round(alike.apply(corners), 9).tolist()) == sorted(corners.tolist())


def test_steps_of_a_continuous_symmetry() -> None:
    pose = Pose(so3_exp((1, 2, 3)), np.ones(3))
    assert len(equivalents(pose, symmetries('can'), steps=36)) == 36
    assert len(equivalents(pose, symmetries('plain can'), steps=36)) == 72
    angles = [rotation_angle(pose.rotation.T @ alike.rotation) for alike in equivalents(pose, symmetries('can'), 4)]
    assert angles == pytest.approx([0, np.pi / 2, np.pi, np.pi / 2], abs=1e-9)


def test_a_ball_s_poses_are_spread_over_all_rotations() -> None:
    spread = equivalents(Pose.identity(), symmetries('ball'), steps=400)
    assert len(spread) == 400
    np.testing.assert_allclose(spread[0].rotation, np.eye(3), atol=1e-12)
    rng = np.random.default_rng(0)
    gaps = [min(rotation_angle(turn.T @ pose.rotation) for pose in spread) for turn in so3_samples(rng, 10)]
    assert max(gaps) < 0.7  # 400 balls of 0.4 rad would fill the space


def so3_samples(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    return [Pose.from_quaternion(rng.normal(size=4)).rotation for _ in range(count)]


def test_error_to_the_nearest_pose_that_looks_alike() -> None:
    truth = Pose(so3_exp((0.4, -1.0, 2.0)), np.array([0.1, 0.2, 2.0]))
    tilted = Pose(truth.rotation @ so3_exp((0.1, 0, 0)) @ so3_exp((0, 0, 2.0)), truth.translation)
    assert rotation_error(tilted, truth, symmetries('can')) == pytest.approx(0.1)
    assert rotation_error(tilted, truth) > 1.5
    upside_down = Pose(truth.rotation @ so3_exp((np.pi, 0, 0)), truth.translation)
    assert rotation_error(upside_down, truth, symmetries('can')) == pytest.approx(np.pi)
    assert rotation_error(upside_down, truth, symmetries('plain can')) == pytest.approx(0, abs=1e-7)
    assert rotation_error(tilted, truth, symmetries('ball')) == 0.0


@every
def test_nearest_is_the_best_of_the_equivalents(name: str) -> None:
    rng = np.random.default_rng(5)
    first, second = (Pose(turn, np.array([0, 0, 1.0])) for turn in so3_samples(rng, 2))
    found = rotation_angle(second.rotation.T @ nearest(first, second, symmetries(name)).rotation)
    listed = min(
        rotation_angle(second.rotation.T @ alike.rotation) for alike in equivalents(first, symmetries(name), 360)
    )
    assert found <= listed + 1e-9
    if not name.startswith('ball'):
        assert found == pytest.approx(listed, abs=0.01)


@pytest.mark.parametrize(
    ('axis', 'order', 'error'),
    [
        ('w', 2, "axis: got 'w', expected one of x, y, z"),
        ('', 2, "axis: got ''"),
        ('z', 1, 'got 1, expected 0'),
        ('z', -2, 'got -2'),
        ('z', 2.0, r'got 2\.0'),
        ('z', True, 'got True'),
        ('z', 1000, 'from 2 to 360'),
    ],
)
def test_wrong_symmetries(axis: str, order: int, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        Symmetry(axis, order)


def test_symmetries_without_an_end() -> None:
    with pytest.raises(ConfigError, match='got 3 about z, 4 about x, which combine to infinitely many'):
        canonical(Pose.identity(), (Symmetry('z', 3), Symmetry('x', 4)))


def test_no_steps() -> None:
    with pytest.raises(ConfigError, match='steps: got 0'):
        equivalents(Pose.identity(), (), steps=0)
