# SPDX-License-Identifier: Apache-2.0
"""The highest id of a mask's type is no class."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.ops.segmentation.unlabelled import mask_dtype, unlabelled


@pytest.mark.parametrize(('classes', 'dtype', 'fill'), [(1, 'uint8', 255), (255, 'uint8', 255), (256, 'uint16', 65535)])
def test_there_is_room_for_all_classes_and_for_none(classes, dtype, fill):
    assert mask_dtype(classes) == np.dtype(dtype)
    assert unlabelled(mask_dtype(classes)) == fill >= classes
