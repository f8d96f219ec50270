# SPDX-License-Identifier: Apache-2.0
"""Rays against capsules, in closed form, drawn into a view that is there already.

The surface is a cylinder about a line and a ball about each of its ends; a ray's first meeting with it is the root of a
quadratic in the ray's parameter, which is the depth z where the ray's direction is (x, y, 1).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.sim.people.body import Capsule
from isaac_inference.sim.renderer import Light

_STRIPE = 0.045  # m from one stripe to the next but one
_PADDING = 2  # px around where a capsule is looked for


class CapsuleRays:
    """The rays of a camera's pixels."""

    def __init__(self, camera: CameraModel) -> None:
        self.camera = camera
        columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
        rays = camera.undistort(np.column_stack((columns.ravel(), rows.ravel())).astype(np.float64))
        self._x, self._y = (rays[:, axis].reshape(camera.height, camera.width) for axis in range(2))

    def region(self, part: Capsule) -> tuple[slice, slice] | None:
        """(rows, columns) of the pixels that may show a capsule, in the camera's frame; None for none."""
        turned = np.array(((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, -1)), np.float64)
        ends = np.stack((part.start, part.end))
        corners = (ends[:, None] + 1.2 * part.radius * turned).reshape(-1, 3)
        if corners[:, 2].min() < 0.1:  # at the camera, where it may be anywhere
            return None
        pixels = self.camera.project(corners)
        if not np.isfinite(pixels).all():
            return None
        left, top = np.floor(pixels.min(axis=0)).astype(int) - _PADDING
        right, bottom = np.ceil(pixels.max(axis=0)).astype(int) + _PADDING + 1
        left, top = max(0, left), max(0, top)
        right, bottom = min(self.camera.width, right), min(self.camera.height, bottom)
        return (slice(top, bottom), slice(left, right)) if right > left and bottom > top else None

    def hits(self, part: Capsule, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(h, w) m depth, inf where a ray passes by; (h, w, 3) normals; (h, w) how far along the capsule, m."""
        x, y = self._x[rows, columns], self._y[rows, columns]
        start, axis = part.start, part.end - part.start
        dd = x * x + y * y + 1.0
        d_o = x * start[0] + y * start[1] + start[2]  # of the ray with the capsule's start
        oo, square = float(start @ start), part.radius**2
        length2 = float(axis @ axis)
        depth = np.full(x.shape, np.inf)
        along = np.zeros(x.shape)
        with np.errstate(invalid='ignore', divide='ignore'):
            if length2 > 1e-12:
                d_a = x * axis[0] + y * axis[1] + axis[2]
                o_a = float(start @ axis)
                a = length2 * dd - d_a * d_a
                b = length2 * d_o - o_a * d_a
                root = b * b - a * (length2 * (oo - square) - o_a * o_a)
                z = (b - np.sqrt(root)) / a
                place = (z * d_a - o_a) / length2
                on_side = (root > 0.0) & (place >= 0.0) & (place <= 1.0) & (z > 0.0)
                depth[on_side], along[on_side] = z[on_side], place[on_side]
            for end, place_of_end in ((part.start, 0.0), (part.end, 1.0)):
                d_e = x * end[0] + y * end[1] + end[2]
                root = d_e * d_e - dd * (float(end @ end) - square)
                z = (d_e - np.sqrt(root)) / dd
                nearer = (root > 0.0) & (z > 0.0) & (z < depth)
                depth[nearer], along[nearer] = z[nearer], place_of_end
        reached = np.where(np.isfinite(depth), depth, 0.0)
        normal = np.stack((x * reached, y * reached, reached), axis=-1) - start - along[..., None] * axis
        return depth, normal / part.radius, along * np.sqrt(length2)


def draw_capsules(
    rays: CapsuleRays,
    parts: Sequence[Capsule],
    color: np.ndarray,
    depth: np.ndarray,
    instances: np.ndarray | None,
    number: int,
    light: Light,
    lamp: np.ndarray,
) -> int:
    """Draw the parts of a body where nothing is before them, in place.

    Args:
        rays: of the camera.
        parts: in its frame.
        color: (H, W, 3) uint8 BGR.
        depth: (H, W) float32 m, NaN where there is nothing.
        instances: (H, W) uint8, set to `number`; None for none.
        number: of the body.
        light, lamp: the light, and the unit vector towards it in the camera's frame.

    Returns:
        How many pixels the body would have if nothing were before it.
    """
    whole = np.zeros(depth.shape, np.bool_)
    for part in parts:
        region = rays.region(part)
        if region is None:
            continue
        z, normal, along = rays.hits(part, *region)
        met = np.isfinite(z)
        whole[region] |= met
        front = met & ~(depth[region] <= z)  # NaN is behind everything
        if not front.any():
            continue
        paint = np.broadcast_to(np.array(part.color, np.float64), (*z.shape, 3))
        if part.stripe is not None:
            paint = np.where(((along / _STRIPE) % 2 < 1)[..., None], paint, np.array(part.stripe, np.float64))
        if part.cap is not None:
            paint = np.where((normal @ part.cap[0] > 0.3)[..., None], np.array(part.cap[1], np.float64), paint)
        bright = light.ambient + light.diffuse * np.maximum(normal @ lamp, 0.0)
        shaded = np.clip(paint * bright[..., None], 0, 255).astype(np.uint8)
        mask = front.view(np.uint8)
        cv2.copyTo(shaded, mask, color[region])
        cv2.copyTo(z.astype(np.float32), mask, depth[region])
        if instances is not None:
            cv2.copyTo(np.full(z.shape, number, np.uint8), mask, instances[region])
    return int(np.count_nonzero(whole))
