# SPDX-License-Identifier: Apache-2.0
"""Periodic work of a node, in the same thread that handles its messages."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from isaac_inference.ros.runtime.health.health import Health
from isaac_inference.ros.runtime.topics.mailbox import Mailbox, Worker


class Periodic:
    """Calls `handler()` in the worker's thread every `period_s` seconds of real time until closed.

    A call that comes due while the previous one is still queued is skipped. While `inline()`, and the worker has
    nothing else to do, it is made in the timer's thread, as of `Mailbox`.
    """

    def __init__(
        self,
        node: Node,
        worker: Worker,
        period_s: float,
        handler: Callable[[], None],
        health: Health,
        inline: Callable[[], bool] = lambda: False,
    ) -> None:
        self._node, self._handler, self._health = node, handler, health
        self._mailbox = Mailbox(worker, self._call, inline=lambda item: inline())
        self._timer = node.create_timer(
            period_s, lambda: self._mailbox.put(None), clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def close(self) -> None:
        """Start no further calls."""
        self._node.destroy_timer(self._timer)
        self._mailbox.close()

    def _call(self, item: Any, arrived_ns: int) -> None:
        try:
            self._handler()
        except Exception:  # as with a frame: one failure must not end the node
            self._health.warn('internal_error', traceback.format_exc(), error=True)
