# SPDX-License-Identifier: Apache-2.0
"""Candidate poses from depth alone: all rotations are compared with depth at once, the best are fitted at once."""

from __future__ import annotations

import functools
import itertools
from typing import NamedTuple

import numpy as np

from isaac_inference.ops.geometry.object_model import ObjectModel
from isaac_inference.ops.geometry.rigid import Pose, cross, so3_exps
from isaac_inference.ops.geometry.surface_normals import dominant_frame
from isaac_inference.ops.geometry.symmetry import Symmetry, rotation_error
from isaac_inference.ops.geometry.view_sphere import frame_towards
from isaac_inference.ops.pose.registration_settings import SearchSettings
from isaac_inference.ops.pose.surface_fit import SeenDepth

_TUKEY_SHRINK = 0.8  # of the reach from one step to the next
_SCORE_EVERY, _FIT_EVERY = 3, 2  # of a template's points, when many templates are compared and fitted
_EXPLAINED = 24  # points of the object that are looked for on each candidate
_GRAZING = 0.2  # cosine; a view's points belong to a direction some degrees from the camera's
_LEAST_FRONT = 0.05  # metres in front of the camera


class Candidates(NamedTuple):
    """Rough poses, the best first.

    Attributes:
        rotations, translations: (H, 3, 3) and (H, 3), T_camera_object.
        scores: (H,) of how well depth agrees, 1 at best; how many of the object's points are left over counts as well.
    """

    rotations: np.ndarray
    translations: np.ndarray
    scores: np.ndarray

    def poses(self) -> list[Pose]:
        """One by one."""
        return [Pose(R, t) for R, t in zip(self.rotations, self.translations, strict=True)]

    def best(self, order: np.ndarray) -> Candidates:
        """Those of an index array, in its order."""
        return Candidates(self.rotations[order], self.translations[order], self.scores[order])


def pose_hypotheses(
    model: ObjectModel, cloud: np.ndarray, normals: np.ndarray, depth: SeenDepth, settings: SearchSettings
) -> Candidates:
    """The most probable poses, fitted roughly.

    Rotations: those of the model's templates, and the object's axes along the visible faces, in all ways. Each is
    placed so that its visible side covers what is seen; those that agree best with depth are fitted to it.

    Args:
        cloud: (N, 3) of the object alone, camera frame, metres.
        normals: (N, 3) of the points, towards the camera.
        depth: the whole image.

    Example: the front of a cube of 0.2 m is seen at 0.9 m.
        >>> from isaac_inference.ops.depth.depth_image import DepthImage
        >>> from isaac_inference.ops.geometry.camera_model import CameraModel
        >>> camera = CameraModel(64, 48, np.array([[100.0, 0, 31.5], [0, 100, 23.5], [0, 0, 1]]))
        >>> metres = np.full((48, 64), 1.5, np.float32)
        >>> metres[13:35, 21:43] = 0.9
        >>> cube = ObjectModel.build('cuboid', (0.2, 0.2, 0.2))
        >>> cloud = np.array([[x / 100, y / 100, 0.9] for x in range(-9, 10) for y in range(-9, 10)])
        >>> faces = np.tile((0.0, 0.0, -1.0), (len(cloud), 1))
        >>> depth = SeenDepth(DepthImage(metres, 1.0), camera)
        >>> found = pose_hypotheses(cube, cloud, faces, depth, SearchSettings())
        >>> round(float(found.translations[0, 2]), 2), bool(found.scores[0] > 0.8)
        (1.0, True)
    """
    view = frame_towards(cloud.mean(axis=0))
    frame, _ = dominant_frame(cloud, normals)
    placed = _placed(model, cloud, view, view.T @ frame @ _distinct_turns(model.geometric))
    reach = settings.template_reach * model.diameter
    scores = _scores(model, placed, depth, reach) - placed.mismatch * settings.mismatch_weight / model.diameter
    kept = np.argsort(-scores)[: settings.shifted_templates]
    placed, scores = _shifted(model, placed.only(kept), scores[kept], depth, reach, view)
    kept = np.argsort(-scores)[: settings.fitted_templates]
    rough = Candidates(placed.rotations[kept], placed.translations[kept], scores[kept])
    return fitted(model, rough, cloud, depth, settings, reach)


def fitted(
    model: ObjectModel, rough: Candidates, cloud: np.ndarray, depth: SeenDepth, settings: SearchSettings, reach: float
) -> Candidates:
    """All candidates after a few steps of point-to-plane fitting of what should be seen to what is, the best first.

    Each visible point of the model is compared with depth on its line of sight, so that what the camera cannot see
    never counts, and no search for neighbours is needed. How good they are is then told by both sides: the part of the
    model that should be seen and is, and the part of the object's points that lies on the model.

    Args:
        cloud: (N, 3) of the object alone, camera frame, metres.
        reach: distance within which depth counts in the first step, metres.

    Example: the front of a cube of 0.2 m is seen at 0.9 m; one candidate is 4 cm too far, another 2 cm too near.
        >>> from isaac_inference.ops.depth.depth_image import DepthImage
        >>> from isaac_inference.ops.geometry.camera_model import CameraModel
        >>> camera = CameraModel(64, 48, np.array([[100.0, 0, 31.5], [0, 100, 23.5], [0, 0, 1]]))
        >>> depth = SeenDepth(DepthImage(np.full((48, 64), 0.9, np.float32), 1.0), camera)
        >>> cube = ObjectModel.build('cuboid', (0.2, 0.2, 0.2))
        >>> rough = Candidates(np.stack([np.eye(3)] * 2), np.array([[0, 0, 1.04], [0, 0, 0.98]]), np.zeros(2))
        >>> face = np.array([[x / 100, y / 100, 0.9] for x in range(-9, 10) for y in range(-9, 10)])
        >>> fitted(cube, rough, face, depth, SearchSettings(), reach=0.1).translations[:, 2].round(2).tolist()
        [1.0, 1.0]
    """
    R, t = rough.rotations.copy(), rough.translations.copy()
    views = _views(model, R, t)
    every = _FIT_EVERY if reach > settings.last_reach * model.diameter else 1
    shown, outward = model.templates.points[views, ::every], model.templates.normals[views, ::every]
    least = settings.last_reach * model.diameter
    held = np.diag(np.repeat((1.0 / (0.2 * model.diameter) ** 2, 1.0), 3))
    steps = settings.template_steps if reach > least else settings.rival_steps
    for _ in range(steps):
        turned = R.transpose(0, 2, 1)
        points, normals = shown @ turned, outward @ turned
        arms = points
        points = points + t[:, None]
        residual, gap = _along_view(depth, points, normals)
        with np.errstate(invalid='ignore'):
            near = (np.abs(residual) < reach) & (np.abs(gap) < 2.0 * reach)  # NaN compares false
        residual = np.where(near, residual, 0.0)
        weights = np.where(near, (1.0 - (residual / reach) ** 2) ** 2, 0.0)
        J = np.concatenate((-normals, cross(normals, arms)), axis=2)
        weighted = J * (weights / (0.25 * reach) ** 2)[:, :, None]
        H = weighted.transpose(0, 2, 1) @ J + held
        step = -np.linalg.solve(H, (weighted.transpose(0, 2, 1) @ residual[:, :, None]))[:, :, 0]
        step[:, 3:] *= np.minimum(1.0, 0.3 / np.maximum(np.linalg.norm(step[:, 3:], axis=1), 1e-9))[:, None]
        t = t + step[:, :3]
        R = so3_exps(step[:, 3:]) @ R
        reach = max(reach * _TUKEY_SHRINK, least)
    views = _views(model, R, t)
    scores = _agreement(depth, model, R, t, views, least, every)
    scores -= settings.unexplained_weight * _unexplained(model, cloud, R, t, least)
    order = np.argsort(-scores)
    return Candidates(R[order], t[order], scores[order])


def placed_anew(
    model: ObjectModel, rotations: np.ndarray, cloud: np.ndarray, depth: SeenDepth, settings: SearchSettings
) -> list[Pose]:
    """Where an object of each rotation (H, 3, 3) would be, as far as one can say before anything is fitted.

    Of an object that is seen in part, a turned one is at another place: the part that is seen stays where it is.

    Args:
        cloud: (N, 3) of the object alone, camera frame, metres.

    Example: of a block of 0.1 x 0.1 x 0.3 m, a face that is 0.1 m long at 0.9 m is its side or its end.
        >>> from isaac_inference.ops.depth.depth_image import DepthImage
        >>> from isaac_inference.ops.geometry.camera_model import CameraModel
        >>> from isaac_inference.ops.geometry.rigid import so3_exp
        >>> camera = CameraModel(64, 48, np.array([[100.0, 0, 31.5], [0, 100, 23.5], [0, 0, 1]]))
        >>> depth = SeenDepth(DepthImage(np.full((48, 64), 0.9, np.float32), 1.0), camera)
        >>> block = ObjectModel.build('cuboid', (0.1, 0.1, 0.3))
        >>> face = np.array([[x / 100, y / 100, 0.9] for x in range(-5, 6) for y in range(-5, 6)])
        >>> turns = np.stack((np.eye(3), so3_exp(np.array((np.pi / 2, 0.0, 0.0)))))
        >>> [round(float(pose.translation[2]), 2) for pose in placed_anew(block, turns, face, depth, SearchSettings())]
        [1.05, 0.95]
    """
    view = frame_towards(cloud.mean(axis=0))
    every = _placed(model, cloud, view, view.T @ rotations)
    mine = every.only(np.arange(len(model.templates.rotations), len(every.rotations)))
    reach = settings.template_reach * model.diameter
    mine, _ = _shifted(model, mine, _scores(model, mine, depth, reach), depth, reach, view)
    return Candidates(mine.rotations, mine.translations, mine.mismatch).poses()


class _Placed(NamedTuple):
    rotations: np.ndarray  # (T, 3, 3) T_camera_object
    translations: np.ndarray  # (T, 3)
    views: np.ndarray  # (T,) of the templates
    mismatch: np.ndarray  # (T,) metres
    missing: np.ndarray  # (T, 3) metres, view frame: how much less is seen than there is

    def only(self, index: np.ndarray) -> _Placed:
        return _Placed(*(field[index] for field in self))


def _placed(model: ObjectModel, cloud: np.ndarray, view: np.ndarray, more: np.ndarray) -> _Placed:
    """Every rotation where its visible side covers the cloud."""
    templates = model.templates
    views = np.concatenate((templates.views, model.views.nearest(-more[:, 2])))
    rotations = np.concatenate((templates.rotations, more))
    turned = templates.points[views[len(templates.views) :]] @ more.transpose(0, 2, 1)
    extra_low, extra_high = np.percentile(turned, (2.0, 98.0), axis=1)
    nearest, furthest = np.concatenate((templates.low, extra_low)), np.concatenate((templates.high, extra_high))
    low, high = np.percentile(cloud @ view, (2.0, 98.0), axis=0)
    places = (low + high - nearest - furthest) / 2
    places[:, 2] = low[2] - nearest[:, 2]  # its front is certain, how far back it extends is not
    lack = (high - low) - (furthest - nearest)
    # what is seen may be a part of the object, but not more than it
    mismatch = np.where(lack > 0.0, lack, -0.4 * lack).sum(axis=1)
    return _Placed(view @ rotations, places @ view.T, views, mismatch, np.maximum(-lack, 0.0))


def _shifted(
    model: ObjectModel, placed: _Placed, scores: np.ndarray, depth: SeenDepth, reach: float, view: np.ndarray
) -> tuple[_Placed, np.ndarray]:
    """Each where depth agrees most: centred on what is seen, or with what is not seen at one of its sides or corners.

    Something in front covers a side rather than a rim all around.
    """
    moves = (0.5 * placed.missing[:, None] * _SIDES).reshape(-1, 3) @ view.T
    count = len(_SIDES)
    moved = _Placed(*(np.repeat(field, count, axis=0) for field in placed))
    moved = moved._replace(translations=moved.translations + moves)
    found = _scores(model, moved, depth, reach).reshape(-1, count)
    side = found.argmax(axis=1)
    rows = np.arange(len(side))
    # the first is the middle, whose score has lost for the mismatch already
    best = scores + found[rows, side] - found[:, 0]
    translations = moved.translations.reshape(-1, count, 3)[rows, side]
    return placed._replace(translations=translations), best


_SIDES = np.array([(x, y, 0.0) for x in (0.0, 1.0, -1.0) for y in (0.0, 1.0, -1.0)])


def _scores(model: ObjectModel, placed: _Placed, depth: SeenDepth, reach: float) -> np.ndarray:
    return _agreement(depth, model, placed.rotations, placed.translations, placed.views, reach, _SCORE_EVERY)


def _agreement(
    depth: SeenDepth, model: ObjectModel, R: np.ndarray, t: np.ndarray, views: np.ndarray, reach: float, every: int
) -> np.ndarray:
    """(H,) how depth agrees with each pose: 1 for a point where it is seen, -1 where something behind it is seen."""
    points = model.templates.points[views, ::every] @ R.transpose(0, 2, 1) + t[:, None]
    gap = depth.z_at(points.reshape(-1, 3)).reshape(points.shape[:2]) - points[..., 2]
    with np.errstate(invalid='ignore'):
        value = 1.0 - (gap / reach) ** 2
        np.maximum(value, 0.0, out=value)
        value[gap > reach] = -1.0
        value[gap < -reach] = -0.3
    value[np.isnan(value)] = 0.0
    return np.asarray(np.add.reduce(value, axis=1) / value.shape[1])


def _unexplained(model: ObjectModel, cloud: np.ndarray, R: np.ndarray, t: np.ndarray, reach: float) -> np.ndarray:
    """(H,) mean square distance of the object's points from the model, in reaches, each at most 1."""
    some = cloud[:: max(1, len(cloud) // _EXPLAINED)]
    local = (some - t[:, None]) @ R
    distance = model.distances(local.reshape(-1, 3), reach)
    return (np.minimum(distance / reach, 1.0) ** 2).reshape(len(t), -1).mean(axis=1)


def _along_view(depth: SeenDepth, points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is seen on the lines of sight of points (H, K, 3), as distances (H, K) m along their normals and along z.

    NaN where that is unknown, and where the line of sight only grazes the surface: there depth says nothing about it.
    """
    seen = depth.z_at(points.reshape(-1, 3)).reshape(points.shape[:2])
    z = np.maximum(points[..., 2], _LEAST_FRONT)
    height = normals[..., 0] * points[..., 0] + normals[..., 1] * points[..., 1] + normals[..., 2] * points[..., 2]
    seen[height > -_GRAZING * z] = np.nan
    return (seen / z - 1.0) * height, seen - z


def _views(model: ObjectModel, R: np.ndarray, t: np.ndarray) -> np.ndarray:
    return model.views.nearest(-np.einsum('hji,hj->hi', R, t))


@functools.lru_cache(maxsize=64)
def _distinct_turns(geometric: tuple[Symmetry, ...]) -> np.ndarray:
    """(n, 3, 3): of the 24 rotations that map axes to axes, those that differ for a bare surface."""
    kept: list[Pose] = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            turn = np.zeros((3, 3))
            turn[list(order), range(3)] = signs
            pose = Pose(turn, np.zeros(3))
            if np.linalg.det(turn) > 0.0 and all(rotation_error(pose, other, geometric) > 0.1 for other in kept):
                kept.append(pose)
    return np.stack([pose.rotation for pose in kept])
