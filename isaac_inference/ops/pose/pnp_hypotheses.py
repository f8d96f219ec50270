# SPDX-License-Identifier: Apache-2.0
"""Initial poses for PnP: closed-form solutions, and the search for points that agree.

Deterministic: the search visits triples of points in a fixed order, widest first.
"""

from __future__ import annotations

import functools
import itertools
import math

import cv2
import numpy as np

from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.pose.pnp_refinement import Observations, residuals

FLAT = 0.1
"""A model thinner than this fraction of its length is flat: two mirrored poses of it look nearly alike."""
COLLINEAR = 1e-3
"""A model narrower than this fraction of its length is a line, whose roll is undetermined."""
MAX_TRIPLES = 120
_CONFIDENCE = 0.999  # that a triple without outliers was tried
_NO_DISTORTION = np.zeros(4)
_MAX_LISTED = 10  # points; with more, triples are drawn instead of listed


def closed_form(seen: Observations) -> list[Pose]:
    """The poses worth refining, with all points in front of the camera: one, two for a flat model, or none.

    SQPnP (Terzakis and Lourakis, ECCV 2020) finds the global optimum for spread points; IPPE (Collins and Bartoli,
    IJCV 2014) finds both mirrored poses of flat ones.

    Args:
        seen: four points or more.

    Example: the eight corners of a cube that is turned by nothing, at 1 m.
        >>> corners = np.array([[x, y, z] for x in (-0.1, 0.1) for y in (-0.1, 0.1) for z in (-0.1, 0.1)])
        >>> pixels = 600 * corners[:, :2] / (1 + corners[:, 2:])
        >>> poses = closed_form(Observations(corners, pixels, np.ones(8), focal=600.0))
        >>> len(poses), np.allclose(poses[0].translation, (0, 0, 1), atol=1e-6)
        (1, True)
    """
    centre = seen.model.mean(axis=0)
    spread, axes = np.linalg.eigh((seen.model - centre).T @ (seen.model - centre))
    if spread[1] <= COLLINEAR**2 * spread[2]:
        return []
    normalised = np.ascontiguousarray(seen.pixels / seen.focal)
    if spread[0] > FLAT**2 * spread[2]:
        return _in_front(seen, _solve(seen.model, normalised, cv2.SOLVEPNP_SQPNP))
    frame = axes[:, ::-1].T.copy()  # object to plane coordinates: length, width, thickness
    if np.linalg.det(frame) < 0.0:
        frame[2] = -frame[2]
    plane = (seen.model - centre) @ frame.T
    plane[:, 2] = 0.0
    to_plane = Pose(frame, -frame @ centre)
    return _in_front(seen, [pose @ to_plane for pose in _solve(plane, normalised, cv2.SOLVEPNP_IPPE)])


def consensus(seen: Observations, confidence: np.ndarray, threshold: float) -> np.ndarray:
    """Which points agree on one pose: RANSAC over three-point poses (AP3P), each scored by its truncated error.

    Args:
        seen: all points, outliers among them.
        confidence: (N,) of each point; the most certain ones are tried first.
        threshold: pixels; a point further from its projection is an outlier.

    Returns:
        (N,) boolean, True for inliers; all False when no three points have a pose.

    Example: one corner of a cube is 50 px off.
        >>> corners = np.array([[x, y, z] for x in (-0.1, 0.1) for y in (-0.1, 0.1) for z in (-0.1, 0.1)])
        >>> pixels = 600 * corners[:, :2] / (1 + corners[:, 2:])
        >>> pixels[2, 0] += 50
        >>> inliers = consensus(Observations(corners, pixels, np.ones(8), focal=600.0), np.ones(8), threshold=4.0)
        >>> np.flatnonzero(~inliers).tolist()
        [2]
    """
    count = len(seen.model)
    normalised = np.ascontiguousarray(seen.pixels / seen.focal)
    # A pose from three noisy points misses the others by more than a pose from all of them.
    limit = (2.0 * threshold) ** 2
    best: np.ndarray = np.zeros(count, bool)
    best_cost, needed = math.inf, MAX_TRIPLES
    for tried, triple in enumerate(_ordered_triples(seen.model, confidence)):
        if tried >= needed:
            break
        found, rotations, translations = cv2.solveP3P(
            seen.model[triple], normalised[triple], np.eye(3), _NO_DISTORTION, flags=cv2.SOLVEPNP_AP3P
        )
        if not found:
            continue
        turns = np.stack([cv2.Rodrigues(rotation)[0] for rotation in rotations[:found]])
        squares = _squared_errors(seen, turns, np.stack(translations[:found]).reshape(-1, 3))
        costs = np.minimum(squares, limit).sum(axis=1)
        lowest = int(costs.argmin())
        if costs[lowest] < best_cost:
            best_cost, best = float(costs[lowest]), squares[lowest] < limit
            needed = _triples_needed(int(best.sum()), count)
    return _tightened(seen, best, threshold)


def _tightened(seen: Observations, inliers: np.ndarray, threshold: float) -> np.ndarray:
    """The inliers of a pose from all inliers instead of three; twice, because the first pass may add some."""
    for _ in range(2):
        if np.count_nonzero(inliers) < 4:
            return inliers
        poses = closed_form(seen.select(inliers))
        if not poses:
            return inliers
        lengths = np.stack([np.linalg.norm(residuals(seen, pose), axis=1) for pose in poses])
        lengths = lengths[int(np.minimum(lengths, threshold).sum(axis=1).argmin())]
        inliers = lengths <= threshold
    return inliers


def _solve(model: np.ndarray, normalised: np.ndarray, method: int) -> list[Pose]:
    try:
        _, rotations, translations, _ = cv2.solvePnPGeneric(model, normalised, np.eye(3), _NO_DISTORTION, flags=method)
    except cv2.error:  # points on a line, or all in one position
        return []
    poses = [Pose(cv2.Rodrigues(r)[0], np.array(t).ravel()) for r, t in zip(rotations, translations, strict=True)]
    return [pose for pose in poses if np.isfinite(pose.rotation).all() and np.isfinite(pose.translation).all()]


def _in_front(seen: Observations, poses: list[Pose]) -> list[Pose]:
    return [pose for pose in poses if (seen.model @ pose.rotation[2] + pose.translation[2]).min() > 0.0]


def _squared_errors(seen: Observations, rotations: np.ndarray, translations: np.ndarray) -> np.ndarray:
    """(M, N) squared pixels for M poses; inf where a point is not in front of the camera."""
    points = seen.model @ rotations.transpose(0, 2, 1) + translations[:, None]
    depth = points[..., 2]
    with np.errstate(divide='ignore', invalid='ignore'):
        error = points[..., :2] * (seen.focal / depth)[..., None] - seen.pixels
        squares = np.einsum('mni,mni->mn', error, error)
    return np.where((depth > 0.0) & np.isfinite(squares), squares, np.inf)


def _ordered_triples(model: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """(M, 3) point indices: wide triangles of certain points first, without those on a line."""
    triples = _triples(len(model))
    first, second, third = (model[triples[:, i]] for i in range(3))
    areas = np.linalg.norm(np.cross(second - first, third - first), axis=1)
    order = np.argsort(-areas * confidence[triples].prod(axis=1), kind='stable')
    return triples[order[areas[order] > COLLINEAR * areas.max()]]


@functools.lru_cache(maxsize=64)
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
