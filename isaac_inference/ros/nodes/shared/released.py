# SPDX-License-Identifier: Apache-2.0
"""The frames that a pairing lets go, worked on one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from isaac_inference.ros.runtime.node import PipelineNode, StageClock
from isaac_inference.ros.runtime.topics.pairing import Paired, StampPairing


def work_off(
    node: PipelineNode,
    pairing: StampPairing,
    released: Sequence[Paired],
    handle: Callable[[Any, Paired, StageClock], None],
) -> None:
    """Handle frames that were deferred until what belongs to them was there, or its time was over.

    Those that a jump of the stamps has made the pairing forget are dropped as 'time_jump'.

    Args:
        node: counts each as processed, or as dropped under the reason of the FrameError that `handle` raises.
        pairing: its primary items are (item, clock).
        released: what it let go.
        handle: called with the item, what it was paired with, and its clock, within `PipelineNode.work`.
    """
    pairing.drop_forgotten(node.health.dropped)
    for pair in released:
        item, clock = pair.item
        with node.work(clock):
            handle(item, pair, clock)
