# SPDX-License-Identifier: Apache-2.0
"""A model's surface against depth: one damped least-squares fit, and a measure of how well a pose is supported."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg.lapack import dposv

from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.object_model import ObjectModel
from isaac_inference.ops.geometry.rigid import Pose, cross, dot, so3_exp, so3_log

_COARSE = 150  # points that serve the first steps
_COARSE_STEPS, _FINE_STEPS = 6, 6
_STEPS = _COARSE_STEPS + _FINE_STEPS
_SHRINK = 0.65  # of the reach from one step to the next
_SETTLED = 0.08  # of the depth noise: a step that moves the surface less ends the fit
_FLUSH = 0.3  # points past the edges, as a part of those on the model, from which on edges say nothing
_LEVEL, _NEAR_EDGE = 0.01, 0.03  # metres from the surface continued past its edge, and from the edge
_PAST_REACH = 0.3  # of the reach: what is past an edge by less than the model may be off does not say that it is flush
_BESIDE = 0.5  # of the reach: what is past an edge and further from the surface continued there is something else
_JUMP = 0.015  # of the distance: neighbours on one surface differ by less
_SAME_SIDE = 0.5  # cosine between a scene normal and that of the surface it is matched with
# Errors of neighbouring depth pixels are correlated, so a thousand points are not a thousand measurements.
INDEPENDENT = 60.0
_EXPECTED = 6.0  # points that would say as much about the noise as its setting does
_PREDICTED = 300
_PAST = 0.06  # of the diameter: how far past the edges it is looked for the end
_ACROSS = np.array(((1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, -1.0, 0.0)))


@dataclass(frozen=True, eq=False)
class SeenDepth:
    """A depth image that can be looked up along a line of sight.

    Attributes:
        image: registered to the camera that poses are relative to.
        camera: its intrinsics at the depth image's resolution.

    Example: a wall at 1.5 m is seen where a point at 1 m should be.
        >>> camera = CameraModel(64, 48, np.array([[100.0, 0, 32], [0, 100, 24], [0, 0, 1]]))
        >>> depth = SeenDepth(DepthImage(np.full((48, 64), 1.5, np.float32), 1.0), camera)
        >>> depth.at(np.array([[0.0, 0.0, 1.0]])).tolist()
        [[0.0, 0.0, 1.5]]
    """

    image: DepthImage
    camera: CameraModel

    def at(self, points: np.ndarray) -> np.ndarray:
        """What is seen where (N, 3) points would appear: (N, 3) m; NaN outside the image and where depth is missing.

        NaN is no evidence about a point: neither for nor against it.
        """
        seen = np.full((len(points), 3), np.nan)
        inside, cells, z = self._cells(points)
        if len(z):
            seen[inside] = np.column_stack((self.camera.undistort(cells), np.ones(len(z)))) * z[:, None]
        return seen

    def z_at(self, points: np.ndarray) -> np.ndarray:
        """The depth seen where (N, 3) points would appear: (N,) m; NaN as in `at`, which costs more.

        Example: a wall at 1.5 m.
            >>> camera = CameraModel(64, 48, np.array([[100.0, 0, 32], [0, 100, 24], [0, 0, 1]]))
            >>> depth = SeenDepth(DepthImage(np.full((48, 64), 1.5, np.float32), 1.0), camera)
            >>> depth.z_at(np.array([[0.0, 0.0, 1.0], [9.0, 0.0, 1.0]])).tolist()
            [1.5, nan]
        """
        x, y = self.camera.project(points).T
        width, height = self.image.width, self.image.height
        inside = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)  # NaN compares false
        columns, rows = (np.where(inside, np.rint(axis), 0.0).astype(np.intp) for axis in (x, y))
        part = self.image.data[rows, columns]
        seen = DepthImage(part[None], self.image.scale).metres()[0].astype(np.float64)
        seen[~inside] = np.nan
        return seen

    def on_surface(self, points: np.ndarray) -> np.ndarray:
        """(N,) bool, which points (N, 3) of this image have as many neighbours beside them as before or behind them.

        Along the edges of things, cameras see points between the near and the far surface, where nothing is.

        Example: one pixel between a wall at 1 m and one at 2 m.
            >>> camera = CameraModel(9, 5, np.array([[100.0, 0, 4], [0, 100, 2], [0, 0, 1]]))
            >>> metres = np.array([[1, 1, 1, 1, 2, 2, 2, 2, 2]] * 5, np.float32)
            >>> metres[2, 4] = 1.5
            >>> depth = SeenDepth(DepthImage(metres, 1.0), camera)
            >>> depth.on_surface(np.array([[-0.02, 0, 1.0], [0.0, 0, 1.5], [0.04, 0, 2.0]])).tolist()
            [True, False, True]
        """
        pixels = np.rint(self.camera.project(points))
        pixels = np.nan_to_num(pixels, nan=0.0).astype(np.intp)
        beside, apart = np.zeros(len(points), np.intp), np.zeros(len(points), np.intp)
        limit = _JUMP * points[:, 2]
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            columns = (pixels[:, 0] + dx).clip(0, self.image.width - 1)
            rows = (pixels[:, 1] + dy).clip(0, self.image.height - 1)
            z = DepthImage(self.image.data[rows, columns][None], self.image.scale).metres()[0]
            gap = np.abs(z - points[:, 2])  # NaN compares false
            beside += gap <= limit
            apart += gap > limit
        return np.asarray(beside >= apart)

    def _cells(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(N,) bool, which points appear in the image; whole pixels (M, 2) float64 of those; the depth there (M,) m."""
        pixels = self.camera.project(points)
        x, y = pixels.T
        inside = (x > -0.5) & (x < self.image.width - 0.5) & (y > -0.5) & (y < self.image.height - 0.5)
        cells = np.rint(pixels[inside])
        columns, rows = cells.astype(np.intp).clip(0).T
        z = DepthImage(self.image.data[rows, columns][None], self.image.scale).metres()[0].astype(np.float64)
        return np.asarray(inside), cells, z


@dataclass(frozen=True)
class DepthErrors:
    """What depth is off by where the object is, metres.

    Attributes:
        noise: standard deviation of a depth point.
        bias: standard deviation of what all of them are off by along their lines of sight.
        bend: standard deviation of how much more than the middle the object's border is off by.
        sideways: standard deviation of the depth image's shift against the camera that poses are relative to.
    """

    noise: float
    bias: float
    bend: float
    sideways: float


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

    def thinned(self, count: int) -> Scene:
        """The same with about so many points."""
        step = max(1, len(self.cloud) // count)
        return Scene(self.cloud[::step], self.normals[::step], self.depth)


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
        deviation: mean square of the distances in standard deviations of the depth noise, over the model's points that
            should be seen and the scene's points alike; what is further off than the tolerance counts as that far.
    """

    fitness: float
    support: float
    count: int
    rmse: float
    explained: float
    overhang: float
    deviation: float


def share_seen_through(model: ObjectModel, depth: SeenDepth, pose: Pose, tolerance: float) -> float:
    """Fraction of the model's visible points behind which the camera sees something instead of them, 0 to 1.

    Example: half a cube's width aside, half of its front should be where the wall is seen.
        >>> camera = CameraModel(64, 48, np.array([[100.0, 0, 31.5], [0, 100, 23.5], [0, 0, 1]]))
        >>> metres = np.full((48, 64), 1.5, np.float32)
        >>> metres[13:35, 21:43] = 0.9  # the front of a cube of 0.2 m at 1 m, before a wall at 1.5 m
        >>> cube = ObjectModel.build('cuboid', (0.2, 0.2, 0.2))
        >>> depth, aside = SeenDepth(DepthImage(metres, 1.0), camera), Pose(np.eye(3), np.array([0.1, 0, 1]))
        >>> round(share_seen_through(cube, depth, aside, tolerance=0.01), 1)
        0.5
    """
    offset = _offsets(model, depth, pose)
    return float(np.count_nonzero(offset < -tolerance) / max(1, len(offset)))


def edges_seen(model: ObjectModel, depth: SeenDepth, pose: Pose, tolerance: float) -> float:
    """How clearly depth shows the model to end: the share of places just past its edges with something further away.

    Of the two ends of each axis of the image the clearer one counts, of the two axes the less clear one: an object is
    placed by one end along each. Near 0 on a surface that is larger than the model.

    Example: a cube's front laid onto a wall.
        >>> camera = CameraModel(64, 48, np.array([[100.0, 0, 31.5], [0, 100, 23.5], [0, 0, 1]]))
        >>> cube = ObjectModel.build('cuboid', (0.2, 0.2, 0.2))
        >>> wall = SeenDepth(DepthImage(np.full((48, 64), 0.9, np.float32), 1.0), camera)
        >>> edges_seen(cube, wall, Pose(np.eye(3), np.array([0, 0, 1.0])), tolerance=0.01)
        0.0
    """
    points, normals = model.visible(pose.rotation, pose.translation, _PREDICTED // 2)
    step = _PAST * model.diameter
    # within the surface's plane, so that the surface going on would be seen there
    tangents = _ACROSS - normals[:, None] * (normals @ _ACROSS.T)[:, :, None]
    places = points[:, None] + step * tangents / np.maximum(np.linalg.norm(tangents, axis=2, keepdims=True), 0.3)
    flat = places.reshape(-1, 3)
    local = (flat - pose.translation) @ pose.rotation
    nearest, _, _ = model.closest(local, -pose.rotation.T @ pose.translation)
    past = (np.linalg.norm(local - nearest, axis=1) > 0.7 * step).reshape(-1, len(_ACROSS))
    gap = (depth.z_at(flat) - flat[:, 2]).reshape(past.shape)
    past &= np.isfinite(gap)
    ends = (past & (gap > tolerance)).sum(axis=0) / np.maximum(past.sum(axis=0), 1)
    return float(min(max(ends[0], ends[1]), max(ends[2], ends[3])))


def _offsets(model: ObjectModel, depth: SeenDepth, pose: Pose) -> np.ndarray:
    """(N,) from each of the model's visible points to what is seen there, along its normal; NaN where unknown."""
    points, normals = model.visible(pose.rotation, pose.translation, _PREDICTED)
    in_front = points[:, 2] > 0.01
    points, normals = points[in_front], normals[in_front]
    return dot(depth.at(points) - points, normals)


def measure(model: ObjectModel, scene: Scene, pose: Pose, tolerance: float, noise: float) -> Alignment:
    """Compares what the camera should see under a pose with what it saw, along each line of sight.

    Args:
        tolerance: metres along the surface's normal within which a point is confirmed.
        noise: standard deviation of a depth point, metres.

    Example: nearly all points of a cube's front are confirmed, apart from some on its edge.
        >>> camera = CameraModel(64, 48, np.array([[100.0, 0, 31.5], [0, 100, 23.5], [0, 0, 1]]))
        >>> metres = np.full((48, 64), 1.5, np.float32)
        >>> metres[13:35, 21:43] = 0.9  # the front of a cube of 0.2 m at 1 m, before a wall at 1.5 m
        >>> cube = ObjectModel.build('cuboid', (0.2, 0.2, 0.2))
        >>> cloud = np.array([[x / 100, y / 100, 0.9] for x in range(-9, 10) for y in range(-9, 10)])
        >>> depth = SeenDepth(DepthImage(metres, 1.0), camera)
        >>> scene = Scene(cloud, np.tile((0.0, 0.0, -1.0), (len(cloud), 1)), depth)
        >>> fit = measure(cube, scene, Pose(np.eye(3), np.array([0, 0, 1.0])), tolerance=0.01, noise=0.003)
        >>> fit.fitness > 0.95, fit.explained
        (True, 1.0)
    """
    offset = _offsets(model, scene.depth, pose)
    worst = (tolerance / noise) ** 2
    if len(offset) == 0:
        return Alignment(0.0, 0.0, 0, np.inf, 0.0, 0.0, worst)
    there = np.abs(offset) <= tolerance  # NaN compares false
    missing = offset < -tolerance
    count, absent = int(np.count_nonzero(there)), int(np.count_nonzero(missing))
    square = float(np.sum(offset[there] ** 2))
    rmse = float(np.sqrt(square / count)) if count else np.inf
    fitness = count / max(1, count + absent)
    matches = _match(model, scene, pose.rotation, pose.translation)
    on_model = np.abs(matches.distance) <= tolerance
    overhang = _overhang(model, matches, tolerance)
    of_model = (square / noise**2 + absent * worst) / max(1, count + absent) if count + absent else worst
    of_scene = float(np.minimum((matches.distance / noise) ** 2, worst).mean())
    deviation = (of_model + of_scene) / 2.0
    return Alignment(fitness, count / len(offset), count, rmse, float(on_model.mean()), overhang, deviation)


def overhang_of(model: ObjectModel, scene: Scene, pose: Pose, tolerance: float) -> float:
    """`Alignment.overhang` alone.

    Example: a wall of 0.4 m at the front of a cube of 0.2 m goes on past all its edges.
        >>> cube = ObjectModel.build('cuboid', (0.2, 0.2, 0.2))
        >>> cloud = np.array([[x / 50, y / 50, 0.9] for x in range(-9, 10) for y in range(-9, 10)])
        >>> empty = SeenDepth(DepthImage(np.zeros((4, 4), np.float32), 1.0), CameraModel(4, 4, np.eye(3)))
        >>> scene = Scene(cloud, np.tile((0.0, 0.0, -1.0), (len(cloud), 1)), empty)
        >>> overhang_of(cube, scene, Pose(np.eye(3), np.array([0, 0, 1.0])), tolerance=0.01) > 1.0
        True
    """
    return _overhang(model, _match(model, scene, pose.rotation, pose.translation), tolerance)


def _overhang(model: ObjectModel, matches: _Matches, tolerance: float) -> float:
    on_model = np.abs(matches.distance) <= tolerance
    level = np.abs(matches.along) < min(tolerance / 2, 0.2 * float(model.size.min()))
    past = matches.beside & matches.agree & level & ~on_model
    return float(np.count_nonzero(past) / max(1, np.count_nonzero(on_model & matches.agree)))


def refine(
    model: ObjectModel,
    scene: Scene,
    start: Pose,
    prior: np.ndarray,
    errors: DepthErrors,
    reach: float,
    thorough: bool = True,
    slack: np.ndarray | None = None,
) -> tuple[Pose, np.ndarray] | None:
    """Gauss-Newton on point-to-surface distances, with a prior.

    A view of one flat face says nothing about a shift within the face: there the prior decides. Where depth is
    informative, it outweighs the prior by far. Tukey's weights with a reach that shrinks from step to step exclude what
    is not the object. On a mesh, where matching costs time, the first steps look at a part of the points.

    Args:
        start: `T_camera_object`, the mean of the prior.
        prior: (6, 6) covariance of start: translation, then fixed-axis rotation, camera frame.
        errors: of depth, where the object is.
        reach: distance at which points count in the first step, metres.
        thorough: False ends after the first steps, for a comparison with other starts.
        slack: (6, 6) by which the start is trusted less than its prior says; of how wrong it is, that says nothing.

    Returns:
        Pose and (6, 6) covariance, or None when too little of the scene is near the model or the fit diverged.

    Example: a cube's front is seen at 0.9 m, and the pose is 1 cm too far.
        >>> cube = ObjectModel.build('cuboid', (0.2, 0.2, 0.2))
        >>> cloud = np.array([[x / 100, y / 100, 0.9] for x in range(-9, 10) for y in range(-9, 10)])
        >>> empty = SeenDepth(DepthImage(np.zeros((4, 4), np.float32), 1.0), CameraModel(4, 4, np.eye(3)))
        >>> scene = Scene(cloud, np.tile((0.0, 0.0, -1.0), (len(cloud), 1)), empty)
        >>> start, prior = Pose(np.eye(3), np.array([0, 0, 1.01])), np.diag([4e-4, 4e-4, 4e-4, 1e-2, 1e-2, 1e-2])
        >>> errors = DepthErrors(noise=0.003, bias=0.002, bend=0.001, sideways=0.001)
        >>> pose, spread = refine(cube, scene, start, prior, errors, reach=0.05)
        >>> round(float(pose.translation[2]), 3), bool(spread[2, 2] < spread[0, 0])
        (1.0, True)
    """
    held = np.linalg.inv(prior if slack is None else prior + slack)
    R, t = start.rotation, start.translation
    smallest = min(3.0 * errors.noise, reach)
    at_edge = errors.noise**2 / (errors.noise**2 + model.blur**2)  # where an edge is, is known less well
    part, left = (scene.thinned(_COARSE) if model.shape == 'mesh' else scene), _COARSE_STEPS
    for _ in range(_STEPS):
        found = _match(model, part, R, t, reach, by_side=True)
        r, g = found.distance, found.gradient
        falling = 1.0 - (r / reach) ** 2
        weights = np.where(found.agree & (np.abs(r) < reach), falling * falling, 0.0)
        if np.count_nonzero(found.beside):
            weights[found.beside] *= _trust_in_edges(found, reach) * at_edge
            weights[found.beside & (np.abs(found.along) > _BESIDE * reach)] = 0.0
        total = float(np.add.reduce(weights))
        if total < 8.0:
            return None
        J = np.concatenate((-g, cross(g, part.cloud - t)), axis=1)
        weighted = J * (weights * (min(1.0, INDEPENDENT / total) / errors.noise**2))[:, None]
        information = weighted.T @ J
        H = information + held
        deviation = np.concatenate((t - start.translation, so3_log(R @ start.rotation.T)))
        step = -_solved(H, weighted.T @ r + held @ deviation)
        x, y, z, u, v, w = (abs(part_of) for part_of in step.tolist())
        if not math.isfinite(x + y + z + u + v + w) or max(u, v, w) > 1.0:
            return None
        t, R = t + step[:3], so3_exp(step[3:]) @ R
        moved = max(x, y, z, 0.5 * model.diameter * max(u, v, w))
        left -= 1
        settled = reach <= smallest and moved < _SETTLED * errors.noise
        if settled and (part is scene or not thorough):
            break
        if settled or left == 0:
            if not thorough:
                break
            part = scene
        reach = max(reach * _SHRINK, smallest)
    spread = np.linalg.inv(H)
    # what the fit makes of the points' noise, as large as they show it, and of the start's error
    started = held if slack is None else held @ prior @ held
    left = spread @ (information * _noise_seen(weights, r, errors.noise) + started) @ spread
    return Pose(R, t), left + _systematic(spread @ weighted.T, found.gradient, part.cloud, errors)


def _solved(H: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The solution of a symmetric, positive definite system."""
    _, solution, info = dposv(H, right)
    return np.linalg.solve(H, right) if info else np.asarray(solution)


def _noise_seen(weights: np.ndarray, distance: np.ndarray, noise: float) -> float:
    """The variance of the points' noise over that of `noise`, by how far they are from the surface.

    The mean of its distribution after these distances, when `noise` was expected as firmly as `_EXPECTED` points would
    have shown it (scaled inverse chi-square; Gelman et al., 'Bayesian Data Analysis', 3rd edition, section 2.6). The
    faults of depth that all points share are no noise, and are counted by themselves.
    """
    total = float(weights.sum())
    count = min(total, INDEPENDENT)
    squares = float(weights @ distance**2) / total / noise**2
    return (_EXPECTED + count * squares) / (_EXPECTED + count - 2.0)


def _trust_in_edges(found: _Matches, reach: float) -> float:
    """0 to 1: how much points past the model's edges may pull it along.

    Few of them belong to the object, and the fit moves it onto them; many are something that the object lies flush
    with, such as the table under a thin one.
    """
    level = found.agree & (np.abs(found.along) < _LEVEL)
    past = float(
        np.count_nonzero(level & found.beside & (found.distance < _NEAR_EDGE) & (found.distance > _PAST_REACH * reach))
    )
    on_model = float(np.count_nonzero(found.agree & ~found.beside))
    return max(0.0, 1.0 - past / max(1.0, _FLUSH * on_model))


def _systematic(gain: np.ndarray, gradient: np.ndarray, cloud: np.ndarray, errors: DepthErrors) -> np.ndarray:
    """(6, 6) of what depth's own faults do to a fit: they are alike in all points, and do not average out.

    Depth as a whole is off along the lines of sight by a normal `bias`, and by a normal `bend` each that grows across
    the object in two directions and from its middle outwards.

    Args:
        gain: (6, N) how the pose follows the distances.
        gradient: (N, 3) of the distances.
    """
    rays = cloud / np.sqrt(dot(cloud, cloud))[:, None]
    along = dot(gradient, rays)
    flat = cloud[:, :2].T / cloud[:, 2]
    low, high = np.minimum.reduce(flat, axis=1), np.maximum.reduce(flat, axis=1)
    x, y = (2.0 * flat - low[:, None] - high[:, None]) / max(float((high - low).max()), 1e-9)
    modes = np.stack(
        (np.full(len(cloud), errors.bias), errors.bend * x, errors.bend * y, errors.bend * (x * x + y * y))
    )
    moved = gain @ (modes * along).T
    ray = np.add.reduce(rays, axis=0) / len(rays)
    ray /= np.linalg.norm(ray)
    result = moved @ moved.T
    result[:3, :3] += errors.sideways**2 * (np.eye(3) - np.outer(ray, ray))
    return result


class _Matches(NamedTuple):
    """One row per point of the cloud."""

    distance: np.ndarray  # (N,) from the surface, metres; negative inside
    gradient: np.ndarray  # (N, 3) of the distance, camera frame
    agree: np.ndarray  # (N,) bool: the scene's normal roughly equals the surface's
    beside: np.ndarray  # (N,) bool: past an edge
    along: np.ndarray  # (N,) distance along the surface's normal


def _match(
    model: ObjectModel, scene: Scene, R: np.ndarray, t: np.ndarray, reach: float = np.inf, by_side: bool = False
) -> _Matches:
    """Points further from the model than `reach` need not be exact; `by_side`: with what faces the same way."""
    local = (scene.cloud - t) @ R
    places, normals, beside = model.closest(local, -R.T @ t, reach, scene.normals @ R if by_side else None)
    gap = local - places
    along = dot(gap, normals)
    # past an edge, the distance to the edge counts: what extends beyond the model pulls it along; in a fit along the
    # surface only, as what a point is off across it by says nothing about the edge
    if by_side:
        gap = gap - along[:, None] * normals
    length = np.sqrt(dot(gap, gap))
    distance = np.where(beside, length, along)
    outwards = normals @ R.T
    agree = dot(outwards, scene.normals) > _SAME_SIDE
    if np.count_nonzero(beside):
        outwards[beside] = (gap[beside] / np.maximum(length[beside], 1e-12)[:, None]) @ R.T
    return _Matches(distance, outwards, agree, beside, along)
