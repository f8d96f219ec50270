# SPDX-License-Identifier: Apache-2.0
"""The interface of a transform source, and its error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from geometry_msgs.msg import TransformStamped

from isaac_inference.errors import FrameError
from isaac_inference.ros.runtime.topics.stamp import stamp_ns

Warn = Callable[[str, str], None]  # called as warn(key, text); logs the text, throttled per key


class TransformError(FrameError):
    """No transform at that stamp.

    Args:
        reason: 'tf_unknown_frame', 'tf_not_connected', 'tf_future' (newer than the newest sample), 'tf_past' (older
            than the buffer), 'tf_loop' (the tree has a cycle), 'tf_two_parents' (two publishers send a frame in
            different ones by turns), 'tf_invalid' (what was sent is not a transform) or 'tf_zero_stamp' (it was sent on
            /tf without a stamp).
        message: both frames, the stamp, what is available, what to do.
        may_come: whether data that has yet to arrive can change that.
    """

    def __init__(self, reason: str, message: str, *, may_come: bool = False) -> None:
        super().__init__(reason, message)
        self.may_come = may_come


class TransformSource(Protocol):
    """Transforms at a stamp. Thread-safe; filled by the node's executor, queried by its worker.

    `counts` has, by name: 'tf_timeout' (waits that ended without a transform), 'tf_time_jump' (stamps jumped back by
    over a second, dynamic transforms were forgotten), 'tf_reparented' (a frame has another parent than before, or
    turned from static to dynamic or back; the newest counts), 'tf_invalid', 'tf_self_parent' and 'tf_zero_stamp'
    (messages refused).
    """

    counts: Counter[str]

    def lookup(self, target: str, source: str, stamp_ns: int) -> np.ndarray:
        """T_target_source, (4, 4) float64: maps coordinates in `source` to coordinates in `target`, at that stamp.

        Between two samples, translations are interpolated linearly and rotations spherically; nothing is extrapolated.
        A stamp of 0 means no stamp, never 'the newest': only static transforms are found for it.

        Raises:
            TransformError: there is none (now).
        """

    def wait(self, target: str, source: str, stamp_ns: int, timeout_s: float) -> np.ndarray:
        """`lookup` that waits up to `timeout_s` for data that may still arrive; must not be called on the executor's
        thread, which receives that data.

        Raises:
            TransformError: there is none, or none came in time.
        """

    def rewind(self, stamp_ns: int) -> None:
        """Time has gone back to `stamp_ns`: dynamic transforms from before that reach over it are forgotten."""

    def close(self) -> None:
        """Stop listening; pending waits raise their error at once."""


class Link(NamedTuple):
    """One message's content: the pose of `child` in `parent`, in metres, quaternion (x, y, z, w)."""

    parent: str
    child: str
    stamp_ns: int
    translation: tuple[float, float, float]
    rotation: tuple[float, float, float, float]


def frame_name(name: str) -> str:
    """A frame's name as stored: without the leading '/' of older software."""
    return name.lstrip('/')


def read_link(message: TransformStamped) -> Link:
    """The content of a message, unchecked."""
    header, shift, turn = message.header, message.transform.translation, message.transform.rotation
    return Link(
        frame_name(header.frame_id),
        frame_name(message.child_frame_id),
        stamp_ns(header),
        (shift.x, shift.y, shift.z),
        (turn.x, turn.y, turn.z, turn.w),
    )


def seconds(stamp_ns: int) -> str:
    """A stamp as text."""
    return f'{stamp_ns / 1e9:.3f} s'
