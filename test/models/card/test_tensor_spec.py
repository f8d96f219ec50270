# SPDX-License-Identifier: Apache-2.0
"""TensorSpec: description, open dimensions, which arrays fit."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.models import TensorSpec


def test_describe_writes_name_dtype_and_shape():
    assert TensorSpec('images', 'float32', (1, 3, 416, 416)).describe() == 'images: float32 [1, 3, 416, 416]'
    assert TensorSpec('images', 'float32', (None, 3, 8, None)).describe() == 'images: float32 [?, 3, 8, ?]'


@pytest.mark.parametrize(
    'shape, dtype, fits',
    [
        ((1, 3, 8), 'float32', True),
        ((9, 3, 8), 'float32', True),  # the open dimension takes any size
        ((0, 3, 8), 'float32', False),  # but not none
        ((1, 3, 9), 'float32', False),
        ((1, 3), 'float32', False),
        ((1, 3, 8), 'float64', False),
        ((1, 3, 8), '>f4', False),  # the other byte order
    ],
)
def test_accepts(shape, dtype, fits):
    spec = TensorSpec('x', 'float32', (None, 3, 8))
    assert spec.accepts(np.zeros(shape, dtype)) is fits


def test_accepts_nothing_that_is_no_array():
    assert not TensorSpec('x', 'float32', (2,)).accepts([1.0, 2.0])


def test_is_dynamic():
    assert TensorSpec('x', 'float32', (None, 3)).is_dynamic
    assert not TensorSpec('x', 'float32', (1, 3)).is_dynamic
