# SPDX-License-Identifier: Apache-2.0
"""Memory settings of a process that handles images."""

from __future__ import annotations

import contextlib
import ctypes
import os

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h
_KEPT_BYTES = 512 * 2**20
_LARGEST_BLOCK = 32 * 2**20  # a 4K bgr8 image has 25 MB; older C libraries refuse more than this


def keep_freed_memory() -> None:
    """Make the C library keep freed blocks for the next frame instead of returning them to the kernel.

    A 1080p image is allocated and freed several times on its way through rclpy; returned each time, it costs
    thousands of page faults and about 7 ms per frame (benchmark/README.md, transport). glibc only; elsewhere, or
    if the user has tuned malloc through environment variables, nothing is changed.
    """
    if any(name.startswith(('MALLOC_', 'GLIBC_TUNABLES')) for name in os.environ):
        return
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
