# SPDX-License-Identifier: Apache-2.0
"""Header stamps as whole nanoseconds, by which a frame's messages find each other."""

from __future__ import annotations

from std_msgs.msg import Header

JUMP_NS = 1_000_000_000  # stamps that fall back by more have started over (a bag loop, a reset clock)


def stamp_ns(header: Header) -> int:
    """A header's stamp in ns; 0 where the publisher left it empty."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)
