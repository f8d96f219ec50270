# SPDX-License-Identifier: Apache-2.0
"""A bag of several files, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from isaac_inference.ros.recording.storage.base import Contents, Entry, Storage


class SplitBag:
    """A Storage (see there).

    Args:
        path: the folder.
        parts: its files, in their order.
    """

    def __init__(self, path: Path, parts: Sequence[Storage]) -> None:
        self.path, self._parts = path, tuple(parts)
        found = [part.contents for part in parts]
        spans = [(item.first_ns, item.last_ns) for item in found if any(topic.count for topic in item.topics)]
        self.contents = Contents(
            topics=tuple(topic for item in found for topic in item.topics),
            first_ns=min((first for first, _ in spans), default=0),
            last_ns=max((last for _, last in spans), default=0),
            unusable={name: reason for item in found for name, reason in item.unusable.items()},
            problem='; '.join(f'{part.path.name}: {part.contents.problem}' for part in parts if part.contents.problem),
        )

    def messages(self, topics: set[str]) -> Iterator[Entry]:
        """The messages of `topics`, file after file."""
        for part in self._parts:
            yield from part.messages(topics & {topic.name for topic in part.contents.topics})
