# SPDX-License-Identifier: Apache-2.0
"""A small RGB-D ray caster: textured cuboids and cylinders on a table, on a CPU, without a display.

Every pixel's ray is solved in closed form (`shapes`), lens distortion included, so depth and the objects' outlines
are exact; textures are looked up with `cv2.remap`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.distortion import NONE
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.sim import backgrounds
from isaac_inference.sim.catalog import ObjectKind
from isaac_inference.sim.shapes import Number, RayGrid, Rays, hit_face, visible_faces
from isaac_inference.sim.textures import PIXELS_PER_M, Pyramid, faces_of

NEAR = 0.05  # m; an object that reaches nearer is not drawn
TABLE = 2.0  # m, side of the square table top, which is the plane z = 0 of the world about its origin
_FAR = 100.0  # m; nearer than this at all corners of the image, the table's horizon isn't between them
_SOFT = 8  # px at half size, that a shadow's blurred edge reaches further
_RIM = 1  # px around a face's picture, so that its edge pixels have neighbours
_RING = np.linspace(0, 2 * np.pi, 32, endpoint=False)
# which of an object's outline points are the outline of each of its faces
_FACE_POINTS: dict[str, dict[str, list[int]]] = {
    'cuboid': {
        f'{sign}{axis}': [k for k in range(8) if (k >> (2 - i) & 1) == (sign == '+')]
        for i, axis in enumerate('xyz')
        for sign in '-+'
    },
    'cylinder': {
        'side': list(range(2 * len(_RING))),
        '-z': list(range(len(_RING))),
        '+z': list(range(len(_RING), 2 * len(_RING))),
    },
}


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
    """Draws for one camera; not for two threads at once."""

    def __init__(self, camera: CameraModel, floor: float = TABLE) -> None:
        self.camera, self._floor = camera, floor  # m, side of the table top, or of the floor that is in its place
        self._rays = _ray_grid(camera)
        self._table_xy = np.empty((2, camera.height, camera.width), np.float32)  # px in its picture, used anew

    def render(
        self,
        objects: Sequence[Placed],
        T_world_camera: Pose,
        *,
        table: int = 0,
        wall: int = 1,
        light: Light | None = None,
        shades: Sequence[np.ndarray] = (),
    ) -> Rendered:
        """One view.

        Args:
            objects: what stands there; those that come nearer than NEAR are left out, with visibility 0.
            T_world_camera: where the camera is.
            table, wall: numbers of the pictures (`backgrounds.surface`).
            light: default: Light().
            shades: (8, 3) m each in the camera's frame, points about what else casts a shadow.
        """
        light = light or Light()
        camera_light = T_world_camera.rotation.T @ np.asarray(light.direction)
        with np.errstate(divide='ignore', invalid='ignore', over='ignore'):  # rays that meet nothing
            return self._rendered(objects, T_world_camera, table, wall, light, camera_light, shades)

    def _rendered(
        self,
        objects: Sequence[Placed],
        T_world_camera: Pose,
        table: int,
        wall: int,
        light: Light,
        camera_light: np.ndarray,
        shades: Sequence[np.ndarray],
    ) -> Rendered:
        color, zbuffer, is_endless = self._background(T_world_camera, table, wall, light)
        corners = [item.pose.apply(_corners(item.kind)) for item in objects]
        drawable = [min(points[:, 2].tolist()) > NEAR for points in corners]
        shading = [points for points, fits in zip(corners, drawable, strict=True) if fits]
        self._shadows(color, [*shading, *shades], T_world_camera, light)
        instances = np.zeros(zbuffer.shape, np.uint8)
        outlines = np.zeros(len(objects))
        boxes = np.zeros((len(objects), 4), np.float32)
        pixels = self._outlines(objects)
        for index, item in enumerate(objects):
            if drawable[index]:
                boxes[index], inside = self._box(pixels[index])
                count = self._draw(
                    color, zbuffer, instances, index + 1, item, pixels[index], boxes[index], light, camera_light
                )
                outlines[index] = count / max(inside, 1e-6)
        seen = cv2.calcHist([instances], [0], None, [256], [0, 256]).ravel()[1 : len(objects) + 1]
        visibility = np.divide(seen, outlines, out=np.zeros(len(objects)), where=outlines > 0)
        if is_endless:
            np.copyto(zbuffer, np.nan, where=np.isinf(zbuffer))
        return Rendered(color, zbuffer, instances, np.minimum(visibility, 1.0).astype(np.float32), boxes)

    def _background(
        self, T_world_camera: Pose, table: int, wall: int, light: Light
    ) -> tuple[np.ndarray, np.ndarray, bool]:
        """The table and, beyond its edges, a far backdrop: colour, depth (infinite there), and whether there is any."""
        R, origin = T_world_camera.rotation, T_world_camera.translation
        scale, half = backgrounds.SIDE / self._floor, backgrounds.SIDE / 2
        depth = self._rays.along(R[2])
        np.reciprocal(depth, out=depth)
        # place = origin + depth * direction, and depth = -height / (down . ray): one linear function of the ray over
        # another, as everything on a plane
        for xy, axis, sign in zip(self._table_xy, (0, 1), (scale, -scale), strict=True):  # rows run against y
            place = (-origin[2] * sign) * R[axis] + (origin[axis] * sign + half) * R[2]
            np.multiply(self._rays.along(place, out=xy), depth, out=xy)
        depth *= np.float32(-origin[2])
        x, y = self._table_xy
        color = cv2.remap(backgrounds.surface(table), x, y, cv2.INTER_LINEAR)
        brightness = light.ambient + light.diffuse * max(0.0, light.direction[2])
        cv2.convertScaleAbs(color, color, alpha=brightness)
        if self._is_all_table(depth):
            return color, depth, False
        outside = ~((depth > 0) & (x >= 0) & (x < 2 * half) & (y >= 0) & (y < 2 * half))
        np.copyto(depth, np.inf, where=outside)
        cv2.copyTo(self._backdrop(wall, R), outside.view(np.uint8), color)
        return color, depth, True

    def _is_all_table(self, depth: np.ndarray) -> bool:
        """Whether every ray meets the table, by its depth and its place, `_table_xy`."""
        ends = np.s_[..., :: self.camera.height - 1, :: self.camera.width - 1]
        places, depths = self._table_xy[ends].ravel().tolist(), depth[ends].ravel().tolist()
        if not all(0 <= place < backgrounds.SIDE for place in places) or not min(depths) > 0:
            return False
        well_on_it = all(1 <= place < backgrounds.SIDE - 1 for place in places) and max(depths) < _FAR
        if well_on_it and self.camera.model == NONE:  # then so is what lies between the corners
            return True
        # NaN fails all of these, too
        return all(xy.min() >= 0 and xy.max() < backgrounds.SIDE for xy in self._table_xy) and depth.min() > 0

    def _backdrop(self, wall: int, R: np.ndarray) -> np.ndarray:
        """A crop of the wall's picture that moves as the camera turns."""
        height, width = self.camera.height, self.camera.width
        yaw, pitch = np.arctan2(R[1, 2], R[0, 2]), np.arcsin(np.clip(R[2, 2], -1, 1))
        picture = _wall(wall, 2 * width, 2 * height)
        left, top = int((yaw / np.pi + 1) / 2 * width) % width, int((pitch / np.pi + 0.5) * height) % height
        return picture[top : top + height, left : left + width]

    def _shadows(self, color: np.ndarray, corners: Sequence[np.ndarray], T_world_camera: Pose, light: Light) -> None:
        """Darken the table where the lamp does not reach it; `corners` are each object's (8, 3), the camera's frame."""
        if light.shadow <= 0 or not corners:
            return
        lamp = np.asarray(light.direction)
        ground = T_world_camera.apply(np.concatenate(corners))
        ground -= np.maximum(ground[:, 2:], 0.0) * lamp / lamp[2]
        pixels = self.camera.project(T_world_camera.inverse().apply(ground)).reshape(len(corners), -1, 2)
        height, width = self.camera.height // 2, self.camera.width // 2
        mask = np.zeros((height, width), np.uint8)
        reach = np.array((width, height, 0, 0))  # of all shadows: left, top, right, bottom in the mask
        for shadow in pixels[np.isfinite(pixels).all(axis=(1, 2))]:
            # half size, 4 bits of fraction
            hull = cv2.convexHull((np.clip(shadow, -4000, 4000) * 8).astype(np.int32))
            cv2.fillConvexPoly(mask, hull, (255,), cv2.LINE_AA, shift=4)
            left, top, wide, high = cv2.boundingRect(hull)
            ends = ((left + wide) >> 4, (top + high) >> 4)
            reach = np.concatenate((np.minimum(reach[:2], (left >> 4, top >> 4)), np.maximum(reach[2:], ends)))
        left, top = np.maximum(reach[:2] - _SOFT, 0).tolist()
        right, bottom = np.minimum(reach[2:] + _SOFT, (width, height)).tolist()
        if right <= left or bottom <= top:
            return
        soft = cv2.blur(mask, (7, 7))[top:bottom, left:right]
        factor = cv2.LUT(soft, (255 * (1 - light.shadow * np.arange(256) / 255)).astype(np.uint8))
        factor = cv2.resize(factor, (2 * (right - left), 2 * (bottom - top)))
        region = color[2 * top : 2 * bottom, 2 * left : 2 * right]
        cv2.multiply(region, cv2.merge((factor, factor, factor)), region, 1 / 255)

    def _outlines(self, objects: Sequence[Placed]) -> list[np.ndarray]:
        """Each object's outline points in the image, (N, 2) float32 px, edge-based; NaN behind the camera."""
        points = [item.pose.apply(_outline_points(item.kind)) for item in objects]
        if not points:
            return []
        pixels = self.camera.project(np.concatenate(points)).astype(np.float32) + np.float32(0.5)
        return np.split(pixels, np.cumsum([len(part) for part in points])[:-1])

    def _box(self, pixels: np.ndarray) -> tuple[np.ndarray, float]:
        """The box of an object's outline in the image, and the fraction of the outline's area inside the image."""
        width, height = self.camera.width, self.camera.height
        (left, top), (right, bottom) = np.minimum.reduce(pixels).tolist(), np.maximum.reduce(pixels).tolist()
        if not math.isfinite(left + top + right + bottom):
            return np.zeros(4, np.float32), 0.0
        left, right = (min(max(edge, 0.0), float(width)) for edge in (left, right))
        top, bottom = (min(max(edge, 0.0), float(height)) for edge in (top, bottom))
        hull, inside = cv2.convexHull(pixels), 0.0
        if right > left and bottom > top:
            frame = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
            inside = cv2.intersectConvexConvex(hull, frame)[0]
        return np.array((left, top, right, bottom), np.float32), inside / max(cv2.contourArea(hull), 1e-6)

    def _region(self, pixels: np.ndarray, face: str, shape: str, box: np.ndarray) -> tuple[slice, slice]:
        """The part of the image that a face may be in, as (rows, columns)."""
        width, height = self.camera.width, self.camera.height
        if self.camera.model == NONE:  # else edges are bent, and may reach beyond the box of their ends
            ends = pixels[_FACE_POINTS[shape][face]]
            (left, top), (right, bottom) = np.minimum.reduce(ends).tolist(), np.maximum.reduce(ends).tolist()
        else:
            left, top, right, bottom = box.tolist()
        rows = slice(max(0, int(top) - 1), max(0, min(int(bottom) + 2, height)))
        return rows, slice(max(0, int(left) - 1), max(0, min(int(right) + 2, width)))

    def _draw(
        self,
        color: np.ndarray,
        zbuffer: np.ndarray,
        instances: np.ndarray,
        number: int,
        item: Placed,
        pixels: np.ndarray,
        box: np.ndarray,
        light: Light,
        camera_light: np.ndarray,
    ) -> int:
        """Draw one object; returns how many pixels its outline has inside the image."""
        kind = item.kind
        faces = _rimmed_faces(kind) if item.faces is None else _rimmed(item.faces)
        object_light = item.pose.rotation.T @ camera_light
        level = _level(item.pose.translation[2] / self.camera.K[0, 0])
        origin = -(item.pose.rotation.T @ item.pose.translation)
        count = 0
        for name in visible_faces(origin, kind.size, kind.shape):
            region = self._region(pixels, name, kind.shape, box)
            if any(part.stop <= part.start for part in region):  # all outside the image
                continue
            picture = faces[name][min(level, len(faces[name]) - 1)]
            height, width = (length - 2 * _RIM for length in picture.shape[:2])
            hits = hit_face(Rays(item.pose, self._rays.part(*region)), kind.size, kind.shape, name, (width, height))
            count += int(np.count_nonzero(hits.mask))
            is_front = hits.depth < zbuffer[region]
            is_front &= hits.mask
            front = is_front.view(np.uint8)
            u, v = hits.u, hits.v
            u += np.float32(_RIM)
            v += np.float32(_RIM)
            # with the rim every hit is inside the picture, and what isn't hit is left as it is: that is three times as
            # fast as to extrapolate the picture there
            paint = cv2.remap(picture, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT)
            paint = _shade(paint, hits.normal, object_light, light)
            # OpenCV copies under a mask about fifty times as fast as NumPy
            cv2.copyTo(paint, front, color[region])
            cv2.copyTo(hits.depth, front, zbuffer[region])
            cv2.copyTo(front * np.uint8(number), front, instances[region])
        return count


@functools.cache
def _corners(kind: ObjectKind) -> np.ndarray:
    return cuboid_corners(kind.size)


@functools.cache
def _rimmed_faces(kind: ObjectKind) -> dict[str, Pyramid]:
    return _rimmed(faces_of(kind))


def _rimmed(faces: dict[str, Pyramid]) -> dict[str, Pyramid]:
    """Each picture with a rim that repeats its edge."""
    return {
        name: tuple(cv2.copyMakeBorder(level, *(_RIM,) * 4, cv2.BORDER_REPLICATE) for level in levels)
        for name, levels in faces.items()
    }


@functools.cache
def _outline_points(kind: ObjectKind) -> np.ndarray:
    """Points of an object whose projections' hull is its outline, (N, 3) m."""
    if kind.shape == 'cuboid':
        return cuboid_corners(kind.size)
    radius, half = kind.size[0] / 2, kind.size[2] / 2
    ring = np.stack((radius * np.cos(_RING), radius * np.sin(_RING)), axis=1)
    return np.concatenate([np.column_stack((ring, np.full(len(ring), z))) for z in (-half, half)])


def _level(m_per_px: float) -> int:
    """The level of a picture's pyramid that follows the object's size in the image."""
    return max(0, int(np.log2(max(m_per_px * PIXELS_PER_M, 1e-6)) + 0.3))


def _shade(paint: np.ndarray, normal: tuple[Number, Number, Number], lamp: np.ndarray, light: Light) -> np.ndarray:
    """Lambert's law: brightness by the angle between the surface and the lamp."""
    x, y, z = (part * toward for part, toward in zip(normal, lamp.astype(np.float32), strict=True))
    cosine = np.asarray(x + y + z)
    if cosine.ndim == 0:
        return cv2.convertScaleAbs(paint, paint, alpha=light.ambient + light.diffuse * max(float(cosine), 0.0))
    np.maximum(cosine, np.float32(0.0), out=cosine)
    cosine *= np.float32(light.diffuse * 128)
    cosine += np.float32(light.ambient * 128)
    factor = np.minimum(cosine, np.float32(255.0)).astype(np.uint8)
    return cv2.multiply(paint, cv2.merge((factor, factor, factor)), scale=1 / 128)


@functools.lru_cache(maxsize=8)
def _wall(number: int, width: int, height: int) -> np.ndarray:
    return cv2.resize(backgrounds.surface(number), (width, height))


@functools.lru_cache(maxsize=4)
def _ray_grid(camera: CameraModel) -> RayGrid:
    """All pixel centres."""
    if camera.model == NONE:
        x = (np.arange(camera.width) - camera.K[0, 2]) / camera.K[0, 0]
        y = (np.arange(camera.height) - camera.K[1, 2]) / camera.K[1, 1]
        return RayGrid(x.astype(np.float32)[None], y.astype(np.float32)[:, None])
    columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = camera.undistort(np.column_stack((columns.ravel(), rows.ravel())).astype(np.float64))
    x, y = (rays[:, axis].reshape(camera.height, camera.width).astype(np.float32) for axis in range(2))
    return RayGrid(x, y)
