# SPDX-License-Identifier: Apache-2.0
"""An object's pose from its shape and depth: refining an approximate pose, or finding one without.

Depth shows shape, not print. What the shape leaves open is never guessed: within a single visible face the object stays
where the initial pose had it, and a search that ends in several equally good poses is an error unless allowed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.foreground import foreground_mask
from isaac_inference.ops.geometry.object_model import ObjectModel
from isaac_inference.ops.geometry.rigid import Pose, rotation_angle, so3_exp
from isaac_inference.ops.geometry.surface_normals import facing_normals, thinned, within
from isaac_inference.ops.geometry.symmetry import canonical, rotation_error
from isaac_inference.ops.pose.pose_hypotheses import Candidates, fitted, placed_anew, pose_hypotheses
from isaac_inference.ops.pose.registration_settings import RegistrationSettings
from isaac_inference.ops.pose.surface_fit import (
    INDEPENDENT,
    Alignment,
    DepthErrors,
    Scene,
    SeenDepth,
    edges_seen,
    measure,
    overhang_of,
    refine,
    share_seen_through,
)

_SUSPECTS = (
    'wrong object, size or mesh, depth that is not registered to the image, or a length in another unit (size is in '
    "metres, mesh_unit is the mesh's, depth_unit_scale that of depth)"
)


@dataclass(frozen=True, eq=False)
class Registration:
    """A registered pose.

    Attributes:
        pose: `T_camera_object`, canonical for symmetric objects.
        covariance: (6, 6) float64, translation then fixed-axis rotation, camera frame; m^2, m rad, rad^2.
        fitness: see RegistrationSettings.min_fitness.
        inlier_rmse: metres.
        method: 'refined', 'kept' (depth confirms the initial pose but could not improve it) or 'global'.
    """

    pose: Pose
    covariance: np.ndarray
    fitness: float
    inlier_rmse: float
    method: str


def register(
    model: ObjectModel,
    scene_points: np.ndarray,
    depth: SeenDepth,
    initial: Pose | None = None,
    settings: RegistrationSettings | None = None,
    covariance: np.ndarray | None = None,
    foreground: np.ndarray | None = None,
) -> Registration:
    """Fits the model to the points of a depth crop.

    Args:
        model: built once with `ObjectModel.build`.
        scene_points: (N, 3) under the object's box, camera frame, metres; background and a margin around the box are
            harmless with an initial pose.
        depth: the whole image that they are from: background where the model should be is evidence against a pose,
            missing depth is not.
        initial: `T_camera_object`, from keypoints; None to search.
        settings: None for the defaults.
        covariance: (6, 6) of initial, as `Registration.covariance`; None assumes the usual accuracy of keypoints.
        foreground: (N,) bool, the object's points, for a search without an initial pose; None separates them here.

    Raises:
        FrameError: 'depth_missing' (too few points) and 'registration_hidden' (most of the object lies behind
            something): an initial pose is neither confirmed nor refuted. 'registration_fit' (depth contradicts the
            model there) and 'registration_moved' (the best fit is implausibly far from the initial pose): it is
            refuted. 'registration_ambiguous' (several poses are equally good), 'depth_ambiguous'.

    Example: the front of a cube of 0.2 m is seen at 0.9 m, and the initial pose is 1 cm too far.
        >>> from isaac_inference.ops.depth.depth_image import DepthImage
        >>> from isaac_inference.ops.geometry.camera_model import CameraModel
        >>> camera = CameraModel(64, 48, np.array([[100.0, 0, 31.5], [0, 100, 23.5], [0, 0, 1]]))
        >>> depth = SeenDepth(DepthImage(np.full((48, 64), 0.9, np.float32), 1.0), camera)
        >>> cube = ObjectModel.build('cuboid', (0.2, 0.2, 0.2))
        >>> cloud = np.array([[x / 100, y / 100, 0.9] for x in range(-9, 10) for y in range(-9, 10)])
        >>> found = register(cube, cloud, depth, initial=Pose(np.eye(3), np.array([0, 0, 1.01])))
        >>> round(float(found.pose.translation[2]), 3), found.method
        (1.0, 'refined')
    """
    settings = settings or RegistrationSettings()
    if initial is None:
        return _search(model, scene_points, depth, settings, foreground)
    return _refined(model, scene_points, depth, initial, settings, covariance)


def typical_covariance(pose: Pose, diameter: float) -> np.ndarray:
    """(6, 6) of a keypoint pose without its own covariance: accurate across the view, less so along it.

    Keypoints that are off by 1 % of the object's size in the image move it sideways by 1 % of its size; the distance
    comes from the size in the image, so its error grows with the distance.

    Example: standard deviations for an object of 0.2 m at 1 m, in mm.
        >>> spread = typical_covariance(Pose(np.eye(3), np.array([0, 0, 1.0])), diameter=0.2)
        >>> (1000 * np.sqrt(spread.diagonal()[:3])).round(3).tolist()
        [12.0, 12.0, 35.0]
    """
    ray = pose.translation / np.linalg.norm(pose.translation)
    across, along = 0.01 + 0.01 * diameter, 0.01 + 0.025 * float(pose.translation[2])
    result = np.zeros((6, 6))
    result[:3, :3] = across**2 * np.eye(3) + (along**2 - across**2) * np.outer(ray, ray)
    result[3:, 3:] = np.radians(6.0) ** 2 * np.eye(3)
    return result


def _refined(
    model: ObjectModel,
    points: np.ndarray,
    depth: SeenDepth,
    initial: Pose,
    settings: RegistrationSettings,
    covariance: np.ndarray | None,
) -> Registration:
    fitting = settings.fitting
    prior = typical_covariance(initial, model.diameter) if covariance is None else covariance
    slack = np.diag(np.repeat((fitting.prior_shift**2, np.radians(fitting.prior_turn_deg) ** 2), 3))
    far, loose = _far(initial), prior + slack
    largest = np.sqrt(np.linalg.eigvalsh(loose[:3, :3])[-1]) + 0.5 * model.diameter * np.sqrt(
        np.linalg.eigvalsh(loose[3:, 3:])[-1]
    )
    least = fitting.min_reach_sigmas * settings.noise * far
    most = max(fitting.max_reach * model.diameter, fitting.max_reach_floor)
    reach = float(np.clip(fitting.reach_sigmas * largest, least, most))
    near = within(points, initial.translation, model.diameter / 2 + reach)
    if np.count_nonzero(near) < settings.min_points <= len(points):
        raise _nothing_there(model, depth, initial, settings, int(np.count_nonzero(near)), reach)
    scene, errors = _scene(model, points.compress(near, axis=0), depth, settings), _errors(initial, depth, settings)
    found = refine(model, scene, initial, prior, errors, reach, slack=slack)
    if found is None:
        raise _nothing_there(model, depth, initial, settings, len(scene.cloud), reach)
    pose, posterior = found
    fit = measure(model, scene, pose, settings.distance * far, errors.noise)
    method = 'refined'
    if fit.fitness < 1.0 - fitting.max_fitness_loss:  # else the initial pose cannot be that much better
        start = measure(model, scene, initial, settings.distance * far, errors.noise)
        if fit.fitness < start.fitness - fitting.max_fitness_loss and fit.support < start.support:
            pose, posterior, fit, method = initial, loose, start, 'kept'
    _check_moved(model, initial, pose, settings)
    _check_fit(fit, settings, far)
    return Registration(canonical(pose, model.symmetries), posterior, fit.fitness, fit.rmse, method)


_NEARLY = 0.4  # of what counts as different: a fit that stopped beside a look-alike does not stand for it
_FURTHER, _HELD_DEG = 1.2, 1.0  # of what counts as different, a turn that is tried, and how firmly it is held there
_ROUGH_POINTS = 150  # points that suffice to compare placements roughly


class _Placed(NamedTuple):
    """A model fitted without an initial pose."""

    against: float  # squared standard deviations by which depth speaks against it
    fit: Alignment
    pose: Pose
    covariance: np.ndarray


class _Search:
    """What the steps of a search share."""

    def __init__(
        self,
        model: ObjectModel,
        points: np.ndarray,
        depth: SeenDepth,
        settings: RegistrationSettings,
        foreground: np.ndarray | None,
    ) -> None:
        mask = foreground_mask(points) if foreground is None else foreground
        self.model, self.settings = model, settings
        self.scene = _scene(model, points.compress(mask, axis=0), depth, settings)
        self._coarse = self.scene.thinned(_ROUGH_POINTS)
        middle = Pose(np.eye(3), self.scene.cloud.mean(axis=0))
        self.far, self._errors = _far(middle), _errors(middle, depth, settings)
        search, extent = settings.search, model.diameter
        spread = (search.placement_shift * extent) ** 2, np.radians(search.placement_turn_deg) ** 2
        self._loose = np.diag(np.repeat(spread, 3))
        self._reach = max(search.exact_reach * extent, search.exact_reach_tolerances * settings.distance * self.far)

    def placed(self) -> list[_Placed]:
        """The best placements, the best first, with those that look nearly like it; fitted, some may be the same."""
        search = self.settings.search
        rough = pose_hypotheses(self.model, self.scene.cloud, self.scene.normals, self.scene.depth, search)
        best = float(rough.scores[0])
        if best < search.min_agreement:
            raise FrameError(
                'registration_fit',
                f'registration: of {len(self.model.templates.rotations)} rotations of the model none comes near the '
                f'depth points: the best agrees by {best:.2f}, expected {search.min_agreement:g}; {_SUSPECTS}',
            )
        tried: list[Pose] = []
        for pose, score in zip(rough.poses(), rough.scores, strict=True):
            if len(tried) == search.refined_placements or score < best - search.agreement_margin:
                break
            if all(_differ(self.model, pose, other, self.settings) for other in tried):
                tried.append(pose)
        found = self._fitted(tried)
        if not found:
            raise FrameError(
                'registration_fit', f'registration: no placement of the model comes near the depth points; {_SUSPECTS}'
            )
        return self._compared(found)

    def _compared(self, found: list[_Placed]) -> list[_Placed]:
        """With what a near-symmetry makes of the best, where that is not among them."""
        search = self.settings.search
        for _ in range(2):  # a look-alike that is better than the best has look-alikes, too
            best = found[0]
            others = [best.pose @ turn for turn in self.model.near]
            if others and best.fit.support < search.whole_support:
                turned = np.stack([pose.rotation for pose in others])
                others += placed_anew(self.model, turned, self.scene.cloud, self.scene.depth, search)
            others = [pose for pose in others if all(self._is_new(pose, item.pose, _NEARLY) for item in found)]
            if not others:
                break
            others.append(best.pose)
            start = Candidates(
                np.stack([pose.rotation for pose in others]),
                np.stack([pose.translation for pose in others]),
                np.zeros(len(others)),
            )
            rough = fitted(
                self.model, start, self.scene.cloud, self.scene.depth, search, search.last_reach * self.model.diameter
            )
            some: list[Pose] = []
            for pose, score in zip(rough.poses(), rough.scores, strict=True):
                known = [*(item.pose for item in found), *some]
                if score > rough.scores[0] - search.rival_margin and all(
                    self._is_new(pose, other, _NEARLY) for other in known
                ):
                    some.append(pose)
            found = sorted([*found, *self._fitted(some[: search.refined_placements], best.against)], key=_against)
            if found[0] is best or self.rivals(found):
                break
        return found

    def rivals(self, found: list[_Placed]) -> list[_Placed]:
        """Those that differ from the best, and against which depth does not speak clearly enough."""
        limit = found[0].against + self.settings.min_evidence
        return [item for item in found[1:] if item.against < limit and self._is_new(item.pose, found[0].pose)]

    def turned_about_weakest(self, best: _Placed) -> float:
        """How much more depth speaks against the best, turned a little about the axis that it is least sure of.

        In squared standard deviations; infinite where it is sure about all, or a turn leaves it as it is. What would
        tell one turn of a mug from another may be hidden behind it.
        """
        settings = self.settings
        spread = best.covariance
        variances, axes = np.linalg.eigh(spread[3:, 3:])
        axis = axes[:, -1]
        if variances[-1] < np.radians(settings.search.sure_turn_deg) ** 2:
            return np.inf
        held = np.linalg.inv(self._loose)
        held[3:, 3:] += np.outer(axis, axis) / np.radians(_HELD_DEG) ** 2
        prior = np.linalg.inv(held)
        against = self._against(best.pose, self._coarse)[0]
        least = np.inf
        for sign in (1.0, -1.0):
            turn = sign * _FURTHER * np.radians(settings.same_turn_deg) * axis
            # the most probable place when it is turned so
            place = best.pose.translation + spread[:3, 3:] @ np.linalg.solve(spread[3:, 3:], turn)
            start = Pose(so3_exp(turn) @ best.pose.rotation, place)
            if self._is_new(start, best.pose):
                reach = settings.distance * self.far
                found = refine(self.model, self._coarse, start, prior, self._errors, reach, thorough=False)
                if found is not None:
                    least = min(least, self._against(found[0], self._coarse)[0] - against)
        return least

    def overhang(self, pose: Pose, points: np.ndarray) -> float:
        """That of all points around a pose, not of the foreground alone: does its surface go on there?"""
        near = within(points, pose.translation, 0.6 * self.model.diameter)
        scene = _scene(self.model, points[near], self.scene.depth, self.settings)
        return overhang_of(self.model, scene, pose, self.settings.distance * self.far)

    def _is_new(self, pose: Pose, other: Pose, part: float = 1.0) -> bool:
        return _differ(self.model, pose, other, self.settings, part)

    def _fitted(self, poses: list[Pose], known: float = np.inf) -> list[_Placed]:
        """The poses fitted: all of them roughly, then exactly those that may turn out to be the best.

        The first is always one of these: along a face it may still be off by more than a few steps mend.

        Args:
            poses: the one that agrees best with depth first.
            known: what depth says against the best that was found before.
        """
        settings, errors = self.settings, self._errors
        rough = []
        for pose in poses:
            start = refine(self.model, self._coarse, pose, self._loose, errors, self._reach, thorough=False)
            if start is not None:
                rough.append((self._against(start[0], self._coarse)[0], start[0]))
        limit = min([known, *(against for against, _ in rough)]) + settings.search.rough_margin
        found = []
        for place, (against, pose) in enumerate(rough):
            if place == 0 or against <= limit:
                exact = refine(self.model, self.scene, pose, self._loose, errors, settings.distance * self.far)
                if exact is not None:
                    found.append(_Placed(*self._against(exact[0], self.scene), *exact))
        return sorted(found, key=_against)

    def _against(self, pose: Pose, scene: Scene) -> tuple[float, Alignment]:
        fit = measure(self.model, scene, pose, self.settings.distance * self.far, self._errors.noise)
        return _evidence_against(fit, self.settings), fit


def _against(item: _Placed) -> float:
    return item.against


def _evidence_against(fit: Alignment, settings: RegistrationSettings) -> float:
    """Squared standard deviations of independent points; a model that is hidden itself has little to say for it."""
    worst = (settings.distance / settings.noise) ** 2
    unseen = max(0.0, 1.0 - fit.support / settings.search.full_support)
    return INDEPENDENT * (fit.deviation + 0.5 * worst * unseen)


def _search(
    model: ObjectModel,
    points: np.ndarray,
    depth: SeenDepth,
    settings: RegistrationSettings,
    foreground: np.ndarray | None,
) -> Registration:
    search = _Search(model, points, depth, settings, foreground)
    _check_alike(model, settings)  # what no depth can tell is not looked for
    fits = search.placed()
    against, fit, pose, posterior = fits[0]
    _check_fit(fit, replace(settings, min_fitness=max(settings.min_fitness, settings.min_search_fitness)), search.far)
    if fit.explained < settings.min_explained:
        raise FrameError(
            'registration_fit',
            f"registration: the model explains {fit.explained:.0%} of the object's depth points, expected "
            f'{settings.min_explained:.0%}; it may be another object, or touch one',
        )
    rivals = search.rivals(fits)
    if rivals:
        raise FrameError(
            'registration_ambiguous',
            f'registration: two different poses fit depth equally well: it speaks against the second by '
            f'{rivals[0].against - against:.1f} squared standard deviations more, expected {settings.min_evidence:g}; '
            f'a model with keypoints, or a view of more faces, tells them apart',
        )
    turned = search.turned_about_weakest(fits[0])
    if turned < settings.min_turn_evidence:
        raise FrameError(
            'registration_ambiguous',
            f'registration: turned by {_FURTHER * settings.same_turn_deg:.0f} degrees the model fits depth nearly as '
            f'well: it speaks against that by {turned:.1f} squared standard deviations more, expected '
            f'{settings.min_turn_evidence:g}; what shows how the object is turned is not seen, such as the handle of a '
            f'mug behind it; a model with keypoints, or another view, tells',
        )
    _check_ends(model, depth, pose, posterior, settings, search.far)
    _check_fit(replace(fit, overhang=search.overhang(pose, points)), settings, search.far)
    return Registration(canonical(pose, model.alike), posterior, fit.fitness, fit.rmse, 'global')


def _scene(model: ObjectModel, near: np.ndarray, depth: SeenDepth, settings: RegistrationSettings) -> Scene:
    fitting = settings.fitting
    voxel = float(np.clip(model.diameter / fitting.points_across, fitting.min_spacing, fitting.max_spacing))
    cloud = thinned(near, voxel, settings.max_points)
    cloud = cloud[depth.on_surface(cloud)]
    if len(cloud) < settings.min_points:
        raise FrameError(
            'depth_missing',
            f'registration: got {len(cloud)} depth points near the object (merged at {voxel * 1000:.0f} mm), expected '
            f'{settings.min_points} or more',
        )
    return Scene(cloud, facing_normals(cloud), depth)


def _nothing_there(
    model: ObjectModel, depth: SeenDepth, pose: Pose, settings: RegistrationSettings, count: int, reach: float
) -> FrameError:
    if share_seen_through(model, depth, pose, settings.distance * _far(pose)) < 1.0 - settings.min_fitness:
        return FrameError(
            'registration_hidden',
            'registration: something nearer, or missing depth, hides the object at its initial pose',
        )
    return FrameError(
        'registration_fit',
        f'registration: too few of {count} depth points around the initial pose lie within {reach:.3f} m of the model '
        f'and face the same way; {_SUSPECTS}',
    )


def _far(pose: Pose) -> float:
    return max(1.0, float(pose.translation[2]))


def _errors(pose: Pose, depth: SeenDepth, settings: RegistrationSettings) -> DepthErrors:
    distance = float(np.linalg.norm(pose.translation))
    sideways = settings.misalignment_px * distance / depth.camera.focal
    return DepthErrors(settings.noise * _far(pose), settings.bias * distance, settings.bend * _far(pose), sideways)


def _check_fit(fit: Alignment, settings: RegistrationSettings, far: float) -> None:
    if 0.0 < fit.support < settings.min_support * fit.fitness:  # of so little, depth says nothing against it, either
        raise _hidden(fit, settings)
    if fit.fitness < settings.min_fitness or fit.rmse > settings.max_rmse * far or fit.overhang > settings.max_overhang:
        raise FrameError(
            'registration_fit',
            f'registration: depth confirms {fit.fitness:.0%} of the unhidden model (expected '
            f'{settings.min_fitness:.0%}), RMSE is {fit.rmse * 1000:.1f} mm (at most '
            f'{settings.max_rmse * far * 1000:.1f}), surface past its edges is {fit.overhang:.0%} of its own (at most '
            f'{settings.max_overhang:.0%}); {_SUSPECTS}',
        )
    if fit.support < settings.min_support:
        raise _hidden(fit, settings)


def _hidden(fit: Alignment, settings: RegistrationSettings) -> FrameError:
    return FrameError(
        'registration_hidden',
        f"registration: {fit.support:.0%} of the model's visible side is seen, expected {settings.min_support:.0%}; "
        'the rest lies behind something nearer, or depth is missing there',
    )


def _check_moved(model: ObjectModel, initial: Pose, pose: Pose, settings: RegistrationSettings) -> None:
    shift = float(np.linalg.norm(pose.translation - initial.translation))
    turn = float(np.degrees(rotation_angle(pose.rotation @ initial.rotation.T)))
    limit = settings.max_shift * model.diameter
    if shift > limit or turn > settings.max_turn_deg:
        raise FrameError(
            'registration_moved',
            f'registration: the fit moved the object by {shift:.3f} m and {turn:.0f} degrees, expected at most '
            f'{limit:.3f} m and {settings.max_turn_deg:g}; the initial pose is wrong, or something else is in front',
        )


def _differ(model: ObjectModel, a: Pose, b: Pose, settings: RegistrationSettings, part: float = 1.0) -> bool:
    if math.dist(a.translation.tolist(), b.translation.tolist()) > part * settings.same_place * model.diameter:
        return True
    return rotation_error(a, b, model.alike) > part * np.radians(settings.same_turn_deg)


def _check_ends(
    model: ObjectModel,
    depth: SeenDepth,
    pose: Pose,
    covariance: np.ndarray,
    settings: RegistrationSettings,
    far: float,
) -> None:
    """Where the surface itself leaves a shift open, as a flat face does, the model's ends must be seen."""
    open_shift = np.sqrt(np.linalg.eigvalsh(covariance[:3, :3])[-1])
    if open_shift < 0.5 * settings.search.placement_shift * model.diameter:
        return
    seen = edges_seen(model, depth, pose, settings.distance * far)
    if seen < settings.min_ends_seen:
        raise FrameError(
            'registration_ambiguous',
            f'registration: depth leaves a shift of the model by {open_shift:.3f} m open, and at {seen:.0%} of its '
            f'ends something further away is seen, expected {settings.min_ends_seen:.0%}: it may lie on a larger '
            f'surface, such as something in front of the object; a model with keypoints tells',
        )


def _check_alike(model: ObjectModel, settings: RegistrationSettings) -> None:
    """The turns that depth cannot see must be declared symmetries of the object, or allowed."""
    if settings.allow_geometric_symmetry:
        return
    if model.undeclared_turn > np.radians(settings.max_undeclared_turn_deg):
        raise FrameError(
            'registration_ambiguous',
            f'registration: a {model.shape} looks the same in depth after '
            + ', '.join(
                f'{"any turn" if s.order == 0 else f"1/{s.order} turn"} about {s.axis}' for s in model.geometric
            )
            + '; depth alone cannot tell these poses apart. Use a model with keypoints, declare '
            + ', '.join(f'{{axis: {s.axis}, order: {s.order}}}' for s in model.geometric)
            + ' as symmetry of the object, or set registration.allow_geometric_symmetry',
        )
