# SPDX-License-Identifier: Apache-2.0
"""From a class mask to drivable ground and obstacles in metres: by depth, or on a ground that is taken to be flat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.ground.occupancy import GridSpec, GroundView, occupancy
from isaac_inference.ops.ground.rays import PixelRays, feet, ground_depth, stands_on

_NEITHER, _GROUND, _OBSTACLE = 0, 1, 2
_STANDING_ROWS = 3  # sampled rows that an obstacle must have above its foot
_SAME_ASPECT = 0.02  # relative: what rounding a size to whole pixels can do


@dataclass(frozen=True)
class GroundSettings:
    """What is looked for, and how far.

    Attributes:
        grid: the cells.
        stride: every so many pixels of rows and columns are looked at.
        max_range: m from the camera; what is farther is left out.
        max_height: m above the ground; of obstacles with depth, what is higher stays out of the grid.
    """

    grid: GridSpec
    stride: int = 4
    max_range: float = 8.0
    max_height: float = 2.0


@dataclass(frozen=True, eq=False)
class ClassPoints:
    """Points that have a class.

    Attributes:
        xyz: (N, 3) float32, m in the camera's optical frame.
        class_ids: (N,), as in the mask.
    """

    xyz: np.ndarray
    class_ids: np.ndarray


@dataclass(frozen=True, eq=False)
class Ground:
    """What one mask shows.

    Attributes:
        drivable, obstacles: its points. Without depth, of an obstacle only where it stands on drivable ground.
        grid: (y cells, x cells) int8, as of `occupancy`; None where it was not asked for.
    """

    drivable: ClassPoints
    obstacles: ClassPoints
    grid: np.ndarray | None


class ClassKinds:
    """Which ids of a mask are ground, which are obstacles."""

    def __init__(self, ground: Sequence[int], obstacle: Sequence[int]) -> None:
        self._table = np.zeros(1 << 16, np.uint8)
        self._table[list(ground)] = _GROUND
        self._table[list(obstacle)] = _OBSTACLE

    def of(self, ids: np.ndarray) -> np.ndarray:
        """0 for neither, 1 for ground, 2 for an obstacle, of the shape of `ids`."""
        return self._table.take(ids)


@dataclass(frozen=True, eq=False)
class _Sampled:
    """The pixels of a frame that are looked at; all (R, C).

    Attributes:
        rays: theirs.
        ids: classes.
        kind: what these are.
        depth: m, NaN where there is none.
    """

    rays: PixelRays
    ids: np.ndarray
    kind: np.ndarray
    depth: np.ndarray

    @classmethod
    def of(cls, rays: PixelRays, mask: np.ndarray, kinds: ClassKinds, depth: np.ndarray) -> _Sampled:
        ids = rays.sampled(mask)
        return cls(rays, ids, kinds.of(ids), depth)

    def points(self, where: np.ndarray, ids: np.ndarray | None = None) -> ClassPoints:
        """Points of some pixels, with their classes or those that `ids` has for them."""
        xyz, found = self.rays.points(self.depth, where)
        return ClassPoints(xyz, (self.ids if ids is None else ids)[found])


class GroundFinder:
    """Keeps what depends on the camera and where it is alone. Not thread-safe."""

    def __init__(self, settings: GroundSettings) -> None:
        self.settings = settings
        self._rays: tuple[CameraModel, PixelRays] | None = None
        self._plane: tuple[PixelRays, Pose, float, np.ndarray] | None = None
        self._view: tuple[CameraModel, Pose, float, GroundView] | None = None

    def by_depth(
        self, mask: np.ndarray, kinds: ClassKinds, camera: CameraModel, depth: DepthImage, T_base_camera: Pose | None
    ) -> Ground:
        """With a depth for each pixel.

        Args:
            mask: (H, W), class ids, of the camera's size.
            kinds: what the ids are.
            camera: of the image.
            depth: of the same view, at any resolution.
            T_base_camera: from the camera's optical frame to one with its origin on the ground and z up, for the grid;
                None makes none.

        Raises:
            FrameError: 'camera_info_size', or 'depth_unregistered' for depth of other proportions than the image.
        """
        rays = self._rays_of(camera, mask)
        if abs(depth.width * camera.height / (depth.height * camera.width) - 1.0) > _SAME_ASPECT:
            raise FrameError(
                'depth_unregistered',
                f'depth has {depth.width}x{depth.height} pixels, the mask {camera.width}x{camera.height}: sides in '
                'another proportion show another view; use the depth that is registered (aligned) to colour',
            )
        sampled = DepthImage(rays.sampled_from(depth.data, (camera.width, camera.height)), depth.scale).metres()
        with np.errstate(invalid='ignore'):
            sampled[sampled * np.linalg.norm(rays.directions, axis=2) > self.settings.max_range] = np.nan
        seen = _Sampled.of(rays, mask, kinds, sampled)
        drivable, obstacles = (seen.points(seen.kind == one) for one in (_GROUND, _OBSTACLE))
        if T_base_camera is None:
            return Ground(drivable, obstacles, None)
        grid = self.settings.grid
        free = grid.cell_of(T_base_camera.apply(drivable.xyz.astype(np.float64)))
        high = T_base_camera.apply(obstacles.xyz.astype(np.float64))
        occupied = grid.cell_of(high[high[:, 2] <= self.settings.max_height])
        return Ground(drivable, obstacles, occupancy(grid, free, occupied))

    def on_plane(
        self, mask: np.ndarray, kinds: ClassKinds, camera: CameraModel, T_base_camera: Pose, with_grid: bool = True
    ) -> Ground:
        """On a flat ground, the plane z = 0 of the base frame.

        Args:
            mask, kinds, camera, T_base_camera: as of `by_depth`.
            with_grid: whether the grid is wanted.

        Raises:
            FrameError: 'camera_info_size' or 'camera_below_ground'.
        """
        rays = self._rays_of(camera, mask)
        seen = _Sampled.of(rays, mask, kinds, self._depth_on_plane(rays, T_base_camera))
        drivable = seen.points(seen.kind == _GROUND)
        obstacles = self._standing(seen, mask, kinds, camera, T_base_camera)
        if not with_grid:
            return Ground(drivable, obstacles, None)
        view, grid = self._view_of(camera, T_base_camera), self.settings.grid
        free = view.cells[kinds.of(mask.reshape(-1)[view.pixels]) == _GROUND]
        occupied = grid.cell_of(T_base_camera.apply(obstacles.xyz.astype(np.float64)))
        return Ground(drivable, obstacles, occupancy(grid, free, occupied))

    def _standing(
        self, seen: _Sampled, mask: np.ndarray, kinds: ClassKinds, camera: CameraModel, T_base_camera: Pose
    ) -> ClassPoints:
        """Where obstacles stand on drivable ground."""
        ids, kind = seen.ids, seen.kind
        above = np.vstack((ids[:1], ids[:-1]))  # a foot is a pixel of ground below the obstacle that it belongs to
        owners = np.where(kind == _OBSTACLE, ids, above)
        found = seen.points(feet(kind == _OBSTACLE, kind == _GROUND), owners)
        if not len(found.xyz):
            return found
        up = T_base_camera.rotation[2]  # the base frame's z in the camera's frame
        height_px = _STANDING_ROWS * self.settings.stride
        stands = stands_on(
            found.xyz, up, height_px, lambda rows, columns: kinds.of(mask[rows, columns]) == _OBSTACLE, camera
        )
        return ClassPoints(found.xyz[stands], found.class_ids[stands])

    def _rays_of(self, camera: CameraModel, mask: np.ndarray) -> PixelRays:
        camera.check_image(mask.shape[1], mask.shape[0])
        if self._rays is None or self._rays[0] is not camera:
            self._rays = camera, PixelRays.of(camera, self.settings.stride)
        return self._rays[1]

    def _depth_on_plane(self, rays: PixelRays, T_base_camera: Pose) -> np.ndarray:
        reach, last = self.settings.max_range, self._plane
        if last is None or last[0] is not rays or last[2] != reach or not _same(last[1], T_base_camera):
            last = self._plane = rays, T_base_camera, reach, ground_depth(rays, T_base_camera, reach)
        return last[3]

    def _view_of(self, camera: CameraModel, T_base_camera: Pose) -> GroundView:
        reach, last = self.settings.max_range, self._view
        if last is None or last[0] is not camera or last[2] != reach or not _same(last[1], T_base_camera):
            view = GroundView.of(self.settings.grid, camera, T_base_camera, reach)
            last = self._view = camera, T_base_camera, reach, view
        return last[3]


def _same(one: Pose, other: Pose) -> bool:
    return np.array_equal(one.rotation, other.rotation) and np.array_equal(one.translation, other.translation)
