# SPDX-License-Identifier: Apache-2.0
"""Frames that are on their way: what was said of each, until the last stage has it or it is given up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from isaac_inference.serving.budgets.frame_times import Span

_MOST = 1000  # frames that are remembered, open or not: a camera's half minute


class Report(NamedTuple):
    """What a place says of a frame: of the stages before it, as far as it knows them, and last of itself."""

    place: str
    spans: tuple[Span, ...]


@dataclass
class OpenFrame:
    """One frame.

    Attributes:
        stamp_ns: of the camera, by which it is known.
        seen_ns: when it was first heard of, ns of a clock that does not jump.
        sent_ns: by when the camera had published it, ns of the wall clock; None where that is not known.
        origin: the first stage's own work on it, once that has been reported.
        spans: of its stages, by stage and arrival.
        heard: places whose report has come.
        waiting: reports of other places that came before the first one's.
    """

    stamp_ns: int
    seen_ns: int
    sent_ns: int | None = None
    origin: Span | None = None
    spans: dict[tuple[str, int], Span] = field(default_factory=dict)
    heard: set[str] = field(default_factory=set)
    waiting: list[Report] = field(default_factory=list)


class OpenFrames:
    """Collects the reports of several places by stamp, in whatever order they come.

    A frame is whole once all places have reported and the output's own work is the last; so an output that reports
    twice, such as a tracker that smooths what another stage makes of its first report, has its second one waited for.

    A place that several pipelines share, such as one inference node of many cameras, reports frames of all of them, and
    cameras that are triggered together have the same stamps: a report is of a frame here only if the first stage has
    had it, and at the time that the report says.

    Every `now_ns` is of one clock that does not jump.

    Args:
        places: in the order of the data; the last one is the output.
    """

    def __init__(self, places: Sequence[str]) -> None:
        self._places = tuple(places)
        self._open: dict[int, OpenFrame] = {}
        self._closed: dict[int, Span | None] = {}  # stamp -> origin
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
        self._close(self._open.get(stamp_ns) or OpenFrame(stamp_ns, 0))

    def reported(self, report: Report, stamp_ns: int, now_ns: int) -> tuple[list[Report], OpenFrame | None]:
        """Take a report of one span or more.

        Returns:
            The reports that are of a frame of this pipeline, as far as that is known only now, those of frames that
            were given up included; and the frame, if it is whole now.
        """
        frame = self._frame(stamp_ns, now_ns)
        if frame is None:
            return ([report] if _fits(report, self._closed[stamp_ns]) else []), None
        taken = [report]
        if report.place == self._places[0]:
            frame.origin = report.spans[0]
            taken += [one for one in frame.waiting if _fits(one, frame.origin)]
            frame.waiting.clear()
        elif frame.origin is None:
            frame.waiting.append(report)
            return [], None
        elif not _fits(report, frame.origin):
            return [], None
        for one in taken:
            self._take(frame, one)
        if frame.heard.issuperset(self._places) and self._is_last(frame):
            self._close(frame)
            return taken, frame
        return taken, None

    def _take(self, frame: OpenFrame, report: Report) -> None:
        frame.heard.add(report.place)
        for span in report.spans:
            key = span.stage, span.arrived_ns
            before = frame.spans.get(key)
            if before is None or before.finished_ns < span.finished_ns:
                frame.spans[key] = span
        if report.place == self._places[-1]:
            self._output_stage = report.spans[-1].stage

    def expired(self, patience_ns: int, now_ns: int) -> Iterator[OpenFrame]:
        """Give up, and give out, the frames that have been open for longer than `patience_ns`."""
        due = [frame for frame in self._open.values() if now_ns - frame.seen_ns > patience_ns]
        for frame in due:
            self._close(frame)
            if frame.origin is not None or frame.sent_ns is not None:  # else it is another pipeline's
                yield frame

    def forget(self) -> None:
        """Time has started over."""
        self._open.clear()
        self._closed.clear()

    def _is_last(self, frame: OpenFrame) -> bool:
        """Whether the output's work is the last; of a chain without branches it always is."""
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

    def _close(self, frame: OpenFrame) -> None:
        self._open.pop(frame.stamp_ns, None)
        self._closed[frame.stamp_ns] = frame.origin
        while len(self._closed) > _MOST:
            del self._closed[next(iter(self._closed))]


def _fits(report: Report, origin: Span | None) -> bool:
    """Whether a report is of the frame that the first stage had: one that tells of that stage tells of its time."""
    if origin is None:
        return False
    first = report.spans[0]
    return first.stage != origin.stage or first.arrived_ns == origin.arrived_ns
