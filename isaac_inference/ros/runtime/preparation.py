# SPDX-License-Identifier: Apache-2.0
"""Long-running work that must be done before a node can be active, such as building an engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from isaac_inference.errors import PerceptionError
from isaac_inference.ros.runtime.health.health import Health

BUILDING = 'BUILDING'  # prefix, in diagnostics, of the state of a preparation that takes minutes
_KEY = 'preparation'


class Preparation(Protocol):
    """Work that runs elsewhere: in another process or thread."""

    def poll(self) -> str:
        """The current state, human-readable; '' once it is done. Never waits.

        Raises:
            PerceptionError: it failed, and why.
        """

    def cancel(self) -> None:
        """Abort; safe to call at any time."""


class PreparationWatch:
    """Watches a node's preparation: while it runs, the node can't be activated, and diagnostics say why.

    Args:
        health: reports it.
        done: called once it is done; an exception from it counts as a failure of the preparation.
    """

    def __init__(self, health: Health, done: Callable[[], None]) -> None:
        self._health, self._done = health, done
        self._current: Preparation | None = None
        self._wants_activation = self._has_failed = False

    @property
    def is_running(self) -> bool:
        """Whether something is still being prepared."""
        return self._current is not None

    def start(self, preparation: Preparation) -> None:
        """Watch `preparation` from now on."""
        self._current = preparation
        self._wants_activation = self._has_failed = False

    def refuse_activation(self) -> bool:
        """Whether activation has to wait; if so, it is requested again when the preparation is done.

        After a failed preparation it is refused until the node is cleaned up.
        """
        self._wants_activation = self.is_running
        return self.is_running or self._has_failed

    def check(self) -> bool:
        """Check its progress; True if it has just finished and activation was requested meanwhile."""
        if self._current is None:
            return False
        try:
            state = self._current.poll()
            if state:
                self._health.problem(_KEY, state)
                return False
            self._current = None
            self._done()
        except PerceptionError as error:
            self._fail(str(error))
            return False
        except Exception as error:
            self._fail(f'{type(error).__name__}: {error}')
            return False
        self._health.clear(_KEY)
        return self._wants_activation

    def stop(self) -> None:
        """Abort a running preparation."""
        current, self._current = self._current, None
        self._has_failed = False
        if current is not None:
            current.cancel()
        self._health.clear(_KEY)

    def _fail(self, why: str) -> None:
        self._current, self._has_failed = None, True
        self._health.problem(_KEY, f'preparation failed: {why}; clean up and configure again to retry', error=True)
