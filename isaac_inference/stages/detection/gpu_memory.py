# SPDX-License-Identifier: Apache-2.0
"""The memory that one frame's decoding and NMS take: settings up, candidates between, the final boxes down."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.ops.boxes.plausibility import Tally

if TYPE_CHECKING:
    from isaac_inference.cuda.device import Gpu
    from isaac_inference.cuda.memory import PinnedArray

MAX_STRIDES = 8
MAX_TOP_K = 32768  # the scan keeps a row of the overlap matrix in a block's shared memory

_ALIGNMENT = 256  # bytes
_TILE = 64  # boxes: the bits of a word of the overlap matrix

# As `struct Frame`, `struct Header` and `struct Row` in cuda/kernels/detect.cu.
FRAME = np.dtype(
    [
        ('candidates', np.int32),
        ('flags', np.int32),
        ('boxes', np.int32),
        ('inverted', np.int32),
        ('outside', np.int32),
        ('tiny', np.int32),
        ('best', np.uint32),
        ('top_k', np.int32),
        ('max_detections', np.int32),
        ('class_aware', np.int32),
        ('level_count', np.int32),
        ('input_wh', np.int32, 2),
        ('strides', np.int32, MAX_STRIDES),
        ('min_threshold', np.float32),
        ('iou_threshold', np.float32),
        ('offset_xy', np.float32, 2),
        ('scale_xy', np.float32, 2),
        ('source_wh', np.float32, 2),
    ]
)
HEADER = np.dtype(
    [
        ('kept', np.int32),
        ('flags', np.int32),
        ('candidates', np.int32),
        ('boxes', np.int32),
        ('inverted', np.int32),
        ('outside', np.int32),
        ('tiny', np.int32),
        ('best_score', np.float32),
    ]
)
ROW = np.dtype(
    [
        ('box', np.float32, 4),
        ('score', np.float32),
        ('class_id', np.int32),
        ('anchor', np.int32),
        ('pixels', np.int32),
    ]
)


@dataclass(frozen=True)
class Capacity:
    """What a frame's memory has room for.

    Attributes:
        anchors: of the model, each of which may become a candidate.
        ranked: candidates that enter NMS.
        rows: detections that come back.
        classes: thresholds that go up.
        keypoints: of a detection; 0 for none.
    """

    anchors: int
    ranked: int
    rows: int
    classes: int
    keypoints: int

    @classmethod
    def of(cls, anchors: int, top_k: int, max_detections: int, classes: int, keypoints: int) -> Capacity:
        """As much as these settings can use of so many anchors.

        Raises:
            ConfigError: more candidates in NMS than the kernels take.
        """
        ranked = max(1, min(top_k, anchors))
        if ranked > MAX_TOP_K:
            raise ConfigError(
                f'top_k: got {top_k} for a model with {anchors} anchors, expected at most {MAX_TOP_K} on the GPU; '
                'lower it, or decode on the CPU'
            )
        return cls(max(1, anchors), ranked, max(1, min(max_detections, ranked)), classes, keypoints)

    @property
    def words(self) -> int:
        """64-bit words in a row of the overlap matrix."""
        return -(-self.ranked // _TILE)

    def includes(self, other: Capacity) -> bool:
        """Whether there is room for all that `other` has room for."""
        return all(getattr(self, field.name) >= getattr(other, field.name) for field in fields(self))

    def grown(self, other: Capacity) -> Capacity:
        """Room for both."""
        return Capacity(*(max(getattr(self, field.name), getattr(other, field.name)) for field in fields(self)))


class DetectionMemory:
    """One device buffer and one pinned buffer, cut into what the kernels take; made once, reused each frame.

    Attributes:
        capacity: what there is room for.
        at: name -> device address of 'frame', 'keys', 'boxes', 'classes', 'ranked_keys', 'ranked_boxes',
            'ranked_classes', 'drops', 'kept', 'header', 'rows', 'keypoints'.
        frame: `FRAME` record in pinned memory, written before an upload; its counters stay 0.
        thresholds: (classes,) float32 behind it.
        upload: (bytes,) uint8 of both.
        download: (bytes,) uint8 in pinned memory that takes the result, from `at['header']` on.
    """

    def __init__(self, gpu: Gpu, capacity: Capacity) -> None:
        self.capacity = capacity
        c = capacity
        sizes = {
            'frame': FRAME.itemsize + 4 * c.classes,
            'keys': 8 * c.anchors,
            'boxes': 16 * c.anchors,
            'classes': 4 * c.anchors,
            'ranked_keys': 8 * c.ranked,
            'ranked_boxes': 16 * c.ranked,
            'ranked_classes': 4 * c.ranked,
            'drops': 8 * c.ranked * c.words,
            'kept': 4 * c.rows,
        }
        places, end = {}, 0
        for name, size in sizes.items():
            places[name] = end
            end += -(-size // _ALIGNMENT) * _ALIGNMENT
        places['header'] = end
        places['rows'] = end + HEADER.itemsize
        places['keypoints'] = places['rows'] + ROW.itemsize * c.rows
        result_bytes = HEADER.itemsize + ROW.itemsize * c.rows + 12 * c.rows * c.keypoints
        self._device = gpu.pool.allocate(end + result_bytes, 'decoding and NMS')
        self.at = {name: self._device.ptr + place for name, place in places.items()}
        up_bytes = -(-sizes['frame'] // _ALIGNMENT) * _ALIGNMENT
        try:
            self._pinned = _pinned(gpu, up_bytes + result_bytes)
        except BaseException:
            self._device.free()
            raise
        host = self._pinned.array
        host[:] = 0
        self.upload, self.download = host[: sizes['frame']], host[up_bytes:]
        self.frame: np.ndarray = self.upload[: FRAME.itemsize].view(FRAME)
        self.thresholds: np.ndarray = self.upload[FRAME.itemsize :].view(np.float32)

    def header(self) -> tuple[int, int]:
        """Detections kept and flags of the result that has arrived."""
        header = self.download[: HEADER.itemsize].view(np.int32)
        return int(header[0]), int(header[1])

    def tally(self) -> Tally:
        """What there was to count in the candidates of the result that has arrived."""
        header = self.download[: HEADER.itemsize].view(HEADER)[0]
        counts = {name: int(header[name]) for name in ('boxes', 'inverted', 'outside', 'tiny')}
        return Tally(**counts, best_score=float(header['best_score']))

    def rows(self, count: int) -> np.ndarray:
        """(count,) `ROW` of the result that has arrived; a view."""
        return self.download[HEADER.itemsize : HEADER.itemsize + ROW.itemsize * count].view(ROW)

    def keypoints(self, count: int) -> np.ndarray:
        """(count, keypoints, 3) float32 of the result that has arrived; a view."""
        first = HEADER.itemsize + ROW.itemsize * self.capacity.rows
        each = self.capacity.keypoints
        return self.download[first : first + 12 * count * each].view(np.float32).reshape(count, each, 3)

    def free(self) -> None:
        """Gives both buffers back; nothing may be under way in them."""
        self._device.free()
        self._pinned.free()


def _pinned(gpu: Gpu, nbytes: int) -> PinnedArray:
    from isaac_inference.cuda.memory import pinned

    return pinned(gpu, (nbytes,), np.uint8, 'settings and results of NMS')
