# SPDX-License-Identifier: Apache-2.0
"""When an image of the kernel's counts as the one that OpenCV makes."""

from __future__ import annotations

import platform

import numpy as np

# Builds for other processors resize with other libraries, which round otherwise.
_OPENCV_S_OWN = platform.machine() in ('x86_64', 'AMD64')


def assert_same_pixels(got: np.ndarray, expected: np.ndarray, *, level: float = 1.0, exact: bool = True) -> None:
    """Equal; where OpenCV itself rounds in more than one way, one grey level apart at most, and seldom.

    Args:
        got, expected: of the same shape and type.
        level: what a grey level is in their unit.
        exact: False for cubic, which depends on the CPU's registers and on IPP.
    """
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
    if exact and _OPENCV_S_OWN:
        np.testing.assert_array_equal(got, expected)
        return
    error = np.abs(got.astype(np.float64) - expected)
    assert error.max() <= 1.01 * level
    assert (error == 0).mean() > 0.9
