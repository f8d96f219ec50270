# SPDX-License-Identifier: Apache-2.0
"""Meshes that are hard for pose estimation, and what a real-like depth camera makes of them."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.geometry.surface import surface_points
from isaac_inference.ops.geometry.symmetry import equivalents
from isaac_inference.sim.depth_scenes import NO_FAULTS, DepthFaults, DepthScene, depth_scene
from isaac_inference.sim.mesh_shapes import mesh_kinds

NAMES = sorted(mesh_kinds())


def cloud(scene: DepthScene) -> np.ndarray:
    """(N, 3) m, the object's points in its own frame."""
    rows, columns = np.nonzero(scene.mask & np.isfinite(scene.depth))
    z = scene.depth[rows, columns].astype(float)
    K = scene.camera.K
    points = np.column_stack(((columns - K[0, 2]) / K[0, 0] * z, (rows - K[1, 2]) / K[1, 1] * z, z))
    return (points - scene.pose.translation) @ scene.pose.rotation


@pytest.mark.parametrize('name', NAMES)
def test_a_mesh_is_closed_wound_outwards_and_centred(name: str) -> None:
    mesh = mesh_kinds()[name].mesh
    shape = trimesh.Trimesh(mesh.vertices, mesh.faces)
    assert shape.is_watertight and shape.is_winding_consistent and shape.volume > 0.0
    np.testing.assert_allclose(mesh.vertices.min(axis=0), -mesh.vertices.max(axis=0), atol=1e-9)


@pytest.mark.parametrize('name', NAMES)
def test_its_symmetries_leave_its_surface_where_it_is(name: str) -> None:
    kind = mesh_kinds()[name]
    points, _ = surface_points('mesh', kind.size, 1500, kind.mesh)
    dense = cKDTree(surface_points('mesh', kind.size, 60000, kind.mesh)[0])
    for pose in equivalents(Pose.identity(), kind.symmetries, 5):
        assert dense.query(points @ pose.rotation.T)[0].max() < 0.004  # m; the samples are 1 to 2 mm apart


@pytest.mark.parametrize('name', NAMES)
def test_exact_depth_lies_on_the_mesh_at_its_pose(name: str) -> None:
    scene = depth_scene(name, 5, NO_FAULTS, clutter=False)
    dense = cKDTree(surface_points('mesh', scene.kind.size, 60000, scene.kind.mesh)[0])
    assert dense.query(cloud(scene))[0].max() < 0.004


def test_each_fault_of_the_camera_shows() -> None:
    exact = depth_scene('cracker_box', 3, NO_FAULTS)
    fields = {'noise': 0.002, 'bias': 0.01, 'step': 0.01, 'mixed': 0.5, 'holes': 0.05, 'grazing': 0.3, 'shift_px': 3.0}
    for name, value in fields.items():
        faults = DepthFaults(**{**vars(NO_FAULTS), name: value})
        scene = depth_scene('cracker_box', 3, faults)
        np.testing.assert_array_equal(scene.pose.translation, exact.pose.translation)
        assert not np.array_equal(scene.depth, exact.depth, equal_nan=True), name
        assert np.array_equal(scene.mask, exact.mask), name
    biased = depth_scene('cracker_box', 3, DepthFaults(**{**vars(NO_FAULTS), 'bias': 0.01}))
    np.testing.assert_allclose(biased.depth / exact.depth, 1.0 + biased.bias, rtol=1e-5)


def test_equal_arguments_make_equal_scenes() -> None:
    first, second, other = depth_scene('mug', 11), depth_scene('mug', 11), depth_scene('mug', 12)
    np.testing.assert_array_equal(first.depth, second.depth)
    assert not np.array_equal(first.pose.translation, other.pose.translation)
