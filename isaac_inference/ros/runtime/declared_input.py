# SPDX-License-Identifier: Apache-2.0
"""The inputs that a node has declared, and which of them is the primary one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from isaac_inference.ros.runtime.stream_inputs import StreamInputs
from isaac_inference.ros.runtime.topics.subscription import Subscription
from isaac_inference.ros.runtime.topics.type_adapter import TypeAdapter

InputSource = Callable[[], tuple[TypeAdapter[Any], str]]  # the adapter and the topic of an input


@dataclass(frozen=True, eq=False)
class DeclaredInput:
    """A declared subscription: its topic, its mark (None: the primary where it is the only one), and how it opens.

    `source` says where its messages come from now, which may change while the node is active. `streams`: those that it
    is one of, which are primary together.
    """

    topic: str
    primary: bool | None
    source: InputSource
    open: Callable[[TypeAdapter[Any], str, bool], Subscription[Any]]  # told whether it is the primary
    streams: StreamInputs | None = None

    def connect(self, is_primary: bool) -> Subscription[Any]:
        """Open it from where its messages come now."""
        return self.open(*self.source(), is_primary)


def primary_of(inputs: list[DeclaredInput]) -> DeclaredInput | None:
    """Which of a node's inputs is the primary; None where there is none."""
    marked = [one for one in inputs if one.primary]
    if len(inputs) <= 1 and not marked:
        return next((one for one in inputs if one.primary is None), None)
    if len({one.streams or one for one in marked}) != 1:
        topics = ', '.join(one.topic for one in inputs)
        raise RuntimeError(
            f'of the inputs {topics}, {len(marked)} are marked as primary, expected one; give primary=True to the '
            'subscribe() of the one whose messages are the frames of this node'
        )
    return marked[0]
