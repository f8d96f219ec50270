# SPDX-License-Identifier: Apache-2.0
"""Keypoints without jitter: the one-euro filter (Casiez, Roussel, Vogel, '1 Euro Filter: A Simple Speed-based Low-pass
Filter for Noisy Input in Interactive Systems', CHI 2012), of all keypoints of all tracks at once.

A first-order low-pass filter whose cutoff grows with the speed: at rest it takes the jitter away, in motion it hardly
lags. With the paper's names, for a step of T_e seconds:

    tau = 1 / (2 pi f_c)        alpha = 1 / (1 + tau / T_e)        x^ = alpha x + (1 - alpha) x^_before
    f_c = f_min + beta |dx^|    where dx^ is (x - x^_before) / T_e, low-pass filtered itself with the cutoff f_d

Two things are ours. Speeds are in sizes of the object a second, so that one setting serves near and far people and
images of any resolution. And one speed, that of the point, serves both its axes, so that a turned image gives the
turned answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.setting_ranges import require


@dataclass(frozen=True)
class OneEuroSettings:
    """How much keypoints are smoothed.

    Attributes:
        min_cutoff: cutoff frequency at rest, in Hz; a lower one takes more jitter away, and lags more.
        beta: by how many Hz a speed of one size a second raises it; a higher one lags less in motion.
        derivative_cutoff: cutoff frequency of the speed itself, in Hz.
        min_confidence: a keypoint below it is passed as it came, and says nothing about those to come.
        max_gap_s: a keypoint that was unsure, or unseen, for longer starts anew.

    Raises:
        ConfigError: a value outside its range.
    """

    min_cutoff: float = 1.0
    beta: float = 16.0
    derivative_cutoff: float = 2.0
    min_confidence: float = 0.3
    max_gap_s: float = 0.3

    def __post_init__(self) -> None:
        require(self, 'keypoint smoothing', ('beta',))
        require(self, 'keypoint smoothing', ('min_cutoff', 'derivative_cutoff', 'max_gap_s'), above=True)
        require(self, 'keypoint smoothing', ('min_confidence',), high=1.0)


class KeypointSmoother:
    """The keypoints of each track, over time. Starts empty.

    Example: what is at rest is smoothed, what is unsure is passed.
        >>> smoother = KeypointSmoother(OneEuroSettings(min_cutoff=1.0, beta=0.0))
        >>> first, then = (np.array([[[x, 0.0, 0.9], [x, 0.0, 0.1]]], np.float32) for x in (0.0, 8.0))
        >>> sizes = np.array([100.0])
        >>> smoother.update(0.0, [7], first, sizes)[0, :, 0].tolist()
        [0.0, 0.0]
        >>> smoother.update(1 / 30, [7], then, sizes)[0, :, 0].round(2).tolist()
        [1.3899999856948853, 8.0]
    """

    def __init__(self, settings: OneEuroSettings | None = None) -> None:
        self.settings = settings or OneEuroSettings()
        self.reset()

    def reset(self) -> None:
        """Forget everything, as time or the camera has jumped."""
        self._rows: dict[int, int] = {}  # of the arrays, by track
        self._points = self._speeds = np.empty((0, 0, 2))  # px; sizes a second
        self._seen_s = np.empty((0, 0))  # when each was sure; -inf: never

    def update(
        self, stamp_s: float, ids: Sequence[int], keypoints: np.ndarray, sizes: Sequence[float] | np.ndarray
    ) -> np.ndarray:
        """One frame.

        Args:
            stamp_s: when it was taken; a keypoint whose last stamp is not before it starts anew.
            ids: (N,) of the tracks, 0 for a row without one, which is passed as it came; none twice.
            keypoints: (N, K, 3) x, y in px and confidence. One that is not finite counts as unsure.
            sizes: (N,) px, of the objects, such as sqrt(width * height) of their boxes.

        Returns:
            (N, K, 3) of the same type: positions are smoothed, confidences are as they came. The same array where
            nothing is smoothed.

        Raises:
            FrameError: 'bad_keypoints', the shapes do not fit together.
        """
        sizes = np.asarray(sizes, np.float64)
        if keypoints.ndim != 3 or keypoints.shape[2] != 3 or not len(keypoints) == len(ids) == len(sizes):
            raise FrameError(
                'bad_keypoints',
                f'keypoints to smooth: got {keypoints.shape} for {len(ids)} tracks and {len(sizes)} sizes, expected '
                '(N, K, 3), N and N',
            )
        if self._seen_s.shape[1] != keypoints.shape[1]:  # another model's, of which nothing is known
            self.reset()
        tracked = [row for row, number in enumerate(ids) if number]
        if not tracked:
            return keypoints
        numbers = [ids[row] for row in tracked]
        points, speeds, seen_s = self._known(stamp_s, numbers, keypoints.shape[1])
        measured = keypoints[tracked].astype(np.float64)
        found, confidences = measured[..., :2], measured[..., 2]
        with np.errstate(invalid='ignore'):
            is_sure = (confidences >= self.settings.min_confidence) & np.isfinite(found).all(axis=2)
        step_s = stamp_s - seen_s
        goes_on = is_sure & (step_s > 0.0) & (step_s <= self.settings.max_gap_s)
        begins = is_sure & ~goes_on
        points[begins], speeds[begins] = found[begins], 0.0
        if goes_on.any():
            size = np.broadcast_to(np.maximum(sizes[tracked], 1.0)[:, None], goes_on.shape)[goes_on]
            points[goes_on], speeds[goes_on] = self._filtered(
                points[goes_on], speeds[goes_on], found[goes_on], step_s[goes_on], size
            )
        seen_s[is_sure] = stamp_s
        self._keep(stamp_s, numbers, points, speeds, seen_s)
        smooth = keypoints.copy()
        smooth[tracked, :, :2] = np.where(is_sure[..., None], points, found)
        return smooth

    def _filtered(
        self, before: np.ndarray, speeds: np.ndarray, found: np.ndarray, step_s: np.ndarray, sizes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The formulas of this file, of M points: positions (M, 2) px, speeds (M, 2), steps (M,) and sizes (M,)."""
        chosen = self.settings
        speed = (found - before) / (step_s * sizes)[:, None]
        speed = speeds + _alpha(chosen.derivative_cutoff, step_s)[:, None] * (speed - speeds)
        cutoff = chosen.min_cutoff + chosen.beta * np.hypot(speed[:, 0], speed[:, 1])
        return before + _alpha(cutoff, step_s)[:, None] * (found - before), speed

    def _known(self, stamp_s: float, numbers: Sequence[int], count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(M, K, 2) points and speeds and (M, K) stamps of these tracks; of new ones nothing is known."""
        points, speeds = np.zeros((2, len(numbers), count, 2))
        seen_s = np.full((len(numbers), count), -np.inf)
        known = [(row, self._rows[number]) for row, number in enumerate(numbers) if number in self._rows]
        if known:
            here, there = (list(rows) for rows in zip(*known, strict=True))
            points[here], speeds[here], seen_s[here] = self._points[there], self._speeds[there], self._seen_s[there]
        return points, speeds, seen_s

    def _keep(
        self, stamp_s: float, numbers: Sequence[int], points: np.ndarray, speeds: np.ndarray, seen_s: np.ndarray
    ) -> None:
        """These, and those of before that are not among them and may still go on."""
        given, oldest_s = set(numbers), stamp_s - self.settings.max_gap_s
        others = [
            (number, row)
            for number, row in self._rows.items()
            if number not in given and self._seen_s[row].max(initial=-np.inf) >= oldest_s
        ]
        rows = [row for _, row in others]
        self._rows = {number: row for row, number in enumerate([*numbers, *(number for number, _ in others)])}
        if rows:
            points, speeds, seen_s = (
                np.concatenate((new, old[rows]))
                for new, old in ((points, self._points), (speeds, self._speeds), (seen_s, self._seen_s))
            )
        self._points, self._speeds, self._seen_s = points, speeds, seen_s


def _alpha(cutoff: float | np.ndarray, step_s: np.ndarray) -> np.ndarray:
    """Weight of the new value."""
    turn = 2.0 * np.pi * cutoff * step_s
    return np.asarray(turn / (turn + 1.0))
