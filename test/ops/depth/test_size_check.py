# SPDX-License-Identifier: Apache-2.0
"""A size that contradicts depth: what is said of it."""

from __future__ import annotations

import numpy as np
import pytest
from support.scenes.ray_scene import CAMERA, WH, box_around, cuboid

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.depth_image import DepthImage, region_points
from isaac_inference.ops.depth.settings import DepthSettings
from isaac_inference.ops.depth.size_check import check_box
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.stages.poses import DepthView

SIZE = np.array((0.07, 0.07, 0.20))
SHOWN = np.minimum(cuboid(Pose(so3_exp((1.2, 0.3, 0)), np.array((0.0, 0.0, 0.8))), SIZE), 1.2)
BOX = box_around(SHOWN < 1.2).astype(np.float64)


def check(scale: float, size: np.ndarray = SIZE, box: np.ndarray = BOX) -> None:
    """With depth that was 16-bit millimetres, read in units of `scale` metres."""
    depth = DepthView(DepthImage((1000 * SHOWN).round().astype(np.uint16), scale), CAMERA)
    region = region_points(depth.image, CAMERA, box, WH, margin=0.15)
    check_box('bottle', region, box, size, depth, DepthSettings())


def test_the_right_unit_passes() -> None:
    check(0.001)


@pytest.mark.parametrize('scale', [0.01, 0.1, 1.0, 0.0254, 0.00001])
def test_another_unit_is_refused_and_the_right_one_named(scale: float) -> None:
    with pytest.raises(FrameError) as caught:
        check(scale)
    assert caught.value.reason == 'depth_size'
    assert 'depth_unit_scale: 0.001 if its unit is mm' in str(caught.value)
    assert '0.07 x 0.07 x 0.2 m' in str(caught.value)


@pytest.mark.parametrize(('factor', 'unit'), [(100.0, 'cm'), (1000.0, 'mm'), (39.37, 'inches')])
def test_a_card_in_another_unit_is_refused_and_the_right_size_named(factor: float, unit: str) -> None:
    with pytest.raises(FrameError) as caught:
        check(0.001, SIZE * factor)
    assert caught.value.reason == 'depth_size'
    said = str(caught.value)
    line = next(
        part for part in said.split('objects.bottle.size: ')[1:] if part.endswith(unit) or f' {unit}, or' in part
    )
    named = [float(side) for side in line[1 : line.index(']')].split(',')]
    np.testing.assert_allclose(named, SIZE, rtol=1e-3)


def test_a_quarter_of_an_object_passes() -> None:
    """The box of what is seen of one that is mostly hidden."""
    x_min, y_min, x_max, y_max = BOX
    check(0.001, box=np.array((x_min, y_min, (x_min + x_max) / 2, (y_min + y_max) / 2)))
