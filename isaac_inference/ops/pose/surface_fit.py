# SPDX-License-Identifier: Apache-2.0
"""A model's surface against depth: one damped least-squares fit, and a measure of how well a pose is supported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.object_model import ObjectModel
from isaac_inference.ops.geometry.rigid import Pose, so3_exp, so3_log

_STEPS = 16
_SHRINK = 0.75  # of the reach from one step to the next
_SAME_SIDE = 0.5  # cosine between a scene normal and that of the surface it is matched with
# Errors of neighbouring depth pixels are correlated, so a thousand points are not a thousand measurements.
_INDEPENDENT = 60.0
_PREDICTED = 300


@dataclass(frozen=True, eq=False)
class SeenDepth:
    """A depth image that can be looked up along a line of sight.

    Attributes:
        image: registered to the camera that poses are relative to.
        camera: its intrinsics at the depth image's resolution.
        step: metres that depth is rounded to; 0 for no rounding.

    Example: a wall at 1.5 m is seen where a point at 1 m should be.
        >>> camera = CameraModel(64, 48, np.array([[100.0, 0, 32], [0, 100, 24], [0, 0, 1]]))
        >>> depth = SeenDepth(DepthImage(np.full((48, 64), 1.5, np.float32), 1.0), camera)
        >>> depth.at(np.array([[0.0, 0.0, 1.0]])).tolist()
        [[0.0, 0.0, 1.5]]
    """

    image: DepthImage
    camera: CameraModel
    step: float = 0.0

    def at(self, points: np.ndarray) -> np.ndarray:
        """What is seen where (N, 3) points would appear: (N, 3) m; NaN outside the image and where depth is missing.

        NaN is no evidence about a point: neither for nor against it.
        """
        pixels = self.camera.project(points)
        inside = (pixels > -0.5).all(axis=1) & (pixels < (self.image.width - 0.5, self.image.height - 0.5)).all(axis=1)
        seen = np.full((len(points), 3), np.nan)
        if inside.any():
            cells = np.rint(pixels[inside])
            columns, rows = cells.astype(np.intp).clip(0).T
            z = DepthImage(self.image.data[rows, columns][None], self.image.scale).metres()[0].astype(np.float64)
            if self.step:
                z = np.rint(z / self.step) * self.step
            seen[inside] = np.column_stack((self.camera.undistort(cells), np.ones(len(z)))) * z[:, None]
        return seen


@dataclass(frozen=True, eq=False)
class Scene:
    """One object's depth, ready for fitting.

    Attributes:
        cloud: (N, 3) float64, thinned points that may belong to the object, camera frame, metres.
        normals: (N, 3), towards the camera; zeros where unknown.
        depth: the whole image.
    """

    cloud: np.ndarray
    normals: np.ndarray
    depth: SeenDepth


@dataclass(frozen=True, eq=False)
class Alignment:
    """How a pose agrees with depth.

    Attributes:
        fitness: fraction of the model points that should be seen that depth confirms; those behind something else,
            outside the image or where depth is missing are not counted.
        support: confirmed fraction of all model points that face the camera.
        count: number of confirmed points.
        rmse: RMS of the distances at those points, along their normals, metres; inf without any.
        explained: fraction of the scene's cloud that lies on the model.
        overhang: scene points on a surface of the model continued past its edges, over those on the model itself;
            near 0 unless the object is larger than the model, or flush with a neighbour.
    """

    fitness: float
    support: float
    count: int
    rmse: float
    explained: float
    overhang: float


def share_seen_through(model: ObjectModel, depth: SeenDepth, pose: Pose, tolerance: float) -> float:
    """Fraction of the model's visible points behind which the camera sees something instead of them, 0 to 1.

    Example: half a cube's width aside, half of its front should be where the wall is seen.
        >>> camera = CameraModel(64, 48, np.array([[100.0, 0, 31.5], [0, 100, 23.5], [0, 0, 1]]))
        >>> metres = np.full((48, 64), 1.5, np.float32)
        >>> metres[13:35, 21:43] = 0.9  # the front of a cube of 0.2 m at 1 m, before a wall at 1.5 m
        >>> cube = ObjectModel.build('cuboid', (0.2, 0.2, 0.2))
        >>> depth, aside = SeenDepth(DepthImage(metres, 1.0), camera), Pose(np.eye(3), np.array([0.1, 0, 1]))
        >>> share_seen_through(cube, depth, aside, tolerance=0.01)
        0.5
    """
    points, normals = model.visible(pose.rotation, pose.translation, _PREDICTED)
    offset = np.einsum('ij,ij->i', depth.at(points) - points, normals)
    return float(np.count_nonzero(offset < -tolerance) / max(1, len(points)))


def measure(model: ObjectModel, scene: Scene, pose: Pose, tolerance: float) -> Alignment:
    """Compares what the camera should see under a pose with what it saw, along each line of sight.

    Args:
        tolerance: metres along the surface's normal within which a point is confirmed.

    Example: nearly all points of a cube's front are confirmed, apart from some on its edge.
        >>> camera = CameraModel(64, 48, np.array([[100.0, 0, 31.5], [0, 100, 23.5], [0, 0, 1]]))
        >>> metres = np.full((48, 64), 1.5, np.float32)
        >>> metres[13:35, 21:43] = 0.9  # the front of a cube of 0.2 m at 1 m, before a wall at 1.5 m
        >>> cube = ObjectModel.build('cuboid', (0.2, 0.2, 0.2))
        >>> cloud = np.array([[x / 100, y / 100, 0.9] for x in range(-9, 10) for y in range(-9, 10)])
        >>> depth = SeenDepth(DepthImage(metres, 1.0), camera)
        >>> scene = Scene(cloud, np.tile((0.0, 0.0, -1.0), (len(cloud), 1)), depth)
        >>> fit = measure(cube, scene, Pose(np.eye(3), np.array([0, 0, 1.0])), tolerance=0.01)
        >>> fit.fitness > 0.95, fit.explained
        (True, 1.0)
    """
    points, normals = model.visible(pose.rotation, pose.translation, _PREDICTED)
    in_front = points[:, 2] > 0.01
    points, normals = points[in_front], normals[in_front]
    if len(points) == 0:
        return Alignment(0.0, 0.0, 0, np.inf, 0.0, 0.0)
    offset = np.einsum('ij,ij->i', scene.depth.at(points) - points, normals)
    there = np.abs(offset) <= tolerance  # NaN compares false
    missing = offset < -tolerance
    count = int(np.count_nonzero(there))
    rmse = float(np.sqrt(np.mean(offset[there] ** 2))) if count else np.inf
    fitness = count / max(1, count + int(np.count_nonzero(missing)))
    matches = _match(model, scene, pose.rotation, pose.translation)
    on_model = np.abs(matches.distance) <= tolerance
    level = np.abs(matches.along) < min(tolerance / 2, 0.2 * float(model.size.min()))
    past = matches.beside & matches.agree & level & ~on_model
    overhang = float(past.sum() / max(1, int((on_model & matches.agree).sum())))
    return Alignment(fitness, count / len(points), count, rmse, float(on_model.mean()), overhang)


def refine(
    model: ObjectModel, scene: Scene, start: Pose, prior: np.ndarray, noise: float, reach: float
) -> tuple[Pose, np.ndarray] | None:
    """Gauss-Newton on point-to-surface distances, with a prior.

    A view of one flat face says nothing about a shift within the face: there the prior decides. Where depth is
    informative, it outweighs the prior by far. Tukey's weights with a reach that shrinks from step to step exclude what
    is not the object.

    Args:
        start: `T_camera_object`, the mean of the prior.
        prior: (6, 6) covariance of start: translation, then fixed-axis rotation, camera frame.
        noise: standard deviation of a depth point, metres.
        reach: distance at which points count in the first step, metres.

    Returns:
        Pose and (6, 6) covariance, or None when too little of the scene is near the model or the fit diverged.

    Example: a cube's front is seen at 0.9 m, and the pose is 1 cm too far.
        >>> cube = ObjectModel.build('cuboid', (0.2, 0.2, 0.2))
        >>> cloud = np.array([[x / 100, y / 100, 0.9] for x in range(-9, 10) for y in range(-9, 10)])
        >>> empty = SeenDepth(DepthImage(np.zeros((4, 4), np.float32), 1.0), CameraModel(4, 4, np.eye(3)))
        >>> scene = Scene(cloud, np.tile((0.0, 0.0, -1.0), (len(cloud), 1)), empty)
        >>> start, prior = Pose(np.eye(3), np.array([0, 0, 1.01])), np.diag([4e-4, 4e-4, 4e-4, 1e-2, 1e-2, 1e-2])
        >>> pose, spread = refine(cube, scene, start, prior, noise=0.003, reach=0.05)
        >>> round(float(pose.translation[2]), 3), bool(spread[2, 2] < spread[0, 0])
        (1.0, True)
    """
    held = np.linalg.inv(prior)
    R, t = start.rotation, start.translation
    smallest = min(3.0 * noise, reach)
    for _ in range(_STEPS):
        found = _match(model, scene, R, t)
        r, g = found.distance, found.gradient
        weights = np.where(found.agree & (np.abs(r) < reach), (1.0 - (r / reach) ** 2) ** 2, 0.0)
        total = float(weights.sum())
        if total < 8.0:
            return None
        J = np.concatenate((-g, -np.cross(scene.cloud - t, g)), axis=1)
        weighted = J * (weights * (min(1.0, _INDEPENDENT / total) / noise**2))[:, None]
        H = weighted.T @ J + held
        deviation = np.concatenate((t - start.translation, so3_log(R @ start.rotation.T)))
        step = -np.linalg.solve(H, weighted.T @ r + held @ deviation)
        if not np.isfinite(step).all() or np.abs(step[3:]).max() > 1.0:
            return None
        t, R = t + step[:3], so3_exp(step[3:]) @ R
        if reach <= smallest and np.abs(step[:3]).max() < 1e-5 and np.abs(step[3:]).max() < 1e-4:
            break
        reach = max(reach * _SHRINK, smallest)
    return Pose(R, t), np.linalg.inv(H)


class _Matches(NamedTuple):
    """One row per point of the cloud."""

    distance: np.ndarray  # (N,) from the surface, metres; negative inside
    gradient: np.ndarray  # (N, 3) of the distance, camera frame
    agree: np.ndarray  # (N,) bool: the scene's normal roughly equals the surface's
    beside: np.ndarray  # (N,) bool: past an edge
    along: np.ndarray  # (N,) distance along the surface's normal


def _match(model: ObjectModel, scene: Scene, R: np.ndarray, t: np.ndarray) -> _Matches:
    local = (scene.cloud - t) @ R
    places, normals, beside = model.closest(local, -R.T @ t)
    gap = local - places
    along = np.einsum('ij,ij->i', gap, normals)
    # past an edge, the distance to the edge counts: what extends beyond the model pulls it along
    length = np.sqrt(np.einsum('ij,ij->i', gap, gap))
    distance = np.where(beside, length, along)
    directions = np.where(beside[:, None], gap / np.maximum(length, 1e-12)[:, None], normals)
    agree = np.einsum('ij,ij->i', normals @ R.T, scene.normals) > _SAME_SIDE
    return _Matches(distance, directions @ R.T, agree, beside, along)
