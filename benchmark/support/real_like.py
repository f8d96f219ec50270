# SPDX-License-Identifier: Apache-2.0
"""Objects of `isaac_inference.sim.mesh_shapes` in real-like depth: their card, and how far a pose of one is off."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh

from benchmark.support.tabletop import cuboid_card
from isaac_inference.evaluation import ObjectGeometry
from isaac_inference.evaluation.accuracy.pose_errors import ADD_LIMIT, add, add_s, rotation_error_deg
from isaac_inference.models import ModelCard, ObjectSpec
from isaac_inference.models.card.objects import all_symmetries
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.rigid import Pose, so3_log
from isaac_inference.ops.geometry.surface import surface_points
from isaac_inference.ops.geometry.symmetry import nearest
from isaac_inference.sim.depth_scenes import DepthScene
from isaac_inference.sim.mesh_shapes import MeshKind, mesh_kinds
from isaac_inference.stages.poses import DepthView, Observed

_TURNED_DEG = 15.0  # a pose turned further than this is wrong, however little of the surface that moves


@dataclass(frozen=True)
class Off:
    """How far a pose is off: metres, degrees to the nearest of the declared symmetries, ADD(-S) as part of the
    diameter, each of the six parameters in the standard deviations that it was published with, and whether it is
    wrong: further than a tenth of the diameter, or turned by more than 15 degrees."""

    translation_m: float
    rotation_deg: float
    add: float
    sigmas: np.ndarray
    wrong: bool


def mesh_card(folder: Path, names: Sequence[str], *, meshes: bool = True, scale: float = 1.0) -> ModelCard:
    """A card of objects with the eight corners of their boxes as keypoints.

    Args:
        folder: where the meshes are written.
        names: of `mesh_kinds()`.
        meshes: whether the card has them; else it says shape and size alone.
        scale: of what the card says against the truth.
    """
    objects = {}
    for name in names:
        kind = mesh_kinds()[name]
        size, turns = tuple(scale * side for side in kind.size), tuple((s.axis, s.order) for s in kind.symmetries)
        if not meshes:
            turns = all_symmetries(kind.shape, turns, False)
        path = folder / f'{name}_{scale:g}.ply'
        if meshes and not path.is_file():
            trimesh.Trimesh(scale * kind.mesh.vertices, kind.mesh.faces, process=False).export(path)
        objects[name] = ObjectSpec(
            name, size, 'mesh' if meshes else kind.shape, path if meshes else None, symmetries=turns
        )
    return cuboid_card(tuple(names), objects)


def seen(scene: DepthScene, rng: np.random.Generator | None = None, noise_px: float = 1.0) -> Observed:
    """A detection of the scene's object: its box and, with `rng`, its box's corners off by `noise_px`."""
    keypoints = None
    if rng is not None:
        pixels = scene.camera.project(scene.pose.apply(cuboid_corners(scene.kind.size))) + 0.5
        keypoints = np.column_stack((pixels + rng.normal(0.0, noise_px, pixels.shape), np.ones(8))).astype(np.float32)
    return Observed(scene.kind.name, 0.9, scene.box, keypoints)


def depth_view(scene: DepthScene) -> DepthView:
    """Its depth, as 16-bit millimetres."""
    millimetres = np.nan_to_num(np.rint(scene.depth * 1000.0)).clip(0, 65535).astype(np.uint16)
    return DepthView(DepthImage.check(millimetres, '16UC1'), scene.camera)


def off(found: Pose, covariance: np.ndarray, truth: Pose, kind: MeshKind) -> Off:
    """Of one pose."""
    model = _geometry(kind.name)
    best = nearest(found, truth, kind.symmetries)
    actual, estimate = truth.matrix(), best.matrix()
    distance = (add_s if kind.symmetries else add)(actual, estimate, model) / model.diameter
    turned = rotation_error_deg(actual, estimate, model)
    error = np.concatenate((found.translation - truth.translation, so3_log(best.rotation @ truth.rotation.T)))
    deviations = np.sqrt(np.maximum(covariance.diagonal(), 1e-12))
    shift = float(np.linalg.norm(error[:3]))
    return Off(shift, turned, distance, error / deviations, distance > ADD_LIMIT or turned > _TURNED_DEG)


@functools.cache
def _geometry(name: str) -> ObjectGeometry:
    kind = mesh_kinds()[name]
    return ObjectGeometry(surface_points('mesh', kind.size, 800, kind.mesh)[0], kind.symmetries)
