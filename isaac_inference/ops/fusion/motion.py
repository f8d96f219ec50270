# SPDX-License-Identifier: Apache-2.0
"""How far an object may have moved between two measurements: as fast as it was seen to move, not as any might."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from isaac_inference.ops.fusion.settings import FusionSettings
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.pose.second_pose import difference

_WEIGHT = 0.25  # of the newest step in the mean velocity
_FORGOTTEN = 0.5  # of what any object might do, with each step that was seen
_LEAST = (0.01, 0.05)  # m/s and rad/s: what rests may have begun to move


def motion_covariance(elapsed_s: float, speed: float, turn_speed: float) -> np.ndarray:
    """The (6, 6) covariance of how far an object may have moved.

    Args:
        elapsed_s: since when.
        speed, turn_speed: standard deviations of its speeds, m/s and rad/s.

    Example: at 0.2 m/s for a tenth of a second.
        >>> float(np.sqrt(motion_covariance(0.1, 0.2, 1.0)[0, 0]).round(6))
        0.02
    """
    return np.diag(np.repeat(((speed * elapsed_s) ** 2, (turn_speed * elapsed_s) ** 2), 3))


@dataclass(eq=False)
class Motion:
    """The mean velocity of one object, and how fast it may be.

    Attributes:
        settings: how fast an object may be of which nothing is known.
        velocity: (6,) of its position in m/s, and of its rotation from the left in rad/s.
        steps: that were seen of it.
    """

    settings: FusionSettings
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(6))
    steps: int = 0

    def step(self, before: Pose, now: Pose, elapsed_s: float) -> None:
        """It was at one pose and is at another; of those that look alike the nearest."""
        if elapsed_s <= 0.0:
            return
        share = max(_WEIGHT, 1.0 / (self.steps + 1))
        self.velocity = (1.0 - share) * self.velocity + share * difference(before, now) / elapsed_s
        self.steps += 1

    def covariance(self, elapsed_s: float) -> np.ndarray:
        """The (6, 6) covariance of how far it may have moved.

        Example: what has rested for long may be 1 mm off after a tenth of a second, and anything else 20 mm.
            >>> motion = Motion(FusionSettings())
            >>> float(np.sqrt(motion.covariance(0.1)[0, 0]).round(4))
            0.02
            >>> for _ in range(10):
            ...     motion.step(Pose.identity(), Pose.identity(), 0.1)
            >>> float(np.sqrt(motion.covariance(0.1)[0, 0]).round(4))
            0.001
        """
        any_part = _FORGOTTEN**self.steps
        speeds = [
            max(float(np.linalg.norm(part)) + least, any_part * any_speed)
            for part, least, any_speed in zip(
                (self.velocity[:3], self.velocity[3:]),
                _LEAST,
                (self.settings.speed, self.settings.turn_speed),
                strict=True,
            )
        ]
        return motion_covariance(elapsed_s, *speeds)
