# SPDX-License-Identifier: Apache-2.0
"""The check of a setting's range, and what is said of one outside it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from isaac_inference.errors import ConfigError


def require(
    settings: Any, what: str, names: Iterable[str], low: float = 0.0, high: float = math.inf, above: bool = False
) -> None:
    """Checks that settings are finite numbers within a range.

    Args:
        settings: the object that has them.
        what: they are of, for the message.
        names: of the settings.
        low, high: the least and the largest value.
        above: the least value is not allowed itself.

    Raises:
        ConfigError: one is outside the range.

    Example: a share.
        >>> from types import SimpleNamespace
        >>> require(SimpleNamespace(overlap=1.5), 'tracker', ['overlap'], high=1.0)
        Traceback (most recent call last):
            ...
        isaac_inference.errors.ConfigError: tracker, overlap: got 1.5, expected a finite number at least 0 and at most 1
    """
    for name in names:
        value = getattr(settings, name)
        if math.isfinite(value) and low <= value <= high and not (above and value == low):
            continue
        least = f'above {low:g}' if above else f'at least {low:g}'
        most = f' and at most {high:g}' if high < math.inf else ''
        raise ConfigError(f'{what}, {name}: got {value!r}, expected a finite number {least}{most}')
