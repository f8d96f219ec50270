# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms, against scipy's rotations and against their own laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.rigid import (
    Pose,
    cross,
    rotation_angle,
    so3_exp,
    so3_exps,
    so3_log,
    transform_covariance,
)

coordinate = st.floats(-3, 3)
vectors = st.tuples(coordinate, coordinate, coordinate).map(np.array)
poses = st.builds(lambda turn, offset: Pose(so3_exp(turn), offset), vectors, vectors)


def assert_same(pose: Pose, other: Pose, atol: float = 1e-12) -> None:
    np.testing.assert_allclose(pose.matrix(), other.matrix(), atol=atol)


@given(turn=vectors)
def test_exponential_is_scipy_s(turn: np.ndarray) -> None:
    np.testing.assert_allclose(so3_exp(turn), Rotation.from_rotvec(turn).as_matrix(), atol=1e-12)


@pytest.mark.parametrize('angle', [0.0, 1e-12, 1e-7, 1e-5, 1.0, np.pi - 1e-7, np.pi])
@pytest.mark.parametrize('axis', [(1, 0, 0), (0, -1, 0), (0, 0, 1), (0.6, 0, -0.8), (-0.6, 0.64, 0.48)])
def test_logarithm_undoes_the_exponential(angle: float, axis: tuple[float, float, float]) -> None:
    turn = np.array(axis) * angle
    log = so3_log(so3_exp(turn))
    # half a turn one way is half a turn the other way
    error = min(np.abs(log - turn).max(), np.abs(log + turn).max() if angle > 3.0 else np.inf)
    assert error < 1e-8
    assert rotation_angle(so3_exp(turn)) == pytest.approx(angle, abs=1e-8)


@given(pose=poses)
def test_quaternion_round_trip(pose: Pose) -> None:
    quaternion = pose.quaternion()
    assert quaternion[3] >= 0.0
    assert np.linalg.norm(quaternion) == pytest.approx(1.0)
    expected = Rotation.from_matrix(pose.rotation).as_quat()
    assert abs(quaternion @ expected) == pytest.approx(1.0, abs=1e-9)
    assert_same(Pose.from_quaternion(quaternion * 7.0, pose.translation), pose, 1e-9)


@given(a=poses, b=poses, point=vectors)
def test_composition_and_inverse(a: Pose, b: Pose, point: np.ndarray) -> None:
    np.testing.assert_allclose((a @ b).apply(point[None]), a.apply(b.apply(point[None])), atol=1e-10)
    np.testing.assert_allclose((a @ b).matrix(), a.matrix() @ b.matrix(), atol=1e-10)
    assert_same(a @ a.inverse(), Pose.identity(), 1e-10)


def test_translation_moves_points() -> None:
    quarter = Pose(so3_exp((0, 0, np.pi / 2)), np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(quarter.apply(np.array([[1.0, 0, 0], [0, 0, 1]])), [[1, 3, 3], [1, 2, 4]], atol=1e-12)


@given(pose=poses)
def test_matrix_round_trip_in_float32(pose: Pose) -> None:
    back = Pose.from_matrix(pose.matrix().astype(np.float32))
    assert_same(back, pose, 1e-5)
    np.testing.assert_allclose(back.rotation.T @ back.rotation, np.eye(3), atol=1e-12)


@pytest.mark.parametrize(
    ('matrix', 'error'),
    [
        (np.eye(3), r'expected \(4, 4\)'),
        (np.full((4, 4), np.nan), 'expected .* finite'),
        (np.diag([2.0, 2, 2, 1]), 'scales, shears or mirrors'),
        (np.diag([1.0, 1, -1, 1]), 'scales, shears or mirrors'),
        (np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [5, 0, 0, 1]]), 'transposed'),
    ],
)
def test_matrices_that_are_no_pose(matrix: np.ndarray, error: str) -> None:
    with pytest.raises(FrameError, match=error) as caught:
        Pose.from_matrix(matrix)
    assert caught.value.reason == 'bad_pose'


@pytest.mark.parametrize(
    ('quaternion', 'translation'),
    [
        ((0, 0, 0, 0), (0, 0, 0)),  # an unset message
        ((0, 0, np.nan, 1), (0, 0, 0)),
        ((0, 0, 0, 1), (0, np.inf, 0)),
        ((0, 0, 1), (0, 0, 0)),
        ((0, 0, 0, 1), (0, 0)),
    ],
)
def test_messages_that_are_no_pose(quaternion: tuple[float, ...], translation: tuple[float, ...]) -> None:
    with pytest.raises(FrameError, match='pose: got quaternion') as caught:
        Pose.from_quaternion(quaternion, translation)
    assert caught.value.reason == 'bad_pose'


def test_wrong_shapes() -> None:
    with pytest.raises(FrameError, match=r'got rotation \(3,\)'):
        Pose(np.zeros(3), np.zeros(3))


def test_covariance_in_another_frame_is_that_of_moved_samples() -> None:
    rng = np.random.default_rng(3)
    root = rng.normal(size=(6, 6)) * 0.01
    pose, T = Pose(so3_exp((0.3, 2.0, -1.0)), np.array([0.2, 0.1, 3.0])), Pose(so3_exp((1.0, 0.5, 2.0)), np.ones(3))
    steps = rng.normal(size=(20_000, 6)) @ root.T
    moved = T @ pose
    samples = []
    for step in steps[:4000]:
        sample = T @ Pose(so3_exp(step[3:]) @ pose.rotation, pose.translation + step[:3])
        samples.append([*(sample.translation - moved.translation), *so3_log(sample.rotation @ moved.rotation.T)])
    expected = steps[:4000].T @ steps[:4000] / 4000
    np.testing.assert_allclose(
        np.cov(np.array(samples).T, bias=True), transform_covariance(expected, T), atol=2e-2 * np.abs(expected).max()
    )


def test_vector_products_are_those_of_numpy():
    rng = np.random.default_rng(5)
    one, other = rng.normal(size=(2, 4, 7, 3))
    np.testing.assert_array_equal(cross(one, other), np.cross(one, other))
    np.testing.assert_array_equal(cross(one[0], other[0, 0]), np.cross(one[0], other[0, 0]))


def test_many_rotations_are_those_made_one_by_one():
    rng = np.random.default_rng(6)
    vectors = rng.normal(size=(200, 3)) * np.geomspace(1e-12, 3.0, 200)[:, None]
    vectors[0] = 0.0
    expected = np.stack([so3_exp(vector) for vector in vectors])
    np.testing.assert_allclose(so3_exps(vectors), expected, rtol=0, atol=2e-15)
