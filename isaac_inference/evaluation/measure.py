# SPDX-License-Identifier: Apache-2.0
"""A figure of an evaluation: its key in JSON, its title for people, and which way is better."""

from __future__ import annotations

import math
from dataclasses import dataclass

NONE = '-'


@dataclass(frozen=True)
class Measure:
    """One figure.

    Attributes:
        key: in JSON.
        title: in tables.
        more_is_better: whether a larger value is.
        unit: behind the number, such as '%'.
        factor: from the value to the number that is shown: 100 for a share in percent.
        digits: decimals that are shown.

    Example:
        >>> Measure('delta1', 'delta 1', True, '%', 100.0, 1).text(0.9876)
        '98.8 %'
    """

    key: str
    title: str
    more_is_better: bool
    unit: str = ''
    factor: float = 1.0
    digits: int = 3

    def text(self, value: float | None, digits: int | None = None) -> str:
        """For people, with another number of decimals where that is given; '-' where there is no value."""
        if value is None or not math.isfinite(value):
            return NONE
        decimals = self.digits if digits is None else digits
        return f'{self.factor * value:.{decimals}f} {self.unit}'.rstrip()


def count(key: str, title: str, *, more_is_better: bool = False) -> Measure:
    """Of a whole number."""
    return Measure(key, title, more_is_better, digits=0)


def percent(key: str, title: str, *, more_is_better: bool, digits: int = 2) -> Measure:
    """Of a share."""
    return Measure(key, title, more_is_better, '%', 100.0, digits)
