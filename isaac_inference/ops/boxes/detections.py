# SPDX-License-Identifier: Apache-2.0
"""What decoders return and everything after them takes: boxes with scores and classes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from isaac_inference.errors import FrameError

if TYPE_CHECKING:
    from isaac_inference.ops.masks.masks import Masks  # takes OpenCV, which reading a card does not


@dataclass(frozen=True, eq=False)
class Detections:
    """N boxes with a score and a class each; row i of every array is the same object.

    The function that returns it says which image the pixels belong to: the model's input or the camera's image.

    Attributes:
        boxes: (N, 4) float32, corners as (x_min, y_min, x_max, y_max) in pixels; 0 is the image's left or top
            edge.
        scores: (N,) float32, in [0, 1] for every decoder of this package.
        class_ids: (N,) int32, index into the model's class names.
        keypoints: (N, K, 3) float32, (x, y, confidence) of each box's K keypoints in the model's order: x and y in
            the pixels of `boxes` (0 is the image's edge, not a pixel's centre), and they may lie outside the box
            and the image; confidence in [0, 1]. None for a model without keypoints.
        angles: (N,) float32, rad, by how much each box is turned about its centre, clockwise as one sees the image (x
            to the right, y down). `boxes` then holds the corners BEFORE that turn: centre -+ size / 2. None for boxes
            that are upright.
        coefficients: (N, C) float32, how much of each of C prototypes makes a box's mask; None where a decoder gives
            none.
        rows: (N,) int32, which row of the model's output each box was; None where a decoder does not say.
        masks: of the N objects, in the pixels of `boxes`; None for a model without, and as long as nobody asked for
            them.
        best_score: highest score of the whole frame before any threshold, also where nothing was found; NaN where a
            decoder does not know it.

    Raises:
        FrameError: 'bad_detections', when the arrays do not have these shapes and types.

    Example:
        >>> boxes = np.array([[0, 0, 4, 2], [5, 5, 9, 9]], np.float32)
        >>> found = Detections(boxes, np.array([0.5, 0.25], np.float32), np.array([7, 3], np.int32))
        >>> len(found), found.select(found.scores > 0.3).class_ids.tolist()
        (2, [7])
    """

    boxes: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    keypoints: np.ndarray | None = None
    angles: np.ndarray | None = None
    coefficients: np.ndarray | None = field(default=None, kw_only=True)
    rows: np.ndarray | None = field(default=None, kw_only=True)
    masks: Masks | None = field(default=None, kw_only=True)
    best_score: float = field(default=math.nan, kw_only=True)

    def __post_init__(self) -> None:
        count = len(self.scores)
        _require('boxes', self.boxes, (count, 4), np.float32)
        _require('scores', self.scores, (count,), np.float32)
        _require('class_ids', self.class_ids, (count,), np.int32)
        if self.keypoints is not None:
            each = self.keypoints.shape[1] if self.keypoints.ndim == 3 else 1
            _require('keypoints', self.keypoints, (count, each, 3), np.float32)
        if self.angles is not None:
            _require('angles', self.angles, (count,), np.float32)
        if self.coefficients is not None:
            each = self.coefficients.shape[1] if self.coefficients.ndim == 2 else 1
            _require('coefficients', self.coefficients, (count, each), np.float32)
        if self.rows is not None:
            _require('rows', self.rows, (count,), np.int32)
        if self.masks is not None and len(self.masks) != count:
            raise FrameError(
                'bad_detections', f'Detections.masks: got {len(self.masks)}, expected {count}: one mask for each box'
            )

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def empty(cls) -> Detections:
        """No detections."""
        return cls(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32))

    def select(self, index_or_mask: np.ndarray) -> Detections:
        """The rows selected by an integer index (any order, repeats allowed) or an (N,) boolean mask."""
        return Detections(
            self.boxes[index_or_mask],
            self.scores[index_or_mask],
            self.class_ids[index_or_mask],
            None if self.keypoints is None else self.keypoints[index_or_mask],
            None if self.angles is None else self.angles[index_or_mask],
            coefficients=None if self.coefficients is None else self.coefficients[index_or_mask],
            rows=None if self.rows is None else self.rows[index_or_mask],
            masks=None if self.masks is None else self.masks.select(index_or_mask),
            best_score=self.best_score,
        )


def _require(name: str, array: np.ndarray, shape: tuple[int, ...], dtype: type) -> None:
    if array.shape != shape or array.dtype != dtype:
        raise FrameError(
            'bad_detections',
            f'Detections.{name}: got {array.dtype} {array.shape}, expected {np.dtype(dtype)} {shape}; '
            f'every array has one row per box',
        )
