# SPDX-License-Identifier: Apache-2.0
"""An image as it arrives: its bytes, and the fields of `sensor_msgs/Image` that say how to read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class RawImage:
    """The bytes of an image and how to read them; checked by whoever reads them, see `encodings.readable`.

    Attributes:
        data: the bytes: (n,) uint8, `array.array('B')`, bytes or a memoryview; contiguous, not copied and never
            written to.
        encoding: a name of `sensor_msgs/image_encodings.hpp`, such as 'bgr8', or another that `encoding_names` reads.
        height: of the image, in pixels.
        width: of the image, in pixels.
        step: length of a row in bytes, padding included; 0, as some drivers leave it, means rows without padding.
        is_bigendian: byte order of samples of more than 8 bits.
        bit_depth: of samples in 16-bit words, how many low bits are significant, 9 to 16; None where only the
            encoding's name tells: 12 for 'mono12', 16 for 'mono16'. See `bit_depth.BitDepth`.
    """

    data: Any
    encoding: str
    height: int
    width: int
    step: int
    is_bigendian: bool = False
    bit_depth: int | None = None

    @classmethod
    def from_array(cls, image: np.ndarray, encoding: str) -> RawImage:
        """The image in an array of (H, W) or (H, W, C), without a copy where that is C-contiguous.

        Example:
            >>> raw = RawImage.from_array(np.zeros((2, 3), np.uint16), 'mono16')
            >>> raw.width, raw.height, raw.step, raw.data.shape
            (3, 2, 6, (12,))
        """
        rows = np.ascontiguousarray(image)
        data = rows.reshape(-1).view(np.uint8)
        return cls(data, encoding, rows.shape[0], rows.shape[1], data.size // max(rows.shape[0], 1))
