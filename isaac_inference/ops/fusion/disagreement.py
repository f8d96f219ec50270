# SPDX-License-Identifier: Apache-2.0
"""Whether two cameras see everything at places that differ alike: then it is not the objects, it is a calibration."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.fusion.settings import FusionSettings
from isaac_inference.ops.fusion.sighting import Sighting

SPREAD = 0.5
"""Of a shift: how much what is seen of single objects differs from it, if it is one shift."""
_PAIRS = 90  # kept of two cameras
_REACH = 0.3  # m; calibrations that are further off are not told from objects that only one camera sees
_ALONE = 1.5  # times as far must the next object of the class be


@dataclass(frozen=True, eq=False)
class Disagreement:
    """Two cameras that see all objects at different places.

    Attributes:
        streams: both, in order of their names.
        shift: (3,) m, from where the first one sees an object to where the second one sees it, in the common frame.
        pairs: how many objects say so.
    """

    streams: tuple[str, str]
    shift: np.ndarray
    pairs: int

    @property
    def size_m(self) -> float:
        """Length of the shift."""
        return float(np.linalg.norm(self.shift))

    def text(self) -> str:
        """A sentence."""
        x, y, z = (1e3 * self.shift).round().astype(int).tolist()
        return (
            f'{self.streams[0]} and {self.streams[1]} see the same objects {1e3 * self.size_m:.0f} mm apart '
            f'({x:+d}, {y:+d}, {z:+d} mm along x, y, z; {self.pairs} objects)'
        )


class DisagreementWatch:
    """Collects how far apart each two cameras see an object.

    Args:
        settings: what is too far, and how many objects must say so.
    """

    def __init__(self, settings: FusionSettings) -> None:
        self._settings = settings
        self._shifts: dict[tuple[str, str], deque[np.ndarray]] = {}

    def put(self, seen: Mapping[str, Sequence[Sighting]]) -> None:
        """All measurements of a moment, in the common frame."""
        for first, second in itertools.combinations(sorted(seen), 2):
            for shift in _shifts(seen[first], seen[second]):
                self._shifts.setdefault((first, second), deque(maxlen=_PAIRS)).append(shift)

    def forget(self, stream: str) -> None:
        """A camera has been mounted or calibrated anew."""
        self._shifts = {pair: shifts for pair, shifts in self._shifts.items() if stream not in pair}

    def shifts(self) -> dict[tuple[str, str], np.ndarray]:
        """By two cameras the (3,) median shift, m, where enough objects say so."""
        return {
            pair: np.median(list(shifts), axis=0)
            for pair, shifts in self._shifts.items()
            if len(shifts) >= self._settings.disagreement_pairs
        }

    def found(self) -> tuple[Disagreement, ...]:
        """Those that are too far apart; as much in one direction as a wrong calibration is, not by scattered errors."""
        wrong = []
        for pair, shift in self.shifts().items():
            size = float(np.linalg.norm(shift))
            around = float(np.median(np.linalg.norm(np.array(self._shifts[pair]) - shift, axis=1)))
            if size > self._settings.max_disagreement and around < max(SPREAD * size, self._settings.max_disagreement):
                wrong.append(Disagreement(pair, shift, len(self._shifts[pair])))
        return tuple(wrong)

    def culprits(self, wrong: Sequence[Disagreement]) -> tuple[str, ...]:
        """The cameras that disagree with all others, while two of those agree; () where that cannot be told."""
        compared, bad = set(self.shifts()), {item.streams for item in wrong}
        streams = sorted({stream for pair in compared for stream in pair})
        agreeing = {stream for pair in compared - bad for stream in pair}
        return tuple(
            stream for stream in streams if stream not in agreeing and agreeing and any(stream in pair for pair in bad)
        )


def _shifts(first: Sequence[Sighting], second: Sequence[Sighting]) -> list[np.ndarray]:
    """Of the objects of which each is the other's nearest of its class, without another one near."""
    found = []
    for label in {item.label for item in first} & {item.label for item in second}:
        ones, others = (
            np.array([item.pose.translation for item in items if item.label == label]) for items in (first, second)
        )
        apart = np.linalg.norm(ones[:, None] - others[None], axis=2)
        for row, column in enumerate(apart.argmin(axis=1).tolist()):
            rivals = np.concatenate((np.delete(apart[row], column), np.delete(apart[:, column], row)))
            if apart[row, column] <= _REACH and apart[row, column] * _ALONE <= rivals.min(initial=np.inf):
                found.append(others[column] - ones[row])
    return found
