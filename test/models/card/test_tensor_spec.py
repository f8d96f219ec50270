# SPDX-License-Identifier: Apache-2.0
"""TensorSpec: description, open dimensions, which shapes fit."""

from __future__ import annotations

import pytest

from isaac_inference.models import TensorSpec


def test_describe_writes_name_dtype_and_shape():
    assert TensorSpec('images', 'float32', (1, 3, 416, 416)).describe() == 'images: float32 [1, 3, 416, 416]'
    assert TensorSpec('images', 'float32', (None, 3, 8, None)).describe() == 'images: float32 [?, 3, 8, ?]'


@pytest.mark.parametrize(
    'shape, fits',
    [
        ((1, 3, 8), True),
        ((9, 3, 8), True),  # the open dimension takes any size
        ((0, 3, 8), False),  # but not none
        ((1, 3, 9), False),
        ((1, 3), False),
    ],
)
def test_accepts_shape(shape, fits):
    assert TensorSpec('x', 'float32', (None, 3, 8)).accepts_shape(shape) is fits


def test_is_dynamic():
    assert TensorSpec('x', 'float32', (None, 3)).is_dynamic
    assert not TensorSpec('x', 'float32', (1, 3)).is_dynamic
