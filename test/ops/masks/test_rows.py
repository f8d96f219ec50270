# SPDX-License-Identifier: Apache-2.0
"""Images of instances after rows were left out."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.masks.rows import renumbered


@pytest.mark.parametrize('kept', [[], [0], [4, 0, 2], [0, 1, 2, 3, 4]])
def test_each_pixel_names_the_new_row(kept: list[int]) -> None:
    image = np.random.default_rng(1).integers(0, 6, (30, 40)).astype(np.uint16)
    before = image.copy()
    found = renumbered(image, 5, kept)
    assert found.dtype == np.uint16
    for row in range(5):
        expected = kept.index(row) + 1 if row in kept else 0
        assert (found[image == row + 1] == expected).all()
    assert not found[image == 0].any()
    np.testing.assert_array_equal(image, before)


def test_numbers_beyond_the_detections_are_refused() -> None:
    with pytest.raises(FrameError) as caught:
        renumbered(np.full((2, 2), 3, np.uint16), 2, [0])
    assert caught.value.reason == 'mask_count'
