# SPDX-License-Identifier: Apache-2.0
"""The names of lens models: as drivers and calibration tools write them."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.distortion import distortion

FIVE = (-0.3, 0.12, 0.001, -0.002, 0.01)
EIGHT = (0.5, -0.3, 0.0005, 0.0002, 0.05, 0.8, -0.2, 0.02)
FOUR = (-0.02, 0.01, -0.003, 0.001)


@pytest.mark.parametrize('name', ['Brown Conrady', 'brown_conrady', 'radtan', 'radial-tangential', 'opencv', 'OpenCV'])
@pytest.mark.parametrize('d, model', [(FOUR, 'plumb_bob'), (FIVE, 'plumb_bob'), (EIGHT, 'rational_polynomial')])
def test_one_formula_has_many_names_and_lengths(name: str, d: tuple[float, ...], model: str) -> None:
    assert distortion(name, np.array(d)) == (model, d)


@pytest.mark.parametrize('name', ['fisheye', 'kannala_brandt4', 'Kannala-Brandt', 'equidistant', 'equi'])
def test_a_fisheye_has_many_names(name: str) -> None:
    assert distortion(name, np.array(FOUR)) == ('equidistant', FOUR)
    assert distortion(name, np.array((*FOUR, 0.0))) == ('equidistant', FOUR), 'as a T265 has it'
    assert distortion(name, np.zeros(4))[0] == 'equidistant', 'still a fisheye'


@pytest.mark.parametrize('name', ['', 'none', 'pinhole', 'inverse_brown_conrady', 'Inverse Brown Conrady', 'opencv'])
@pytest.mark.parametrize('count', [0, 4, 5, 8])
def test_no_coefficients_are_no_distortion(name: str, count: int) -> None:
    assert distortion(name, np.zeros(count)) == ('none', ())


@pytest.mark.parametrize(
    'name, says',
    [
        ('', 'names no model'),
        ('pinhole', 'names no distortion'),
        ('inverse_brown_conrady', 'disagree on the direction'),
        ('modified_brown_conrady', 'not that of plumb_bob'),
        ('fov', 'expected one of plumb_bob'),
        ('equisolid', 'kannala_brandt4'),
    ],
)
def test_a_formula_that_is_not_known_is_refused_and_the_known_ones_named(name: str, says: str) -> None:
    with pytest.raises(FrameError, match=says) as caught:
        distortion(name, np.array(FIVE))
    assert caught.value.reason == 'unknown_distortion'
    assert 'image_rectified: true' in str(caught.value)


@pytest.mark.parametrize('name, d', [('radtan', (0.1, 0.2)), ('fisheye', FIVE), ('opencv', (np.nan,) * 5)])
def test_coefficients_that_no_model_has(name: str, d: tuple[float, ...]) -> None:
    with pytest.raises(FrameError) as caught:
        distortion(name, np.array(d))
    assert caught.value.reason == 'bad_intrinsics'
