# SPDX-License-Identifier: Apache-2.0
"""Whether a pipeline gives out the frames a second that it should, and who holds them up where it does not."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

ENOUGH = 0.8  # of the target; below it is too slow
_BUSY = 0.6  # share of its time that a stage that loses frames has one, where it is its own work that loses them
_SOME_LOST = 1.5  # times the usual gap between stamps that the mean is
_IRREGULAR = 0.15  # of the usual gap by which stamps lie beside its multiples
_REPEATED = 8  # latest frames among which a second word of one is looked for
_S = 1e9


@dataclass(frozen=True)
class RateReport:
    """What is to be said of the rate.

    Attributes:
        rate_hz: of the output.
        bottleneck: 'camera', 'transport', 'max_rate_hz' or a stage; '' where the rate is enough.
        text: in words; '' where the rate is enough, or the window has not passed yet.
    """

    rate_hz: float
    bottleneck: str = ''
    text: str = ''


@dataclass
class _Place:
    """Frames that a place has had in the window: when each was told of, its stamp, and how long it took, ns."""

    frames: deque[tuple[int, int, int]] = field(default_factory=deque)


class RateGuard:
    """Counts the frames of each place over a sliding window. Not thread-safe.

    Args:
        stages: in the order of the data; the last one is the output.
        window_s: over which frames are counted.
        now_ns: of a clock that does not jump; so is every `now_ns` below.
    """

    def __init__(self, stages: Sequence[str], window_s: float, now_ns: int) -> None:
        self._stages = tuple(stages)
        self._window_ns = int(window_s * _S)
        self._camera, self._thinned = _Place(), _Place()
        self._places = {name: _Place() for name in stages}
        self._since_ns = now_ns

    def published(self, stamp_ns: int, now_ns: int) -> None:
        """The camera has published a frame."""
        self._camera.frames.append((now_ns, stamp_ns, 0))

    def thinned(self, stamp_ns: int, now_ns: int) -> None:
        """A frame was left out on purpose."""
        self._thinned.frames.append((now_ns, stamp_ns, 0))

    def passed(self, stage: str, stamp_ns: int, busy_ns: int, now_ns: int) -> None:
        """A stage has given out a frame that it had for `busy_ns`. A second word of that frame counts no more."""
        frames = self._places[stage].frames
        if all(stamp_ns != stamp for _, stamp, _ in itertools.islice(reversed(frames), _REPEATED)):
            frames.append((now_ns, stamp_ns, busy_ns))

    def restart(self, now_ns: int) -> None:
        """Count from now on."""
        for place in (self._camera, self._thinned, *self._places.values()):
            place.frames.clear()
        self._since_ns = now_ns

    def report(self, target_hz: float, now_ns: int) -> RateReport:
        """The output's rate, and what is wrong with it; `target_hz`: 0 asks for nothing."""
        for place in (self._camera, self._thinned, *self._places.values()):
            while place.frames and place.frames[0][0] <= now_ns - self._window_ns:
                place.frames.popleft()
        rate = self._rate(self._places[self._stages[-1]], now_ns)
        is_young = now_ns - self._since_ns < self._window_ns
        if target_hz <= 0.0 or is_young or rate >= ENOUGH * target_hz:
            return RateReport(rate)
        name, why = self._bottleneck(target_hz, now_ns)
        return RateReport(
            rate,
            name,
            f'{rate:.1f} of {target_hz:g} frames per second come out (target_rate_hz), over '
            f'{self._window_ns / _S:g} s; bottleneck: {name}: {why}',
        )

    def _rate(self, place: _Place, now_ns: int) -> float:
        seconds = min(self._window_ns, max(now_ns - self._since_ns, 1)) / _S
        return len(place.frames) / seconds

    def _bottleneck(self, target_hz: float, now_ns: int) -> tuple[str, str]:
        """The place that loses the most frames of those that reach it and are wanted, and why it does."""
        camera = self._rate(self._camera, now_ns) if self._camera.frames else target_hz
        losses, reach = [(target_hz - camera, -1)], min(camera, target_hz)
        for index, stage in enumerate(self._stages):
            rate = self._rate(self._places[stage], now_ns)
            losses.append((reach - rate, index))
            reach = min(reach, rate)
        _, index = max(losses)
        if index < 0:
            return 'camera', f'it publishes {camera:.1f} frames per second'
        stage = self._stages[index]
        place, rate = self._places[stage], self._rate(self._places[stage], now_ns)
        thinned = self._rate(self._thinned, now_ns)
        if index == 0 and rate + thinned >= ENOUGH * target_hz:
            return 'max_rate_hz', f'{stage} leaves out {thinned:.1f} frames per second, as it is told to'
        busy_ns = sum(busy_ns for _, _, busy_ns in place.frames)
        if busy_ns >= _BUSY * self._window_ns:
            each_ms = busy_ns / len(place.frames) / 1e6
            share = min(100.0, 100 * busy_ns / self._window_ns)
            return stage, f'it has a frame {share:.0f} % of the time, {each_ms:.1f} ms each'
        if index == 0 and not self._camera.frames:
            return self._camera_or_transport(place, stage, rate)
        before = self._stages[index - 1] if index else 'the camera'
        return 'transport', f'{rate:.1f} frames per second get from {before} to {stage} and through it'

    @staticmethod
    def _camera_or_transport(place: _Place, stage: str, rate: float) -> tuple[str, str]:
        """Who is to blame where nothing is known of the camera but the stamps of the frames that arrive."""
        gaps = np.diff(sorted({stamp for _, stamp, _ in place.frames}))
        if not len(gaps):
            return 'camera', f'nothing reaches {stage}: no camera, or none of its frames arrives'
        usual, mean = float(np.percentile(gaps, 10)) / _S, float(np.mean(gaps)) / _S
        steps = gaps / (usual * _S)
        if mean > _SOME_LOST * usual and float(np.median(np.abs(steps - np.rint(steps)))) > _IRREGULAR:
            return (
                'camera',
                f'{rate:.1f} frames per second reach {stage}, irregularly stamped; whether the camera gives out more, '
                'its CameraInfo would tell: remap camera_info',
            )
        if mean > _SOME_LOST * usual:  # of regular stamps some are left out
            return (
                'transport',
                f'{rate:.1f} frames per second reach {stage}, stamped at {1 / usual:.1f} per second: the others get '
                'lost on the way',
            )
        return 'camera', f'its stamps are those of {1 / mean:.1f} frames per second'
