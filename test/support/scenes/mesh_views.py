# SPDX-License-Identifier: Apache-2.0
"""Objects of the package's own meshes in real-like depth: what a card says of them, and exact or noisy keypoints."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np
import trimesh

from isaac_inference.models import ModelCard, ObjectSpec, read_card
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.rigid import so3_log
from isaac_inference.ops.geometry.symmetry import nearest
from isaac_inference.sim.depth_scenes import DepthFaults, DepthScene, depth_scene
from isaac_inference.sim.mesh_shapes import mesh_kinds
from isaac_inference.stages.poses import DepthView, ObjectPose, Observed
from support.ros.pose_views import Card


def mesh_card(folder: Path, *names: str, scale: float = 1.0, by_mesh: bool = True) -> ModelCard:
    """A card with cuboid corners as keypoints; sizes and meshes are `scale` times the true ones.

    Without `by_mesh` it has what a user without a mesh would say: the shape that comes nearest, and the size.
    """
    folder.mkdir(parents=True, exist_ok=True)
    objects = {}
    for name in names:
        kind = mesh_kinds()[name]
        x, y, z = (scale * side for side in kind.size)
        turns = tuple((turn.axis, turn.order) for turn in kind.symmetries)
        if by_mesh:
            path = folder / f'{name}.ply'
            trimesh.Trimesh(scale * kind.mesh.vertices, kind.mesh.faces, process=False).export(path)
            objects[name] = ObjectSpec(name, (x, y, z), 'mesh', path, symmetries=turns)
        else:
            objects[name] = ObjectSpec(name, (x, y, z), kind.shape, symmetries=turns)
    return dataclasses.replace(read_card(Card().write(folder)), labels=names, objects=objects)


@functools.lru_cache(maxsize=64)
def mesh_view(name: str, seed: int, faults: DepthFaults | None = None, clutter: bool = False) -> DepthScene:
    """One object on a table in the depth of a camera with the usual faults, made once."""
    return depth_scene(name, seed, faults, clutter=clutter)


def detected(view: DepthScene, px: float = 1.0, confidence: float = 0.95, seed: int = 0) -> Observed:
    """A detection with the corners of its cuboid, off by `px`; equal seeds are off alike."""
    pixels = view.camera.project(view.pose.apply(cuboid_corners(view.kind.size))) + 0.5
    pixels += np.random.default_rng(seed).normal(0.0, px, pixels.shape)
    rows = np.column_stack((pixels, np.full(8, confidence)))
    return Observed(view.kind.name, 0.9, view.box, rows.astype(np.float32))


def depth_view(view: DepthScene, scale: float = 1.0) -> DepthView:
    """Its depth, `scale` times as far away."""
    return DepthView(DepthImage(view.depth * np.float32(scale), 1.0), view.camera)


def deviations(found: ObjectPose, view: DepthScene) -> np.ndarray:
    """(6,) by how many of its own standard deviations a pose is off; of symmetric poses from the nearest."""
    near = nearest(found.pose, view.pose, view.kind.symmetries)
    off = np.concatenate(
        (view.pose.translation - found.pose.translation, so3_log(view.pose.rotation @ near.rotation.T))
    )
    return off / np.sqrt(found.covariance.diagonal())
