# SPDX-License-Identifier: Apache-2.0
"""Whether a stream of frames goes on: what was learnt from the frames before is worth nothing after a break."""

from __future__ import annotations

from dataclasses import dataclass, field

from std_msgs.msg import Header

from isaac_inference.ros.runtime.topics.stamp import JUMP_NS, stamp_ns


@dataclass
class FrameFlow:
    """One topic's frames, one after the other. Starts empty."""

    _frame_id: str | None = None
    _origin_ns: int = 0
    _last_ns: int = 0
    _numbers: dict[str, int] = field(default_factory=dict)

    def number(self, name: str) -> int:
        """A number for a class name, the same until the stream breaks."""
        return self._numbers.setdefault(name, len(self._numbers))

    def take(self, header: Header, max_gap_s: float) -> tuple[float, tuple[str, str] | None]:
        """The next frame.

        Returns:
            Seconds since the stream began (small, so that float64 holds every ns), and what broke it just now, as
            (reason, sentence), or None; the sentence is empty for a jump back that `PipelineNode` itself tells of.
            After a break the stream begins with this frame.
        """
        stamp = stamp_ns(header)
        broken = None if self._frame_id is None else self._broken(header.frame_id, stamp, max_gap_s)
        if broken is not None or self._frame_id is None:
            self._frame_id, self._origin_ns, self._numbers = header.frame_id, stamp, {}
        self._last_ns = stamp
        return (stamp - self._origin_ns) / 1e9, broken

    def _broken(self, frame_id: str, stamp_ns: int, max_gap_s: float) -> tuple[str, str] | None:
        step_s = (stamp_ns - self._last_ns) / 1e9
        if frame_id != self._frame_id:
            return (
                'reset_frame_id',
                f'frame_id changed from {self._frame_id!r} to {frame_id!r}; tracks start from scratch',
            )
        if stamp_ns < self._last_ns - JUMP_NS:
            return 'reset_time_backwards', ''
        if step_s < 0.0:
            return 'reset_time_backwards', f'stamps went back by {-step_s:.3f} s; tracks start from scratch'
        if step_s > max_gap_s:
            return (
                'reset_time_jump',
                f'stamps went on by {step_s:.3f} s (max_gap_s {max_gap_s:g}); tracks start from scratch',
            )
        return None
