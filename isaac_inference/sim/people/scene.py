# SPDX-License-Identifier: Apache-2.0
"""A room with people who walk about it, as a robot's camera sees it: everything follows from a seed and the time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.sim import backgrounds
from isaac_inference.sim.catalog import ObjectKind
from isaac_inference.sim.people.body import Capsule, Figure, Posture, posed, random_figure
from isaac_inference.sim.people.capsules import CapsuleRays, draw_capsules
from isaac_inference.sim.people.gait import Walk, random_walk
from isaac_inference.sim.placement import look_at
from isaac_inference.sim.renderer import Light, Placed, Renderer
from isaac_inference.sim.sensor import SensorSettings, sense_color, sense_depth
from isaac_inference.sim.textures import Pyramid, pyramid

MOST_PEOPLE = 3
PERSON = ObjectKind('person', 'person', (0.3, 0.5, 1.75))
"""The kind of all people; each is of a size of their own."""
_FLOOR = 16.0  # m, side of the floor
_LANE = 1.5  # m, from one person's way to the next: they do not walk through each other
_IN_VIEW = 0.02  # visible part of a body above which it is a truth
_SKIN_DEEP = 0.03  # m: a joint this far behind what is seen there is seen
_THICKNESSES = 1.6  # and so is one this many radii of its limb behind it


@dataclass(frozen=True, eq=False)
class PersonTruth:
    """One person of one frame.

    Attributes:
        instance: number that stays with the person.
        height: stature, m.
        pose: T_camera_person, of the middle of the body at half its height: x forward, y to the left, z up.
        visibility: seen part of that part of the outline that lies in the image, 0..1.
        box: (4,) float32, x_min, y_min, x_max, y_max px of the full outline, clipped to the image.
        joints: (17, 3) m in the camera's frame, in the order of `KEYPOINTS`.
        pixels: (17, 2) px, 0 at the image's edge; NaN behind the camera.
        visible: (17,) bool: in the image, and nothing but the joint's own limb before it.
    """

    instance: int
    height: float
    pose: Pose
    visibility: float
    box: np.ndarray
    joints: np.ndarray
    pixels: np.ndarray
    visible: np.ndarray


@dataclass(frozen=True, eq=False)
class PeopleFrame:
    """What the camera sees at one time.

    Attributes:
        color: (H, W, 3) uint8 BGR.
        T_world_camera: where the camera is.
        truths: every person who is at least slightly in view.
        instances: (H, W) uint8, index + 1 of the truth that each pixel shows, 0 for none.
        exact_depth: (H, W) float32 m, NaN where nothing is.
        depth: (H, W) float32 m, NaN for holes; measured when it is first asked for.
    """

    color: np.ndarray
    T_world_camera: Pose
    truths: tuple[PersonTruth, ...]
    instances: np.ndarray
    exact_depth: np.ndarray
    _measure_depth: Callable[[], np.ndarray]

    @functools.cached_property
    def depth(self) -> np.ndarray:
        """What the depth camera measures."""
        return self._measure_depth()


class PeopleScene:
    """People, camera and light that move with time; equal seeds make equal scenes."""

    def __init__(
        self,
        camera: CameraModel,
        seed: int,
        *,
        people: int = 0,
        first_instance: int = 1,
        sensor: SensorSettings | None = None,
        posture: Posture | None = None,
    ) -> None:
        """A scene.

        Args:
            camera: its intrinsics and distortion.
            seed: everything random follows from it.
            people: how many, 1..3; 0 draws that from the seed.
            first_instance: number of the first person.
            sensor: the camera's faults; default: drawn from the seed.
            posture: that all of them keep wherever they are; None: they walk.

        Example:
            >>> from isaac_inference.sim.camera import default_camera
            >>> frame = PeopleScene(default_camera(160, 120), seed=1, people=1).frame(0.0)
            >>> frame.truths[0].joints.shape
            (17, 3)
        """
        rng = np.random.default_rng([17, seed])
        self._seed, self._first, self._posture = seed, first_instance, posture
        self._renderer = Renderer(camera, floor=_FLOOR)
        self._rays = _rays(camera)
        self._surfaces = tuple(int(value) for value in rng.integers(0, backgrounds.VARIETY, 6))
        level, side = rng.uniform(0.5, 0.95), rng.uniform(-np.pi, np.pi)
        lamp = np.array([np.sqrt(1 - level**2) * np.cos(side), np.sqrt(1 - level**2) * np.sin(side), level])
        self._light = Light(tuple(lamp), rng.uniform(0.5, 0.7), rng.uniform(0.3, 0.55), rng.uniform(0.2, 0.45))
        drawn = SensorSettings(
            blur=rng.uniform(0.4, 0.8), noise=rng.uniform(1.5, 5.0), gains=tuple(rng.uniform(0.93, 1.07, 3))
        )
        self._sensor = sensor or drawn
        # the camera looks along x; people walk about the origin, the wall is behind them
        self._camera_way = (rng.uniform(0.4, 1.5), rng.uniform(3.2, 4.6), rng.uniform(0, 2 * np.pi, 4))
        asked = int(rng.integers(1, MOST_PEOPLE + 1))
        count = people or asked
        lanes = (np.arange(count) - (count - 1) / 2) * min(_LANE, 3.2 / max(count, 1))
        self._people: list[tuple[Figure, Walk]] = []
        for lane in rng.permutation(lanes).tolist():
            own = np.random.default_rng([18, seed, len(self._people)])
            center = (float(own.uniform(-0.4, 0.4)), lane)
            self._people.append((random_figure(own), random_walk(center, 0.28 if count > 1 else 1.0, own)))
        self._things = _furniture(rng, count)

    def camera_pose(self, time_s: float) -> Pose:
        """T_world_camera: at a robot's height, moving a little."""
        height, distance, phase = self._camera_way
        waves = np.sin(np.array([0.35, 0.5, 0.4, 0.3]) * time_s + phase)
        eye = np.array((-distance + 0.15 * waves[0], 0.25 * waves[1], height))
        target = np.array((0.0, 0.2 * waves[2], 0.9))
        return look_at(eye, target, 0.03 * waves[3])

    def object_poses(self, time_s: float) -> list[tuple[int, ObjectKind, Pose]]:
        """(instance, kind, T_world_person) of all people; the pose is that of the middle of the body."""
        poses = []
        for index, (figure, walk) in enumerate(self._people):
            place, _ = walk.at(time_s, figure)
            poses.append((self._first + index, PERSON, place @ _middle(figure)))
        return poses

    def frame(self, time_s: float) -> PeopleFrame:
        """What the camera sees; equal times make equal frames."""
        T_world_camera = self.camera_pose(time_s)
        T_camera_world = T_world_camera.inverse()
        bodies = []
        for figure, walk in self._people:
            place, walking = walk.at(time_s, figure)
            posture = self._posture or walking
            joints, parts = posed(figure, posture, place)
            bodies.append((figure, place, T_camera_world.apply(joints), [part.moved(T_camera_world) for part in parts]))
        things = [Placed(kind, T_camera_world @ pose, _paint(self._surfaces[i])) for kind, pose, i in self._things]
        view = self._renderer.render(
            things,
            T_world_camera,
            table=self._surfaces[0],
            wall=self._surfaces[1],
            light=self._light,
            shades=[_around(part) for *_, parts in bodies for part in parts],
        )
        lamp = T_world_camera.rotation.T @ np.asarray(self._light.direction)
        numbers, outlines = np.zeros(view.instances.shape, np.uint8), []
        for number, (*_, parts) in enumerate(bodies, 1):
            count = draw_capsules(self._rays, parts, view.color, view.depth, numbers, number, self._light, lamp)
            outlines.append(count)
        truths, kept = [], np.zeros(256, np.uint8)
        for number, ((figure, place, joints, parts), outline) in enumerate(zip(bodies, outlines, strict=True), 1):
            visibility = float(np.count_nonzero(numbers == number)) / max(outline, 1)
            truth = self._truth(number, figure, T_camera_world @ place, joints, parts, visibility, view.depth, numbers)
            if truth is not None:
                truths.append(truth)
                kept[number] = len(truths)
        rng = np.random.default_rng([19, self._seed, int(round(time_s * 1e6))])
        return PeopleFrame(
            sense_color(view.color, self._sensor, rng),
            T_world_camera,
            tuple(truths),
            cv2.LUT(numbers, kept),
            view.depth,
            functools.partial(sense_depth, view.depth, self._sensor, rng),
        )

    def _truth(
        self,
        number: int,
        figure: Figure,
        place: Pose,
        joints: np.ndarray,
        parts: Sequence[Capsule],
        visibility: float,
        depth: np.ndarray,
        numbers: np.ndarray,
    ) -> PersonTruth | None:
        """What is true of a person; None for one who is not in view."""
        box = _box(self._rays.camera, parts)
        if box is None or visibility < _IN_VIEW:
            return None
        pixels = self._rays.camera.project(joints) + 0.5
        return PersonTruth(
            self._first + number - 1,
            figure.height,
            place @ _middle(figure),
            min(visibility, 1.0),
            box,
            joints,
            pixels,
            _visible(pixels, joints, figure.thickness, depth, numbers == number),
        )


def _middle(figure: Figure) -> Pose:
    """T_person_middle, of the body at half its height."""
    return Pose(np.eye(3), np.array((0.0, 0.0, figure.height / 2)))


def _visible(
    pixels: np.ndarray, joints: np.ndarray, thickness: np.ndarray, depth: np.ndarray, own: np.ndarray
) -> np.ndarray:
    """(17,) bool, whether what the image shows at a joint is the limb that it is in."""
    height, width = depth.shape
    with np.errstate(invalid='ignore'):
        inside: np.ndarray = np.all((pixels >= 0.0) & (pixels < (width, height)), axis=1)
    columns, rows = np.where(inside[:, None], pixels, 0.0).astype(int).T
    behind = joints[:, 2] - depth[rows, columns]
    seen = own[rows, columns] & (behind <= np.maximum(_THICKNESSES * thickness, _SKIN_DEEP))
    return np.asarray(inside & seen)


def _box(camera: CameraModel, parts: Sequence[Capsule]) -> np.ndarray | None:
    """(4,) float32 px around the outline of a body, clipped to the image; None where it is not before the camera."""
    ends = np.concatenate([np.stack((part.start, part.end)) for part in parts])
    radii = np.repeat([part.radius for part in parts], 2)
    if ends[:, 2].min() < 0.2:
        return None
    low: np.ndarray = np.full(2, np.inf)
    high: np.ndarray = np.full(2, -np.inf)
    for axis in range(2):
        for sign in (-1.0, 1.0):
            # the ray that touches a ball lies beside its centre by asin(radius / distance)
            away = np.hypot(ends[:, axis], ends[:, 2])
            angle = np.arctan2(ends[:, axis], ends[:, 2]) + sign * np.arcsin(np.minimum(radii / away, 1.0))
            edge = np.array(ends)
            edge[:, axis] = ends[:, 2] * np.tan(angle)
            pixels = camera.project(edge)[:, axis] + 0.5
            if not np.isfinite(pixels).all():
                return None
            low[axis], high[axis] = min(low[axis], pixels.min()), max(high[axis], pixels.max())
    size = np.array((camera.width, camera.height), np.float64)
    low, high = np.clip(low, 0.0, size), np.clip(high, 0.0, size)
    return np.concatenate((low, high)).astype(np.float32) if (high - low >= 1.0).all() else None


def _around(part: Capsule) -> np.ndarray:
    """(8, 3) points about a capsule, for its shadow."""
    away = part.radius * np.array(((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)), np.float64)
    return np.concatenate((part.start + away, part.end + away))


def _furniture(rng: np.random.Generator, people: int) -> list[tuple[ObjectKind, Pose, int]]:
    """(kind, T_world_object, which picture) of a wall behind the people, and of boxes beside and before them."""
    wall = ObjectKind('wall', 'cuboid', (0.1, float(rng.uniform(3.5, 9.0)), float(rng.uniform(2.0, 3.0))))
    turn = so3_exp(np.array((0.0, 0.0, rng.uniform(-0.25, 0.25))))
    away = np.array((rng.uniform(2.3, 4.0), rng.uniform(-0.8, 0.8), wall.size[2] / 2))
    things = [(wall, Pose(turn, away), 2)]
    for index in range(int(rng.integers(0, 4))):
        size = tuple(float(value) for value in rng.uniform((0.25, 0.25, 0.3), (0.6, 1.0, 1.0)))
        kind = ObjectKind('box', 'cuboid', (size[0], size[1], size[2]))
        before = rng.random() < 0.3
        x = rng.uniform(-2.4, -1.9) if before else rng.uniform(1.9, 2.2)
        y = rng.uniform(-1.0, 1.0) * (0.7 if before else 2.0)
        if before:  # low, so that it hides legs at most
            kind = ObjectKind('box', 'cuboid', (size[0], size[1], min(size[2], 0.5)))
        place = Pose(so3_exp(np.array((0.0, 0.0, rng.uniform(-np.pi, np.pi)))), np.array((x, y, kind.size[2] / 2)))
        things.append((kind, place, 3 + index % 3))
    return things


@functools.lru_cache(maxsize=backgrounds.VARIETY)
def _paint(number: int) -> dict[str, Pyramid]:
    """A picture on every side of a box."""
    levels = pyramid(backgrounds.surface(number))
    return {f'{sign}{axis}': levels for axis in 'xyz' for sign in '-+'}


@functools.lru_cache(maxsize=4)
def _rays(camera: CameraModel) -> CapsuleRays:
    return CapsuleRays(camera)
