# SPDX-License-Identifier: Apache-2.0
"""The health of one stream of a node that has several: counted by itself, and in the node's."""

from __future__ import annotations

from isaac_inference.ros.runtime.health.health import SUPERSEDED, Health


class StreamHealth(Health):
    """Counts one stream's frames, and has the node's health count them too; what is said names the stream.

    Args:
        name: the stream's name.
        node: the health of the node.
    """

    def __init__(self, name: str, node: Health) -> None:
        self.name, self._node = name, node
        super().__init__(lambda is_error, text: None)

    def received(self, age_ms: float | None = None, count: int = 1) -> None:
        """As of `Health`, here and in the node's."""
        super().received(age_ms, count)
        self._node.received(age_ms, count)

    def processed(self, duration_ms: float) -> None:
        """As of `Health`, here and in the node's."""
        super().processed(duration_ms)
        self._node.processed(duration_ms)

    def dropped(self, reason: str, text: str = '') -> None:
        """As of `Health`, here and in the node's."""
        super().dropped(reason)
        self._node.dropped(reason)
        if text:
            self.warn(reason, f'frame dropped ({reason}): {text}')

    def superseded(self, count: int = 1) -> None:
        """As of `Health`, here and in the node's."""
        super().superseded(count)  # has counted them as received in both
        for _ in range(count):
            self._node.dropped(SUPERSEDED)

    def skipped(self, reason: str, text: str = '', *, say_once: bool = False) -> None:
        """As of `Health`; in the node's."""
        self._node.skipped(reason, self._named(text) if text else '', say_once=say_once)

    def noted(self, reason: str, text: str = '', *, say_once: bool = False) -> None:
        """As of `Health`, here and in the node's."""
        super().noted(reason, text, say_once=say_once)
        self._node.noted(reason)

    def warn(self, key: str, text: str, *, error: bool = False) -> None:
        """As of `Health`; in the node's log, whose other streams may say the same."""
        self._node.warn(self._key(key), self._named(text), error=error)

    def problem(self, key: str, text: str, *, error: bool = False, log_again: bool = True, log: bool = True) -> None:
        """As of `Health`; a problem of the node."""
        self._node.problem(self._key(key), self._named(text), error=error, log_again=log_again, log=log)

    def clear(self, key: str, *, after_report: bool = False) -> None:
        """As of `Health`; a problem of the node."""
        self._node.clear(self._key(key), after_report=after_report)

    def show(self, key: str, value: object | None) -> None:
        """As of `Health`; a value of the node."""
        self._node.show(f'stream.{self.name}.{key}', value)

    def _key(self, key: str) -> str:
        return f'stream {self.name}: {key}'

    def _named(self, text: str) -> str:
        return f'stream {self.name}: {text}'
