# SPDX-License-Identifier: Apache-2.0
"""Labelled pictures for training: arrangements far more varied than the scenes used for evaluation."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.geometry.symmetry import canonical
from isaac_inference.sim import backgrounds
from isaac_inference.sim.catalog import LABELS, OBJECTS, ObjectKind
from isaac_inference.sim.placement import cells, orbit, random_rotation, resting
from isaac_inference.sim.renderer import Light, Placed, Rendered, Renderer
from isaac_inference.sim.sensor import SensorSettings, sense_color

SIZE = (640, 480)  # px, width and height
_DISTRACTORS = 24
_MIN_VISIBILITY = 0.02  # visible part below which an object is not named at all


@dataclass(frozen=True, eq=False)
class Sample:
    """One labelled picture.

    Attributes:
        image: (480, 640, 3) uint8 BGR.
        boxes: (N, 4) float32, x_min, y_min, x_max, y_max px of each full outline, clipped to the image.
        class_ids: (N,) int64, index into LABELS.
        keypoints: (N, 8, 2) float32 px, edge-based, cuboid corners (`ops.cuboid`); may lie outside the image.
        visibility: (N,) float32, seen part of each outline, 0..1.
        instances: (480, 640) uint8, row + 1 of the object that each pixel shows, 0 for none of these.
        camera: what took the picture.
        poses: T_camera_object of each, canonical where the object is symmetric; `keypoints` follow from them.
    """

    image: np.ndarray
    boxes: np.ndarray
    class_ids: np.ndarray
    keypoints: np.ndarray
    visibility: np.ndarray
    instances: np.ndarray
    camera: CameraModel
    poses: tuple[Pose, ...]


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Who stands where, and who looks at it."""

    camera: CameraModel
    T_world_camera: Pose
    kinds: list[ObjectKind]
    places: np.ndarray  # (at least len(kinds) + others, 2) m
    others: list[ObjectKind]  # objects that are not named


def training_sample(rng: np.random.Generator) -> Sample:
    """A picture with everything random: objects, camera, table, light and the camera's faults.

    Half of them are crowded tables seen from where a robot's camera hangs, the others are anything from anywhere.
    """
    arranged, placed, view = random_view(rng)
    camera, kinds = arranged.camera, arranged.kinds
    named = [index for index in range(len(kinds)) if view.visibility[index] > _MIN_VISIBILITY]
    poses = tuple(canonical(placed[index].pose, placed[index].kind.symmetries) for index in named)
    corners = [
        camera.project(pose.apply(cuboid_corners(placed[index].kind.size))) + 0.5
        for index, pose in zip(named, poses, strict=True)
    ]
    rows = np.zeros(256, np.uint8)
    rows[np.asarray(named, int) + 1] = np.arange(1, len(named) + 1)
    return Sample(
        sense_color(view.color, random_sensor(rng), rng),
        view.boxes[named].reshape(-1, 4),
        np.array([LABELS.index(kinds[index].name) for index in named], np.int64),
        np.array(corners, np.float32).reshape(-1, 8, 2),
        view.visibility[named],
        rows[view.instances],
        camera,
        poses,
    )


def random_view(rng: np.random.Generator) -> tuple[Arrangement, list[Placed], Rendered]:
    """What `training_sample` shows, as its camera would see it without faults."""
    arranged = _crowded_table(rng) if rng.random() < 0.5 else _anything(rng)
    T_world_camera = arranged.T_world_camera
    T_camera_world = T_world_camera.inverse()
    placed = [
        Placed(kind, T_camera_world @ _place(kind, x, y, rng))
        for kind, (x, y) in zip([*arranged.kinds, *arranged.others], arranged.places, strict=True)
    ]
    table, wall = (int(value) for value in rng.integers(0, backgrounds.VARIETY, 2))
    view = Renderer(arranged.camera).render(placed, T_world_camera, table=table, wall=wall, light=_light(rng))
    return arranged, placed, view


def random_sensor(rng: np.random.Generator) -> SensorSettings:
    """The faults of a colour camera, of any strength."""
    return SensorSettings(
        blur=rng.uniform(0.3, 1.3),
        motion_blur=int(rng.integers(2, 8)) if rng.random() < 0.25 else 0,
        motion_angle=rng.uniform(0, np.pi),
        noise=rng.uniform(0, 8),
        gains=tuple(rng.uniform(0.88, 1.12, 3)),
        gamma=rng.uniform(0.75, 1.35),
    )


def _crowded_table(rng: np.random.Generator) -> Arrangement:
    """One object of nearly every kind, close together, from an arm's length away."""
    kinds = [OBJECTS[index] for index in rng.permutation(len(OBJECTS))[: int(rng.integers(4, len(OBJECTS) + 1))]]
    kinds += [OBJECTS[index] for index in rng.integers(0, len(OBJECTS), int(rng.integers(0, 3)))]
    others = _others(rng, most=1)
    count = len(kinds) + len(others)
    T_world_camera = orbit(
        rng.uniform(0, 2 * np.pi),
        rng.uniform(0.5, 1.25),
        rng.uniform(0.72, 1.08),
        rng.normal(0, (0.04, 0.04, 0.03)) + (0, 0, 0.06),
        rng.normal(0, 0.07),
    )
    places = cells(count, rng.uniform(0.17, 0.27), rng, rows=2 if count <= 6 else 3)
    return Arrangement(_camera(rng, 560, 650), T_world_camera, kinds, places, others)


def _anything(rng: np.random.Generator) -> Arrangement:
    """Any objects from any side, near and far, with another lens each time."""
    T_world_camera = orbit(
        rng.uniform(0, 2 * np.pi),
        rng.uniform(0.3, 1.45),
        rng.uniform(0.45, 1.2),
        rng.normal(0, (0.1, 0.1, 0.04)) + (0, 0, 0.06),
        rng.normal(0, 0.15),
    )
    kinds = [OBJECTS[index] for index in rng.integers(0, len(OBJECTS), int(rng.integers(1, 8)))]
    others = _others(rng, most=2)
    places = cells(len(kinds) + len(others), rng.uniform(0.2, 0.32), rng)
    return Arrangement(_camera(rng, 480, 720), T_world_camera, kinds, places, others)


def _others(rng: np.random.Generator, most: int) -> list[ObjectKind]:
    """Up to `most` objects that are none of the named; one in three has a named one's shape and size."""
    made = []
    for number in rng.integers(0, _DISTRACTORS, int(rng.integers(0, most + 1))):
        made.append(_look_alike(int(number)) if rng.random() < 0.33 else _distractor(int(number)))
    return made


def _camera(rng: np.random.Generator, least_focal: float, most_focal: float) -> CameraModel:
    width, height = SIZE
    focal = rng.uniform(least_focal, most_focal)
    K = np.array([(focal, 0, width / 2 + rng.normal(0, 8)), (0, focal, height / 2 + rng.normal(0, 8)), (0, 0, 1)])
    return CameraModel(width, height, K, (), 'none')


def _place(kind: ObjectKind, x: float, y: float, rng: np.random.Generator) -> Pose:
    """T_world_object: two of three lie on the table, the others are in the air in any orientation."""
    x, y = x + rng.normal(0, 0.02), y + rng.normal(0, 0.02)
    if rng.random() < 0.65:
        return resting(kind, int(rng.integers(6)) if rng.random() < 0.6 else 0, x, y, rng.uniform(0, 2 * np.pi))
    return Pose(random_rotation(rng), np.array([x, y, rng.uniform(0.12, 0.35)]))


def _light(rng: np.random.Generator) -> Light:
    level, side = rng.uniform(0.3, 1.0), rng.uniform(0, 2 * np.pi)
    flat = np.sqrt(1 - level**2)
    lamp = (flat * np.cos(side), flat * np.sin(side), level)
    return Light(lamp, rng.uniform(0.35, 0.8), rng.uniform(0.15, 0.7), rng.uniform(0.0, 0.6))


@functools.cache
def _distractor(number: int) -> ObjectKind:
    """An object that is not one of the named ones."""
    rng = np.random.default_rng([9, number])
    palette, title = _paint(rng)
    if number % 3:
        return ObjectKind(f'distractor_{number}', 'cuboid', tuple(rng.uniform(0.04, 0.22, 3)), (), palette, title)
    diameter = rng.uniform(0.04, 0.14)
    return ObjectKind(
        f'distractor_{number}', 'cylinder', (diameter, diameter, rng.uniform(0.05, 0.2)), (), palette, title
    )


@functools.cache
def _look_alike(number: int) -> ObjectKind:
    """An object of the shape and size of a named one, with another paint."""
    named = OBJECTS[number % len(OBJECTS)]
    palette, title = _paint(np.random.default_rng([10, number]))
    return dataclasses.replace(named, name=f'look_alike_{number}', palette=palette, title=title)


def _paint(rng: np.random.Generator) -> tuple[tuple[tuple[int, ...], ...], str]:
    """Three colours and a title of four letters."""
    palette = tuple(tuple(int(value) for value in color) for color in rng.integers(20, 250, (3, 3)))
    return palette, ''.join(chr(code) for code in rng.integers(65, 91, 4))
