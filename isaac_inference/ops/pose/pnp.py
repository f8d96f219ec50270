# SPDX-License-Identifier: Apache-2.0
"""An object's pose from the pixels of its known points in one image (perspective-n-point).

A closed form on all points; when some disagree, a search for those that agree; robust refinement on these; covariance;
and gates, so that a pose that the keypoints do not support is an error, never a result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose, rotation_angle, so3_log
from isaac_inference.ops.geometry.symmetry import Symmetry, canonical
from isaac_inference.ops.pose.pnp_hypotheses import closed_form, consensus
from isaac_inference.ops.pose.pnp_refinement import Observations, covariance, refine, residuals

MIN_KEYPOINTS = 4  # three allow up to four poses
_RANKING_STEPS = 3
_SAME_POSE = math.radians(5.0)  # solutions closer than this are the same, up to noise


@dataclass(frozen=True)
class PnpSettings:
    """When a pose from keypoints is accepted.

    Each limit in pixels has a counterpart relative to the object's extent in the image, and the larger one applies: the
    errors of a network's keypoints grow with the object's size in the image.

    Attributes:
        min_confidence: keypoints below it are ignored; 0 to 1.
        min_keypoints: minimum number of keypoints, 4 or more.
        min_inliers: part of the used keypoints' confidence that must agree; above 0, up to 1. With 0.75, two of eight
            certain ones may be wrong; with 5 of 8, the mirror image of a box passes about every other time.
        inlier_px: largest distance of an inlier from its projection, in pixels.
        inlier_extent: the same as a fraction of the extent.
        max_rms_px: largest root mean square distance of the inliers, in pixels.
        max_rms_extent: the same as a fraction of the extent.
        pixel_noise: minimum standard deviation of a keypoint's x or y in the covariance, in pixels.
        min_extent_px: objects that look smaller are refused, in pixels.
        min_distance: smallest distance from the camera to the object's origin, in metres.
        max_distance: largest distance.
        max_position_std: largest standard deviation of the position over all directions, as a fraction of the distance.
        max_rotation_std: the same for the rotation, in radians.
        max_ambiguity: a flat object's second pose must fit worse: ratio of the errors, from 0 to 1; 1 accepts all.

    Raises:
        ConfigError: a value outside its range.
    """

    min_confidence: float = 0.2
    min_keypoints: int = MIN_KEYPOINTS
    min_inliers: float = 0.75
    inlier_px: float = 4.0
    inlier_extent: float = 0.04
    max_rms_px: float = 2.5
    max_rms_extent: float = 0.025
    pixel_noise: float = 1.0
    min_extent_px: float = 6.0
    min_distance: float = 0.05
    max_distance: float = 100.0
    max_position_std: float = 0.3
    max_rotation_std: float = 0.6
    max_ambiguity: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0.0):
                raise ConfigError(f'{field.name}: got {value!r}, expected a finite number of 0 or more')
        if self.min_keypoints < MIN_KEYPOINTS:
            raise ConfigError(f'min_keypoints: got {self.min_keypoints}, expected {MIN_KEYPOINTS} or more')
        for name in ('min_confidence', 'max_ambiguity', 'min_inliers'):
            if getattr(self, name) > 1.0:
                raise ConfigError(f'{name}: got {getattr(self, name)}, expected at most 1')
        for name in ('min_inliers', 'inlier_px', 'pixel_noise', 'max_position_std', 'max_rotation_std'):
            if getattr(self, name) == 0.0:
                raise ConfigError(f'{name}: got 0, expected more')
        if self.min_distance >= self.max_distance:
            raise ConfigError(f'min_distance: got {self.min_distance} m, expected less than {self.max_distance} m')


@dataclass(frozen=True, eq=False)
class PoseEstimate:
    """One object's pose and how well it is supported.

    Attributes:
        pose: `T_camera_object`, canonical for a symmetric object.
        covariance: (6, 6) of (x, y, z, rotation about the camera's x, y, z), m and rad; None where the method has none.
        score: 0 to 1; for keypoints the mean confidence of the inliers times their part of the used keypoints.
        rms: root mean square distance of the inliers from their projections, in pixels.
        inliers: (K,) boolean, the keypoints that support the pose.
        method: that found it, such as 'sqpnp', 'ippe' or 'sqpnp+ransac'.
        ambiguity: 0 when no other pose fits, 1 when a flat object's second pose fits as well.
    """

    pose: Pose
    covariance: np.ndarray | None
    score: float
    rms: float
    inliers: np.ndarray
    method: str
    ambiguity: float = 0.0


@dataclass(frozen=True, eq=False)
class _Solution:
    """A refined pose, its inliers among the used keypoints, and the second pose with its cost above the first's."""

    pose: Pose
    inliers: np.ndarray
    rms: float
    method: str
    other: Pose | None
    excess: float
    ambiguity: float


def estimate_pnp(
    keypoints: np.ndarray,
    model_points: np.ndarray,
    camera: CameraModel,
    settings: PnpSettings,
    symmetries: Sequence[Symmetry] = (),
) -> PoseEstimate:
    """The pose at which the model's points appear where the keypoints are; deterministic.

    Args:
        keypoints: (K, 3) x and y in pixels measured from the image's top-left edge, and a confidence from 0 to 1.
        model_points: (K, 3) in metres, object frame; row i is keypoint i.
        camera: of the image that the pixels belong to.
        settings: when to accept it.
        symmetries: of the object; the pose is made canonical.

    Raises:
        FrameError: 'bad_keypoints' (shape, NaN or infinite), 'too_few_keypoints', 'degenerate_keypoints' (in one
            place, on a line, or leaving the pose open), 'too_few_inliers', 'reprojection', 'behind_camera',
            'implausible_distance', 'ambiguous_pose'.

    Example: the corners of a cuboid that is turned by 0.5 rad about x, 0.1 m right of the camera at 1 m.
        >>> camera = CameraModel(640, 480, np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]))
        >>> corners = np.array([[x, y, z] for x in (-0.1, 0.1) for y in (-0.2, 0.2) for z in (-0.1, 0.1)])
        >>> turn = np.array([[1, 0, 0], [0, np.cos(0.5), -np.sin(0.5)], [0, np.sin(0.5), np.cos(0.5)]])
        >>> pixels = camera.project(Pose(turn, np.array([0.1, 0, 1])).apply(corners)) + 0.5  # from the image's edge
        >>> found = estimate_pnp(np.column_stack((pixels, np.ones(8))), corners, camera, PnpSettings())
        >>> np.allclose(found.pose.translation, (0.1, 0, 1)), np.allclose(so3_log(found.pose.rotation), (0.5, 0, 0))
        (True, True)
    """
    keypoints, model = _checked(keypoints, model_points, settings)
    # Keypoints are measured from pixel edges, K from pixel centres.
    normalised = camera.undistort(keypoints[:, :2] - 0.5)
    used = (keypoints[:, 2] >= settings.min_confidence) & np.isfinite(normalised).all(axis=1)
    count = int(np.count_nonzero(used))
    if count < settings.min_keypoints:
        raise FrameError(
            'too_few_keypoints',
            f'keypoints: {count} of {len(used)} have a confidence of {settings.min_confidence:g} or more and lie '
            f'within the lens model, expected {settings.min_keypoints}; lower min_confidence, or show more of it',
        )
    confidence = keypoints[used, 2]
    weights = confidence / max(float(confidence.mean()), 1e-9) if confidence.any() else np.ones(count)
    seen = Observations(model[used], normalised[used] * camera.focal, weights, camera.focal)
    extent = _extent(seen.pixels, settings)
    threshold = max(settings.inlier_px, settings.inlier_extent * extent)
    solution = _solve(seen, confidence, threshold, settings)

    _check_pose(solution, max(settings.max_rms_px, settings.max_rms_extent * extent), model, settings)
    spread = _covariance(seen.select(solution.inliers), solution, threshold / 2.0, settings)
    inliers = np.zeros(len(used), bool)
    inliers[np.flatnonzero(used)[solution.inliers]] = True
    return PoseEstimate(
        pose=canonical(solution.pose, symmetries),
        covariance=spread,
        score=float(min(1.0, confidence[solution.inliers].sum() / count)),
        rms=solution.rms,
        inliers=inliers,
        method=solution.method,
        ambiguity=solution.ambiguity,
    )


def _checked(keypoints: np.ndarray, model: np.ndarray, settings: PnpSettings) -> tuple[np.ndarray, np.ndarray]:
    keypoints, model = np.asarray(keypoints, np.float64), np.asarray(model, np.float64)
    if keypoints.ndim != 2 or keypoints.shape[1] != 3 or model.shape != keypoints.shape:
        raise FrameError(
            'bad_keypoints',
            f'keypoints: got {keypoints.shape} for model points {model.shape}, expected (K, 3) both; the object needs '
            f'the keypoint model that its network was trained with',
        )
    confidence = keypoints[:, 2]
    # A decoder may leave the position of a keypoint that it did not find undefined.
    broken = ~np.isfinite(keypoints).all(axis=1) & ~(confidence < settings.min_confidence)
    if broken.any() or not np.isfinite(model).all():
        raise FrameError(
            'bad_keypoints',
            f'keypoints: row(s) {np.flatnonzero(broken).tolist()} of {len(keypoints)} or a model point are not finite, '
            f"expected numbers; check the model's outputs",
        )
    return keypoints, model


def _extent(pixels: np.ndarray, settings: PnpSettings) -> float:
    """About the object's diameter in the image; a quarter of outliers does not change it."""
    middle = len(pixels) // 2
    offset = pixels - np.sort(pixels, axis=0)[middle]
    extent = 2.0 * float(np.sort(np.sqrt(np.einsum('ij,ij->i', offset, offset)))[middle])
    centred = pixels - pixels.mean(axis=0)
    (xx, xy), (_, yy) = centred.T @ centred / len(pixels)
    across = (xx + yy) / 2.0 - math.hypot((xx - yy) / 2.0, xy)  # the smaller eigenvalue
    if extent < settings.min_extent_px or across < (0.1 * settings.pixel_noise) ** 2:
        raise FrameError(
            'degenerate_keypoints',
            f'keypoints: they spread over {extent:.1f} px, {math.sqrt(max(across, 0.0)):.2f} px across, expected '
            f'{settings.min_extent_px:g} px and not a line; the object is too far away, or the network is uncertain',
        )
    return extent


def _solve(seen: Observations, confidence: np.ndarray, threshold: float, settings: PnpSettings) -> _Solution:
    inliers: np.ndarray = np.ones(len(seen.model), bool)
    poses, suffix = closed_form(seen), ''
    if not any(_lengths(seen, pose).max() <= threshold for pose in poses):
        inliers, suffix = consensus(seen, confidence, threshold), '+ransac'
        _check_inliers(inliers, confidence, threshold, settings)
        poses = closed_form(seen.select(inliers))
    if not poses:
        raise FrameError(
            'degenerate_keypoints',
            f'keypoints: no pose fits {np.count_nonzero(inliers)} of them; their model points lie on a line, or their '
            f'order is wrong',
        )
    method = ('ippe' if len(poses) > 1 else 'sqpnp') + suffix
    huber = threshold / 2.0
    kept = seen.select(inliers)
    if len(poses) > 1:  # a few steps show which of the two is better
        poses = [pose for pose, _ in sorted((refine(kept, pose, huber, _RANKING_STEPS) for pose in poses), key=_cost)]
    pose, cost = refine(kept, poses[0], huber)
    lengths = _lengths(seen, pose)
    if not np.array_equal(lengths <= threshold, inliers):
        inliers = lengths <= threshold
        _check_inliers(inliers, confidence, threshold, settings)
        kept = seen.select(inliers)
        pose, cost = refine(kept, pose, huber)
        lengths = _lengths(seen, pose)
    rms = math.sqrt(float(np.mean(lengths[inliers] ** 2)))
    if len(poses) > 1:
        other, other_cost = refine(kept, poses[1], huber, _RANKING_STEPS)
        if rotation_angle(other.rotation @ pose.rotation.T) > _SAME_POSE and math.isfinite(other_cost):
            floor = settings.pixel_noise**2 * 2 * len(kept.model)
            ambiguity = math.sqrt(max(cost, floor) / max(other_cost, floor))
            return _Solution(pose, inliers, rms, method, other, other_cost - cost, ambiguity)
    return _Solution(pose, inliers, rms, method, None, 0.0, 0.0)


def _cost(refined: tuple[Pose, float]) -> float:
    return refined[1]


def _lengths(seen: Observations, pose: Pose) -> np.ndarray:
    return np.linalg.norm(residuals(seen, pose), axis=1)


def _check_inliers(inliers: np.ndarray, confidence: np.ndarray, threshold: float, settings: PnpSettings) -> None:
    """Enough points, and enough of the confidence: keypoints of low confidence may well be wrong."""
    share = float(confidence[inliers].sum() / max(confidence.sum(), 1e-9)) if confidence.any() else inliers.mean()
    count = np.count_nonzero(inliers)
    if count < settings.min_keypoints or share < settings.min_inliers - 1e-9:
        raise FrameError(
            'too_few_inliers',
            f'keypoints: {count} of {len(inliers)} agree on a pose to {threshold:.1f} px, with {share:.0%} of the '
            f'confidence, expected {settings.min_keypoints} and {settings.min_inliers:.0%}; check the '
            "object's size, the keypoint order and the camera's intrinsics",
        )


def _check_pose(solution: _Solution, max_rms: float, model: np.ndarray, settings: PnpSettings) -> None:
    if not solution.rms <= max_rms:
        raise FrameError(
            'reprojection',
            f'pose: its inliers miss their keypoints by {solution.rms:.2f} px RMS, expected at most {max_rms:.2f}; '
            f"check the object's size and the camera's intrinsics",
        )
    # Unseen points count too: a camera cannot be inside the object.
    nearest = float((model @ solution.pose.rotation[2] + solution.pose.translation[2]).min())
    if nearest <= 0.0:
        raise FrameError(
            'behind_camera',
            f'pose: a model point lies {-nearest:.3f} m behind the camera, expected all in front; check the order of '
            f'the keypoints',
        )
    distance = float(np.linalg.norm(solution.pose.translation))
    if not settings.min_distance <= distance <= settings.max_distance:
        raise FrameError(
            'implausible_distance',
            f'pose: {distance:.3f} m from the camera, expected {settings.min_distance:g} to {settings.max_distance:g}; '
            f"check that the object's size is in metres, or change min_distance and max_distance",
        )
    if solution.ambiguity > settings.max_ambiguity:
        raise FrameError(
            'ambiguous_pose',
            f'pose: a flat object, and its mirrored pose fits nearly as well (ratio {solution.ambiguity:.2f}, expected '
            f'at most {settings.max_ambiguity:g}); come closer or raise max_ambiguity',
        )


def _covariance(kept: Observations, solution: _Solution, huber: float, settings: PnpSettings) -> np.ndarray:
    spread = covariance(kept, solution.pose, huber, settings.pixel_noise)
    distance = float(np.linalg.norm(solution.pose.translation))
    if spread is not None:
        position, turn = math.sqrt(spread[:3, :3].trace()), math.sqrt(spread[3:, 3:].trace())
    if spread is None or position > settings.max_position_std * distance or turn > settings.max_rotation_std:
        raise FrameError(
            'degenerate_keypoints',
            f'pose: {len(kept.model)} keypoints leave it uncertain by more than {settings.max_position_std:.0%} of the '
            f'distance or {settings.max_rotation_std:g} rad; the object is too small in the image, or flat and seen '
            f'from the side',
        )
    if solution.other is not None:
        # The second pose is possible too, as probable as its residuals say, and widens the spread about the first one.
        probability = 1.0 / (1.0 + math.exp(min(solution.excess / settings.pixel_noise**2 / 2.0, 700.0)))
        to_other = np.concatenate(
            (
                solution.other.translation - solution.pose.translation,
                so3_log(solution.other.rotation @ solution.pose.rotation.T),
            )
        )
        spread = spread + probability * np.outer(to_other, to_other)
    return spread
