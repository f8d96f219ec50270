# SPDX-License-Identifier: Apache-2.0
"""The newest item of each stream, and whose turn it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar('T')


@dataclass(slots=True)
class Arrival(Generic[T]):
    """An item of a stream, and when it arrived, in ns of the wall clock."""

    stream: str
    item: T
    arrived_ns: int


class NewestOfEach(Generic[T]):
    """One place for each stream. Not thread-safe: its owner locks.

    A stream waits since its place was filled, not since the item arrived that is in it now: or a fast stream, whose
    item is displaced again and again, would always look as if it had just come, and a slow one would always be first.
    So each of n streams that wait has its turn within the next n items, whatever their rates.
    """

    def __init__(self) -> None:
        self._places: dict[str, Arrival[T]] = {}  # in the order in which they were filled
        self._since_ns: dict[str, int] = {}

    def put(self, arrival: Arrival[T], now_ns: int) -> bool:
        """Keep an item, at a time of a clock that only goes on; whether it displaced an older one of its stream."""
        displaced = arrival.stream in self._places
        self._places[arrival.stream] = arrival  # a place that is filled already stays where it is
        if not displaced:
            self._since_ns[arrival.stream] = now_ns
        return displaced

    def take(self, most: int) -> list[Arrival[T]]:
        """Up to `most` items, one of each stream, that of the stream that waits longest first."""
        streams = list(self._places)[: max(0, most)]
        for stream in streams:
            del self._since_ns[stream]
        return [self._places.pop(stream) for stream in streams]

    def forget(self, stream: str) -> None:
        """Throw away what waits of a stream."""
        self._places.pop(stream, None)
        self._since_ns.pop(stream, None)

    @property
    def since_ns(self) -> int | None:
        """Since when the stream waits that waits longest, as `put` was told; None where none does."""
        return next(iter(self._since_ns.values()), None)

    def __len__(self) -> int:
        return len(self._places)
