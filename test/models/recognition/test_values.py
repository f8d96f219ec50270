# SPDX-License-Identifier: Apache-2.0
"""What the numbers of one run say: the columns of a table of boxes."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.models.recognition.layouts.values import columns_of


def rows(*columns):
    """50 boxes on an input of 640 x 640 with the columns named, of three classes."""
    random = np.random.default_rng(1)
    left, top, right, bottom = (random.uniform(low, low + 100, 50) for low in (100, 150, 300, 350))
    known = {
        'x1': left,
        'y1': top,
        'x2': right,
        'y2': bottom,
        'cx': (left + right) / 2,
        'cy': (top + bottom) / 2,
        'w': right - left,
        'h': bottom - top,
        'score': random.uniform(0, 1, 50),
        'class': random.integers(0, 3, 50),
        'angle': random.uniform(0, 1.5, 50),
        'image': np.zeros(50),
    }
    return np.stack([known[name] for name in columns], axis=1).astype(np.float32)


@pytest.mark.parametrize(
    'columns',
    [
        ('x1', 'y1', 'x2', 'y2', 'score', 'class'),
        ('cx', 'cy', 'w', 'h', 'score', 'class'),
        ('class', 'score', 'x1', 'y1', 'x2', 'y2'),
        ('image', 'class', 'score', 'x1', 'y1', 'x2', 'y2'),
        ('image', 'x1', 'y1', 'x2', 'y2', 'class', 'score'),
        ('cx', 'cy', 'w', 'h', 'score', 'class', 'angle'),
    ],
)
def test_columns_show_by_their_numbers(columns):
    assert columns_of(rows(*columns)) == columns


def test_rotated_boxes_wider_than_they_are_far_from_the_corner_are_no_corners():
    table = rows('cx', 'cy', 'w', 'h', 'score', 'class', 'angle')
    table[:, :2] = 20, 30
    assert columns_of(table) == ('cx', 'cy', 'w', 'h', 'score', 'class', 'angle')


def test_rows_of_zeros_say_nothing():
    assert columns_of(np.zeros((9, 6), np.float32)) is None
