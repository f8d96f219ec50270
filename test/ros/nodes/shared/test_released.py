# SPDX-License-Identifier: Apache-2.0
"""Frames that waited for others: each is worked on, lost or counted for itself."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

from isaac_inference.errors import FrameError
from isaac_inference.ros.nodes.shared.released import work_off
from isaac_inference.ros.runtime.topics.pairing import Secondary, StampPairing

S = 1_000_000_000


class FakeNode:
    """Counts as a node does."""

    def __init__(self) -> None:
        self.dropped: list[tuple[str, str]] = []
        self.health = SimpleNamespace(dropped=lambda reason, text: self.dropped.append((reason, text)))

    @contextlib.contextmanager
    def work(self, clock: str) -> Any:
        try:
            yield
        except FrameError as error:
            self.dropped.append((error.reason, clock))


def test_each_frame_is_handled_with_what_belongs_to_it_and_one_that_is_lost_holds_up_no_other() -> None:
    pairing = StampPairing('left', {'right': Secondary(tolerance_s=0.0, wait_s=0.0, depth=4)})
    node, seen = FakeNode(), []

    def handle(item: str, pair: Any, clock: str) -> None:
        seen.append((item, pair.matches['right'], clock))
        if pair.missing:
            raise FrameError('unpaired', 'alone')

    pairing.put('right', 2 * S, 'second')
    released = [
        *pairing.put('left', S, ('a', 'clock a')), *pairing.put('left', 2 * S, ('b', 'clock b')), *pairing.expire()
    ]  # fmt: skip
    work_off(node, pairing, released, handle)  # type: ignore[arg-type]
    assert seen == [('a', None, 'clock a'), ('b', 'second', 'clock b')]
    assert node.dropped == [('unpaired', 'clock a')]


def test_what_a_jump_in_time_made_it_forget_is_counted() -> None:
    pairing = StampPairing('left', {'right': Secondary(tolerance_s=0.0, wait_s=100.0, depth=4)})
    node: Any = FakeNode()
    pairing.put('left', 100 * S, ('a', 'clock a'))
    work_off(node, pairing, pairing.put('left', S, ('b', 'clock b')), lambda *_: None)
    assert [reason for reason, _ in node.dropped] == ['time_jump']
