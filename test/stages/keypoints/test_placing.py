# SPDX-License-Identifier: Apache-2.0
"""Keypoints back in source pixels, and the person that they make."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.ops.image.crop import crop_of
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.stages.keypoints.placing import (
    Person,
    PersonSettings,
    beyond_the_image,
    in_source,
    person_of,
)

SETTINGS = PersonSettings(0.3, 3, 0.25)


def test_each_row_has_its_own_way_back():
    crops = [crop_of((10, 20, 30, 60), (200, 100), (48, 64), 1.25), Letterbox.between((200, 100), (48, 64))]
    source = np.array([[[12.0, 25.0, 0.9], [28.5, 59.0, 0.4]], [[150.0, 80.0, 0.9], [3.0, 99.0, 0.8]]])
    points = source.copy()
    for row, crop in enumerate(crops):
        points[row, :, :2] = crop.points_to_input(source[row, :, :2])
    np.testing.assert_allclose(in_source(points, crops), source, atol=1e-4)


@pytest.mark.parametrize(
    ('place', 'is_seen'),
    [
        ((0.0, 0.0), True),  # the image's corner
        ((200.0, 100.0), True),
        ((-0.5, 50.0), False),
        ((50.0, 100.5), False),
        ((200.5, 50.0), False),
    ],
)
def test_a_point_outside_of_the_image_was_not_seen(place, is_seen):
    letterbox = Letterbox.between((200, 100), (64, 64))
    x, y = letterbox.points_to_input(np.array(place))
    [[found]] = in_source(np.array([[[x, y, 0.9]]]), [letterbox])
    np.testing.assert_allclose(found[:2], place, atol=1e-4)
    assert found[2] == (np.float32(0.9) if is_seen else 0.0)


def test_a_point_outside_of_the_crop_was_not_seen_either():
    """It lies in the image, but not in what the network was shown."""
    crop = crop_of((100, 40, 120, 70), (200, 100), (48, 64))
    [[found]] = in_source(np.array([[[-6.0, 32.0, 0.9]]]), [crop])
    assert 0 < found[0] < 200 and found[2] == 0.0


def test_points_far_from_the_origin_keep_their_precision():
    """A small box at the right edge of an 8K image: the offset is a thousand times the input."""
    crop = crop_of((7600.3, 4200.2, 7612.9, 4231.4), (7680, 4320), (192, 256), 1.25)
    source = np.array([[7605.123, 4210.456]])
    points = np.append(crop.points_to_input(source), [[0.9]], axis=1)[None]
    np.testing.assert_allclose(in_source(points, [crop])[0, :, :2], source, atol=1e-3)


def test_how_many_lie_beyond():
    points = np.array([[[5, 5, 1], [-1, 5, 1], [5, 11, 0]], [[1, 1, 1], [2, 2, 1], [3, 3, 1]]], float)
    assert beyond_the_image(points, (10, 10)).tolist() == [2, 0]


def person(*points):
    return person_of(np.array(points, np.float32).reshape(-1, 3), SETTINGS)


SURE = [(10, 20, 0.9), (40, 30, 0.6), (25, 90, 0.3)]


def test_the_box_is_the_extent_of_the_sure_and_the_score_their_mean():
    found = person(*SURE, (500, 500, 0.29), (0, 0, 0))
    assert found == Person((10, 20, 40, 90), pytest.approx(0.6))


def test_too_few_are_nobody():
    assert person(*SURE[:2], (25, 90, 0.29)) is None
    assert person() is None


def test_a_low_score_is_nobody():
    assert person_of(np.array(SURE), PersonSettings(0.3, 3, 0.61)) is None


def test_without_a_box_there_is_nobody():
    """All in one line, or in one place: a box without an area is none."""
    assert person((10, 20, 0.9), (10, 50, 0.9), (10, 90, 0.9)) is None
    assert person(*[(10, 20, 0.9)] * 5) is None


def test_points_without_confidence_never_count():
    assert person_of(np.zeros((5, 3)), PersonSettings(0.0, 1, 0.0)) is None
