# SPDX-License-Identifier: Apache-2.0
"""Pose of an object whose keypoints are too weak for a pose of their own, but tell depth's candidates apart.

What the keypoints say best is the direction in which the object lies and how it is turned; how far away it is, depth
says, which has a few surfaces under the box. Each candidate is moved to where the keypoints want it, the likeliest are
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
from isaac_inference.ops.pose.registration import Registration, register
from isaac_inference.ops.pose.registration_settings import RegistrationSettings
from isaac_inference.ops.pose.surface_fit import SeenDepth

_FITTED = 3  # of the poses that look alike at one start, those that are moved to where the keypoints want them
_TRIED = 4  # candidates that are registered
_COMPARED = 100  # points of the model
_SEEN_AT = 0.03  # part of the distance: depth this near to a candidate's surface may be that surface
_UNSEEN_COST = 24.0  # squared standard deviations that depth seen through all of a candidate is worth
_MARGIN = 8.0  # squared standard deviations by which the others must be worse
_AGREE = 4.5  # squared standard deviations a keypoint, at most
_SURE_FITNESS = 0.9  # nothing but depth and weak keypoints speak for it
_SAME_TURN = np.radians(15.0)
_SAME_PLACE = 0.05  # of the diameter
_SAME_END = 0.2  # of the diameter


class _Candidate(NamedTuple):
    """A pose that keypoints speak for, and how much speaks against it."""

    against: float  # by keypoints and depth
    cost: float  # by keypoints alone
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
        foregrounds: (N,) bool each, what of the points could be the object.
        starts: poses to begin at; each also as far away as each of the foregrounds.

    Raises:
        FrameError: 'registration_fit' (no candidate is confirmed by both), 'registration_ambiguous' (several are).
    """
    placed = [*starts, *(_as_far_as(model, start, points[mask]) for mask in foregrounds for start in starts)]
    confirmed = _confirmed(model, keypoints, points, depth, settings, placed)
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
    confirmed: list[tuple[float, Registration]] = []
    tried = 0
    for candidate in _candidates(model, keypoints, depth, starts):
        # registered, a candidate agrees less with the keypoints than where they wanted it
        most = min(map(_first, confirmed)) + _MARGIN if confirmed else _AGREE * len(keypoints.model)
        if candidate.cost > most or any(_leads_to(model, candidate.pose, item.pose) for _, item in confirmed):
            continue
        try:
            found = register(model, points, depth, candidate.pose, settings, candidate.covariance)
        except FrameError:
            pass
        else:
            if found.fitness >= _SURE_FITNESS:
                confirmed.append((keypoints.cost(found.pose), found))
        tried += 1
        if tried == _TRIED:
            break
    return confirmed


def _candidates(model: ObjectModel, keypoints: WeakKeypoints, depth: SeenDepth, starts: list[Pose]) -> list[_Candidate]:
    """Different poses, the likeliest first."""
    poses: list[Pose] = []
    for start in starts:
        alike = _alike(model, start)
        order = np.argsort(keypoints.costs(alike), kind='stable')
        poses += [alike[i] for i in order[:_FITTED]]
    fits = [found for found in keypoints.fits(poses, _loose(model)) if found is not None]
    costs = keypoints.costs([pose for pose, _ in fits]) if fits else np.zeros(0)
    found = [
        _Candidate(float(costs[i]) + _UNSEEN_COST * _share_unseen(model, depth, fits[i][0]), float(costs[i]), *fits[i])
        for i in np.argsort(costs, kind='stable')
    ]
    return sorted(_distinct(model, found), key=_first)


def _leads_to(model: ObjectModel, start: Pose, found: Pose) -> bool:
    """Whether registration from `start` would end where it ended already."""
    near = np.linalg.norm(start.translation - found.translation) < _SAME_END * model.diameter
    return bool(near) and rotation_error(start, found, model.symmetries) < _SAME_TURN


def _as_far_as(model: ObjectModel, start: Pose, surface: np.ndarray) -> Pose:
    """In the same direction, with its visible side as far away as a surface (N, 3)."""
    seen, _ = model.visible(start.rotation, start.translation, _COMPARED)
    if len(seen) == 0 or len(surface) == 0:
        return start
    return Pose(start.rotation, start.translation * float(np.median(surface[:, 2]) / np.median(seen[:, 2])))


def _share_unseen(model: ObjectModel, depth: SeenDepth, pose: Pose) -> float:
    """Which part of a pose's visible side is not seen there, though nothing hides it; 0 to 1.

    Where nearly all of it is hidden, too: nothing can be registered there.
    """
    points, _ = model.visible(pose.rotation, pose.translation, _COMPARED)
    if len(points) == 0 or points[:, 2].min() <= 0.0:
        return 1.0
    ratios = depth.at(points)[:, 2] / points[:, 2]
    there = np.count_nonzero(np.abs(ratios - 1.0) <= _SEEN_AT)
    through = np.count_nonzero(ratios > 1.0 + _SEEN_AT)
    return 1.0 - there / (there + through + 0.1 * len(points))


def _alike(model: ObjectModel, pose: Pose) -> list[Pose]:
    """The poses that depth can't tell from this one."""
    if not model.geometric:
        return [pose]
    return [canonical(other, model.symmetries) for other in equivalents(pose, model.geometric, 1)]


def _first(item: tuple[float, Registration] | _Candidate) -> float:
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
