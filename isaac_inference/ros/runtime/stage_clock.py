# SPDX-License-Identifier: Apache-2.0
"""When one frame reached a stage, and whether it has been counted."""

from __future__ import annotations

import time

from isaac_inference.ros.runtime.health.health import Health
from isaac_inference.ros.runtime.health.timing import StageTiming


class StageClock:
    """When one message reached this stage and when it was taken up, in ns of the wall clock; and what became of it.

    A frame counts as processed when its handler returns, unless the handler said `defer()`: then it waits until
    `PipelineNode.work` has it.

    Attributes:
        health: where the frame is counted; None: in the node's own.
        spent_ms: work that was done on the frame outside of `PipelineNode.work`, as on a batch that it was part of.
    """

    def __init__(self, stage: str, arrived_ns: int, health: Health | None = None) -> None:
        self.stage, self.arrived_ns, self.started_ns = stage, arrived_ns, time.time_ns()
        self.health, self.spent_ms = health, 0.0
        self._is_deferred = self._is_settled = False

    def defer(self) -> None:
        """The handler has only put the frame aside, for what belongs to it; `PipelineNode.work` is still to come."""
        self._is_deferred = True

    def resume(self) -> None:
        """The frame's work begins."""
        self._is_deferred = False

    @property
    def is_settled(self) -> bool:
        """Whether the frame has been counted."""
        return self._is_settled

    def settle(self) -> bool:
        """Whether the frame is to be counted now, as processed or dropped: it waits no more, and none counts twice."""
        if self._is_deferred or self._is_settled:
            return False
        self._is_settled = True
        return True

    def finish(self) -> StageTiming:
        """The stage's timing, ending now."""
        return StageTiming(self.stage, self.arrived_ns, self.started_ns, time.time_ns())
