# SPDX-License-Identifier: Apache-2.0
"""Whether time goes on for a node: a simulated clock that nobody drives, and a clock or stamps that jump back."""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

from rclpy.clock import JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.node import Node

from isaac_inference.ros.runtime.health.health import Health
from isaac_inference.ros.runtime.topics.stamp import JUMP_NS, stamp_ns

GRACE_S = 3.0  # for a simulator that starts together with the nodes
SAY_AGAIN_S = 600.0  # a recording that loops jumps every few seconds
_LOOK_S = 0.05
_CLOCK = '/clock'


class TimeWatch:
    """The time of one node.

    What is true of all nodes of a process is logged by the first of them that notices; the others show it in their
    diagnostics alone.

    Args:
        node: the node; spun by an executor, which receives /clock.
        health: where it is said.
        on_jump: called in the worker's thread, with the new time in ns, before the first message after a jump back by
            over a second, of the primary input's stamps or of the simulated clock.
    """

    _without_clock: ClassVar[weakref.WeakSet[TimeWatch]] = weakref.WeakSet()
    _jump_said_s: ClassVar[float] = float('-inf')
    _shared: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, node: Node, health: Health, on_jump: Callable[[int], None]) -> None:
        self._node, self._health, self._on_jump = node, health, on_jump
        self._clock = node.get_clock()
        self._begin_s = time.monotonic()
        self._last_ns: dict[str, int] = {}  # by stream
        self._jumps = 0
        self._clock_jumps: deque[float] = deque(maxlen=1)  # seconds; put by the executor, taken by the worker
        back = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-JUMP_NS), on_clock_change=False)
        self._handle = self._clock.create_jump_callback(back, post_callback=self._on_clock_jump)

    def close(self) -> None:
        """Watch no more."""
        self._handle.unregister()
        with self._shared:
            self._without_clock.discard(self)

    @property
    def has_time(self) -> bool:
        """False while `use_sim_time` is set and no time has come from /clock: now is 0, which is no stamp."""
        return not self._clock.ros_time_is_active or self._clock.now().nanoseconds > 0

    def wait(self, stop: threading.Event) -> bool:
        """Wait until there is a time; False if `stop` is set before. Never called on the executor's thread."""
        while not self.has_time:
            if stop.wait(_LOOK_S):
                return False
        return True

    def check(self) -> None:
        """Say whether there is a clock; called now and then."""
        if self.has_time:
            self._health.clear('no_clock')
            with self._shared:
                self._without_clock.discard(self)
        elif time.monotonic() - self._begin_s >= GRACE_S:
            with self._shared:
                is_first = not len(self._without_clock)
                self._without_clock.add(self)
            self._health.problem('no_clock', self._no_clock(), log=is_first, log_again=False)

    def take(self, item: Any, is_primary: bool, stream: str = '') -> None:
        """Look at a message's time before it is handled; called by the worker. Each stream has stamps of its own."""
        while self._clock_jumps:
            back_s = self._clock_jumps.popleft()
            self._last_ns.clear()
            self._jump(f'the time of {_CLOCK}', back_s, self._clock.now().nanoseconds)
        header = getattr(item, 'header', None) if is_primary else None
        stamp = 0 if header is None else stamp_ns(header)
        if stamp <= 0:
            return
        last_ns, self._last_ns[stream] = self._last_ns.get(stream, 0), stamp
        if stamp < last_ns - JUMP_NS:
            self._jump('the stamps of its input', (last_ns - stamp) / 1e9, stamp)

    def _on_clock_jump(self, jump: TimeJump) -> None:
        self._clock_jumps.append(-jump.delta.nanoseconds / 1e9)

    def _jump(self, what: str, back_s: float, now_ns: int) -> None:
        self._jumps += 1
        self._health.show('time_jumps', self._jumps)
        with self._shared:
            is_due = time.monotonic() - TimeWatch._jump_said_s >= SAY_AGAIN_S
            if is_due:
                TimeWatch._jump_said_s = time.monotonic()
        if is_due:
            self._health.warn(
                'time_jump',
                f'{what} went back by {back_s:.1f} s to {now_ns / 1e9:.3f} s, as when a recording starts over or a '
                'simulator is reset: tracks, transforms and waiting frames of before are forgotten, in all nodes. The '
                'next jumps are only counted, as time_jumps in diagnostics; if that grows with every frame, two '
                'publishers with different clocks send the same topic',
            )
        self._on_jump(now_ns)

    def _no_clock(self) -> str:
        topic = self._node.resolve_topic_name(_CLOCK)
        if self._node.count_publishers(topic):
            return (
                f'use_sim_time is set and no time has come from {topic} yet, though it has a publisher: nothing can be '
                'stamped; is the simulator or the recording paused?'
            )
        return (
            f'use_sim_time is set and nobody publishes {topic}: the time stands at 0 and nothing can be stamped; start '
            'the simulator, play the recording with "ros2 bag play --clock", or set use_sim_time to false'
        )
