# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms: positions, rotations and their uncertainty.

A transform `T_a_b` takes coordinates in frame b to coordinates in frame a. Metres, radians, float64,
quaternions as (x, y, z, w). Rotations are perturbed from the left, `R = so3_exp(w) @ R0`: the fixed-axis
rotation that `geometry_msgs/PoseWithCovariance` means, with w in the outer frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import FrameError

# A matrix further from a rotation than this is an error of its author; float32 rounding is 1e-6.
ORTHONORMAL_TOLERANCE = 1e-3
_SMALL_ANGLE = 1e-6  # rad; below it the series is exact to rounding
_ONES = np.ones(3)


@dataclass(frozen=True, eq=False)
class Pose:
    """A rigid transform `T_a_b`: `point_a = rotation @ point_b + translation`.

    The plain constructor checks shapes only; `from_matrix` and `from_quaternion` check values too.

    Attributes:
        rotation: (3, 3) float64, orthonormal with determinant 1; its columns are b's axes seen in a.
        translation: (3,) float64 in metres; b's origin seen in a.

    Raises:
        FrameError: 'bad_pose', for other shapes.

    Example: a quarter turn about z takes x to y, then the point is shifted.
        >>> T_a_b = Pose(so3_exp((0, 0, np.pi / 2)), np.array([10.0, 0.0, 0.0]))
        >>> T_a_b.apply(np.array([[1.0, 0.0, 0.0]])).round(6).tolist()
        [[10.0, 1.0, 0.0]]
        >>> np.allclose((T_a_b.inverse() @ T_a_b).matrix(), np.eye(4))
        True
    """

    rotation: np.ndarray
    translation: np.ndarray

    def __post_init__(self) -> None:
        if self.rotation.shape != (3, 3) or self.translation.shape != (3,):
            raise _bad_pose(
                f'got rotation {self.rotation.shape} and translation {self.translation.shape}, expected (3, 3) and (3,)'
            )

    @classmethod
    def identity(cls) -> Pose:
        """The transform that changes nothing."""
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def from_matrix(cls, matrix: np.ndarray) -> Pose:
        """From a (4, 4) homogeneous matrix of any real dtype; rounding errors in the rotation are removed.

        Raises:
            FrameError: 'bad_pose', when it is not finite, not rigid or a mirror image.
        """
        matrix = np.asarray(matrix, np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise _bad_pose(f'got a matrix {matrix.shape}: {matrix.tolist()}, expected (4, 4) finite numbers')
        if np.abs(matrix[3] - (0.0, 0.0, 0.0, 1.0)).max() > ORTHONORMAL_TOLERANCE:
            raise _bad_pose(f'got last row {matrix[3].tolist()}, expected 0, 0, 0, 1; is the matrix transposed?')
        rotation = matrix[:3, :3]
        error = np.abs(rotation.T @ rotation - np.eye(3)).max()
        if error > ORTHONORMAL_TOLERANCE or np.linalg.det(rotation) < 0.0:
            raise _bad_pose(
                f'got a 3x3 part {rotation.tolist()} that scales, shears or mirrors, expected a rotation; '
                f'remove the scale first'
            )
        left, _, right = np.linalg.svd(rotation)
        return cls(left @ right, matrix[:3, 3].copy())

    @classmethod
    def from_quaternion(
        cls, xyzw: np.ndarray | Sequence[float], translation: np.ndarray | Sequence[float] = (0.0, 0.0, 0.0)
    ) -> Pose:
        """From a quaternion (x, y, z, w) of any length above zero, and a translation in metres.

        Raises:
            FrameError: 'bad_pose', when something is not finite or the quaternion is zero, as in an unset message.
        """
        # numbers, not arrays: this runs for every object of every message
        quaternion, offset = [float(value) for value in xyzw], [float(value) for value in translation]
        if len(quaternion) != 4 or len(offset) != 3:
            raise _bad_pose(f'got quaternion {quaternion} and translation {offset}, expected 4 and 3 numbers')
        length = math.hypot(*quaternion)
        if not (ORTHONORMAL_TOLERANCE < length < math.inf and all(map(math.isfinite, offset))):
            raise _bad_pose(
                f'got quaternion {quaternion} and translation {offset}, expected finite numbers and '
                f'a quaternion that is not zero; the identity is (0, 0, 0, 1)'
            )
        x, y, z, w = quaternion
        x, y, z, w = x / length, y / length, z / length, w / length
        rotation = (
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        )  # fmt: skip
        return cls(np.array(rotation).reshape(3, 3), np.array(offset))

    def matrix(self) -> np.ndarray:
        """The (4, 4) float64 homogeneous matrix."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.rotation
        matrix[:3, 3] = self.translation
        return matrix

    def quaternion(self) -> np.ndarray:
        """The rotation as a (4,) float64 unit quaternion (x, y, z, w) with w >= 0."""
        return np.array(self.quaternion_numbers())

    def quaternion_numbers(self) -> tuple[float, float, float, float]:
        """The same as plain numbers, for messages."""
        (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = self.rotation.tolist()
        return _quaternion_numbers(xx, xy, xz, yx, yy, yz, zx, zy, zz)

    def inverse(self) -> Pose:
        """`T_b_a` of this `T_a_b`."""
        return Pose(self.rotation.T, -self.rotation.T @ self.translation)

    def __matmul__(self, other: Pose) -> Pose:
        """`T_a_b @ T_b_c` is `T_a_c`."""
        return Pose(self.rotation @ other.rotation, self.rotation @ other.translation + self.translation)

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Coordinates in b to coordinates in a; points (N, 3) in metres, returns (N, 3)."""
        return points @ self.rotation.T + self.translation


def so3_exp(rotation_vector: np.ndarray | Sequence[float]) -> np.ndarray:
    """The (3, 3) rotation about the vector's direction by its length in radians (Rodrigues' formula).

    Example: a quarter turn about z.
        >>> so3_exp((0, 0, np.pi / 2)).round().astype(int).tolist()
        [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    """
    x, y, z = rotation_vector
    return np.array(so3_exp_numbers(float(x), float(y), float(z))).reshape(3, 3)


def so3_exp_numbers(x: float, y: float, z: float) -> tuple[float, ...]:
    """`so3_exp` of a vector's components: the nine numbers of the rotation, row by row.

    Example:
        >>> [round(value) for value in so3_exp_numbers(0, 0, np.pi / 2)]
        [0, -1, 0, 1, 0, 0, 0, 0, 1]
    """
    square = x * x + y * y + z * z
    angle = math.sqrt(square)
    if angle < _SMALL_ANGLE:
        a, b = 1.0, 0.5
    else:
        a, b = math.sin(angle) / angle, (1.0 - math.cos(angle)) / square
    # Written out: this runs in every step of a refinement, where the overhead of small arrays dominates.
    return (
        1.0 - b * (y * y + z * z), b * x * y - a * z, b * x * z + a * y,
        b * x * y + a * z, 1.0 - b * (x * x + z * z), b * y * z - a * x,
        b * x * z - a * y, b * y * z + a * x, 1.0 - b * (x * x + y * y),
    )  # fmt: skip


def so3_exps(rotation_vectors: np.ndarray) -> np.ndarray:
    """`so3_exp` of many at once: (N, 3, 3) of (N, 3).

    Example: a quarter turn about z, and none.
        >>> so3_exps(np.array([[0, 0, np.pi / 2], [0, 0, 0]])).round().astype(int)[:, 0].tolist()
        [[0, -1, 0], [1, 0, 0]]
    """
    x, y, z = rotation_vectors.T
    halves = 0.5 * np.sqrt(x * x + y * y + z * z)
    np.maximum(halves, 1e-20, out=halves)
    # the quaternion; sin(a / 2) / a times the vector
    w, share = np.cos(halves), 0.5 * np.sin(halves) / halves
    x, y, z = share * x, share * y, share * z
    xx, yy, zz, xy, xz, yz, wx, wy, wz = x * x, y * y, z * z, x * y, x * z, y * z, w * x, w * y, w * z
    half = np.empty((9, len(rotation_vectors)))  # of the rotations less 1
    half[0], half[1], half[2] = -yy - zz, xy - wz, xz + wy
    half[3], half[4], half[5] = xy + wz, -xx - zz, yz - wx
    half[6], half[7], half[8] = xz - wy, yz + wx, -xx - yy
    half += half
    half[::4] += 1.0
    return half.T.reshape(-1, 3, 3)


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Vector products of (..., 3) with (..., 3); of a few hundred in a fifth of the time of `np.cross`.

    Example:
        >>> cross(np.array([[1.0, 0, 0]]), np.array([[0, 1.0, 0], [0, 0, 1.0]])).tolist()
        [[0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]
    """
    ax, ay, az, bx, by, bz = a[..., 0], a[..., 1], a[..., 2], b[..., 0], b[..., 1], b[..., 2]
    x = ay * bz - az * by
    product = np.empty((*x.shape, 3))
    product[..., 0], product[..., 1], product[..., 2] = x, az * bx - ax * bz, ax * by - ay * bx
    return product


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,) scalar products of (N, 3) with (N, 3), float64; of a few hundred in a third of the time of `np.einsum`.

    Example:
        >>> dot(np.array([[1.0, 2, 3], [0, 0, 1]]), np.array([[1.0, 1, 1], [0, 5, 2]])).tolist()
        [6.0, 2.0]
    """
    return np.asarray((a * b).dot(_ONES))


def so3_log(rotation: np.ndarray) -> np.ndarray:
    """The (3,) rotation vector of a rotation, its length in [0, pi]; exact up to and including half a turn.

    Example: a quarter turn about z.
        >>> so3_log(np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])).round(4).tolist()
        [0.0, 0.0, 1.5708]
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation.tolist()
    return np.array(so3_log_numbers(xx, xy, xz, yx, yy, yz, zx, zy, zz))


def so3_log_numbers(
    xx: float, xy: float, xz: float, yx: float, yy: float, yz: float, zx: float, zy: float, zz: float
) -> tuple[float, float, float]:
    """`so3_log` of a rotation's nine numbers, row by row.

    Example: a quarter turn about z.
        >>> [round(value, 4) for value in so3_log_numbers(0, -1, 0, 1, 0, 0, 0, 0, 1)]
        [0.0, 0.0, 1.5708]
    """
    x, y, z, w = _quaternion_numbers(xx, xy, xz, yx, yy, yz, zx, zy, zz)
    sine = math.sqrt(x * x + y * y + z * z)
    scale = 2.0 if sine < _SMALL_ANGLE else 2.0 * math.atan2(sine, w) / sine
    return x * scale, y * scale, z * scale


def rotation_angle(rotation: np.ndarray) -> float:
    """The angle of a (3, 3) rotation in radians, in [0, pi].

    Example:
        >>> round(float(np.degrees(rotation_angle(so3_exp((0, 0.5, 0)) @ so3_exp((0, 0.25, 0))))), 2)
        42.97
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation.tolist()
    return math.hypot(*so3_log_numbers(xx, xy, xz, yx, yy, yz, zx, zy, zz))


def transform_covariance(covariance: np.ndarray, T: Pose) -> np.ndarray:
    """The covariance of a pose that is expressed in another frame by `T_target_source`.

    Both halves refer to the posed object's own origin, so they are only rotated; the position of the target frame does
    not matter. T itself is taken as exact.

    Args:
        covariance: (6, 6) of (x, y, z, rotation about x, y, z), in the source frame; m^2, m rad, rad^2.
        T: `T_target_source`.

    Returns:
        (6, 6) in the target frame.

    Example: a quarter turn about z exchanges the variances of x and y.
        >>> quarter = Pose(so3_exp((0, 0, np.pi / 2)), np.ones(3))
        >>> transform_covariance(np.diag([1.0, 4, 9, 1, 4, 9]), quarter).diagonal().round(6).tolist()
        [4.0, 1.0, 9.0, 4.0, 1.0, 9.0]
    """
    turn = np.zeros((6, 6))
    turn[:3, :3] = turn[3:, 3:] = T.rotation
    return turn @ covariance @ turn.T


def _quaternion_numbers(
    xx: float, xy: float, xz: float, yx: float, yy: float, yz: float, zx: float, zy: float, zz: float
) -> tuple[float, float, float, float]:
    """A rotation's unit quaternion x, y, z, w with w >= 0."""
    # Four times the squares of x, y, z, w; dividing by the largest loses no precision (Shepperd's method).
    squares = 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz, 1 + xx + yy + zz
    largest = squares.index(max(squares))
    # row i is 4 * q[i] * q, so any row points along q
    if largest == 3:
        row = (zy - yz, xz - zx, yx - xy, squares[3])
    elif largest == 0:
        row = (squares[0], xy + yx, xz + zx, zy - yz)
    elif largest == 1:
        row = (xy + yx, squares[1], yz + zy, xz - zx)
    else:
        row = (xz + zx, yz + zy, squares[2], yx - xy)
    x, y, z, w = row
    length = math.sqrt(x * x + y * y + z * z + w * w)
    if w < 0.0:
        length = -length
    return x / length, y / length, z / length, w / length


def _bad_pose(what: str) -> FrameError:
    return FrameError('bad_pose', f'pose: {what}')
