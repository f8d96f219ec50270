# SPDX-License-Identifier: Apache-2.0
"""What goes into fusion and what comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.geometry.symmetry import Symmetry
from isaac_inference.ops.pose.second_pose import SecondPose

_ROUNDING = 1e-6  # of a covariance's trace: asymmetry and negative variances up to this are rounding


@dataclass(frozen=True, eq=False)
class Sighting:
    """One object as one camera has measured it.

    Attributes:
        label: its class name.
        pose: T_common_object.
        covariance: (6, 6) of (x, y, z, rotation about the common frame's x, y, z), m and rad; of a pose with a second
            one it spans both.
        score: 0..1.
        size: (3,) extent along its axes, m.
        identity: the camera's own number of it; '' for none.
        symmetries: of its class.
        second: the other pose that it may be in; None where there is none.
        box_center: (3,) m in the object's frame, the middle of the box that `size` is of; None where that is its
            origin.
    """

    label: str
    pose: Pose
    covariance: np.ndarray
    score: float
    size: tuple[float, float, float]
    identity: str = ''
    symmetries: Sequence[Symmetry] = ()
    second: SecondPose | None = None
    box_center: np.ndarray | None = None

    @property
    def thickness(self) -> float:
        """Its smallest extent, m: two such objects are never nearer to each other than that."""
        return min(self.size)


@dataclass(frozen=True, eq=False)
class CameraView:
    """All that one camera has measured at one moment.

    Attributes:
        stamp_s: when.
        sightings: poses in the common frame.
        eye: (3,) m, where the camera is in the common frame; None where that is not known, so that a wrong rotation of
            its calibration is not accounted for.
    """

    stamp_s: float
    sightings: Sequence[Sighting]
    eye: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Fused:
    """One object as all cameras have measured it.

    Attributes:
        number: stays with the object.
        sighting: class, pose, covariance, score (the best one's) and size; `identity` is '', and of several cameras
            there is no second pose.
        streams: the cameras whose measurements are in it, by name.
    """

    number: int
    sighting: Sighting
    streams: tuple[str, ...]


@dataclass(frozen=True)
class Refusal:
    """Measurements that are not in what is given out.

    Attributes:
        reason: 'outlier' (one that the others outvote), 'contradiction' (no majority), 'unlike_before' (the only one,
            and far from where the object just was) or 'left_out' (of a camera whose calibration is wrong).
        streams: whose they are.
        text: a sentence with the size of the disagreement.
    """

    reason: str
    streams: tuple[str, ...]
    text: str


def checked_covariance(covariance: np.ndarray) -> np.ndarray:
    """A (6, 6) covariance, symmetric.

    Raises:
        FrameError: 'bad_covariance': it is not finite, not symmetric, or has a variance that is not above 0.

    Example:
        >>> checked_covariance(np.diag([1.0, 1, 1, 1, 1, -1]))
        Traceback (most recent call last):
            ...
        isaac_inference.errors.FrameError: covariance: the smallest of its six variances is -1, expected all above 0
    """
    if covariance.shape != (6, 6) or not np.isfinite(covariance).all():
        raise FrameError('bad_covariance', f'covariance: got {covariance.tolist()}, expected 6x6 finite numbers')
    largest = _ROUNDING * float(np.abs(covariance).max())
    if np.abs(covariance - covariance.T).max() > largest:
        raise FrameError('bad_covariance', f'covariance: not symmetric: {covariance.tolist()}')
    symmetric = (covariance + covariance.T) / 2.0
    least = float(np.linalg.eigvalsh(symmetric)[0])
    if least <= 0.0:
        raise FrameError(
            'bad_covariance', f'covariance: the smallest of its six variances is {least:.3g}, expected all above 0'
        )
    return np.asarray(symmetric)
