# SPDX-License-Identifier: Apache-2.0
"""Coloured points of detected objects."""

from __future__ import annotations

import numpy as np
import pytest
from support.scenes.ray_scene import CAMERA

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.point_cloud import object_points

BOXES = np.array(((20, 30, 60, 70), (100, 100, 120, 130)), np.float32)


def picture():
    color = np.zeros((240, 320, 3), np.uint8)
    color[30:70, 20:60] = (255, 0, 10)  # blue first
    color[100:130, 100:120] = (0, 200, 0)
    return color


def test_points_have_colour_instance_and_class():
    depth = np.full((240, 320), 0.9, np.float32)
    found = object_points(picture(), depth, CAMERA, BOXES, np.array((5, 2)), np.array((70, 71)))
    assert len(found) == 40 * 40 + 20 * 30
    assert (found.xyz.dtype, found.rgb.dtype, found.instance.dtype, found.class_id.dtype) == (
        np.float32,
        np.uint8,
        np.uint32,
        np.uint32,
    )
    first = found.instance == 70
    assert first.sum() == 1600 and (found.class_id[first] == 5).all() and (found.class_id[~first] == 2).all()
    assert (found.rgb[first] == (10, 0, 255)).all() and (found.rgb[~first] == (0, 200, 0)).all()


def test_colour_of_another_resolution():
    depth = np.full((120, 160), 0.9, np.float32)
    found = object_points(picture(), depth, CAMERA.resized(160, 120), BOXES, np.array((5, 2)))
    assert found.instance.max() == 1
    assert (found.rgb[found.instance == 0] == (10, 0, 255)).all()


def test_background_is_left_out_unless_wanted_or_masked():
    depth = np.full((240, 320), 2.0, np.float32)
    depth[35:65, 25:55] = 0.9
    ids = np.array((5,))
    assert len(object_points(picture(), depth, CAMERA, BOXES[:1], ids)) == 900
    assert len(object_points(picture(), depth, CAMERA, BOXES[:1], ids, foreground=False)) == 1600
    mask = np.zeros((240, 320), np.bool_)
    mask[30:40, 20:60] = True
    assert len(object_points(picture(), depth, CAMERA, BOXES[:1], ids, masks=[mask])) == 400


def test_boxes_without_depth_or_outside_add_nothing():
    depth = np.full((240, 320), np.nan, np.float32)
    boxes = np.array(((20, 30, 60, 70), (400, 0, 500, 10), (5, 5, 5, 5)), np.float32)
    found = object_points(picture(), depth, CAMERA, boxes, np.zeros(3, np.int32))
    assert len(found) == 0 and found.xyz.shape == (0, 3) and found.rgb.shape == (0, 3)
    assert len(object_points(picture(), depth, CAMERA, np.empty((0, 4)), np.empty(0, np.int32))) == 0


def test_too_little_depth_to_separate_keeps_what_there_is():
    depth = np.full((240, 320), np.nan, np.float32)
    depth[40, 30:40] = 0.9
    assert len(object_points(picture(), depth, CAMERA, BOXES[:1], np.array((1,)))) == 10


def test_depth_of_the_wrong_size_is_an_error():
    with pytest.raises(FrameError) as caught:
        object_points(picture(), np.ones((9, 9), np.float32), CAMERA, BOXES, np.array((1, 2)))
    assert caught.value.reason == 'camera_info_size'
