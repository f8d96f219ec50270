# SPDX-License-Identifier: Apache-2.0
"""How many bits of 16-bit samples are significant: cameras of 10, 12 or 14 bits put them into the low end.

An Image of `mono16` or `bayer_rggb16` does not say whether its values go to 65535 or, as those of most industrial
cameras, to 1023, 4095 or 16383. Read as 16 bits such a picture is black.
"""

from __future__ import annotations

from dataclasses import replace

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.encodings import has_wide_samples, readable, wide_samples
from isaac_inference.ops.image.raw_image import RawImage

BIT_DEPTHS = (10, 12, 14, 16)
_STRIDE = 7  # every so many samples and rows are looked at; odd, so that all of a Bayer pattern's colours are
_EDGE = 3  # rows at the top and bottom that are not


class BitDepth:
    """Gives images of 16-bit samples their bit depth. One for each stream; not thread-safe.

    A value proves how many bits there are at least, so the rule of 'auto' is: the smallest of 10, 12, 14 and 16 bits
    that holds the largest value so far. It only ever grows, while the encoding stays the same: one bright pixel ends
    what a dark start has made too bright. A camera of more bits that never shows a bright one is taken for one of
    fewer, and its picture is 4, 16 or 64 times as bright as the camera meant it. The first and last rows are not
    looked at, where some cameras embed counters. Samples that are aligned to the high end are above 4095, so they are
    16 bits.

    Args:
        chosen: the camera's, or None for 'auto'.

    Attributes:
        value: the bit depth in use, None before the first image of 16-bit samples.
        largest: the largest value seen, among those looked at.

    Example:
        >>> import numpy as np
        >>> camera = BitDepth()
        >>> dark = RawImage.from_array(np.full((16, 16), 700, np.uint16), 'mono16')
        >>> bright = RawImage.from_array(np.full((16, 16), 3000, np.uint16), 'mono16')
        >>> camera(dark).bit_depth, camera(bright).bit_depth, camera(dark).bit_depth
        (10, 12, 12)
    """

    def __init__(self, chosen: int | None = None) -> None:
        self._chosen = chosen
        self._encoding = ''
        self.value: int | None = None
        self.largest = 0

    @property
    def is_exceeded(self) -> bool:
        """Whether values came that a bit depth chosen by hand, or named by the encoding, does not hold."""
        return self.value is not None and self.largest >> self.value > 0

    def __call__(self, image: RawImage) -> RawImage:
        """The image with its bit depth; the image itself where its samples are not of 16 bits.

        What cannot be read (wrong sizes, unknown encodings) is returned as it is: `encodings.readable` says why.
        """
        if not has_wide_samples(image.encoding):
            return image
        try:
            plain = readable(image)
        except FrameError:
            return image
        if image.encoding != self._encoding:
            self._encoding, self.value, self.largest = image.encoding, None, 0
        if self.value != 16:
            rows = wide_samples(plain)
            inner = rows[_EDGE:-_EDGE] if rows.shape[0] > 2 * _EDGE else rows
            self.largest = max(self.largest, int(inner[::_STRIDE, ::_STRIDE].max()))
            self.value = self._chosen or plain.bit_depth or _holding(self.largest)
        return replace(plain, bit_depth=self.value)


def _holding(largest: int) -> int:
    return next(bits for bits in BIT_DEPTHS if largest < 1 << bits)
