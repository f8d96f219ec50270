# SPDX-License-Identifier: Apache-2.0
"""The frames that a budget node follows: put together, compared, counted, and given up where they do not come."""

from __future__ import annotations

from collections.abc import Sequence

from isaac_inference.serving.budgets.camera_clock import CameraClock, stage_clock_problem
from isaac_inference.serving.budgets.check import BudgetCheck, Level
from isaac_inference.serving.budgets.frame_times import Span, frame_times
from isaac_inference.serving.budgets.open_frames import OpenFrame, OpenFrames, Report
from isaac_inference.serving.rates.guard import RateGuard

_ENOUGH = 10  # whole frames after which a CameraInfo whose stamp is of none of them is that of another camera


class WatchedFrames:
    """From reports to what is known of the pipeline. Not thread-safe: the node's worker calls it.

    Every `now_ns` is of the monotonic clock.

    Args:
        places: nodes, in the order of the data; the last one is the output.
        check: compares frames with a budget; None without one.
        guard: counts them.
        clock: looks at their stamps.
        patience_s: beyond the budget until a frame is given up.
        grace_s: from the first word of any frame until one that gives no result counts, where none has yet: stages
            start one after the other.
    """

    def __init__(
        self,
        places: Sequence[str],
        check: BudgetCheck | None,
        guard: RateGuard,
        clock: CameraClock,
        patience_s: float,
        grace_s: float,
    ) -> None:
        self.check, self.guard = check, guard
        self.last_ns: int | None = None  # when anything was heard of a frame
        self.clock_problem = self.stage_clock_problem = ''  # of the frames since the last `take_clock_problems`
        self.has_camera_info = False
        self.silent_places = set(places)  # of which no report has come yet
        self.camera_ms: float | None = None  # from the stamp to the first stage, of the last frame
        self._places, self._output = frozenset(places), places[-1]
        self._open = OpenFrames(places)
        self._clock = clock
        allowed_ms = 0.0 if check is None else check.budget.max_allowed_processing_time_ms
        self._grace_ns, self._first_ns = round(grace_s * 1e9), 0
        self._patience_ns = round(allowed_ms * 1e6 + patience_s * 1e9)
        self._whole = 0  # frames with a result
        self._is_known = False  # whether a CameraInfo has had the stamp of a frame

    @property
    def level(self) -> Level:
        """Of the frames until now."""
        return Level.OK if self.check is None else self.check.level

    @property
    def is_other_camera(self) -> bool:
        """Whether the CameraInfo that comes is of no frame."""
        return self.has_camera_info and self._whole >= _ENOUGH and not self._is_known

    def published(self, stamp_ns: int, sent_ns: int, now_ns: int) -> None:
        """The camera had published a frame by `sent_ns` of the wall clock."""
        self.has_camera_info = True
        self._note(now_ns)
        self.guard.published(stamp_ns, now_ns)
        if stamp_ns:
            self._is_known |= self._open.published(stamp_ns, sent_ns, now_ns)

    def left_out(self, stamp_ns: int, now_ns: int) -> None:
        """A stage leaves a frame out on purpose."""
        self._note(now_ns)
        self.guard.thinned(stamp_ns, now_ns)
        self._open.left_out(stamp_ns)

    def reported(self, place: str, stamp_ns: int, spans: Sequence[Span], now_ns: int) -> None:
        """A place says of a frame what it and those before it took."""
        self._note(now_ns)
        self.silent_places.discard(place)
        report = Report(place, tuple(spans))
        if stamp_ns:
            taken, frame = self._open.reported(report, stamp_ns, now_ns)
        else:  # frames without a stamp cannot be told apart: what the output says is all that is known of one
            spans_of = {(span.stage, span.arrived_ns): span for span in spans}
            taken, frame = [report], OpenFrame(0, now_ns, spans=spans_of) if place == self._output else None
        for one in taken:
            self.stage_clock_problem = stage_clock_problem(one.spans) or self.stage_clock_problem
            own = one.spans[-1]
            self.guard.passed(one.place, stamp_ns or now_ns, own.finished_ns - own.arrived_ns, now_ns)
        if frame is not None:
            self._take(frame, now_ns)

    def give_up(self, now_ns: int) -> None:
        """Count the frames that have not come in time as frames without a result."""
        for frame in self._open.expired(self._patience_ns, now_ns):
            if frame.heard.issuperset(self._places):  # of a chain with branches another one's work was the last
                self._take(frame, now_ns)
            elif self.check is not None and self._counts(frame, now_ns):
                self.check.missed(now_ns)

    def _counts(self, frame: OpenFrame, now_ns: int) -> bool:
        if not self._whole and now_ns - self._first_ns <= self._grace_ns:
            return False
        return bool(frame.heard) or not self.is_other_camera

    def forget(self, now_ns: int) -> None:
        """Time has started over."""
        self._open.forget()
        self.guard.restart(now_ns)
        if self.check is not None:
            self.check.forget()

    def take_clock_problems(self) -> tuple[str, str]:
        """What is wrong with the camera's stamps, and with the stages' clocks, since the last call; '' for nothing."""
        problems = self.clock_problem, self.stage_clock_problem
        self.clock_problem = self.stage_clock_problem = ''
        return problems

    def _note(self, now_ns: int) -> None:
        self._first_ns = now_ns if self.last_ns is None else self._first_ns
        self.last_ns = now_ns

    def _take(self, frame: OpenFrame, now_ns: int) -> None:
        self._whole += 1
        self._is_known |= frame.sent_ns is not None
        spans = list(frame.spans.values())
        problem = self._clock.problem(frame.stamp_ns, min(span.arrived_ns for span in spans))
        self.clock_problem = problem or self.clock_problem
        times = frame_times(frame.stamp_ns, spans, frame.sent_ns, use_stamp=not problem)
        self.camera_ms = times.camera_ms if frame.stamp_ns else None
        if self.check is not None:
            self.check.take(times, now_ns)
