# SPDX-License-Identifier: Apache-2.0
"""The id of pixels without a class, and the type of masks that has room for it."""

from __future__ import annotations

import numpy as np

NAME = 'unlabelled'
_MOST_BYTES = 255  # classes beside the unlabelled id in a byte


def mask_dtype(class_count: int) -> np.dtype:
    """uint8 for up to 255 classes, else uint16.

    Example:
        >>> mask_dtype(255).name, mask_dtype(256).name
        ('uint8', 'uint16')
    """
    return np.dtype(np.uint8 if class_count <= _MOST_BYTES else np.uint16)


def unlabelled(dtype: np.dtype) -> int:
    """The id of pixels that have no class: the highest of the type, 255 as in Cityscapes' ground truth, or 65535.

    Example:
        >>> unlabelled(np.dtype(np.uint8))
        255
    """
    return int(np.iinfo(dtype).max)
