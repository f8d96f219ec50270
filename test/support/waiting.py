# SPDX-License-Identifier: Apache-2.0
"""Small helpers of several tests."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(predicate: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Return as soon as `predicate()` is true; AssertionError when it is not within `timeout_s`."""
    end = time.monotonic() + timeout_s
    while not predicate():
        assert time.monotonic() < end, f'still false after {timeout_s} s'
        time.sleep(0.005)
