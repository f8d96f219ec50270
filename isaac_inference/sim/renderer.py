# SPDX-License-Identifier: Apache-2.0
"""A small RGB-D ray caster: textured cuboids and cylinders on a table, on a CPU, without a display.

Every pixel's ray is solved in closed form (`shapes`), lens distortion included, so depth and the objects' outlines
are exact; textures are looked up with `cv2.remap`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.sim import backgrounds
from isaac_inference.sim.catalog import ObjectKind
from isaac_inference.sim.shapes import Hits, Rays, hit_face, visible_faces
from isaac_inference.sim.textures import PIXELS_PER_M, Pyramid, faces_of

NEAR = 0.05  # m; an object that reaches nearer is not drawn
TABLE = 2.0  # m, side of the square table top, which is the plane z = 0 of the world about its origin
_RING = np.linspace(0, 2 * np.pi, 32, endpoint=False)


@dataclass(frozen=True, eq=False)
class Placed:
    """An object of a kind at `pose` (T_camera_object); `faces` overrides the paint of its kind."""

    kind: ObjectKind
    pose: Pose
    faces: dict[str, Pyramid] | None = None


@dataclass(frozen=True)
class Light:
    """A distant lamp and ambient light.

    Attributes:
        direction: unit vector in the world, towards the lamp; z > 0.
        ambient, diffuse: shares of the full brightness.
        shadow: 0..1, how dark a shadow on the table is.
    """

    direction: tuple[float, float, float] = (0.3, -0.4, 0.866)
    ambient: float = 0.55
    diffuse: float = 0.55
    shadow: float = 0.45


@dataclass(frozen=True, eq=False)
class Rendered:
    """One view.

    Attributes:
        color: (H, W, 3) uint8 BGR.
        depth: (H, W) float32 m along z, NaN where nothing is in range.
        instances: (H, W) uint8, index + 1 of the nearest object, 0 for none.
        visibility: (N,) float32, seen part of each object's full outline, 0..1; what lies outside the image counts
            as unseen.
        boxes: (N, 4) float32, x_min, y_min, x_max, y_max px of each full outline, edge-based, clipped to the image.
    """

    color: np.ndarray
    depth: np.ndarray
    instances: np.ndarray
    visibility: np.ndarray
    boxes: np.ndarray


class Renderer:
    """Draws for one camera."""

    def __init__(self, camera: CameraModel) -> None:
        self.camera = camera
        self._x, self._y = _ray_grid(camera)

    def render(
        self,
        objects: Sequence[Placed],
        T_world_camera: Pose,
        *,
        table: int = 0,
        wall: int = 1,
        light: Light | None = None,
    ) -> Rendered:
        """One view.

        Args:
            objects: what stands there; those that come nearer than NEAR are left out, with visibility 0.
            T_world_camera: where the camera is.
            table, wall: numbers of the pictures (`backgrounds.surface`).
            light: default: Light().
        """
        light = light or Light()
        camera_light = T_world_camera.rotation.T @ np.asarray(light.direction)
        color, depth = self._background(T_world_camera, table, wall, light)
        drawable = [item.pose.apply(cuboid_corners(item.kind.size))[:, 2].min() > NEAR for item in objects]
        self._shadows(
            color, [item for item, fits in zip(objects, drawable, strict=True) if fits], T_world_camera, light
        )
        height, width = depth.shape
        instances = np.zeros((height, width), np.uint8)
        zbuffer = np.where(np.isnan(depth), np.float32(np.inf), depth)
        outlines = np.zeros(len(objects))
        boxes = np.zeros((len(objects), 4), np.float32)
        for index, item in enumerate(objects):
            if drawable[index]:
                boxes[index], inside = self._outline(item)
                count = self._draw(color, zbuffer, instances, index + 1, item, boxes[index], light, camera_light)
                outlines[index] = count / max(inside, 1e-6)
        seen = cv2.calcHist([instances], [0], None, [256], [0, 256]).ravel()[1 : len(objects) + 1]
        visibility = np.divide(seen, outlines, out=np.zeros(len(objects)), where=outlines > 0)
        zbuffer[np.isinf(zbuffer)] = np.nan
        return Rendered(color, zbuffer, instances, np.minimum(visibility, 1.0).astype(np.float32), boxes)

    def _background(self, T_world_camera: Pose, table: int, wall: int, light: Light) -> tuple[np.ndarray, np.ndarray]:
        """The table and, beyond its edges, a far backdrop."""
        R, origin = T_world_camera.rotation.astype(np.float32), T_world_camera.translation.astype(np.float32)
        down = R[2, 0] * self._x + R[2, 1] * self._y + R[2, 2]
        with np.errstate(divide='ignore'):
            depth = -origin[2] / down
        depth[depth <= 0] = np.nan
        scale, half = np.float32(backgrounds.SIDE / TABLE), np.float32(backgrounds.SIDE / 2)
        maps = []
        for axis, sign in ((0, scale), (1, -scale)):  # a picture's rows run against y
            along = (R[axis, 0] * sign) * self._x + (R[axis, 1] * sign) * self._y + R[axis, 2] * sign
            along *= depth
            along += origin[axis] * sign + half
            maps.append(along)
        outside = ~((maps[0] >= 0) & (maps[0] < 2 * half) & (maps[1] >= 0) & (maps[1] < 2 * half))
        color = cv2.remap(backgrounds.surface(table), maps[0], maps[1], cv2.INTER_LINEAR)
        brightness = light.ambient + light.diffuse * max(0.0, light.direction[2])
        color = cv2.convertScaleAbs(color, alpha=brightness)
        if outside.any():
            depth[outside] = np.nan
            cv2.copyTo(self._backdrop(wall, R), outside.view(np.uint8), color)
        return color, depth

    def _backdrop(self, wall: int, R: np.ndarray) -> np.ndarray:
        """A crop of the wall's picture that moves as the camera turns."""
        height, width = self.camera.height, self.camera.width
        yaw, pitch = np.arctan2(R[1, 2], R[0, 2]), np.arcsin(np.clip(R[2, 2], -1, 1))
        picture = _wall(wall, 2 * width, 2 * height)
        left, top = int((yaw / np.pi + 1) / 2 * width) % width, int((pitch / np.pi + 0.5) * height) % height
        return picture[top : top + height, left : left + width]

    def _shadows(self, color: np.ndarray, objects: Sequence[Placed], T_world_camera: Pose, light: Light) -> None:
        """Darken the table where the lamp does not reach it."""
        if light.shadow <= 0:
            return
        mask = np.zeros((self.camera.height // 2, self.camera.width // 2), np.uint8)
        lamp = np.asarray(light.direction)
        for item in objects:
            corners = (T_world_camera @ item.pose).apply(cuboid_corners(item.kind.size))
            ground = corners - np.maximum(corners[:, 2:], 0.0) * lamp / lamp[2]
            pixels = self.camera.project(T_world_camera.inverse().apply(ground))
            if np.isfinite(pixels).all():
                hull = cv2.convexHull(
                    (np.clip(pixels, -4000, 4000) * 8).astype(np.int32)
                )  # half size, 4 bits of fraction
                cv2.fillConvexPoly(mask, hull, (255,), cv2.LINE_AA, shift=4)
        soft = cv2.blur(mask, (7, 7))
        factor = cv2.LUT(soft, (255 * (1 - light.shadow * np.arange(256) / 255)).astype(np.uint8))
        factor = cv2.resize(factor, (self.camera.width, self.camera.height))
        cv2.multiply(color, cv2.merge((factor, factor, factor)), color, 1 / 255)

    def _outline(self, item: Placed) -> tuple[np.ndarray, float]:
        """The box of an object's outline in the image, and the fraction of the outline's area inside the image."""
        pixels = self.camera.project(item.pose.apply(_outline_points(item.kind))).astype(np.float32) + 0.5
        width, height = self.camera.width, self.camera.height
        if not np.isfinite(pixels).all():
            return np.zeros(4, np.float32), 0.0
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        box = np.clip(np.concatenate((low, high)), 0, (width, height, width, height))
        hull = cv2.convexHull(pixels)
        frame = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
        inside = cv2.intersectConvexConvex(hull, frame)[0] if box[2] > box[0] and box[3] > box[1] else 0.0
        return box, float(inside / max(cv2.contourArea(hull), 1e-6))

    def _draw(
        self,
        color: np.ndarray,
        zbuffer: np.ndarray,
        instances: np.ndarray,
        number: int,
        item: Placed,
        box: np.ndarray,
        light: Light,
        camera_light: np.ndarray,
    ) -> int:
        """Draw one object; returns how many pixels its outline has inside the image."""
        left, top = (max(0, int(value) - 1) for value in box[:2])
        right, bottom = int(box[2]) + 2, int(box[3]) + 2
        region = np.s_[top:bottom, left:right]
        x, y = (
            grid[region] if grid.shape == zbuffer.shape else _broadcast(grid, region) for grid in (self._x, self._y)
        )
        rays = Rays(item.pose, x, y)
        object_light = (item.pose.rotation.T @ camera_light).astype(np.float32)
        faces = item.faces or faces_of(item.kind)
        count = 0
        for name in visible_faces(rays, item.kind.size, item.kind.shape):
            hits = hit_face(rays, item.kind.size, item.kind.shape, name)
            count += int(np.count_nonzero(hits.mask))
            front = (hits.mask & (hits.depth < zbuffer[region])).view(np.uint8)
            paint = _paint(faces[name], hits, item.pose.translation[2] / self.camera.K[0, 0])
            paint = _shade(paint, hits.normal, object_light, light)
            # OpenCV copies under a mask about fifty times as fast as NumPy
            cv2.copyTo(paint, front, color[region])
            cv2.copyTo(hits.depth, front, zbuffer[region])
            cv2.copyTo(front * np.uint8(number), front, instances[region])
        return count


def _outline_points(kind: ObjectKind) -> np.ndarray:
    """Points of an object whose projections' hull is its outline, (N, 3) m."""
    if kind.shape == 'cuboid':
        return cuboid_corners(kind.size)
    radius, half = kind.size[0] / 2, kind.size[2] / 2
    ring = np.stack((radius * np.cos(_RING), radius * np.sin(_RING)), axis=1)
    return np.concatenate([np.column_stack((ring, np.full(len(ring), z))) for z in (-half, half)])


def _paint(levels: Pyramid, hits: Hits, m_per_px: float) -> np.ndarray:
    """The face's texture at each hit; the pyramid's level follows the object's size in the image."""
    level = int(np.clip(np.log2(max(m_per_px * PIXELS_PER_M, 1e-6)) + 0.3, 0, len(levels) - 1))
    height, width = levels[level].shape[:2]
    u, v = hits.u * np.float32(width) - np.float32(0.5), hits.v * np.float32(height) - np.float32(0.5)
    return cv2.remap(levels[level], u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _shade(paint: np.ndarray, normal: np.ndarray, lamp: np.ndarray, light: Light) -> np.ndarray:
    """Lambert's law: brightness by the angle between the surface and the lamp."""
    cosine = np.nan_to_num(np.maximum(normal @ lamp, 0.0))
    brightness = light.ambient + light.diffuse * cosine
    if cosine.ndim == 0:
        return cv2.convertScaleAbs(paint, alpha=float(brightness))
    factor = np.clip(brightness * 128, 0, 255).astype(np.uint8)
    return cv2.multiply(paint, cv2.merge((factor, factor, factor)), scale=1 / 128)


def _broadcast(grid: np.ndarray, region: tuple[slice, slice]) -> np.ndarray:
    """The region of a grid that is one row or one column."""
    return grid[:, region[1]] if grid.shape[0] == 1 else grid[region[0]]


@functools.lru_cache(maxsize=8)
def _wall(number: int, width: int, height: int) -> np.ndarray:
    return cv2.resize(backgrounds.surface(number), (width, height))


@functools.lru_cache(maxsize=4)
def _ray_grid(camera: CameraModel) -> tuple[np.ndarray, np.ndarray]:
    """Normalised coordinates of all pixel centres: a row and a column without distortion, else (H, W) each."""
    if camera.model == 'none':
        x = (np.arange(camera.width) - camera.K[0, 2]) / camera.K[0, 0]
        y = (np.arange(camera.height) - camera.K[1, 2]) / camera.K[1, 1]
        return x.astype(np.float32)[None], y.astype(np.float32)[:, None]
    columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = camera.undistort(np.column_stack((columns.ravel(), rows.ravel())).astype(np.float64))
    x, y = (rays[:, axis].reshape(camera.height, camera.width).astype(np.float32) for axis in range(2))
    return x, y
