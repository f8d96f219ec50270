# SPDX-License-Identifier: Apache-2.0
"""The contract of what `evaluate` measures: one task, seed by seed."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from isaac_inference.evaluation.accuracy.seeds import SeedResult
from isaac_inference.evaluation.worst_frames import WorstFrame


@dataclass(frozen=True, eq=False)
class Measured:
    """One seed, or one recording.

    Attributes:
        result: its figures, whose kind the task knows.
        is_complete: whether every requested frame was evaluated.
        worst: frames that are worth a picture, where pictures are asked for.
    """

    result: SeedResult
    is_complete: bool
    worst: Sequence[WorstFrame] = ()


class EvaluatedTask(Protocol):
    """A task with its options; making one raises ConfigError where they are wrong."""

    @property
    def title(self) -> str:
        """What is evaluated, for people."""

    def session(self) -> contextlib.AbstractContextManager[None]:
        """Around all seeds."""

    def measure(self, seed: int, screen: Console) -> Measured:
        """One seed; within a `session`."""

    def print_report(self, screen: Console, result: Any, title: str) -> None:
        """The figures of a seed as tables."""

    def save_plots(self, result: Any, folder: Path, title: str) -> Path:
        """Writes a picture of the figures of a seed into a folder, and returns its path."""
