# SPDX-License-Identifier: Apache-2.0
"""What has a row for each detection goes out in the rows of the tracked ones: keypoints and masks.

They come before the detections of their stamp, as a detection node sends them, or after them, as keypoints do that were
looked for in the boxes; nobody waits for them.
"""

from __future__ import annotations

from collections.abc import Sequence
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
_BUFFER = 16  # frames kept while the other half is made; a mask is an image


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

    A stamp of 0 is no stamp, and is paired with nothing.
    """

    def __init__(self) -> None:
        self._frames: dict[int, TrackedRows] = {}
        self._items: dict[int, T] = {}

    def forget_tracked(self) -> None:
        """Time has jumped: what comes now is not of the frames before, though a recording repeats their stamps."""
        self._frames.clear()

    def is_awaited(self, stamp_ns: int) -> bool:
        """Whether the detections of that stamp have been tracked already."""
        return stamp_ns in self._frames

    def track(self, stamp_ns: int, rows: TrackedRows) -> T | None:
        """A frame was tracked: what belongs to it, where that has come."""
        if not stamp_ns:
            return None
        item = self._items.pop(stamp_ns, None)
        if item is None:
            _put(self._frames, stamp_ns, rows)
        return item

    def put(self, stamp_ns: int, item: T) -> TrackedRows | None:
        """Something has come: the frame that it belongs to, where that was tracked."""
        if not stamp_ns:
            return None
        rows = self._frames.pop(stamp_ns, None)
        if rows is None:
            _put(self._items, stamp_ns, item)
        return rows


def _put(kept: dict[int, T], stamp_ns: int, item: T) -> None:
    kept[stamp_ns] = item
    if len(kept) > _BUFFER:
        del kept[next(iter(kept))]
