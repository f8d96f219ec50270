# SPDX-License-Identifier: Apache-2.0
"""The masks of a frame's objects, each only as large as its box, and the one image that holds them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from isaac_inference.errors import FrameError

MAX_OBJECTS = 65535
"""As many objects as an image of 16 bits can tell apart."""


@dataclass(frozen=True, eq=False)
class Masks:
    """N masks in pixels of the source image; mask i is that of detection i.

    Attributes:
        source_wh: the image's (width, height) in pixels.
        corners: (N, 2) int, (x, y) of the image's pixel that each crop begins at.
        crops: N arrays (h, w) bool, the part of each mask around which there is nothing; (0, 0) for none. All lie
            within the image.

    Raises:
        FrameError: 'bad_masks', when the arrays do not have these shapes and types or reach beyond the image.

    Example: the upper object hides the lower one's second column.
        >>> low, high = np.ones((2, 2), np.bool_), np.ones((1, 3), np.bool_)
        >>> masks = Masks((4, 2), np.array([[0, 0], [1, 0]]), (low, high))
        >>> masks.areas.tolist(), masks.painted(np.array([0.5, 0.9])).tolist()
        ([4, 3], [[1, 2, 2, 2], [1, 1, 0, 0]])
    """

    source_wh: tuple[int, int]
    corners: np.ndarray
    crops: tuple[np.ndarray, ...]

    def __post_init__(self) -> None:
        count = len(self.crops)
        if self.corners.shape != (count, 2) or self.corners.dtype.kind not in 'iu':
            raise _bad(f'corners: got {self.corners.dtype} {self.corners.shape}, expected whole numbers ({count}, 2)')
        width, height = self.source_wh
        for index, (crop, (x, y)) in enumerate(zip(self.crops, self.corners.tolist(), strict=True)):
            if crop.ndim != 2 or crop.dtype != np.bool_:
                raise _bad(f'crop {index}: got {crop.dtype} {crop.shape}, expected bool (h, w)')
            if min(x, y) < 0 or x + crop.shape[1] > width or y + crop.shape[0] > height:
                raise _bad(f'crop {index}: {crop.shape} from ({x}, {y}) on reaches beyond {width}x{height} pixels')

    def __len__(self) -> int:
        return len(self.crops)

    @classmethod
    def empty(cls, source_wh: tuple[int, int]) -> Masks:
        """Of an image without objects."""
        return cls(source_wh, np.empty((0, 2), np.intp), ())

    @classmethod
    def of_image(cls, image: np.ndarray, boxes: np.ndarray, numbers: Sequence[int] | np.ndarray | None = None) -> Masks:
        """Each object's own pixels in an image of instances, looked for in its box.

        Args:
            image: (H, W) uint16, as `painted` makes it.
            boxes: (N, 4) x_min, y_min, x_max, y_max in px; a pixel belongs to a box that it touches.
            numbers: (N,) what the pixels of each object hold; None for 1 to N.

        Example:
            >>> image = np.array([[0, 1, 2], [0, 1, 2]], np.uint16)
            >>> masks = Masks.of_image(image, np.array([[0.5, 0, 3, 1]]), numbers=[2])
            >>> masks.corners.tolist(), masks.crops[0].tolist()
            ([[0, 0]], [[False, False, True]])
        """
        height, width = image.shape
        corners, stops = touched(boxes, (width, height))
        wanted = range(1, len(boxes) + 1) if numbers is None else numbers
        crops = tuple(
            image[top:bottom, left:right] == np.uint16(number)
            for (left, top), (right, bottom), number in zip(corners.tolist(), stops.tolist(), wanted, strict=True)
        )
        return cls((width, height), corners, crops)

    @property
    def areas(self) -> np.ndarray:
        """(N,) int64, pixels of each mask."""
        return np.array([np.count_nonzero(crop) for crop in self.crops], np.int64)

    def select(self, index_or_mask: np.ndarray) -> Masks:
        """The masks selected by an integer index (any order, repeats allowed) or an (N,) boolean mask."""
        index = np.arange(len(self))[index_or_mask]
        return Masks(self.source_wh, self.corners[index], tuple(self.crops[i] for i in index.tolist()))

    def full(self, index: int) -> np.ndarray:
        """(H, W) bool of one mask in the whole image."""
        whole = np.zeros((self.source_wh[1], self.source_wh[0]), np.bool_)
        crop, (x, y) = self.crops[index], self.corners[index].tolist()
        whole[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
        return whole

    def painted(self, scores: np.ndarray) -> np.ndarray:
        """(H, W) uint16, in each pixel the number i + 1 of the mask that covers it, 0 where none does.

        Args:
            scores: (N,); where masks overlap the higher score wins, of equal ones the lower index.

        Raises:
            FrameError: 'too_many_objects', more than `MAX_OBJECTS`.
        """
        if len(self) > MAX_OBJECTS:
            raise FrameError(
                'too_many_objects',
                f'instance mask: got {len(self)} objects, expected at most {MAX_OBJECTS}, as many as 16 bits tell '
                'apart; lower max_detections',
            )
        image = np.zeros((self.source_wh[1], self.source_wh[0]), np.uint16)
        for index in np.argsort(-np.asarray(scores), kind='stable')[::-1].tolist():
            crop, (x, y) = self.crops[index], self.corners[index].tolist()
            if crop.size:
                region = image[y : y + crop.shape[0], x : x + crop.shape[1]]
                cv2.copyTo(np.full(crop.shape, index + 1, np.uint16), crop.view(np.uint8), region)
        return image


def touched(boxes: np.ndarray, source_wh: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """First and one-past-last pixels (N, 2) intp as (x, y) that boxes touch; none where a box lies outside or is bad.

    Example:
        >>> first, stop = touched(np.array([[0.5, 1.0, 2.0, 1.5], [9, 9, 12, 12]]), (4, 4))
        >>> first.tolist(), stop.tolist()
        ([[0, 1], [4, 4]], [[2, 2], [4, 4]])
    """
    boxes = _finite(boxes)
    size = np.array(source_wh)
    first = np.clip(np.floor(boxes[:, :2]), 0, size).astype(np.intp)
    stop = np.clip(np.ceil(boxes[:, 2:]), first, size).astype(np.intp)
    return first, stop


def begun(boxes: np.ndarray, source_wh: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """First and one-past-last pixels (N, 2) intp as (x, y) whose left and upper edges lie in boxes; none of bad boxes.

    Example:
        >>> first, stop = begun(np.array([[0.5, 0.6, 2.4, 2.0]]), (4, 4))
        >>> first.tolist(), stop.tolist()
        ([[1, 1]], [[3, 2]])
    """
    boxes = _finite(boxes)
    size = np.array(source_wh)
    first = np.clip(np.ceil(boxes[:, :2]), 0, size).astype(np.intp)
    stop = np.clip(np.ceil(boxes[:, 2:]), first, size).astype(np.intp)
    return first, stop


def covered(boxes: np.ndarray, source_wh: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """First and one-past-last pixels (N, 2) intp as (x, y) whose centres boxes cover; none where a box is bad.

    Example:
        >>> first, stop = covered(np.array([[0.5, 0.6, 2.4, 2.6]]), (4, 4))
        >>> first.tolist(), stop.tolist()
        ([[0, 1]], [[2, 3]])
    """
    boxes = _finite(boxes)
    size = np.array(source_wh)
    first = np.clip(np.ceil(boxes[:, :2] - 0.5), 0, size).astype(np.intp)
    stop = np.clip(np.ceil(boxes[:, 2:] - 0.5), first, size).astype(np.intp)
    return first, stop


def _finite(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) float64; a box with a value that is not finite becomes all zeros."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    return np.where(np.isfinite(boxes).all(axis=1, keepdims=True), boxes, 0.0)


def _bad(what: str) -> FrameError:
    return FrameError('bad_masks', f'Masks.{what}; every mask lies within the image that it is of')
