# SPDX-License-Identifier: Apache-2.0
"""A node that listens to what a graph's diagnostics say."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from isaac_inference.ros.bringup.clients.command_node import CommandNode
from isaac_inference.ros.runtime.health.health import EXPECTED
from isaac_inference.ros.runtime.node import StageClock
from isaac_inference.ros.runtime.topics.qos import QosParameters, Reliability
from isaac_inference.ros.runtime.topics.type_adapter import plain

_QOS = QosParameters(reliability=Reliability.RELIABLE, depth=100)
_OF_ANOTHER = 'see its own status'  # says a node that has no input of whichever node it waits for


class GraphWatcher(CommandNode):
    """`statuses` has the diagnostics of all other nodes of its namespace, by their full names."""

    def __init__(self, node_name: str, **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        self.statuses: dict[str, DiagnosticStatus] = {}
        self._dropped_before: dict[str, Counter[str]] = {}
        self._statuses_lock = threading.Lock()

    def watch(self) -> None:
        """Listen; to be called in `on_setup`."""
        self.subscribe(plain(DiagnosticArray), '/diagnostics', _QOS, self._on_diagnostics, primary=False, depth=100)

    def mark(self) -> None:
        """From now on, `faults` tell of frames that were dropped from now on."""
        with self._statuses_lock:
            self._dropped_before = {name: _dropped(status) for name, status in self.statuses.items()}

    @property
    def faults(self) -> list[str]:
        """What the nodes' diagnostics, and this node's own counts, say is wrong: first what others only follow from."""
        with self._statuses_lock:
            statuses, before = sorted(self.statuses.items()), self._dropped_before
        since = {name: _dropped(status) - before.get(name, Counter()) for name, status in statuses}
        bad = [
            f'{name}: frames dropped: {", ".join(f"{reason} x{count}" for reason, count in sorted(lost.items()))}'
            for name, lost in since.items()
            if lost  # a drop is only for seconds in what the node says of itself
        ]
        bad += [f'{name}: {status.message}' for name, status in statuses if status.level != DiagnosticStatus.OK]
        own = self.health.snapshot()
        lost = Counter(own.drops) + Counter(own.refusals) + Counter(own.skips)
        bad += [f'{reason} x{count}' for reason, count in sorted(lost.items())]
        return sorted(bad, key=lambda text: _OF_ANOTHER in text)

    def explain(self) -> str:
        """The faults, or that there are none."""
        return '; '.join(self.faults) or 'the nodes report no fault'

    def _on_diagnostics(self, message: DiagnosticArray, clock: StageClock) -> None:
        own, itself = self.get_namespace().rstrip('/') + '/', self.get_fully_qualified_name()
        new = {status.name: status for status in message.status if status.name.startswith(own)}
        new.pop(itself, None)
        with self._statuses_lock:
            self.statuses = {**self.statuses, **new}


def _dropped(status: DiagnosticStatus) -> Counter[str]:
    """How many frames the node says that it has dropped, by reason, but for those that nothing is wrong with."""
    named = ((pair.key.partition('dropped.'), pair.value) for pair in status.values)
    counts = Counter({reason: int(value) for (before, _, reason), value in named if not before and value.isdigit()})
    return Counter({reason: count for reason, count in counts.items() if reason not in EXPECTED})
