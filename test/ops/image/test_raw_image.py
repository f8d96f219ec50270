# SPDX-License-Identifier: Apache-2.0
"""RawImage from an array: a view where that is possible, and what the colour conversion reads back."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.ops.image.encodings import to_color
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ops.image.raw_image import RawImage

PICTURE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


@pytest.mark.parametrize(
    ('image', 'encoding', 'step'),
    [(PICTURE, 'bgr8', 18), (PICTURE[..., 0].copy(), 'mono8', 6), (PICTURE.astype(np.uint16), 'rgb16', 36)],
)
def test_a_contiguous_array_is_not_copied(image, encoding, step):
    raw = RawImage.from_array(image, encoding)
    assert (raw.encoding, raw.height, raw.width, raw.step, raw.is_bigendian) == (encoding, 4, 6, step, False)
    assert raw.data.shape == (image.nbytes,) and np.shares_memory(raw.data, image)


@pytest.mark.parametrize('image', [PICTURE, PICTURE[:, ::2], PICTURE[::-1], PICTURE[1:3, 2:5]])
def test_the_pixels_come_back(image):
    pixels, order = to_color(RawImage.from_array(image, 'bgr8'), ColorOrder.RGB)
    assert order is ColorOrder.BGR
    np.testing.assert_array_equal(pixels, image)


def test_an_array_without_rows_is_an_image_without_rows():
    raw = RawImage.from_array(np.empty((0, 5, 3), np.uint8), 'bgr8')
    assert (raw.height, raw.width, raw.step, raw.data.size) == (0, 5, 0, 0)
