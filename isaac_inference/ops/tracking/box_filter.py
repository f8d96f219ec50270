# SPDX-License-Identifier: Apache-2.0
"""How boxes move: a constant-velocity Kalman filter on (cx, cy, w, h) for many boxes at once.

The four coordinates are filtered independently, each with a position and a velocity; all noise is relative to the box's
own size, so that near and far objects, and images of any resolution, are treated alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_MIN_SIZE = 1.0  # px; a shrinking box that is only predicted must keep an area


@dataclass(frozen=True)
class BoxFilterSettings:
    """How boxes move and how well they are measured; a size is sqrt(width * height).

    Attributes:
        measurement: standard deviation of a detected centre, width or height, in sizes.
        acceleration: spectral density of the centre's acceleration, in sizes / s^1.5.
        resizing: the same of width and height.
        initial_velocity: standard deviation of the unknown velocity of a new box, in sizes / s.
        coast_s: time in which the velocity of an undetected box falls to 1/e, in s: it was only estimated, and without
            measurements its error grows without bound.
    """

    measurement: float = 0.05
    acceleration: float = 3.0
    resizing: float = 0.5
    initial_velocity: float = 3.0
    coast_s: float = 0.2


class BoxFilter:
    """The states of N boxes, row by row. Starts empty.

    Example: a box that has moved by 10 px in 0.1 s is expected another 10 px further.
        >>> boxes = BoxFilter(BoxFilterSettings(measurement=1e-6))
        >>> boxes.append(np.array([[0.0, 0, 20, 20]]))
        >>> boxes.predict(0.1, coasting=np.array([False]))
        >>> boxes.correct(np.array([0]), np.array([[10.0, 0, 30, 20]]))
        >>> boxes.predict(0.1, coasting=np.array([False]))
        >>> boxes.boxes().round().tolist()
        [[20.0, 0.0, 40.0, 20.0]]
    """

    def __init__(self, settings: BoxFilterSettings | None = None) -> None:
        self._settings = chosen = settings or BoxFilterSettings()
        self._process = np.array((chosen.acceleration,) * 2 + (chosen.resizing,) * 2) ** 2
        # cx, cy, w, h in px; their velocities in px/s; the variances of positions, of both together, of velocities
        self._state: np.ndarray = np.empty((5, 0, 4))

    def __len__(self) -> int:
        return self._state.shape[1]

    def boxes(self) -> np.ndarray:
        """(N, 4), (x_min, y_min, x_max, y_max) in px."""
        mean = self._state[0]
        half = mean[:, 2:] / 2
        return np.concatenate((mean[:, :2] - half, mean[:, :2] + half), axis=1)

    def predict(self, step_s: float, coasting: np.ndarray) -> None:
        """Predict all boxes `step_s` >= 0 ahead; those in `coasting` (N,) bool slow down."""
        mean, motion, position, both, velocity = self._state
        decay, reach = self._coasted(step_s, coasting) if np.count_nonzero(coasting) else (1.0, step_s)
        mean += reach * motion
        np.maximum(mean[:, 2:], _MIN_SIZE, out=mean[:, 2:])
        noise = _square(mean) * self._process
        turned = reach * velocity  # what both have of the velocity
        position += reach * (both + both + turned) + noise * (step_s**3 / 3)
        both += turned
        if not isinstance(decay, float):
            motion *= decay
            both *= decay
            velocity *= decay**2
        both += noise * (step_s**2 / 2)
        velocity += noise * step_s

    def _coasted(self, step_s: float, coasting: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, 1) factor of each velocity after a step, and its integral over the step in s."""
        tau = self._settings.coast_s
        left = np.exp(-step_s / tau)
        return np.where(coasting, left, 1.0)[:, None], np.where(coasting, tau * (1.0 - left), step_s)[:, None]

    def correct(self, rows: np.ndarray, boxes: np.ndarray) -> None:
        """Take in detections: boxes (P, 4) corners in px of P different rows."""
        mean, motion, position, both, velocity = state = self._state[:, rows]
        innovation = _centred(boxes) - mean
        total = position + _square(mean) * self._settings.measurement**2
        gain, gain_velocity = position / total, both / total
        mean += gain * innovation
        np.maximum(mean[:, 2:], _MIN_SIZE, out=mean[:, 2:])
        motion += gain_velocity * innovation
        velocity -= gain_velocity * both
        rest = 1 - gain
        position *= rest
        both *= rest
        self._state[:, rows] = state

    def append(self, boxes: np.ndarray) -> None:
        """New rows at the end, at rest; boxes (P, 4) corners in px."""
        chosen = self._settings
        new = np.zeros((5, len(boxes), 4))
        new[0] = _centred(boxes)
        square = _square(new[0])
        new[2], new[4] = square * chosen.measurement**2, square * chosen.initial_velocity**2
        self._state = np.concatenate((self._state, new), axis=1)

    def keep(self, rows: np.ndarray) -> None:
        """Keep these rows only; (N,) bool or indices."""
        self._state = self._state[:, rows]


def _centred(boxes: np.ndarray) -> np.ndarray:
    size = boxes[:, 2:] - boxes[:, :2]
    return np.concatenate((boxes[:, :2] + size / 2, np.maximum(size, _MIN_SIZE)), axis=1)


def _square(mean: np.ndarray) -> np.ndarray:
    """(N, 1) px^2, of the size."""
    return mean[:, 2:3] * mean[:, 3:]
