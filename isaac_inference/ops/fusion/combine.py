# SPDX-License-Identifier: Apache-2.0
"""Several measurements of one pose become one, each as it is worth; and what their covariances do not say.

Errors are (x, y, z, rotation about the common frame's x, y, z), the rotation from the left, as of `geometry.rigid`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ops.geometry.symmetry import Symmetry, nearest
from isaac_inference.ops.pose.second_pose import difference

_ITERATIONS = 10
_CONVERGED = 1e-7  # m and rad


def combine(
    poses: Sequence[Pose], covariances: Sequence[np.ndarray], *, correlated: bool = False
) -> tuple[Pose, np.ndarray]:
    """The pose that fits several measurements best, and its covariance.

    Weighted least squares by the measurements' inverse covariances, their information, which add up; solved by
    Gauss-Newton with the rotation's error as a vector (T. D. Barfoot and P. T. Furgale, "Associating Uncertainty With
    Three-Dimensional Poses for Use in Estimation Problems", IEEE Transactions on Robotics 30(3), 2014, section V; here
    with position and rotation apart, as in `geometry_msgs/PoseWithCovariance`, and errors so small that the rotation's
    Jacobian is 1).

    `correlated` measurements, whose errors may partly be the same, are weighted by covariance intersection (S. J.
    Julier and J. K. Uhlmann, "A non-divergent estimation algorithm in the presence of unknown correlations", American
    Control Conference 1997), with weights in closed form (W. Niehsen, "Information fusion based on fast covariance
    intersection filtering", FUSION 2002): the covariance is then never better than correlation allows.

    Args:
        poses: of one object; of those that look alike the one that is meant, as by `nearest`.
        covariances: (6, 6) each, positive definite.
        correlated: whether errors may be the same.

    Example: two cameras that are equally sure of x meet in the middle, and the result is surer by the root of two.
        >>> poses = [Pose(np.eye(3), np.array([x, 0.0, 1.0])) for x in (0.0, 0.02)]
        >>> pose, covariance = combine(poses, [1e-4 * np.eye(6)] * 2)
        >>> float(pose.translation[0].round(6)), float(np.sqrt(covariance[0, 0]).round(5))
        (0.01, 0.00707)
        >>> pose, covariance = combine(poses, [1e-4 * np.eye(6)] * 2, correlated=True)
        >>> float(np.sqrt(covariance[0, 0]).round(5))
        0.01
    """
    if len(poses) == 1:
        return poses[0], covariances[0]
    information = [np.linalg.inv(covariance) for covariance in covariances]
    if correlated:
        spreads = np.array([1.0 / float(np.trace(part)) for part in covariances])
        information = [share * part for share, part in zip(spreads / spreads.sum(), information, strict=True)]
    total = np.sum(information, axis=0)
    covariance = np.linalg.inv(total)
    best = poses[int(np.argmax([np.trace(part) for part in information]))]
    for _ in range(_ITERATIONS):
        pulls = [part @ difference(best, pose) for part, pose in zip(information, poses, strict=True)]
        step = covariance @ np.sum(pulls, axis=0)
        best = Pose(so3_exp(step[3:]) @ best.rotation, best.translation + step[:3])
        if np.abs(step).max() < _CONVERGED:
            break
    return best, (covariance + covariance.T) / 2.0


def squared_distance(
    first: Pose, covariance: np.ndarray, second: Pose, other: np.ndarray, symmetries: Sequence[Symmetry] = ()
) -> float:
    """How far two poses of one object are apart, in squared standard deviations of that difference.

    Args:
        first, covariance: one of them, and its (6, 6).
        second, other: the other one.
        symmetries: of the object; the nearest of the poses that look alike counts.

    Example: a square box turned by a quarter looks the same.
        >>> turned = Pose(so3_exp((0, 0, np.pi / 2)), np.zeros(3))
        >>> apart = squared_distance(Pose.identity(), np.eye(6), turned, np.eye(6), [Symmetry('z', 4)])
        >>> round(apart, 6)
        0.0
    """
    apart = difference(first, nearest(second, first, symmetries))
    return float(apart @ np.linalg.solve(covariance + other, apart))


def calibration_covariance(place: np.ndarray, eye: np.ndarray | None, sigma_m: float, sigma_rad: float) -> np.ndarray:
    """The (6, 6) covariance that a camera's calibration adds to the poses that it measures.

    A camera that is turned by w about itself sees everything shifted by w x (place - eye).

    Args:
        place: (3,) m, of the object, in the common frame.
        eye: (3,) m, of the camera; None where that is not known: then a shift by rotation is not in it.
        sigma_m, sigma_rad: standard deviations of the camera's position and rotation, on each axis.

    Example: 2 mrad at 1 m are 2 mm to either side, and none along the view.
        >>> added = calibration_covariance(np.array([0, 0, 1.0]), np.zeros(3), 0.0, 0.002)
        >>> np.sqrt(added.diagonal()).round(4).tolist()
        [0.002, 0.002, 0.0, 0.002, 0.002, 0.002]
    """
    x, y, z = (0.0, 0.0, 0.0) if eye is None else (place - eye).tolist()
    lever = np.array(((0.0, z, -y), (-z, 0.0, x), (y, -x, 0.0)))  # lever @ w = w x (place - eye)
    added, square = np.zeros((6, 6)), sigma_rad**2
    added[:3, :3] = sigma_m**2 * np.eye(3) + square * lever @ lever.T
    added[:3, 3:] = square * lever
    added[3:, :3] = square * lever.T
    added[3:, 3:] = square * np.eye(3)
    return added
