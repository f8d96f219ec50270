# SPDX-License-Identifier: Apache-2.0
"""Simulated views for pose tests: exact depth, exact keypoints, known poses."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.rigid import Pose, rotation_angle
from isaac_inference.sim import KINDS, LABELS, OBJECT_SIZES, ObjectKind, Scene, default_camera
from isaac_inference.sim.sensor import SensorSettings
from support.onnx_models import ultralytics_metadata, write_model

CLEAN = SensorSettings(blur=0.0, noise=0.0, depth_noise=0.0, depth_hole_edges=False)
SMALL_WH = (320, 240)


@dataclass(frozen=True, eq=False)
class Item:
    """One object of a view: T_camera_object, box (4,) px and keypoints (8, 3) px (both edge-based), its number."""

    label: str
    pose: Pose
    box: np.ndarray
    keypoints: np.ndarray
    identity: str

    @property
    def size(self) -> tuple[float, float, float]:
        return OBJECT_SIZES[self.label]


@dataclass(frozen=True, eq=False)
class View:
    """One picture and what is in it."""

    camera: CameraModel
    color: np.ndarray
    depth: np.ndarray
    T_world_camera: Pose
    items: tuple[Item, ...]

    def item(self, label: str) -> Item:
        return next(item for item in self.items if item.label == label)

    def only(self, *labels: str) -> View:
        return replace(self, items=tuple(self.item(label) for label in labels))


@functools.lru_cache(maxsize=8)
def scene_of(seed: int = 11, wh: tuple[int, int] = SMALL_WH, distorted: bool = False) -> Scene:
    """A scene without the faults of a camera, made once."""
    return Scene(default_camera(*wh, distorted=distorted), seed, sensor=CLEAN)


@functools.lru_cache(maxsize=16)
def view_of(
    seed: int = 11, wh: tuple[int, int] = SMALL_WH, distorted: bool = False, time_s: float = 0.0, least: float = 0.97
) -> View:
    """What a scene shows, with the objects of which at least the share `least` is seen."""
    scene, camera = scene_of(seed, wh, distorted), default_camera(*wh, distorted=distorted)
    frame = scene.frame(time_s)
    items = tuple(
        Item(
            truth.kind.name, truth.pose, truth.box, exact_keypoints(truth.kind, truth.pose, camera), str(truth.instance)
        )
        for truth in frame.truths
        if truth.visibility >= least
    )
    return View(camera, frame.color, frame.depth, frame.T_world_camera, items)


def exact_keypoints(kind: ObjectKind, pose: Pose, camera: CameraModel) -> np.ndarray:
    """(8, 3) float32: the cuboid's corners, all of them certain."""
    pixels = camera.project(pose.apply(cuboid_corners(kind.size))) + 0.5
    return np.column_stack((pixels, np.ones(8))).astype(np.float32)


def seen_through(view: View, camera: CameraModel, least_px: float = 0.0) -> View:
    """The view's objects as another camera at the same place sees them: boxes and keypoints; its pictures stay.

    Objects of which a keypoint lies outside the image, or nearer than that to its edge, are left out.
    """
    items = []
    for item in view.items:
        keypoints = exact_keypoints(KINDS[item.label], item.pose, camera)
        low, high = keypoints[:, :2].min(axis=0), keypoints[:, :2].max(axis=0)
        if (low > least_px).all() and (high < np.array((camera.width, camera.height)) - least_px).all():
            items.append(replace(item, keypoints=keypoints, box=np.concatenate((low, high)).astype(np.float32)))
    return replace(view, camera=camera, items=tuple(items))


def depth_seen_from(seed: int, camera: CameraModel, T_color_depth: Pose, time_s: float = 0.0) -> np.ndarray:
    """(H, W) float32 m: depth of a scene as another camera, beside that of `view_of`, sees it."""
    scene = Scene(camera, seed, sensor=CLEAN)
    place = scene.camera_pose
    scene.camera_pose = lambda time_s: place(time_s) @ T_color_depth  # type: ignore[method-assign]
    return np.asarray(scene.frame(time_s).depth, np.float32)


def noisy(keypoints: np.ndarray, px: float, seed: int = 0) -> np.ndarray:
    """The keypoints with noise of `px` standard deviation."""
    moved = keypoints.copy()
    moved[..., :2] += np.random.default_rng(seed).normal(0.0, px, moved[..., :2].shape)
    return moved


@dataclass
class Card:
    """The YAML card beside a tiny pose model (or detector) of the simulator's classes."""

    keypoints: bool = True
    objects: dict[str, dict[str, Any]] = field(default_factory=lambda: {name: sim_object(name) for name in LABELS})

    def write(self, folder: Path, name: str = 'tiny') -> Path:
        """Write model and card; the model's path."""
        task = {'task': 'pose', 'kpt_shape': [8, 3]} if self.keypoints else {}
        metadata = ultralytics_metadata(LABELS, imgsz=(64, 64), **task)
        kind = 'yolov8_pose' if self.keypoints else 'yolov8'
        path = write_model(folder / f'{name}.onnx', kind, classes=len(LABELS), input_wh=(64, 64), metadata=metadata)
        self.write_card(path)
        return path

    def write_card(self, model: Path) -> None:
        """Write the card beside a model anew."""
        said: dict[str, Any] = {'objects': self.objects} if self.objects else {}
        if self.keypoints:
            said['keypoints'] = {'count': 8, 'dims': 3, 'model': 'cuboid8'}
        model.with_suffix('.yaml').write_text(yaml.safe_dump(said))


def sim_object(name: str) -> dict[str, Any]:
    """What a card says of one of the simulator's objects."""
    kind = KINDS[name]
    said: dict[str, Any] = {'size': list(kind.size), 'shape': kind.shape}
    if kind.symmetries:
        said['symmetry'] = [{'axis': turn.axis, 'order': turn.order} for turn in kind.symmetries]
    return said


def distance(found: Pose, truth: Pose) -> float:
    """Between the two origins, m."""
    return float(np.linalg.norm(found.translation - truth.translation))


def turn_deg(found: Pose, truth: Pose) -> float:
    """Between the two rotations, degrees; of two canonical poses."""
    return float(np.degrees(rotation_angle(found.rotation.T @ truth.rotation)))
