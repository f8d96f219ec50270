# SPDX-License-Identifier: Apache-2.0
"""A moving table-top scene with known ground truth: everything in it follows from a seed and the time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ops.geometry.symmetry import canonical
from isaac_inference.sim.catalog import OBJECTS, ObjectKind
from isaac_inference.sim.placement import CameraWay, cells, orbit, random_rotation, resting, views_around
from isaac_inference.sim.renderer import Light, Placed, Renderer
from isaac_inference.sim.sensor import SensorSettings, sense_color, sense_depth

SPACING = 0.25  # m between neighbouring places
_IN_VIEW = 0.01  # visible part above which an object is a truth
CENTER = np.array([0.0, 0.0, 0.06])  # what the camera looks at, m


@dataclass(frozen=True, eq=False)
class Truth:
    """One object of one frame.

    Attributes:
        instance: number that stays with the object.
        kind: what it is.
        pose: T_camera_object, canonical where the object is symmetric.
        visibility: seen part of its outline, 0..1.
        box: (4,) float32, x_min, y_min, x_max, y_max px of the full outline, clipped to the image.
    """

    instance: int
    kind: ObjectKind
    pose: Pose
    visibility: float
    box: np.ndarray


@dataclass(frozen=True, eq=False)
class SimFrame:
    """What the simulated camera sees at one time.

    Attributes:
        color: (H, W, 3) uint8 BGR.
        T_world_camera: where the camera is.
        truths: every object that is at least slightly in view.
        instances: (H, W) uint8, index + 1 of the truth that each pixel shows, 0 for none.
        depth: (H, W) float32 m, NaN for holes; measured when it is first asked for, so it costs nothing unseen.
    """

    color: np.ndarray
    T_world_camera: Pose
    truths: tuple[Truth, ...]
    instances: np.ndarray
    _measure_depth: Callable[[], np.ndarray]

    @functools.cached_property
    def depth(self) -> np.ndarray:
        """What the depth camera measures."""
        return self._measure_depth()


@dataclass(frozen=True, eq=False)
class _Motion:
    """An object's motion: a slow slide about its place and a turn about an axis; held ones are off the table."""

    kind: ObjectKind
    start: Pose
    slide: np.ndarray  # (3,) m
    spin: np.ndarray  # (3,) rad, the turn's extent
    rates: np.ndarray  # (2,) rad/s of slide and turn
    phases: np.ndarray  # (2,) rad

    def pose(self, time_s: float) -> Pose:
        slide, turn = np.sin(self.rates * time_s + self.phases)
        return Pose(so3_exp(self.spin * turn) @ self.start.rotation, self.start.translation + self.slide * slide)


class Scene:
    """Objects, camera and light that move with time; equal seeds make equal scenes.

    Several cameras look at one scene as views of the same seed: objects, table and light are the same in all, the way
    of each camera and its faults are its own. View 0 is the camera of a scene with one.
    """

    def __init__(
        self,
        camera: CameraModel,
        seed: int,
        *,
        objects: int = 6,
        first_instance: int = 1,
        sensor: SensorSettings | None = None,
        view: int = 0,
        views: int = 1,
    ) -> None:
        """A scene.

        Args:
            camera: its intrinsics and distortion.
            seed: everything random follows from it.
            objects: how many, 1..9; up to six there is one of each kind.
            first_instance: number of the first object.
            sensor: the camera's faults; default: drawn from the seed.
            view: which of the cameras this is, 0..views - 1.
            views: how many cameras there are, spread evenly around the table.
        """
        rng = np.random.default_rng([3, seed])
        self._noise_seed = [4, seed] if view == 0 else [4, seed, view]
        self._first = first_instance
        self._renderer = Renderer(camera)
        self._table, self._wall = (int(value) for value in rng.integers(0, 48, 2))
        azimuth = rng.choice((-0.5, 0.5)) * np.pi + rng.uniform(-0.3, 0.3)  # the table's long side lies across the view
        level, side = rng.uniform(0.5, 0.95), azimuth + rng.uniform(-2, 2)
        lamp = np.array([np.sqrt(1 - level**2) * np.cos(side), np.sqrt(1 - level**2) * np.sin(side), level])
        self._light = Light(tuple(lamp), rng.uniform(0.45, 0.7), rng.uniform(0.3, 0.6), rng.uniform(0.25, 0.55))
        drawn = SensorSettings(  # always drawn: the arrangement must not depend on the camera's faults
            blur=rng.uniform(0.4, 0.8), noise=rng.uniform(1.5, 5.0), gains=tuple(rng.uniform(0.93, 1.07, 3))
        )
        way = CameraWay(azimuth, rng.uniform(0.75, 1.05), rng.uniform(0.85, 0.95), rng.uniform(0, 2 * np.pi, 4))
        self._camera_way, faults = views_around(way, drawn, seed, view, views)
        self._sensor = sensor or faults
        kinds = [OBJECTS[index % len(OBJECTS)] for index in rng.permutation(max(objects, len(OBJECTS)))[:objects]]
        places = cells(objects, SPACING, rng, rows=2 if objects <= 6 else 3)
        self._motions = [_motion(kind, place, rng) for kind, place in zip(kinds, places, strict=True)]

    def camera_pose(self, time_s: float) -> Pose:
        """T_world_camera: back and forth around the table, at a varying distance."""
        way = self._camera_way
        waves = np.sin(np.array([0.35, 0.5, 0.4, 0.3]) * time_s + way.phases)
        azimuth, elevation = way.azimuth + 0.5 * waves[0], way.elevation + 0.12 * waves[1]
        return orbit(azimuth, elevation, way.distance + 0.07 * waves[2], CENTER, 0.06 * waves[3])

    def object_poses(self, time_s: float) -> list[tuple[int, ObjectKind, Pose]]:
        """(instance, kind, T_world_object) of all objects."""
        return [(self._first + index, item.kind, item.pose(time_s)) for index, item in enumerate(self._motions)]

    def frame(self, time_s: float) -> SimFrame:
        """What the camera sees; equal times make equal frames."""
        T_world_camera = self.camera_pose(time_s)
        T_camera_world = T_world_camera.inverse()
        poses = [(instance, kind, T_camera_world @ pose) for instance, kind, pose in self.object_poses(time_s)]
        placed = [Placed(kind, pose) for _, kind, pose in poses]
        view = self._renderer.render(placed, T_world_camera, table=self._table, wall=self._wall, light=self._light)
        rng = np.random.default_rng([*self._noise_seed, int(round(time_s * 1e6))])
        truths = tuple(
            Truth(instance, kind, canonical(pose, kind.symmetries), float(visible), box)
            for (instance, kind, pose), visible, box in zip(poses, view.visibility, view.boxes, strict=True)
            if visible > _IN_VIEW
        )
        numbers = np.zeros(256, np.uint8)
        numbers[np.flatnonzero(view.visibility > _IN_VIEW) + 1] = np.arange(1, len(truths) + 1)
        return SimFrame(
            sense_color(view.color, self._sensor, rng),
            T_world_camera,
            truths,
            cv2.LUT(view.instances, numbers),
            functools.partial(sense_depth, view.depth, self._sensor, rng),
        )


def _motion(kind: ObjectKind, place: np.ndarray, rng: np.random.Generator) -> _Motion:
    """A third of the objects stand still, a third slide and turn on the table, a third tumble above it."""
    x, y = place + rng.uniform(-0.015, 0.015, 2)
    start = resting(kind, int(rng.choice(6, p=(0.5, 0.1, 0.1, 0.1, 0.1, 0.1))), x, y, rng.uniform(0, 2 * np.pi))
    rates, phases = rng.uniform(0.3, 0.9, 2), rng.uniform(0, 2 * np.pi, 2)
    choice = int(rng.integers(3))
    if choice == 0:
        return _Motion(kind, start, np.zeros(3), np.zeros(3), rates, phases)
    if choice == 1:
        slide = np.append(rng.uniform(-0.03, 0.03, 2), 0.0)
        return _Motion(kind, start, slide, np.array([0.0, 0.0, rng.uniform(-1.2, 1.2)]), rates, phases)
    held = Pose(random_rotation(rng), np.array([x, y, rng.uniform(0.2, 0.28)]))
    return _Motion(kind, held, rng.uniform(-0.03, 0.03, 3), rng.uniform(-0.6, 0.6, 3), rates, phases)
