# SPDX-License-Identifier: Apache-2.0
"""Frames that are on their way: what was said of each, until the last stage has it or it is given up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from isaac_inference.serving.budgets.frame_times import Span

_MOST = 1000  # frames that are remembered, open or not: a camera's half minute


@dataclass
class OpenFrame:
    """One frame.

    Attributes:
        stamp_ns: of the camera, by which it is known.
        seen_ns: when it was first heard of, ns of a clock that does not jump.
        sent_ns: by when the camera had published it, ns of the wall clock; None where that is not known.
        spans: of its stages, by stage and arrival.
        heard: places whose report has come.
    """

    stamp_ns: int
    seen_ns: int
    sent_ns: int | None = None
    spans: dict[tuple[str, int], Span] = field(default_factory=dict)
    heard: set[str] = field(default_factory=set)


class OpenFrames:
    """Collects the reports of several places by stamp, in whatever order they come.

    A frame is whole once all places have reported and the output's own work is the last; so an output that reports
    twice, such as a tracker that smooths what another stage makes of its first report, has its second one waited for.

    Every `now_ns` is of one clock that does not jump.

    Args:
        places: in the order of the data; the last one is the output.
    """

    def __init__(self, places: Sequence[str]) -> None:
        self._places = tuple(places)
        self._open: dict[int, OpenFrame] = {}
        self._closed: dict[int, None] = {}
        self._output_stage = ''  # that the output's reports name last

    def published(self, stamp_ns: int, sent_ns: int, now_ns: int) -> bool:
        """The camera had published a frame by `sent_ns`, of the wall clock. Whether anybody has reported it already."""
        frame = self._frame(stamp_ns, now_ns)
        if frame is None:
            return True
        if frame.sent_ns is None:
            frame.sent_ns = sent_ns
        return bool(frame.heard)

    def left_out(self, stamp_ns: int) -> None:
        """A frame is not wanted: nothing is to come of it."""
        self._open.pop(stamp_ns, None)
        self._close(stamp_ns)

    def reported(self, place: str, stamp_ns: int, spans: Iterable[Span], now_ns: int) -> OpenFrame | None:
        """What a place says of a frame: of itself, and often of the stages before it. The frame, if it is whole now."""
        frame = self._frame(stamp_ns, now_ns)
        if frame is None:
            return None
        frame.heard.add(place)
        given = list(spans)
        for span in given:
            key = span.stage, span.arrived_ns
            before = frame.spans.get(key)
            if before is None or before.finished_ns < span.finished_ns:
                frame.spans[key] = span
        if given and place == self._places[-1]:
            self._output_stage = given[-1].stage
        if frame.heard.issuperset(self._places) and self._is_last(frame):
            del self._open[stamp_ns]
            self._close(stamp_ns)
            return frame
        return None

    def expired(self, patience_ns: int, now_ns: int) -> Iterator[OpenFrame]:
        """Give up, and give out, the frames that have been open for longer than `patience_ns`."""
        due = [frame for frame in self._open.values() if now_ns - frame.seen_ns > patience_ns]
        for frame in due:
            del self._open[frame.stamp_ns]
            self._close(frame.stamp_ns)
            yield frame

    def forget(self) -> None:
        """Time has started over."""
        self._open.clear()
        self._closed.clear()

    def _is_last(self, frame: OpenFrame) -> bool:
        """Whether the output's work is the last; of a chain without branches it always is."""
        if not frame.spans:
            return False
        last = max(frame.spans.values(), key=lambda span: span.finished_ns)
        return last.stage == self._output_stage

    def _frame(self, stamp_ns: int, now_ns: int) -> OpenFrame | None:
        """The open frame of a stamp, which begins with the first word of it; None once it is closed."""
        if stamp_ns in self._closed:
            return None
        frame = self._open.get(stamp_ns)
        if frame is None:
            frame = self._open[stamp_ns] = OpenFrame(stamp_ns, now_ns)
        return frame

    def _close(self, stamp_ns: int) -> None:
        self._closed[stamp_ns] = None
        while len(self._closed) > _MOST:
            del self._closed[next(iter(self._closed))]
