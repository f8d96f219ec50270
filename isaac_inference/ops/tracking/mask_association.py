# SPDX-License-Identifier: Apache-2.0
"""How well masks of this frame fit the tracks: boxes of neighbours overlap where their masks do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.masks.masks import touched
from isaac_inference.ops.masks.rows import check_count

_SAMPLES = 240  # of an image's shorter side: as exact as matching needs


@dataclass(frozen=True, eq=False)
class SeenMasks:
    """The masks of one frame's detections, as samples on an even grid.

    Attributes:
        image: (h, w) uint16, every `step`-th pixel of the image of instances: i + 1 where detection i is seen.
        step: px from one sample to the next.
        areas: (N,) samples of each detection; 0 where nothing of it is seen.
    """

    image: np.ndarray
    step: int
    areas: np.ndarray

    @classmethod
    def of_image(cls, image: np.ndarray, count: int) -> SeenMasks:
        """Of an image of instances.

        Args:
            image: (H, W) uint16: i + 1 where detection i is seen, 0 where none is.
            count: detections of the frame.

        Raises:
            FrameError: 'mask_count', there are numbers beyond them in it.

        Example:
            >>> SeenMasks.of_image(np.array([[0, 1, 1], [2, 2, 2]], np.uint16), 3).areas.tolist()
            [2, 3, 0]
        """
        step = max(1, min(image.shape) // _SAMPLES)
        samples = np.ascontiguousarray(image[step // 2 :: step, step // 2 :: step])
        check_count(samples, count)
        areas = np.bincount(samples.ravel(), minlength=count + 1)[1:]
        return cls(samples, step, areas)

    def crop(self, index: int, box: np.ndarray) -> np.ndarray | None:
        """(h, w) bool of the samples of one detection within its box (4,) px; None where there are none."""
        if not self.areas[index]:
            return None
        ((left, top),), ((right, bottom),) = (ends.tolist() for ends in self._samples_in(box[None]))
        found: np.ndarray = self.image[top:bottom, left:right] == index + 1
        return found if found.any() else None

    def overlap(self, crops: Sequence[np.ndarray | None], boxes: np.ndarray) -> np.ndarray:
        """IoU of the masks of tracks, each moved and stretched with its box, with those of all detections.

        Args:
            crops: of T tracks, as of `crop`, in the frame that each was seen in.
            boxes: (T, 4) px, where each is expected now.

        Returns:
            (T, N) in [0, 1], NaN where one of the two has no mask.

        Example: a track whose box has moved two samples to the right, where detection 1 is.
            >>> image = np.zeros((4, 8), np.uint16)
            >>> image[:, :2], image[:, 2:4] = 1, 2
            >>> seen = SeenMasks.of_image(image, 2)
            >>> seen.overlap([np.ones((4, 2), bool)], np.array([[2.0, 0, 4, 4]])).tolist()
            [[0.0, 1.0]]
        """
        found = np.full((len(crops), len(self.areas)), np.nan)
        first, stop = self._samples_in(boxes)
        height, width = self.image.shape
        is_seen = self.areas > 0
        for row, crop in enumerate(crops):
            if crop is None:
                continue
            (left, top), (right, bottom) = first[row].tolist(), stop[row].tolist()
            if right <= left or bottom <= top:  # it is expected outside the image
                found[row, is_seen] = 0.0
                continue
            moved = _stretched(crop, boxes[row] / self.step, (left, top, right, bottom))
            inside = self.image[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
            shared = np.bincount(inside[moved], minlength=len(self.areas) + 1)[1:]
            union = np.count_nonzero(moved) + self.areas - shared
            found[row, is_seen] = (shared / np.maximum(union, 1))[is_seen]
        return found

    def _samples_in(self, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and one-past-last samples (N, 2) as (x, y) of boxes in px."""
        height, width = self.image.shape
        return touched(np.asarray(boxes, np.float64) / self.step, (width, height))


def both(of_boxes: np.ndarray, of_masks: np.ndarray) -> np.ndarray:
    """The mean of the IoUs (T, N) of boxes and of masks; that of the boxes where a mask is missing (NaN), 0 where
    boxes do not overlap.

    Either alone loses more tracks: masks change with whatever comes to stand before an object.

    Example:
        >>> both(np.array([[0.6, 0.6, 0.0]]), np.array([[0.2, np.nan, 0.5]])).tolist()
        [[0.4, 0.6, 0.0]]
    """
    together = np.where(np.isnan(of_masks), of_boxes, (of_boxes + of_masks) / 2)
    return np.where(of_boxes > 0.0, together, 0.0)


def _stretched(crop: np.ndarray, box: np.ndarray, region: tuple[int, int, int, int]) -> np.ndarray:
    """A mask that fills its box, (h, w) bool, where the box (4,) is now, at the samples of a region."""
    height, width = crop.shape
    (x0, y0, x1, y1), (left, top, right, bottom) = box.tolist(), region
    columns = ((np.arange(left, right) + 0.5 - x0) * (width / max(x1 - x0, 1e-9))).astype(np.intp)
    rows = ((np.arange(top, bottom) + 0.5 - y0) * (height / max(y1 - y0, 1e-9))).astype(np.intp)
    stretched: np.ndarray = crop[np.clip(rows, 0, height - 1)[:, None], np.clip(columns, 0, width - 1)]
    return stretched
