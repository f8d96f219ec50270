# SPDX-License-Identifier: Apache-2.0
"""What was found in all pictures of a run, in one line, for each kind of finding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from isaac_inference.ros.bringup.readouts.classes import ClassReadout
from isaac_inference.ros.bringup.readouts.depth import DepthReadout
from isaac_inference.ros.bringup.readouts.detections import DetectionReadout

_MOST = 12  # names in a line


class Tally(Protocol):
    """Adds up what readouts find."""

    def add(self, found: Any) -> None:
        """Count one picture."""

    def row(self) -> tuple[str, str]:
        """What is counted, and the count, in words."""


class DetectionTally:
    """Detections by class."""

    def __init__(self) -> None:
        self._classes: Counter[str] = Counter()

    def add(self, found: Sequence[Mapping[str, Any]]) -> None:
        self._classes.update(item['class_id'] for item in found)

    def row(self) -> tuple[str, str]:
        found = ', '.join(f'{name} {count}' for name, count in self._classes.most_common(_MOST))
        return 'detections', f'{self._classes.total()}: {found}' if found else '0'


class ClassTally:
    """Each class's mean share of the pictures."""

    def __init__(self) -> None:
        self._shares: Counter[str] = Counter()
        self._pictures = 0

    def add(self, found: Mapping[str, float]) -> None:
        self._pictures += 1
        for name, share in found.items():
            self._shares[name] += share  # type: ignore[assignment]

    def row(self) -> tuple[str, str]:
        pictures = max(self._pictures, 1)
        shares = [f'{name} {100 * share / pictures:.1f} %' for name, share in self._shares.most_common(_MOST)]
        return 'classes, mean share', ', '.join(shares) or '-'


class DepthTally:
    """The range of depth, and the median of the pictures' medians."""

    def __init__(self) -> None:
        self._ranges: list[tuple[float, float, float]] = []
        self._kind, self._unit = '', ''

    def add(self, found: Mapping[str, Any]) -> None:
        self._kind, self._unit = found['kind'], found['unit'] or ''
        if found['median'] is not None:
            self._ranges.append((found['min'], found['median'], found['max']))

    def row(self) -> tuple[str, str]:
        title = f'depth, {self._kind}' if self._kind else 'depth'
        if not self._ranges:
            return title, 'none'
        low, middle, high = np.array(self._ranges).T
        text = f'{low.min():.4g} to {high.max():.4g}, median {np.median(middle):.4g}'
        return title, f'{text} {self._unit}'.rstrip()


TALLIES: Mapping[str, Callable[[], Tally]] = {
    DetectionReadout.key: DetectionTally,
    ClassReadout.key: ClassTally,
    DepthReadout.key: DepthTally,
}
"""By the key of the readout."""
