# SPDX-License-Identifier: Apache-2.0
"""Pose of an object whose keypoints are too weak for a pose of their own, but tell depth's candidates apart.

Depth places the shape, up to the turns that look alike; each candidate is moved to where the keypoints want it,
registered from there, and compared with all keypoints again. Only a clear winner is a pose.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.object_model import ObjectModel
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.geometry.symmetry import canonical, equivalents, rotation_error
from isaac_inference.ops.pose.keypoint_fit import WeakKeypoints
from isaac_inference.ops.pose.registration import Registration, placements, register
from isaac_inference.ops.pose.registration_settings import RegistrationSettings
from isaac_inference.ops.pose.surface_fit import SeenDepth

_FITTED = 6  # candidates that are moved to where the keypoints want them
_TRIED = 3  # of them that are registered
_MARGIN = 8.0  # squared standard deviations by which the others must be worse
_AGREE = 4.5  # squared standard deviations a keypoint, at most
_SURE_FITNESS = 0.9  # nothing but depth and weak keypoints speak for it
_SAME_TURN = np.radians(15.0)
_SAME_PLACE = 0.05  # of the diameter


class _Candidate(NamedTuple):
    """A pose that keypoints and, once registered, depth speak for."""

    cost: float
    pose: Pose
    covariance: np.ndarray


def search_with_keypoints(
    model: ObjectModel,
    keypoints: WeakKeypoints,
    points: np.ndarray,
    depth: SeenDepth,
    settings: RegistrationSettings,
    foregrounds: list[np.ndarray],
    starts: list[Pose],
) -> Registration:
    """The one pose that both depth and the keypoints speak for.

    Args:
        model: the object.
        keypoints: all of it, weak ones included.
        points, depth, settings: as in `register`.
        foregrounds: (N,) bool each, what of the points could be the object; looked at when no start is confirmed.
        starts: poses to begin at.

    Raises:
        FrameError: 'registration_fit' (no candidate is confirmed by both), 'registration_ambiguous' (several are).
    """
    confirmed = _confirmed(model, keypoints, points, depth, settings, starts)
    for mask in foregrounds:
        if not confirmed or not agree(keypoints, min(map(_first, confirmed))):
            found = _placements(model, points, depth, settings, mask)
            confirmed += _confirmed(model, keypoints, points, depth, settings, found)
    if not confirmed:
        raise FrameError('registration_fit', 'registration: no placement agrees with both depth and the keypoints')
    confirmed.sort(key=_first)
    cost, best = confirmed[0]
    if not agree(keypoints, cost):
        raise FrameError(
            'registration_fit',
            f'registration: the best placement by depth misses the {len(keypoints.model)} keypoints by '
            f'{np.sqrt(cost / max(1, len(keypoints.model))):.1f} standard deviations, expected {np.sqrt(_AGREE):.1f}',
        )
    rivals = [(keypoints.cost(pose), pose) for pose in _alike(model, best.pose)]
    for rival, pose in [*rivals, *((score, found.pose) for score, found in confirmed[1:])]:
        if rival < cost + _MARGIN and _differ(model, best.pose, pose):
            raise FrameError(
                'registration_ambiguous',
                'registration: too few keypoints are sure enough to tell two placements apart that depth allows',
            )
    return Registration(best.pose, best.covariance, best.fitness, best.inlier_rmse, 'weak keypoints')


def agree(keypoints: WeakKeypoints, cost: float) -> bool:
    """Whether a pose of that `WeakKeypoints.cost` is one that the network meant."""
    return cost <= _AGREE * len(keypoints.model)


def _confirmed(
    model: ObjectModel,
    keypoints: WeakKeypoints,
    points: np.ndarray,
    depth: SeenDepth,
    settings: RegistrationSettings,
    starts: list[Pose],
) -> list[tuple[float, Registration]]:
    """What registers from the starts, after the keypoints had their say, and how it agrees with them."""
    alike = [pose for start in starts for pose in _alike(model, start)]
    candidates = []
    for pose in sorted(alike, key=keypoints.cost)[:_FITTED]:
        fitted = keypoints.fitted(pose, _loose(model))
        if fitted is not None:
            candidates.append(_Candidate(keypoints.cost(fitted[0]), *fitted))
    confirmed: list[tuple[float, Registration]] = []
    for candidate in _distinct(model, sorted(candidates, key=lambda item: item.cost))[:_TRIED]:
        # registered, a candidate agrees less with the keypoints than where they wanted it
        if confirmed and candidate.cost > min(map(_first, confirmed)) + _MARGIN:
            break
        try:
            found = register(model, points, depth, candidate.pose, settings, candidate.covariance)
        except FrameError:
            continue
        if found.fitness >= _SURE_FITNESS:
            confirmed.append((keypoints.cost(found.pose), found))
    return confirmed


def _placements(
    model: ObjectModel, points: np.ndarray, depth: SeenDepth, settings: RegistrationSettings, foreground: np.ndarray
) -> list[Pose]:
    try:
        return placements(model, points, depth, settings, foreground)
    except FrameError:
        return []


def _alike(model: ObjectModel, pose: Pose) -> list[Pose]:
    """The poses that depth can't tell from this one."""
    if not model.geometric:
        return [pose]
    return [canonical(other, model.symmetries) for other in equivalents(pose, model.geometric, 1)]


def _first(item: tuple[float, Registration]) -> float:
    return item[0]


def _loose(model: ObjectModel) -> np.ndarray:
    return np.diag(np.repeat(((0.2 * model.diameter) ** 2, np.radians(15.0) ** 2), 3))


def _distinct(model: ObjectModel, candidates: list[_Candidate]) -> list[_Candidate]:
    kept: list[_Candidate] = []
    for candidate in candidates:
        if all(_differ(model, candidate.pose, other.pose) for other in kept):
            kept.append(candidate)
    return kept


def _differ(model: ObjectModel, a: Pose, b: Pose) -> bool:
    if np.linalg.norm(a.translation - b.translation) > _SAME_PLACE * model.diameter:
        return True
    return rotation_error(a, b, model.symmetries) > _SAME_TURN
