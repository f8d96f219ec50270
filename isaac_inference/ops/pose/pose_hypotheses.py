# SPDX-License-Identifier: Apache-2.0
"""Candidate poses from depth alone: a short list of rough poses, aligned by small_gicp."""

from __future__ import annotations

import functools
import itertools

import numpy as np

from isaac_inference.ops.geometry.object_model import ObjectModel
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.geometry.surface_normals import dominant_frame, small_gicp
from isaac_inference.ops.geometry.symmetry import Symmetry, equivalents, rotation_error

_BALL = (Symmetry('z', 0), Symmetry('x', 0))
_VIEWS = 60  # rotations tried for a mesh in addition to those along its faces
_KEPT = {'cuboid': 6, 'cylinder': 3, 'sphere': 1, 'mesh': 8}
_SAMPLES = 400


def pose_hypotheses(model: ObjectModel, cloud: np.ndarray, normals: np.ndarray) -> list[Pose]:
    """Rough poses, the most probable first, all different.

    Rotations: the object's axes along the visible faces, in all ways; for a mesh also rotations spread over all there
    are. Each is placed so that its visible side covers what is seen, and they are ranked by how well the visible
    extents agree.

    Args:
        cloud: (N, 3) of the object alone, camera frame, metres.
        normals: (N, 3) of the points, towards the camera.

    Example: the front of a cube of 0.2 m is seen at 0.9 m; all its poses look alike, so one is enough.
        >>> cube = ObjectModel.build('cuboid', (0.2, 0.2, 0.2))
        >>> cloud = np.array([[x / 100, y / 100, 0.9] for x in range(-9, 10) for y in range(-9, 10)])
        >>> poses = pose_hypotheses(cube, cloud, np.tile((0.0, 0.0, -1.0), (len(cloud), 1)))
        >>> len(poses), round(float(poses[0].translation[2]), 2)
        (1, 1.0)
    """
    frame, _ = dominant_frame(cloud, normals)
    rotations = [frame @ turn for turn in _distinct_turns(model.geometric)]
    if model.shape == 'mesh':
        rotations += [pose.rotation for pose in equivalents(Pose(frame, np.zeros(3)), _BALL, _VIEWS)]
    view = _view_frame(cloud.mean(axis=0))
    low, high = np.percentile(cloud @ view, (1.0, 99.0), axis=0)
    step = max(1, len(model.points) // _SAMPLES)
    points, outward = model.points[::step], model.normals[::step]
    ranked = []
    for rotation in rotations:
        axes = view.T @ rotation
        towards = outward @ axes[2] < -0.1
        if not towards.any():
            continue
        seen = points[towards] @ axes.T
        nearest, furthest = seen.min(axis=0), seen.max(axis=0)
        place = (low + high - nearest - furthest) / 2
        place[2] = low[2] - nearest[2]  # its front is certain, how far back it extends is not
        mismatch = float(np.abs((high - low) - (furthest - nearest)).sum())
        ranked.append((mismatch, Pose(rotation, view @ place)))
    ranked.sort(key=lambda item: item[0])
    return [pose for _, pose in ranked[: _KEPT[model.shape]]]


def aligned(model: ObjectModel, cloud: np.ndarray, poses: list[Pose], reach: float, iterations: int = 8) -> list[Pose]:
    """Each pose after a few steps of point-to-plane ICP of the cloud onto the model's whole surface.

    Args:
        reach: points further from the model than this are ignored, metres.
        iterations: largest number of steps.

    Example: the front of a cube of 0.2 m is seen at 0.9 m, and the pose is 1 cm too far.
        >>> cube = ObjectModel.build('cuboid', (0.2, 0.2, 0.2))
        >>> cloud = np.array([[x / 100, y / 100, 0.9] for x in range(-9, 10) for y in range(-9, 10)])
        >>> moved = aligned(cube, cloud, [Pose(np.eye(3), np.array([0, 0, 1.01]))], reach=0.05)
        >>> round(float(moved[0].translation[2]), 2)
        1.0
    """
    library = small_gicp()
    source = library.PointCloud(cloud)
    found = []
    for pose in poses:
        result = library.align(
            model.target,
            source,
            model.tree,
            pose.inverse().matrix(),
            registration_type='PLANE_ICP',
            max_correspondence_distance=reach,
            max_iterations=iterations,
        )
        matrix = np.asarray(result.T_target_source)
        found.append(Pose.from_matrix(matrix).inverse() if np.isfinite(matrix).all() else pose)
    return found


@functools.lru_cache(maxsize=64)
def _distinct_turns(geometric: tuple[Symmetry, ...]) -> list[np.ndarray]:
    """Of the 24 rotations that map axes to axes, those that differ for a bare surface."""
    kept: list[Pose] = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            turn = np.zeros((3, 3))
            turn[list(order), range(3)] = signs
            pose = Pose(turn, np.zeros(3))
            if np.linalg.det(turn) > 0.0 and all(rotation_error(pose, other, geometric) > 0.1 for other in kept):
                kept.append(pose)
    return [pose.rotation for pose in kept]


def _view_frame(towards: np.ndarray) -> np.ndarray:
    """(3, 3) rotation whose third column is the line of sight to a point."""
    z = towards / np.linalg.norm(towards)
    x = np.cross((0.0, 1.0, 0.0), z)
    x /= np.linalg.norm(x)
    return np.stack((x, np.cross(z, x), z), axis=1)
