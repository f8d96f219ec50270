# SPDX-License-Identifier: Apache-2.0
"""Says, once each, that a node's primary input is silent and that it is back."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from isaac_inference.ros.runtime.health.health import Health
from isaac_inference.ros.runtime.health.input_watch import InputState
from isaac_inference.ros.runtime.topics.subscription import Subscription
from isaac_inference.ros.runtime.topics.topic_graph import Source


class InputReport:
    """Watches the arrivals that `health` counts.

    Where other nodes of this package publish the input, nothing is logged: the first of them says it. Diagnostics show
    the silence all the same.

    Args:
        warn, inform: write a line to the log.
    """

    def __init__(self, health: Health, warn: Callable[[str], None], inform: Callable[[str], None]) -> None:
        self._health, self._warn, self._inform = health, warn, inform
        self.restart()

    def restart(self) -> None:
        """The node has been activated."""
        self._said: Source | None = None
        self._source: Source | None = None
        self._since = -math.inf

    def check(self, subscription: Subscription[Any] | None) -> None:
        """Log what has changed; called some ten times a second. None: the node makes its frames itself."""
        if subscription is None:
            return
        state, count, seconds = self._health.look_at_input()
        if state.is_quiet:
            source = self._look_at_source(subscription)
            is_news = self._said is None or (state is InputState.MISSING and source is not self._said)
            if is_news and source not in (Source.OURS, Source.UNKNOWN):
                self._said = source
                self._warn(_silence(subscription, count, seconds))
        elif state is InputState.FLOWING and self._said is not None:
            self._said = None
            self._inform(f'{subscription.topic}: messages arrive, after {seconds:.1f} s without')

    def _look_at_source(self, subscription: Subscription[Any]) -> Source:
        """Where its messages should come from; unknown while that has just changed: a driver that starts needs time."""
        source = subscription.source
        if source is not self._source:
            self._since = -math.inf if self._source is None else time.monotonic()
            self._source = source
        return source if time.monotonic() - self._since > self._health.input_timeout_s else Source.UNKNOWN

    def words(self, subscription: Subscription[Any] | None) -> tuple[str, str]:
        """For `judge`: (why the input is quiet, what is to be said of one that comes and goes), or '' each."""
        state, count, seconds = self._health.look_at_input()
        if state.is_quiet:
            return _silence(subscription, count, seconds), ''
        if state is InputState.RETURNING:
            name = 'its source' if subscription is None else subscription.topic
            return '', f'{name} comes and goes: messages arrive again, after {seconds:.1f} s without'
        return '', ''


def _silence(subscription: Subscription[Any] | None, count: int, seconds: float) -> str:
    messages = f'{count} message{"s" if count > 1 else ""}'
    since = f'for {seconds:.1f} s, after {messages}' if count else f'in {seconds:.1f} s since activation'
    why = 'its source gives no frames' if subscription is None else subscription.explain(count)
    return f'no input {since}: {why}'
