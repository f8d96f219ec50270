# SPDX-License-Identifier: Apache-2.0
"""The tree of frames: each child's parent, for which stamps, and why two frames can't be related."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from isaac_inference.ros.runtime.topics.stamp import JUMP_NS
from isaac_inference.ros.runtime.transforms.base import Link, TransformError, Warn, seconds

FORGET_S = 60.0  # a dynamic frame that was silent for this long is forgotten when a new one appears
_UNIT_TOLERANCE = 1e-2  # of the squared norm of a quaternion: the limit that tf2 has
_MAX_NAMED = 8  # frames listed in a message
_MAX_PATHS = 256
_MAX_REFUSED = 64
_MAX_SAID = 64  # lines; beyond them things are only counted
_ALTERNATIONS, ALTERNATING_S = 3, 2.0  # so many changes of a frame's parent within this time: two publishers send it


class Edge:
    """A child's link to its parent, and the stamps between which it is known."""

    def __init__(self, link: Link, is_static: bool, buffer_ns: int) -> None:
        self.parent, self.child, self.is_static = link.parent, link.child, is_static
        self.oldest_ns = self.newest_ns = link.stamp_ns
        self.heard_s = 0.0
        self._buffer_ns = buffer_ns

    def put(self, link: Link) -> None:
        """Add a sample; called for the first one too."""
        self.newest_ns = max(self.newest_ns, link.stamp_ns)
        self.oldest_ns = max(min(self.oldest_ns, link.stamp_ns), self.newest_ns - self._buffer_ns)


class Path(NamedTuple):
    """The edges from the source up to the common ancestor, those from the target up to it, and the dynamic ones."""

    from_source: tuple[Edge, ...]
    from_target: tuple[Edge, ...]
    dynamic: tuple[Edge, ...]


class FrameTree:
    """Which frames exist and how they are connected. Not thread-safe: its owner locks.

    Args:
        buffer_s: how far back samples reach, from a child's newest one.
        warn: called with what users must know.
            Each kind of trouble is said once per child, and counted each time.
        on_time_jump: called when the dynamic edges have been dropped.
        make_edge: called as make_edge(link, is_static, buffer_ns).
    """

    def __init__(
        self,
        buffer_s: float,
        warn: Warn,
        on_time_jump: Callable[[], None] = lambda: None,
        make_edge: Callable[[Link, bool, int], Edge] = Edge,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._buffer_ns, self._forget_s = round(buffer_s * 1e9), max(FORGET_S, buffer_s)
        self._warn, self._on_time_jump, self._make_edge = warn, on_time_jump, make_edge
        self._edges: dict[str, Edge] = {}  # by child
        self._refused: dict[str, tuple[str, str]] = {}  # child -> what is wrong with its last message: reason, text
        self._changes: dict[str, deque[tuple[float, str]]] = {}  # child -> when it lately left which parent
        self._said: set[tuple[str, str]] = set()
        self._frames: set[str] = set()
        self._paths: dict[tuple[str, str], Path] = {}

    def put(self, link: Link, is_static: bool) -> bool:
        """Add a sample; False if it is refused (counted and reported)."""
        if not self._is_sound(link, is_static):
            return False
        self._refused.pop(link.child, None)
        edge = self._edges.get(link.child)
        if edge is not None and not is_static and not edge.is_static and link.stamp_ns < edge.newest_ns - JUMP_NS:
            self._jump(link, edge)
            edge = None
        if edge is None or edge.parent != link.parent or edge.is_static != is_static:
            edge = self._replace(edge, link, is_static)
        edge.heard_s = time.monotonic()
        edge.put(link)
        return True

    def rewind(self, stamp_ns: int) -> None:
        """Time has gone back to `stamp_ns`: forget what was known from before of that time and of later ones.

        Samples that are all later stay until their own stamps fall back: they answer nothing yet, and whoever told this
        may only have had one late message.
        """
        now_ns = stamp_ns + JUMP_NS
        if any(not edge.is_static and edge.oldest_ns <= now_ns < edge.newest_ns for edge in self._edges.values()):
            self._drop_dynamic()

    def path(self, target: str, source: str, stamp_ns: int) -> Path:
        """The path between two different frames.

        Args:
            stamp_ns: for the error message, if there is none.

        Raises:
            TransformError: an unknown frame, two trees, a cycle, or a frame on the way with two parents.
        """
        found = self._paths.get((target, source))
        if found is None:
            if len(self._paths) >= _MAX_PATHS:
                self._paths.clear()
            found = self._paths[target, source] = self._find(target, source, stamp_ns)
        return found

    def check(self, path: Path, target: str, source: str, stamp_ns: int) -> None:
        """Refuse a stamp at which an edge isn't known.

        Raises:
            TransformError: 'tf_past', 'tf_future' or 'tf_invalid'.
        """
        for edge in path.dynamic:
            if stamp_ns <= 0 or not edge.oldest_ns <= stamp_ns <= edge.newest_ns:
                raise self._out_of_range(path, target, source, stamp_ns)

    # Intake

    def _is_sound(self, link: Link, is_static: bool) -> bool:
        numbers = (*link.translation, *link.rotation)
        norm = sum(value * value for value in link.rotation)
        if (
            not all(map(math.isfinite, numbers))
            or abs(norm - 1.0) > _UNIT_TOLERANCE
            or not (link.child and link.parent)
        ):
            named = f'translation {list(link.translation)}, quaternion (x, y, z, w) {list(link.rotation)}'
            text = f'{named} of {link.child!r} in {link.parent!r} is not a transform: correct its publisher'
            return self._refuse(link.child, 'tf_invalid', text)
        if link.child == link.parent:
            text = f'{link.child!r} is sent as its own parent: correct its publisher'
            return self._refuse(link.child, 'tf_self_parent', text)
        if link.stamp_ns <= 0 and not is_static:
            text = (
                f'{link.child!r} in {link.parent!r} comes on /tf without a stamp, so nobody knows when it holds: have '
                'its publisher fill in header.stamp, or send it on /tf_static if it never changes'
            )
            return self._refuse(link.child, 'tf_zero_stamp', text, found='tf_zero_stamp')
        return True

    def _refuse(self, child: str, reason: str, text: str, found: str = 'tf_invalid') -> bool:
        """False; whoever looks for the frame gets `text` under the reason `found`."""
        self.counts[reason] += 1
        if len(self._refused) >= _MAX_REFUSED:
            self._refused.pop(next(iter(self._refused)))
        self._refused[child] = found, text
        self._say(reason, child, f'transform refused: {text}')
        return False

    def _say(self, reason: str, child: str, text: str) -> None:
        if (reason, child) not in self._said and len(self._said) < _MAX_SAID:
            self._said.add((reason, child))
            self._warn(f'{reason} {child}', text)

    def _jump(self, link: Link, edge: Edge) -> None:
        self._say(
            'tf_time_jump',
            link.child,
            f'the stamps of {link.child!r} in {link.parent!r} jumped back from {seconds(edge.newest_ns)} to '
            f'{seconds(link.stamp_ns)}: all dynamic transforms are dropped. Unless a recording was restarted, two '
            f'publishers with different clocks send {link.child!r}',
        )
        self._drop_dynamic()

    def _drop_dynamic(self) -> None:
        self.counts['tf_time_jump'] += 1
        self._edges = {child: kept for child, kept in self._edges.items() if kept.is_static}
        self._changed()
        self._on_time_jump()

    def _replace(self, old: Edge | None, link: Link, is_static: bool) -> Edge:
        if old is not None:
            self.counts['tf_reparented'] += 1
            before, after = ('static' if was else 'dynamic' for was in (old.is_static, is_static))
            self._say(
                'tf_reparented',
                link.child,
                f'{link.child!r} was {before} in {old.parent!r} and is now {after} in {link.parent!r}; the newest '
                'counts',
            )
            if old.parent != link.parent:
                self._note_change(link, old.parent)
        elif not is_static:
            self._forget_silent()
        edge = self._make_edge(link, is_static, self._buffer_ns)
        self._edges[link.child] = edge
        self._changed()
        return edge

    def _changed(self) -> None:
        self._frames = {name for kept in self._edges.values() for name in (kept.child, kept.parent)}
        self._paths.clear()

    def _note_change(self, link: Link, left: str) -> None:
        self._changes.setdefault(link.child, deque(maxlen=_ALTERNATIONS)).append((time.monotonic(), left))
        if self._alternates(link.child):
            self._say('tf_two_parents', link.child, self._two_parents(link.child, link.parent))

    def _alternates(self, child: str) -> bool:
        changes = self._changes.get(child)
        if changes is None or len(changes) < _ALTERNATIONS:
            return False
        return time.monotonic() - changes[0][0] <= ALTERNATING_S

    def _two_parents(self, child: str, parent: str) -> str:
        return (
            f'{child!r} is sent in {self._changes[child][-1][1]!r} and in {parent!r} by turns, so two publishers send '
            'it: stop one of them; until then no transform over it is used'
        )

    def _forget_silent(self) -> None:
        """Trackers keep naming frames by new numbers: without this the tree would grow as long as they run."""
        limit = time.monotonic() - self._forget_s
        self._edges = {child: edge for child, edge in self._edges.items() if edge.is_static or edge.heard_s >= limit}
        self._changes = {child: changes for child, changes in self._changes.items() if child in self._edges}

    # Paths

    def _find(self, target: str, source: str, stamp_ns: int) -> Path:
        asked = f'no transform from {source!r} to {target!r} at {seconds(stamp_ns)}'
        for name in (source, target):
            if name not in self._frames:
                raise self._unknown(name, (source, target), asked)
        from_source, from_target = self._climb(source, asked), self._climb(target, asked)
        above = {source: 0, **{edge.parent: index + 1 for index, edge in enumerate(from_source)}}
        frame, down = target, 0
        while frame not in above and down < len(from_target):
            frame, down = from_target[down].parent, down + 1
        if frame not in above:
            raise self._disconnected(from_source, from_target, target, source, asked)
        up_edges, down_edges = tuple(from_source[: above[frame]]), tuple(from_target[:down])
        self._refuse_two_parents((*up_edges, *down_edges), asked)
        return Path(up_edges, down_edges, tuple(edge for edge in up_edges + down_edges if not edge.is_static))

    def _climb(self, frame: str, asked: str) -> list[Edge]:
        """The edges from a frame to its root."""
        edges, seen = [], [frame]
        while (edge := self._edges.get(frame)) is not None:
            edges.append(edge)
            frame = edge.parent
            if frame in seen:
                circle = ' in '.join(repr(name) for name in [*seen[seen.index(frame) :], frame])
                raise TransformError(
                    'tf_loop', f'{asked}: the frames form a cycle ({circle}); stop the publisher that closes it'
                )
            seen.append(frame)
        return edges

    # Errors

    def _refuse_two_parents(self, edges: Iterable[Edge], asked: str) -> None:
        for edge in edges:
            if self._alternates(edge.child):
                raise TransformError('tf_two_parents', f'{asked}: {self._two_parents(edge.child, edge.parent)}')

    def _unknown(self, name: str, ends: tuple[str, str], asked: str) -> TransformError:
        if not all(ends):
            return TransformError('tf_unknown_frame', f'{asked}: a frame without a name; fill in header.frame_id')
        for child in ends:
            if child in self._refused:
                return self._refusal(child, asked)
        known = sorted(self._frames)
        listed = ', '.join(known[:_MAX_NAMED]) + (
            f' and {len(known) - _MAX_NAMED} more' if len(known) > _MAX_NAMED else ''
        )
        return TransformError(
            'tf_unknown_frame',
            f'{asked}: {name!r} was never received (known: {listed or "no frame at all"}); start its publisher, or '
            'correct the name',
            may_come=True,
        )

    def _disconnected(
        self, from_source: list[Edge], from_target: list[Edge], target: str, source: str, asked: str
    ) -> TransformError:
        self._refuse_two_parents((*from_source, *from_target), asked)
        roots = from_source[-1].parent if from_source else source, from_target[-1].parent if from_target else target
        for root in roots:
            if root in self._refused:
                return self._refusal(root, asked)
        return TransformError(
            'tf_not_connected',
            f'{asked}: {source!r} is in the tree of {roots[0]!r}, {target!r} in that of {roots[1]!r}; publish the '
            f'transform that joins them, such as {roots[0]!r} in {target!r}',
            may_come=True,
        )

    def _refusal(self, child: str, asked: str) -> TransformError:
        reason, text = self._refused[child]
        return TransformError(reason, f'{asked}: {text}')

    def _out_of_range(self, path: Path, target: str, source: str, stamp_ns: int) -> TransformError:
        asked = f'no transform from {source!r} to {target!r} at {seconds(stamp_ns)}'
        first = max(path.dynamic, key=lambda edge: edge.oldest_ns)
        last = min(path.dynamic, key=lambda edge: edge.newest_ns)
        there = f'samples reach from {seconds(first.oldest_ns)} to {seconds(last.newest_ns)}'
        if stamp_ns <= 0:
            return TransformError('tf_past', f'{asked}: the stamp is not filled in ({there}); correct the image driver')
        if stamp_ns < first.oldest_ns:
            return TransformError(
                'tf_past',
                f'{asked}: it is {seconds(first.oldest_ns - stamp_ns)} older than the oldest sample of '
                f'{first.child!r} in {first.parent!r} ({there}); keep a longer buffer, shorten the pipeline, or '
                'synchronise the clocks',
            )
        if last.child in self._refused:
            return self._refusal(last.child, asked)
        return TransformError(
            'tf_future',
            f'{asked}: it is {seconds(stamp_ns - last.newest_ns)} newer than the newest sample of {last.child!r} in '
            f'{last.parent!r} ({there}); wait longer, see that its publisher runs, or synchronise the clocks',
            may_come=True,
        )
