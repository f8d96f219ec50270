# SPDX-License-Identifier: Apache-2.0
"""Two poses of one object that both fit, as the mirrored ones of a flat object do.

One message or estimate gives the more probable pose with a covariance that spans both, so that whoever looks at nothing
else isn't deceived; whoever can tell the two apart, such as a track, gets the parts back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.geometry.rigid import Pose, so3_log, transform_covariance


@dataclass(frozen=True, eq=False)
class SecondPose:
    """The less probable of two poses.

    Attributes:
        pose: in the frame of the first one; of a symmetric object's look-alikes the one nearest to the first.
        covariance: (6, 6) of (x, y, z, rotation about x, y, z), m and rad, about this pose alone.
        probability: that it is this one and not the first; 0 to 0.5.
    """

    pose: Pose
    covariance: np.ndarray
    probability: float


def either(first: Pose, covariance: np.ndarray, second: SecondPose) -> np.ndarray:
    """The (6, 6) second moment about the first pose when it may as well be the second.

    Args:
        first: the more probable pose.
        covariance: (6, 6) about it alone.
        second: the other.

    Example: with even odds for a turn by 2 rad, one is 1.4 rad off in the mean square.
        >>> second = SecondPose(Pose.from_quaternion((np.sin(1), 0, 0, np.cos(1))), np.zeros((6, 6)), 0.5)
        >>> round(float(np.sqrt(either(Pose.identity(), np.zeros((6, 6)), second)[3, 3])), 2)
        1.41
    """
    apart, p = difference(first, second.pose), second.probability
    return (1.0 - p) * covariance + p * (second.covariance + np.outer(apart, apart))


def first_alone(first: Pose, spanning: np.ndarray, second: SecondPose) -> np.ndarray:
    """What `either` was made from: the (6, 6) covariance about the first pose alone.

    What was not made so comes back as it is.

    Args:
        first: the more probable pose.
        spanning: (6, 6) of `either`.
        second: the other.

    Example: 0.01 m^2 about the first, and even odds that it is 2 m aside: 2.01 m^2 about either.
        >>> alone = 0.01 * np.eye(6)
        >>> second = SecondPose(Pose(np.eye(3), np.array([2.0, 0, 0])), alone, 0.5)
        >>> spanning = either(Pose.identity(), alone, second)
        >>> again = first_alone(Pose.identity(), spanning, second)
        >>> round(float(spanning[0, 0]), 6), round(float(again[0, 0]), 6)
        (2.01, 0.01)
    """
    apart, p = difference(first, second.pose), second.probability
    alone = (spanning - p * (second.covariance + np.outer(apart, apart))) / (1.0 - p)
    return alone if float(np.linalg.eigvalsh(alone)[0]) >= 0.0 else spanning


def difference(first: Pose, second: Pose) -> np.ndarray:
    """(6,) translation, and rotation from the left, that take the first pose to the second.

    Example:
        >>> difference(Pose.identity(), Pose.from_quaternion((0, 1, 0, 1), (0, 0, 1))).round(3).tolist()
        [0.0, 0.0, 1.0, 0.0, 1.571, 0.0]
    """
    return np.concatenate((second.translation - first.translation, so3_log(second.rotation @ first.rotation.T)))


def moved(second: SecondPose, T: Pose) -> SecondPose:
    """The same in another frame, by `T_target_source`.

    Example: a quarter turn about z takes 3 m along x, and what is uncertain about it, to y.
        >>> second = SecondPose(Pose(np.eye(3), np.array([3.0, 0, 0])), np.diag([0.04, 0, 0, 0, 0, 0]), 0.5)
        >>> turned = moved(second, Pose.from_quaternion((0, 0, 1, 1)))
        >>> round(float(turned.pose.translation[1]), 6), round(float(turned.covariance[1, 1]), 6)
        (3.0, 0.04)
    """
    return SecondPose(T @ second.pose, transform_covariance(second.covariance, T), second.probability)
