# SPDX-License-Identifier: Apache-2.0
"""Coloured points of the detected objects only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.depth_image import DepthImage, color_pixels, region_points
from isaac_inference.ops.depth.foreground import foreground_mask
from isaac_inference.ops.geometry.camera_model import CameraModel


@dataclass(frozen=True, eq=False)
class ObjectPoints:
    """N points; row i of every array is the same point.

    Attributes:
        xyz: (N, 3) float32, metres, camera frame.
        rgb: (N, 3) uint8, red first.
        instance: (N,) uint32.
        class_id: (N,) uint32.
    """

    xyz: np.ndarray
    rgb: np.ndarray
    instance: np.ndarray
    class_id: np.ndarray

    def __len__(self) -> int:
        return len(self.xyz)


def object_points(
    color: np.ndarray,
    depth: DepthImage | np.ndarray,
    depth_camera: CameraModel,
    boxes: np.ndarray,
    class_ids: np.ndarray,
    instances: np.ndarray | None = None,
    masks: Sequence[np.ndarray | None] | None = None,
    foreground: bool = True,
) -> ObjectPoints:
    """The points under each box, object by object; a point under two boxes appears twice.

    A box without depth, or outside the image, adds no points.

    Args:
        color: (H, W, 3) uint8 BGR.
        depth: registered to `color`, at any resolution; float metres when it is a plain array.
        depth_camera: intrinsics at the depth image's resolution.
        boxes: (B, 4) x_min, y_min, x_max, y_max in colour pixels.
        class_ids: (B,) whole numbers.
        instances: (B,) whole numbers; None numbers the boxes from 0.
        masks: one (H, W) mask per box, or None.
        foreground: without a mask, exclude what lies behind the object where depth shows it; otherwise the whole box is
            returned.

    Raises:
        FrameError: 'camera_info_size', 'mask_size'.

    Example: a box over two pixels of a blue image.
        >>> camera = CameraModel(64, 48, np.array([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]]))
        >>> color, depth = np.full((48, 64, 3), (255, 0, 0), np.uint8), np.full((48, 64), 2.0, np.float32)
        >>> found = object_points(color, depth, camera, np.array([[32.0, 24, 34, 25]]), class_ids=np.array([7]))
        >>> found.xyz.shape, found.rgb.tolist(), found.class_id.tolist()
        ((2, 3), [[0, 0, 255], [0, 0, 255]], [7, 7])
    """
    if not isinstance(depth, DepthImage):
        depth = DepthImage(depth, 1.0)
    color_wh = (int(color.shape[1]), int(color.shape[0]))
    ids = np.arange(len(boxes)) if instances is None else instances
    parts: list[tuple[np.ndarray, np.ndarray, int, int]] = []
    for i, box in enumerate(boxes):
        mask = None if masks is None else masks[i]
        try:
            region = region_points(depth, depth_camera, box, color_wh, mask)
        except FrameError as error:
            if error.reason in ('bad_box', 'box_outside'):
                continue
            raise
        points, pixels = region.points, region.pixels
        if foreground and mask is None:
            kept = _object_only(points)
            points, pixels = points[kept], pixels[kept]
        x, y = color_pixels(pixels, (depth.width, depth.height), color_wh).T
        parts.append((points, color[y, x, ::-1], int(ids[i]), int(class_ids[i])))
    counts = [len(part[0]) for part in parts]
    return ObjectPoints(
        np.concatenate([part[0] for part in parts]) if parts else np.empty((0, 3), np.float32),
        np.concatenate([part[1] for part in parts]) if parts else np.empty((0, 3), np.uint8),
        np.repeat(np.array([part[2] for part in parts], np.uint32), counts),
        np.repeat(np.array([part[3] for part in parts], np.uint32), counts),
    )


def _object_only(points: np.ndarray) -> np.ndarray:
    try:
        return foreground_mask(points)
    except FrameError:
        return np.ones(len(points), np.bool_)
