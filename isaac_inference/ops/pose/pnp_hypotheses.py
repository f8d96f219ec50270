# SPDX-License-Identifier: Apache-2.0
"""Initial poses for PnP: closed-form solutions, and the search for points that agree.

Deterministic: the search visits triples of points in a fixed order, widest first.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import cv2
import numpy as np

from isaac_inference.ops.geometry.rigid import so3_exps
from isaac_inference.ops.pose.pnp_refinement import Fit, Observations, evaluate, in_front

FLAT = 0.1
"""A model thinner than this fraction of its length is flat: two mirrored poses of it look nearly alike."""
COLLINEAR = 1e-3
"""A model narrower than this fraction of its length is a line, whose roll is undetermined."""
MAX_TRIPLES = 120
_CONFIDENCE = 0.999  # that a triple without outliers was tried
_NORMALISED = np.eye(3)
_NO_DISTORTION = np.zeros(4)
_MAX_LISTED = 10  # points; with more, triples are drawn instead of listed
_TINY = 1e-9  # metres; a depth that can be divided by
_SHARED = 4  # points that two different poses don't have in common
_FIRST, _AT_ONCE = 4, 12  # triples whose poses are scored together; with one outlier, the first few mostly do


def closed_form(model: np.ndarray, pixels: np.ndarray, focal: float) -> list[np.ndarray]:
    """The poses worth refining, with all points in front of the camera: one, two for a flat model, or none.

    SQPnP (Terzakis and Lourakis, ECCV 2020) finds the global optimum for spread points; IPPE (Collins and Bartoli,
    IJCV 2014) finds both mirrored poses of flat ones.

    Args:
        model: (N, 3) m, object frame; four points or more.
        pixels: (N, 2), where they are seen, from the principal point.
        focal: pixels.

    Returns:
        (6,) each: rotation vector and translation, m.

    Example: the eight corners of a cube that is turned by nothing, at 1 m.
        >>> corners = np.array([[x, y, z] for x in (-0.1, 0.1) for y in (-0.1, 0.1) for z in (-0.1, 0.1)])
        >>> poses = closed_form(corners, 600 * corners[:, :2] / (1 + corners[:, 2:]), focal=600.0)
        >>> len(poses), np.allclose(poses[0], (0, 0, 0, 0, 0, 1), atol=1e-6)
        (1, True)
    """
    shape = _shape(model.tobytes())
    if shape is None:
        return []
    normalised = pixels / focal
    if shape.plane is None:
        return [pose for pose in _solve(model, normalised, cv2.SOLVEPNP_SQPNP) if _all_in_front(model, pose)]
    found = []
    for pose in _solve(shape.plane, normalised, cv2.SOLVEPNP_IPPE):
        if _all_in_front(shape.plane, pose):
            rotation = cv2.Rodrigues(pose[:3])[0] @ shape.frame
            turn = cv2.Rodrigues(rotation)[0][:, 0]
            found.append(np.concatenate((turn, pose[3:] - rotation @ shape.centre)))
    return found


def _all_in_front(model: np.ndarray, pose: np.ndarray) -> bool:
    return np.count_nonzero(in_front(model, pose)) == len(model)


def consensus(seen: Observations, confidence: np.ndarray, threshold: float) -> tuple[np.ndarray, list[Fit]]:
    """Which points agree on one pose: RANSAC over three-point poses (AP3P), each scored by its truncated error.

    Args:
        seen: all points, outliers among them.
        confidence: (N,) of each point; the most certain ones are tried first.
        threshold: pixels; a point further from its projection is an outlier.

    Returns:
        (N,) boolean, True for inliers, and all points at what `closed_form` makes of these; all False and none when no
        three points have a pose, and none when the inliers are fewer than four.

    Example: one corner of a cube is 50 px off.
        >>> corners = np.array([[x, y, z] for x in (-0.1, 0.1) for y in (-0.1, 0.1) for z in (-0.1, 0.1)])
        >>> pixels = 600 * corners[:, :2] / (1 + corners[:, 2:])
        >>> pixels[2, 0] += 50
        >>> inliers, _ = consensus(Observations.of(corners, pixels, np.ones(8), 600.0), np.ones(8), threshold=4.0)
        >>> np.flatnonzero(~inliers).tolist()
        [2]
    """
    model, pixels, focal = seen.model, seen.pixels, seen.focal
    count, shape = len(model), _shape(model.tobytes())
    is_solid = shape is not None and shape.plane is None  # four points of a flat one fit two poses
    normalised = pixels / focal
    # A pose from three noisy points misses the others by more than a pose from all of them.
    limit = (2.0 * threshold) ** 2
    best: np.ndarray = np.zeros(count, bool)
    best_cost, needed, tried, together = math.inf, MAX_TRIPLES, 0, _FIRST
    triples = _ordered_triples(model, confidence)
    while tried < min(needed, len(triples)):
        poses = _three_point_poses(model, normalised, triples[tried : min(tried + together, needed)])
        tried, together = tried + together, _AT_ONCE
        if not len(poses):
            continue
        squares = _squared_errors(model, pixels, focal, poses)
        costs = np.minimum(squares, limit).sum(axis=1)
        lowest = int(costs.argmin())
        if costs[lowest] < best_cost:
            best_cost, best = float(costs[lowest]), squares[lowest] < limit
            agreeing = int(np.count_nonzero(best))
            if agreeing >= count - 1:  # the best there can be: all of them agree on nothing, or none would search
                break
            sure = is_solid and int(np.count_nonzero(squares[lowest] < threshold * threshold)) == agreeing
            if sure and 2 * agreeing - count >= _SHARED:  # any other pose that as many agree on is this one
                break
            needed = _triples_needed(agreeing, count)
    return _tightened(seen, best, threshold)


def _tightened(seen: Observations, inliers: np.ndarray, threshold: float) -> tuple[np.ndarray, list[Fit]]:
    """The inliers of a pose from all inliers instead of three; twice, because the first pass may add some."""
    fits: list[Fit] = []
    for _ in range(3):
        if np.count_nonzero(inliers) < 4:
            return inliers, []
        poses = closed_form(seen.model[inliers], seen.pixels[inliers], seen.focal)
        if not poses:
            return inliers, []
        fits = [evaluate(seen, pose, threshold) for pose in poses]
        best = fits[0]
        if len(fits) > 1:
            best = min(fits, key=lambda fit: float(np.minimum(fit.length, threshold).sum()))
        agreeing = (best.length <= threshold) & in_front(seen.model, best.vector)
        if not np.count_nonzero(agreeing != inliers):
            break
        inliers = agreeing
    return inliers, fits


@dataclass(frozen=True, eq=False)
class _Shape:
    """What of a model's points doesn't depend on where they are seen.

    Attributes:
        centre: (3,) m, the mean of the points.
        frame: (3, 3) object to plane coordinates: rows are length, width and thickness.
        plane: (N, 3) m, the points of a flat model in its plane; None for one that isn't flat.
    """

    centre: np.ndarray
    frame: np.ndarray
    plane: np.ndarray | None


@functools.lru_cache(maxsize=512)
def _shape(points: bytes) -> _Shape | None:
    """Of (N, 3) float64 m; None for points on a line."""
    model = np.frombuffer(points).reshape(-1, 3)
    centre = model.mean(axis=0)
    spread, axes = np.linalg.eigh((model - centre).T @ (model - centre))
    if spread[1] <= COLLINEAR**2 * spread[2]:
        return None
    frame = axes[:, ::-1].T.copy()
    if np.linalg.det(frame) < 0.0:
        frame[2] = -frame[2]
    if spread[0] > FLAT**2 * spread[2]:
        return _Shape(centre, frame, None)
    plane = (model - centre) @ frame.T
    plane[:, 2] = 0.0
    return _Shape(centre, frame, plane)


def _solve(model: np.ndarray, normalised: np.ndarray, method: int) -> list[np.ndarray]:
    try:
        _, turns, moves, _ = cv2.solvePnPGeneric(model, normalised, _NORMALISED, _NO_DISTORTION, flags=method)
    except cv2.error:  # points on a line, or all in one position
        return []
    poses = [np.concatenate((turn, move))[:, 0] for turn, move in zip(turns, moves, strict=True)]
    return [pose for pose in poses if math.isfinite(sum(pose.tolist()))]


def _three_point_poses(model: np.ndarray, normalised: np.ndarray, triples: np.ndarray) -> np.ndarray:
    """(M, 6) of all triples, up to four of each."""
    all_turns: list[np.ndarray] = []
    all_moves: list[np.ndarray] = []
    for corners, rays in zip(model[triples], normalised[triples], strict=True):
        found, turns, moves = cv2.solveP3P(corners, rays, _NORMALISED, _NO_DISTORTION, flags=cv2.SOLVEPNP_AP3P)
        if found:
            all_turns.extend(turns)
            all_moves.extend(moves)
    if not all_turns:
        return np.empty((0, 6))
    # of a list of small arrays this takes a fifth of the time that stacking them does
    turns_then_moves = np.concatenate(all_turns + all_moves).reshape(2, -1, 3)
    return np.concatenate(tuple(turns_then_moves), axis=1)


def _squared_errors(model: np.ndarray, pixels: np.ndarray, focal: float, poses: np.ndarray) -> np.ndarray:
    """(M, N) squared pixels for (M, 6) poses; inf where a point is not in front of the camera."""
    x, y, depth = (so3_exps(poses[:, :3]) @ model.T + poses[:, 3:, None]).transpose(1, 0, 2)
    scale = focal / np.maximum(depth, _TINY)
    x *= scale
    x -= pixels[:, 0]
    y *= scale
    y -= pixels[:, 1]
    squares = x * x + y * y
    if depth.min() <= 0.0:
        squares[depth <= 0.0] = math.inf
    return np.where(squares < np.inf, squares, np.inf)


def _ordered_triples(model: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """(M, 3) point indices: wide triangles of certain points first, without those on a line."""
    triples, areas = _wide_triples(model.tobytes())
    if len(set(confidence.tolist())) == 1:  # they are in the order of their areas
        return triples
    return triples[np.argsort(-areas * confidence[triples].prod(axis=1), kind='stable')]


@functools.lru_cache(maxsize=256)
def _wide_triples(points: bytes) -> tuple[np.ndarray, np.ndarray]:
    """(M, 3) indices and (M,) areas, the largest first, of the triples of (N, 3) float64 m that are not on a line."""
    model = np.frombuffer(points).reshape(-1, 3)
    triples = _triples(len(model))
    first, second, third = (model[triples[:, i]] for i in range(3))
    areas = np.linalg.norm(np.cross(second - first, third - first), axis=1)
    order = np.argsort(-areas, kind='stable')
    order = order[areas[order] > COLLINEAR * areas.max()]
    return triples[order], areas[order]


def _triples(count: int) -> np.ndarray:
    if count <= _MAX_LISTED:
        return np.array(list(itertools.combinations(range(count), 3)), np.int64).reshape(-1, 3)
    rng = np.random.default_rng(0)
    return np.stack([rng.choice(count, 3, replace=False) for _ in range(MAX_TRIPLES)])


def _triples_needed(inliers: int, count: int) -> int:
    good = (inliers / count) ** 3
    if good >= _CONFIDENCE:
        return 1
    return math.ceil(math.log(1.0 - _CONFIDENCE) / math.log(1.0 - good)) if good > 0.0 else MAX_TRIPLES
