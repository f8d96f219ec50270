# SPDX-License-Identifier: Apache-2.0
"""Where models run, and what that means for who may run beside whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Load(Protocol):
    """What a place asks of a model."""

    @property
    def priority(self) -> int:
        """Its class, 0 to 3."""

    @property
    def cores(self) -> int:
        """CPU cores that it uses."""


class Place(Protocol):
    """A resource that models share."""

    @property
    def name(self) -> str:
        """For people."""

    def fits(self, one: Load, running: Sequence[Load]) -> bool:
        """Whether there is room for it now."""

    def delays(self, one: Load, running: Sequence[Load]) -> bool:
        """Whether it would have to wait, or would be slower, while these run."""


@dataclass(frozen=True)
class Cores:
    """The CPU: each inference has cores of its own. One that wants more than there are has all."""

    total: int

    @property
    def name(self) -> str:
        """For people."""
        return f'{self.total} CPU core{"s" * (self.total > 1)}'

    def fits(self, one: Load, running: Sequence[Load]) -> bool:
        """Whether as many cores are free as it uses."""
        return not running or self._wants(one) <= self._free(running)

    def delays(self, one: Load, running: Sequence[Load]) -> bool:
        """Whether fewer cores are free."""
        return not self.fits(one, running)

    def _wants(self, one: Load) -> int:
        return max(1, min(one.cores, self.total))

    def _free(self, running: Sequence[Load]) -> int:
        return self.total - sum(map(self._wants, running))


@dataclass(frozen=True)
class Device:
    """A GPU: models of one class share it as the hardware sees fit. One of a higher class starts at once, and its
    stream's priority takes it past what runs; one of a lower class does not begin beside it.
    """

    ordinal: int

    @property
    def name(self) -> str:
        """For people."""
        return f'GPU {self.ordinal}'

    def fits(self, one: Load, running: Sequence[Load]) -> bool:
        """Whether nothing of a higher class runs."""
        return all(other.priority <= one.priority for other in running)

    def delays(self, one: Load, running: Sequence[Load]) -> bool:
        """Whether something of a lower class runs: what has begun is not interrupted."""
        return any(other.priority < one.priority for other in running)
