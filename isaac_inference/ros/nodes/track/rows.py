# SPDX-License-Identifier: Apache-2.0
"""What has a row for each detection goes out in the rows of the tracked ones: keypoints and masks.

They come before the detections of their stamp, as a detection node sends them, or after them, as keypoints do that were
looked for in the boxes; nobody waits for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
from vision_msgs.msg import Detection2DArray

from isaac_inference.ops.masks.rows import renumbered
from isaac_inference.ros.messages.detections import SeenBox, read_keypoints
from isaac_inference.ros.messages.image import ImageFrame
from isaac_inference.ros.messages.masks import instance_array, instance_frame
from isaac_inference.ros.messages.tensors import KEYPOINTS_TOPIC, TensorFrame

T = TypeVar('T')
BUFFER = 16  # of what comes before its detections; a mask is an image
PATIENCE_S = 3.0  # by the stamps; a network on crops of many people, on a small computer, takes so long
_MOST_FRAMES = 512  # whatever their stamps: more than PATIENCE_S at 120 a second


@dataclass(frozen=True, eq=False)
class TrackedRows:
    """One frame's detections, as they came and as they are published.

    Attributes:
        message: as they came.
        stamp_s: of the frame, as of `FrameFlow.take`.
        seen: those that can be used.
        ids: the track of each, 0 for none.
        kept: the rows that are published, in their order; None for all.
    """

    message: Detection2DArray
    stamp_s: float
    seen: Sequence[SeenBox]
    ids: Sequence[int]
    kept: Sequence[int] | None

    def keypoints(self, frame: TensorFrame) -> np.ndarray:
        """(N, K, 3) of all detections as they came.

        Raises:
            FrameError: as of `read_keypoints`.
        """
        return read_keypoints(self.message, frame)

    def keypoint_frame(self, frame: TensorFrame, points: np.ndarray) -> TensorFrame:
        """What is published of (N, K, 3), which were those of `frame`; the same object where nothing changes."""
        if self.kept is not None:
            points = points[list(self.kept)]
        elif points is frame.tensors[KEYPOINTS_TOPIC]:
            return frame
        return replace(frame, tensors={KEYPOINTS_TOPIC: points})

    def mask_frame(self, frame: ImageFrame) -> ImageFrame:
        """What is published of an image of instances; the same object where nothing changes.

        Raises:
            FrameError: as of `instance_array` and `renumbered`.
        """
        if self.kept is None:
            return frame
        return instance_frame(frame.header, renumbered(instance_array(frame), len(self.message.detections), self.kept))


class RowStream(Generic[T]):
    """Pairs the frames that were tracked with one stream of what belongs to their rows, by stamp. Starts empty.

    Tracked frames are small, and wait `PATIENCE_S`; what belongs to them may be an image, and of that the newest
    `BUFFER` wait. A frame for which nothing comes is no fault: a network that is slower than its detector leaves frames
    out. A stamp of 0 is no stamp, and is paired with nothing.

    Args:
        lost: told why, in words that follow "keypoints" or "masks", when something is let go that belongs to no frame
            since the first that was tracked.
    """

    def __init__(self, lost: Callable[[str], None]) -> None:
        self._lost = lost
        self._frames: dict[int, TrackedRows] = {}
        self._items: dict[int, T] = {}
        self._first_ns = self._gone_ns = 0

    def forget_tracked(self) -> None:
        """Time has jumped, or nobody listens: what comes now is not of the frames before, though a recording repeats
        their stamps.
        """
        self._frames.clear()
        self._first_ns = self._gone_ns = 0

    def is_awaited(self, stamp_ns: int) -> bool:
        """Whether the detections of that stamp have been tracked already."""
        return stamp_ns in self._frames

    def track(self, stamp_ns: int, rows: TrackedRows) -> T | None:
        """A frame was tracked: what belongs to it, where that has come."""
        if not stamp_ns:
            return None
        self._first_ns = self._first_ns or stamp_ns
        item = self._items.pop(stamp_ns, None)
        if item is None:
            self._frames[stamp_ns] = rows
            self._let_go_frames(stamp_ns)
        return item

    def put(self, stamp_ns: int, item: T) -> TrackedRows | None:
        """Something has come: the frame that it belongs to, where that was tracked."""
        if not stamp_ns:
            return None
        rows = self._frames.pop(stamp_ns, None)
        if rows is not None:
            return rows
        if self._first_ns <= stamp_ns <= self._gone_ns:
            self._lost(f'came more than {PATIENCE_S:g} s after their detections')
        else:
            self._keep(stamp_ns, item)
        return None

    def _keep(self, stamp_ns: int, item: T) -> None:
        self._items[stamp_ns] = item
        if len(self._items) > BUFFER:
            oldest = next(iter(self._items))
            del self._items[oldest]
            if oldest >= self._first_ns:
                self._lost('came whose stamp no detections have; are they made of these `detections`?')

    def _let_go_frames(self, now_ns: int) -> None:
        while len(self._frames) > _MOST_FRAMES or next(iter(self._frames)) < now_ns - PATIENCE_S * 1e9:
            self._gone_ns = next(iter(self._frames))
            del self._frames[self._gone_ns]
