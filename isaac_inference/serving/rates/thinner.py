# SPDX-License-Identifier: Apache-2.0
"""Thins a stream of frames evenly: at 30 Hz every third for 10 Hz, two of three for 20 Hz."""

from __future__ import annotations

from collections import deque

import numpy as np

_GAPS = 60  # between frames, from which the input's interval is taken
_LOST = 0.3  # a gap of 1.7 intervals is one with a lost frame, and no jitter
_PAUSE_NS = 1_000_000_000  # a longer gap, and of more than two periods, is a pause and no interval
_PULL = 0.1  # of a stamp on the steady time: what is left of its jitter
_ORDERLY = 2  # stamps after one that does not go on, which must do so before they are gone by again
_EARLY = (
    0.25  # of an interval by which a frame may come before it is due: of 30 Hz, every one for 20 Hz is 0 or 0.5 early
)


class Thinner:
    """Takes the frames nearest to evenly spaced times.

    It goes by the frames' stamps, whose spacing is the camera's, not by their arrival, whose is that of the network;
    and by these freed of their jitter, so that it does not decide which frame is taken. After a pause the spacing
    begins anew, and so it does with a stamp that does not go on; of frames with such stamps, as from a clock of whole
    seconds, none is taken that arrives too soon after the last one.
    """

    def __init__(self) -> None:
        self._gaps: deque[int] = deque(maxlen=_GAPS)
        self._last_ns = self._taken_ns = 0
        self._orderly = _ORDERLY  # stamps that went on, since the last that did not
        self._steady_ns = self._due_ns = 0.0
        self._rate_hz = 0.0
        self._is_settled = False

    def takes(self, stamp_ns: int, max_rate_hz: float, arrived_ns: int = 0) -> bool:
        """Whether to take the next frame.

        Args:
            stamp_ns: of the camera, ns.
            max_rate_hz: frames a second to take at most; 0 takes all. A change counts from this frame on.
            arrived_ns: when it arrived, ns; 0 where that is not known.
        """
        if max_rate_hz <= 0.0:
            self._rate_hz = 0.0
            return True
        gap_ns, self._last_ns = stamp_ns - self._last_ns, stamp_ns
        period_ns = 1e9 / max_rate_hz
        goes_on = 0 < gap_ns <= max(_PAUSE_NS, 2 * period_ns)
        is_too_soon = self._taken_ns > 0 and 0 < arrived_ns - self._taken_ns < (1.0 - _EARLY) * period_ns
        self._orderly = 0 if gap_ns <= 0 or (is_too_soon and not goes_on) else self._orderly + 1
        if self._orderly < _ORDERLY and is_too_soon and max_rate_hz == self._rate_hz:
            return False
        if not goes_on or max_rate_hz != self._rate_hz:
            self._rate_hz, self._taken_ns = max_rate_hz, arrived_ns
            self._steady_ns = stamp_ns
            self._due_ns = stamp_ns + period_ns
            self._gaps.clear()
            self._is_settled = False
            return True
        interval_ns = self._advance(stamp_ns, gap_ns)
        if self._due_ns - self._steady_ns > _EARLY * interval_ns:
            return False
        is_behind = self._steady_ns - self._due_ns >= period_ns  # of a rate above the camera's, or after lost frames
        has_settled = not self._is_settled and len(self._gaps) == _GAPS  # until now it was counted from a first stamp
        self._is_settled |= has_settled
        self._taken_ns = arrived_ns
        self._due_ns = (self._steady_ns if is_behind or has_settled else self._due_ns) + period_ns
        return True

    def _advance(self, stamp_ns: int, gap_ns: int) -> float:
        """Go on with the steady time to the frame of a stamp; the input's interval, ns."""
        self._gaps.append(gap_ns)
        gaps = np.array(self._gaps, float)
        in_each = np.maximum(np.floor(gaps / np.median(gaps) + _LOST), 1.0)  # intervals
        interval_ns = float(gaps.sum() / in_each.sum())
        self._steady_ns += max(1, round((stamp_ns - self._steady_ns) / interval_ns)) * interval_ns
        self._steady_ns += _PULL * (stamp_ns - self._steady_ns)
        return interval_ns
