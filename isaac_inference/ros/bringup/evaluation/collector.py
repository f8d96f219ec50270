# SPDX-License-Identifier: Apache-2.0
"""Truths and answers, put together by stamp as they come in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation import Boxes, FrameRecord, Poses
from isaac_inference.ros.runtime.health.timing import StageTiming

_LONGEST_LATENCY_NS = 60_000_000_000  # beyond this the stamp is of another clock than the host's


@dataclass
class CollectedFrame:
    """What has arrived of one stamp; `*_frame` is the frame_id that poses are in, times are the host's.

    `left_out` has, by id, why objects have no pose.
    """

    stamp_ns: int
    truth_boxes: Boxes | None = None
    truth_poses: Poses | None = None
    truth_frame: str = ''
    boxes: Boxes | None = None
    poses: Poses | None = None
    poses_frame: str = ''
    left_out: Mapping[str, str] = field(default_factory=dict)
    stages: dict[str, StageTiming] = field(default_factory=dict)
    shown_ns: int = 0
    finished_ns: int = 0

    @property
    def has_truth(self) -> bool:
        """Whether the whole truth is there."""
        return self.truth_boxes is not None and self.truth_poses is not None


class FrameCollector:
    """Thread-safe; messages go in by `note`, an evaluation waits for what it needs.

    Args:
        wants_poses: whether an answer without poses is incomplete.
    """

    def __init__(self, *, wants_poses: bool = True) -> None:
        self.wants_poses = wants_poses
        self._frames: dict[int, CollectedFrame] = {}
        self._changed = threading.Condition()

    def note(self, stamp_ns: int, **parts: Any) -> None:
        """Store fields of `CollectedFrame`; `stages` are added to those that are there."""
        with self._changed:
            frame = self._frames.setdefault(stamp_ns, CollectedFrame(stamp_ns))
            frame.stages.update(parts.pop('stages', {}))
            frame.finished_ns = max(frame.finished_ns, parts.pop('finished_ns', 0))
            for name, value in parts.items():
                setattr(frame, name, value)
            self._changed.notify_all()

    def wait(self, ready: Callable[[], bool], timeout_s: float) -> bool:
        """Whether `ready()` became true in time; it is asked after every message."""
        with self._changed:
            return self._changed.wait_for(ready, timeout_s)

    def truth_stamps(self, after_ns: int = -1) -> list[int]:
        """Stamps of frames whose whole truth is there, oldest first."""
        with self._changed:
            return sorted(stamp for stamp, frame in self._frames.items() if frame.has_truth and stamp > after_ns)

    def is_answered(self, stamp_ns: int) -> bool:
        """Whether every answer of the frame is there."""
        with self._changed:
            frame = self._frames.get(stamp_ns)
            return frame is not None and self._is_answered(frame)

    def has_objects(self) -> bool:
        """Whether any answer has a detection."""
        with self._changed:
            return any(frame.boxes is not None and len(frame.boxes) for frame in self._frames.values())

    def has_stages(self, stamp_ns: int) -> bool:
        """Whether a stage's timing of the frame is there."""
        with self._changed:
            return stamp_ns in self._frames and bool(self._frames[stamp_ns].stages)

    def records(self, stamps: Iterable[int]) -> list[FrameRecord]:
        """The frames of these stamps, in the order of time.

        Raises:
            ConfigError: truth and answers are in different frames.
        """
        with self._changed:
            return [self._record(self._frames[stamp]) for stamp in sorted(stamps)]

    def _is_answered(self, frame: CollectedFrame) -> bool:
        return frame.boxes is not None and (frame.poses is not None or not self.wants_poses)

    def _record(self, frame: CollectedFrame) -> FrameRecord:
        if frame.poses is not None and len(frame.poses) and frame.poses_frame != frame.truth_frame:
            raise ConfigError(
                f'poses are in frame {frame.poses_frame!r}, the truth is in {frame.truth_frame!r}; '
                "evaluate with target_frame '' so that poses stay in the camera's frame"
            )
        answered = self._is_answered(frame)
        return FrameRecord(
            stamp_ns=frame.stamp_ns,
            truth_boxes=frame.truth_boxes or Boxes.empty(),
            truth_poses=frame.truth_poses or Poses.empty(),
            boxes=(frame.boxes if answered else None) or Boxes.empty(),
            poses=(frame.poses if answered else None) or Poses.empty(),
            answered=answered,
            stages_ms={name: timing.work_ms for name, timing in frame.stages.items()},
            total_ms=_span_ms(frame.shown_ns or frame.stamp_ns, frame.finished_ns) if answered else None,
            pipeline_ms=_span_ms(_first_arrival(frame), frame.finished_ns) if answered else None,
            finished_ns=frame.finished_ns if answered else 0,
            left_out=frame.left_out,
        )


def _first_arrival(frame: CollectedFrame) -> int:
    return min((timing.arrived_ns for timing in frame.stages.values()), default=0)


def _span_ms(begin_ns: int, end_ns: int) -> float | None:
    span = end_ns - begin_ns
    return span / 1e6 if begin_ns and end_ns and 0 <= span <= _LONGEST_LATENCY_NS else None
