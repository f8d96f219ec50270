# SPDX-License-Identifier: Apache-2.0
"""Simulated views whose truth is known, a card of the simulator's objects, and keypoints as a network gives them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from benchmark.support.common import synthetic_card
from isaac_inference.evaluation import ObjectGeometry
from isaac_inference.evaluation.accuracy.pose_errors import (
    add_or_add_s,
    cuboid_points,
    cylinder_points,
    rotation_error_deg,
)
from isaac_inference.models import ModelCard, ObjectSpec
from isaac_inference.models.card.tasks import KeypointDetectionSpec, KeypointSpec
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.sim import KINDS, LABELS, Scene, SimFrame, Truth, default_camera
from isaac_inference.stages.poses import Observed

MIN_VISIBILITY = 0.25  # as in `isaac-inference evaluate`: what is hidden more than that doesn't count
KEYPOINT_NOISE = 0.01  # of the object's extent in the image, each coordinate: what a small network reaches
_LEAST_NOISE_PX = 0.5
_FRAMES_OF_A_SCENE = 5
_STEP_S = 0.7  # between two of them
_GRAZING = 0.1  # cosine below which a face counts as not seen


@dataclass(frozen=True, eq=False)
class View:
    """One simulated frame, its camera, and the objects in it that count."""

    camera: CameraModel
    frame: SimFrame
    truths: tuple[Truth, ...]


@dataclass(frozen=True)
class Error:
    """How far a pose is off: metres, part of the distance, degrees, and ADD(-S) as part of the diameter."""

    translation_m: float
    translation_rel: float
    rotation_deg: float
    add: float


def views(count: int, seed: int, *, distorted: bool = False) -> Iterator[View]:
    """`count` frames of 640x480, each few of another scene, with the camera's usual faults in colour and depth."""
    camera = default_camera(distorted=distorted)
    for index in range(count):
        number, place = divmod(index, _FRAMES_OF_A_SCENE)
        if place == 0:
            scene = Scene(camera, seed * 1000 + number)
        frame = scene.frame(place * _STEP_S)
        yield View(camera, frame, tuple(item for item in frame.truths if item.visibility >= MIN_VISIBILITY))


def objects_card() -> ModelCard:
    """What the demo model's card says of the simulator's objects, without a model."""
    objects = {
        name: ObjectSpec(
            name, kind.size, kind.shape, symmetries=tuple((turn.axis, turn.order) for turn in kind.symmetries)
        )
        for name, kind in KINDS.items()
    }
    return cuboid_card(LABELS, objects)


def cuboid_card(labels: tuple[str, ...], objects: Mapping[str, ObjectSpec]) -> ModelCard:
    """A card, without a model, whose keypoints are the eight corners of each object's cuboid."""
    bare = synthetic_card((640, 480))
    spec = KeypointDetectionSpec({'predictions': 'output0'}, 'yolov8_pose', keypoints=KeypointSpec(8, 3, 'cuboid8'))
    return dataclasses.replace(bare, spec=spec, labels=labels, objects=objects)


def observed(truth: Truth, camera: CameraModel, rng: np.random.Generator | None = None) -> Observed:
    """A detection of it: the true box and, with `rng`, corners with a network's noise; else no keypoints."""
    return Observed(truth.kind.name, 0.9, truth.box, None if rng is None else noisy_keypoints(truth, camera, rng))


def noisy_keypoints(truth: Truth, camera: CameraModel, rng: np.random.Generator) -> np.ndarray:
    """(8, 3) float32 px, edge-based: the cuboid's corners, each off by KEYPOINT_NOISE of their extent."""
    pixels = camera.project(truth.pose.apply(cuboid_corners(truth.kind.size))) + 0.5
    spread = max(KEYPOINT_NOISE * float(np.linalg.norm(np.ptp(pixels, axis=0))), _LEAST_NOISE_PX)
    pixels = pixels + rng.normal(0.0, spread, pixels.shape)
    return np.column_stack((pixels, np.ones(8))).astype(np.float32)


def visible_faces(truth: Truth) -> str:
    """Which group it belongs to: 'can' for what is round, else how many faces its side towards the camera has."""
    if truth.kind.shape != 'cuboid':
        return 'can'
    camera = truth.pose.inverse().translation
    gaps = (np.abs(camera) - np.array(truth.kind.size) / 2) / np.linalg.norm(camera)
    count = int(np.count_nonzero(gaps > _GRAZING))
    return f'{count} face{"s" if count > 1 else ""}'


def is_cut(truth: Truth, camera: CameraModel) -> bool:
    """Whether a part of it lies outside the image: its box reaches the border."""
    x_min, y_min, x_max, y_max = truth.box
    return bool(min(x_min, y_min) < 0.5 or x_max > camera.width - 0.5 or y_max > camera.height - 0.5)


class Judge:
    """Errors against the truth, by the evaluation's own measures."""

    def __init__(self) -> None:
        self._objects = {
            name: ObjectGeometry(
                cylinder_points(kind.size, 'z') if kind.shape == 'cylinder' else cuboid_points(kind.size),
                kind.symmetries,
            )
            for name, kind in KINDS.items()
        }

    def error(self, found: Pose, truth: Truth) -> Error:
        """Of one pose."""
        model, actual, estimate = self._objects[truth.kind.name], truth.pose.matrix(), found.matrix()
        off = float(np.linalg.norm(found.translation - truth.pose.translation))
        return Error(
            off,
            off / float(np.linalg.norm(truth.pose.translation)),
            rotation_error_deg(actual, estimate, model),
            add_or_add_s(actual, estimate, model) / model.diameter,
        )
