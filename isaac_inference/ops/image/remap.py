# SPDX-License-Identifier: Apache-2.0
"""Images resampled by a map: for each new pixel the place in the old image that it shows."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from isaac_inference.errors import FrameError

_LARGEST = 32766  # px a side: places are 16-bit numbers
OUTSIDE = -4


@dataclass(frozen=True, eq=False)
class PixelMap:
    """Places in an image, in the two arrays that `cv2.remap` takes without converting them first.

    A place within half a pixel outside of the outermost centres is still in the image and counts as its edge; what is
    further off, or NaN, shows nothing.

    Attributes:
        source_wh: (width, height) of that image.
        whole: (H, W, 2) int16, x and y of the pixel to the upper left; `OUTSIDE` where there is nothing to show.
        part: (H, W) uint16, what is beyond it, in 32nds of a pixel: y * 32 + x.
    """

    source_wh: tuple[int, int]
    whole: np.ndarray
    part: np.ndarray

    @classmethod
    def of(cls, places: np.ndarray, source_wh: tuple[int, int], nearest: bool = False) -> PixelMap:
        """From places in pixels.

        Args:
            places: (H, W, 2) x and y, pixel centres at whole numbers.
            source_wh: (width, height) of the image that they are in.
            nearest: take the nearest pixel instead of mixing the four around.

        Raises:
            FrameError: 'resize_failed', for an image of more than 32766 pixels a side.

        Example: half a pixel to the right of the first one, and a place outside.
            >>> made = PixelMap.of(np.array([[[0.5, 0.0], [9.0, 0.0]]]), (4, 2))
            >>> made.whole.tolist(), made.part.tolist()
            ([[[0, 0], [-4, -4]]], [[16, 0]])
        """
        if max(source_wh) > _LARGEST:
            raise FrameError(
                'resize_failed', f'image: got {source_wh[0]}x{source_wh[1]} pixels, expected at most {_LARGEST} a side'
            )
        last = np.array(source_wh) - 1.0
        places = np.ascontiguousarray(places, np.float32)
        outside = cv2.inRange(places, np.full(2, -0.5), last + 0.5) == 0
        kept = np.clip(places, 0, last.astype(np.float32))
        kept[outside] = OUTSIDE
        if nearest:
            np.rint(kept, out=kept)
        x, y = cv2.split(kept)
        whole, part = cv2.convertMaps(x, y, cv2.CV_16SC2)
        return cls(source_wh, np.asarray(whole), np.asarray(part))

    def around(self, shape: tuple[int, int], rows: slice, columns: slice) -> PixelMap:
        """The map as a part of a larger one of (height, width), around which there is nothing to show."""
        whole, part = np.full((*shape, 2), OUTSIDE, np.int16), np.zeros(shape, np.uint16)
        whole[rows, columns], part[rows, columns] = self.whole, self.part
        return PixelMap(self.source_wh, whole, part)


def remap_into(image: np.ndarray, pixel_map: PixelMap, out: np.ndarray, fill: int) -> None:
    """Resamples an image, mixing the four pixels around each place.

    Args:
        image: (H, W, 3) or (H, W) uint8 of the map's size; rows may be padded.
        pixel_map: of (h, w) places.
        out: (h, w, 3) or (h, w) uint8, written in place; rows may be part of longer ones.
        fill: value of the pixels that show nothing.

    Raises:
        FrameError: 'resize_failed'.

    Example: the image's last pixel, between its two pixels, and nothing.
        >>> image = np.array([[[0, 0, 0], [100, 100, 100]]], np.uint8)
        >>> out = np.zeros((1, 3, 3), np.uint8)
        >>> places = np.array([[[1.0, 0.0], [0.5, 0.0], [7.0, 0.0]]])
        >>> remap_into(image, PixelMap.of(places, (2, 1)), out, 9)
        >>> out[0, :, 0].tolist()
        [100, 50, 9]
    """
    size_wh = (image.shape[1], image.shape[0])
    if size_wh != pixel_map.source_wh:
        raise FrameError(
            'resize_failed', f'image: got {size_wh} pixels, expected {pixel_map.source_wh}; make a map for every size'
        )
    try:
        cv2.remap(
            image,
            pixel_map.whole,
            pixel_map.part,
            cv2.INTER_LINEAR,
            dst=out,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(fill, fill, fill),
        )
    except cv2.error as error:
        raise FrameError('resize_failed', f'image: OpenCV could not rectify {size_wh} pixels: {error}') from error
