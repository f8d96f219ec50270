# SPDX-License-Identifier: Apache-2.0
"""Work of minutes before an engine can be opened, such as its build, which goes on in the background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

LOG_EVERY_S = 10.0
"""Seconds between two lines about it in a log."""


@dataclass(frozen=True)
class BuildProgress:
    """Where a build is.

    Attributes:
        phase: 'waiting' (another process builds the same engine), 'converting', 'building', 'checking', 'finished'
            or 'failed'.
        fraction: of the phase, 0 to 1; None where that is unknown, as with TensorRT 8.6.
        elapsed_s: seconds since the build was asked for.
        message: one line for people.
    """

    phase: str
    fraction: float | None
    elapsed_s: float
    message: str


class EnginePreparation(Protocol):
    """What a backend does before its engine can be opened; it goes on by itself."""

    @property
    def done(self) -> bool:
        """True when it succeeded, failed or was cancelled."""

    def poll(self) -> BuildProgress:
        """How far it is. Never waits."""

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is done, for so long at most; true when it is."""

    def result(self) -> Any:
        """What was prepared; raises a PerceptionError that says what went wrong."""

    def cancel(self) -> None:
        """Give up; safe to call at any time. Nothing half-done stays behind."""
