# SPDX-License-Identifier: Apache-2.0
"""Registration of depth in software: what another camera measured, as the colour camera would have seen it.

Each reading becomes a point, goes over into the colour camera's frame and falls onto a pixel there; the nearest wins.
The colour view is made at about the depth camera's own resolution, since readings do not become more by it; and only
where it will be looked at, since each reading takes time.
"""

from __future__ import annotations

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.depth_image import DepthImage, ray_grid
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose

_NEAREST = 0.02  # metres in front of the colour camera
_SEEN_THROUGH = 0.04  # of the distance: a pixel that lies this much behind all around it is seen through a gap
_AROUND = ((-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1))
_MANY = 5  # of the eight around it
_MARGIN = 0.5  # of a box's sides, on each of them: what a pose method looks at around it
_BORDER = np.array([[x, y] for x in (0.0, 0.5, 1.0) for y in (0.0, 0.5, 1.0) if (x, y) != (0.5, 0.5)])
_PADDING = 4  # pixels: sides that a lens bends, between the points of `_BORDER`


def reproject(
    depth: DepthImage,
    depth_camera: CameraModel,
    color_camera: CameraModel,
    T_color_depth: Pose,
    boxes: np.ndarray | None = None,
) -> tuple[DepthImage, CameraModel]:
    """Depth in the view of the colour camera, and that view's intrinsics.

    Args:
        depth: as its own camera saw it.
        depth_camera: of exactly that image.
        color_camera: of the colour image, at its resolution.
        T_color_depth: maps points of the depth camera's frame to the colour camera's.
        boxes: (N, 4) x_min, y_min, x_max, y_max in colour pixels, edge-based: only they and as much again around them
            need be right. None for the whole image.

    Returns:
        float32 metres, NaN where nothing was measured or something hides it, with the sides of the colour image's in
        proportion; and the colour camera at that size.

    Raises:
        FrameError: 'camera_info_size' (depth has another size than its camera), 'depth_outside' (no reading lies in
            the colour image).

    Example: a wall at 2 m, seen by a depth camera half a metre behind the colour camera.
        >>> camera = CameraModel(8, 8, np.array([[8.0, 0, 3.5], [0, 8, 3.5], [0, 0, 1]]))
        >>> wall = DepthImage.check(np.full((8, 8), 2.0, np.float32), '32FC1')
        >>> seen, _ = reproject(wall, camera, camera, Pose(np.eye(3), np.array([0, 0, -0.5])))
        >>> float(seen.metres()[4, 4])
        1.5
    """
    depth_camera.check_image(depth.width, depth.height)
    ratio = min(1.0, depth_camera.focal / color_camera.focal)
    size = [max(1, round(side * ratio)) for side in (color_camera.width, color_camera.height)]
    view = color_camera.resized(*size)
    metres = depth.metres()
    rays = ray_grid(depth_camera)
    measured = np.isfinite(metres) & np.isfinite(rays[..., 0])
    if boxes is not None and measured.any():
        near, far = float(np.nanmin(metres)), float(np.nanmax(metres))
        measured &= _needed(boxes, (near, far), depth_camera, color_camera, T_color_depth)
    z: np.ndarray = metres[measured]
    x, y = rays[measured].T
    turn, shift = T_color_depth.rotation, T_color_depth.translation
    points: np.ndarray = np.empty((len(z), 3), np.float32)
    for axis, (along_x, along_y, along_z) in enumerate(turn.tolist()):
        points[:, axis] = (x * along_x + y * along_y + along_z) * z + float(shift[axis])
    points = points[points[:, 2] > _NEAREST]
    pixels = view.project(points)
    with np.errstate(invalid='ignore'):
        inside = (pixels > -0.5).all(axis=1) & (pixels[:, 0] < view.width - 0.5) & (pixels[:, 1] < view.height - 0.5)
    if not inside.any() and boxes is None:
        raise FrameError(
            'depth_outside',
            f'depth image: none of its {len(z)} readings lies in the colour image, by the transform between the two '
            'cameras; check that transform, and that both are optical frames (z forward)',
        )
    columns, rows = np.rint(pixels[inside]).astype(np.intp).T
    image = np.full(view.height * view.width, np.inf, np.float32)
    np.minimum.at(image, rows * view.width + columns, points[inside, 2])
    image[np.isinf(image)] = np.nan
    return DepthImage(_without_seen_through(image.reshape(view.height, view.width)), 1.0), view


def _needed(
    boxes: np.ndarray,
    range_m: tuple[float, float],
    depth_camera: CameraModel,
    color_camera: CameraModel,
    T_color_depth: Pose,
) -> np.ndarray:
    """(H, W) bool of the depth image: the readings that can fall into a box, at whatever distance they are."""
    needed = np.zeros((depth_camera.height, depth_camera.width), np.bool_)
    shift = 2.0 * float(np.linalg.norm(T_color_depth.translation))
    distances = (max(range_m[0] - shift, _NEAREST), range_m[1] + shift)
    T_depth_color = T_color_depth.inverse()
    for box in boxes:
        side = box[2:] - box[:2]
        border = box[:2] - side * _MARGIN + _BORDER * side * (1.0 + 2.0 * _MARGIN)
        border = np.clip(border, 0.0, (color_camera.width, color_camera.height))
        rays = np.column_stack((color_camera.undistort(border - 0.5), np.ones(len(border))))
        pixels = depth_camera.project(T_depth_color.apply(np.concatenate([rays * z for z in distances])))
        if not np.isfinite(pixels).all():  # beyond a lens, or behind the depth camera
            return np.ones_like(needed)
        left, top = np.maximum(np.floor(pixels.min(axis=0)).astype(int) - _PADDING, 0)
        right, bottom = np.maximum(np.ceil(pixels.max(axis=0)).astype(int) + _PADDING, 0)
        needed[top:bottom, left:right] = True
    return needed


def _without_seen_through(image: np.ndarray) -> np.ndarray:
    """Without the pixels of a far surface between those of a near one, whose readings are further apart than pixels."""
    padded = np.pad(image, 1, constant_values=np.nan)
    limit = image * np.float32(1.0 - _SEEN_THROUGH)
    nearer = np.zeros(image.shape, np.uint8)
    height, width = image.shape
    with np.errstate(invalid='ignore'):
        for dx, dy in _AROUND:
            nearer += padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width] < limit
    image[nearer >= _MANY] = np.nan
    return image
