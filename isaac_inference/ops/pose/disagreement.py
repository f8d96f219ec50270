# SPDX-License-Identifier: Apache-2.0
"""Two estimates of one object's pose that differ by more than both covariances allow."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.pose.second_pose import difference

LIMIT = 16.8
"""Squared standard deviations in six dimensions that one pair of right estimates in a hundred exceeds (chi-squared)."""
_USUAL = 6.0  # what they are on average


class Disagreement(NamedTuple):
    """How far a second estimate is from a first one.

    Attributes:
        shift: (6,) from the first to the second: metres, then radians about the camera's axes.
        squares: the same in squared standard deviations of both together.
    """

    shift: np.ndarray
    squares: float

    @property
    def is_significant(self) -> bool:
        """Whether one of the two covariances is too small."""
        return self.squares > LIMIT

    def spanned(self, covariance: np.ndarray) -> np.ndarray:
        """(6, 6): the first estimate's covariance, widened until it covers the second where they disagree.

        It grows from a usual difference on, so that it does not jump from frame to frame.
        """
        if self.squares <= _USUAL:
            return covariance
        widened: np.ndarray = covariance + (1.0 - _USUAL / self.squares) * np.outer(self.shift, self.shift)
        return widened


def disagreement(first: Pose, covariance: np.ndarray, second: Pose, other_covariance: np.ndarray) -> Disagreement:
    """Compares two estimates.

    Args:
        first, second: T_camera_object each; of a symmetric object the ones that are nearest to each other.
        covariance, other_covariance: (6, 6) of each: translation, then fixed-axis rotation, camera frame.

    Example: 16 mm apart along the line of sight, with 3 and 2 mm; the first one's 3 mm grow to 14.
        >>> near, far = (Pose(np.eye(3), np.array([0, 0, z])) for z in (0.8, 0.816))
        >>> sure, surer = (np.diag(np.repeat((size**2, 0.01**2), 3)) for size in (0.003, 0.002))
        >>> found = disagreement(near, sure, far, surer)
        >>> found.is_significant, round(float(np.sqrt(found.spanned(sure)[2, 2])), 3)
        (True, 0.014)
    """
    shift = difference(first, second)
    return Disagreement(shift, float(shift @ np.linalg.solve(covariance + other_covariance, shift)))
