# SPDX-License-Identifier: Apache-2.0
"""An object's pose from the pixels of its known points in one image (perspective-n-point).

A closed form on all points; when some disagree, a search for those that agree; robust refinement on these; covariance;
and gates, so that a pose that the keypoints do not support is an error, never a result.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose, rotation_angle
from isaac_inference.ops.geometry.symmetry import Symmetry, canonical, nearest
from isaac_inference.ops.pose.pnp_covariance import covariance, noise_scale
from isaac_inference.ops.pose.pnp_hypotheses import closed_form, consensus
from isaac_inference.ops.pose.pnp_inliers import loosened, readmitted
from isaac_inference.ops.pose.pnp_refinement import Fit, Observations, evaluate, in_front, refine, weighed
from isaac_inference.ops.pose.pnp_settings import MIN_KEYPOINTS, PnpSettings
from isaac_inference.ops.pose.second_pose import SecondPose, either

__all__ = ['MIN_KEYPOINTS', 'PnpSettings', 'PoseEstimate', 'estimate_pnp']

_FIRST_STEPS = 3  # of a second pose; after these it shows whether it's worth more
_IMPOSSIBLE = 20.0  # log odds against a second pose that isn't worth a word: 2e-9
_LEAST_WEIGHT = 1e-9  # of a keypoint that is used; one without any confidence has a variance all the same
_SAME_POSE = math.radians(5.0)  # solutions closer than this are the same, up to noise


@dataclass(frozen=True, eq=False)
class PoseEstimate:
    """One object's pose and how well it is supported.

    Attributes:
        pose: `T_camera_object`, canonical for a symmetric object.
        covariance: (6, 6) of (x, y, z, rotation about the camera's x, y, z), m and rad; None where the method has none.
            Where there is a second pose, it spans both.
        score: 0 to 1; for keypoints the mean confidence of the inliers times their part of the used keypoints.
        rms: root mean square distance of the inliers from their projections, in pixels.
        inliers: (K,) boolean, the keypoints that support the pose.
        method: that found it, such as 'sqpnp', 'ippe' or 'sqpnp+ransac'.
        ambiguity: 0 when no other pose fits, 1 when a flat object's second pose fits as well.
        other: a flat object's second pose; None where there is none.
    """

    pose: Pose
    covariance: np.ndarray | None
    score: float
    rms: float
    inliers: np.ndarray
    method: str
    ambiguity: float = 0.0
    other: SecondPose | None = None


@dataclass(frozen=True, eq=False)
class _Solution:
    """A refined pose.

    Attributes:
        kept: the used keypoints; those that it was refined on count.
        fit: of these.
        huber: pixels, with which.
        rms: of those that lie within the limit in pixels.
        method: as of `PoseEstimate`, and so `ambiguity`.
        other: the second pose.
    """

    kept: Observations
    fit: Fit
    huber: float
    rms: float
    method: str
    other: Fit | None = None
    ambiguity: float = 0.0


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
        >>> np.allclose(found.pose.translation, (0.1, 0, 1)), np.allclose(found.pose.rotation, turn)
        (True, True)
    """
    keypoints, points = _checked(keypoints, model_points, settings)
    model = points
    # Keypoints are measured from pixel edges, K from pixel centres.
    normalised = camera.undistort(keypoints[:, :2] - 0.5)
    used = keypoints[:, 2] >= settings.min_confidence
    if not math.isfinite(float(np.vdot(normalised, normalised))):
        used &= np.isfinite(normalised).all(axis=1)
    count = int(np.count_nonzero(used))
    if count < settings.min_keypoints:
        raise FrameError(
            'too_few_keypoints',
            f'keypoints: {count} of {len(used)} have a confidence of {settings.min_confidence:g} or more and lie '
            f'within the lens model, expected {settings.min_keypoints}; lower min_confidence, or show more of it',
        )
    focal, confidence = camera.focal, keypoints[:, 2]
    if count < len(used):
        model, normalised, confidence = model[used], normalised[used], confidence[used]
    weights = np.maximum(confidence ** (2.0 * settings.confidence_power), _LEAST_WEIGHT)
    weights *= count / float(np.add.reduce(weights))
    seen = Observations.of(model, normalised * focal, weights, focal)
    extent = _extent(seen.pixels, settings)
    threshold = max(settings.inlier_px, settings.inlier_extent * extent)
    solution = _solve(seen, confidence, threshold, settings)

    pose = solution.fit.pose
    max_rms = max(settings.max_rms_px, settings.max_rms_extent * extent)
    _check_pose(pose, solution, max_rms, points, settings)
    pose = canonical(pose, symmetries)
    spread, other = _uncertainty(solution, pose, symmetries, settings, (solution.rms / max(max_rms, 1e-9)) ** 2)
    inliers = used
    if solution.kept.number < len(used):
        inliers = used.copy()
        inliers[used] = solution.kept.counting
    return PoseEstimate(
        pose=pose,
        covariance=spread,
        score=min(1.0, float(confidence @ solution.kept.counting) / count),
        rms=solution.rms,
        inliers=inliers,
        method=solution.method,
        ambiguity=solution.ambiguity,
        other=other,
    )


def _checked(keypoints: np.ndarray, model: np.ndarray, settings: PnpSettings) -> tuple[np.ndarray, np.ndarray]:
    keypoints, model = np.asarray(keypoints, np.float64), np.ascontiguousarray(model, np.float64)
    if keypoints.ndim != 2 or keypoints.shape[1] != 3 or model.shape != keypoints.shape:
        raise FrameError(
            'bad_keypoints',
            f'keypoints: got {keypoints.shape} for model points {model.shape}, expected (K, 3) both; the object needs '
            f'the keypoint model that its network was trained with',
        )
    # the sum of the squares is finite only where all parts are, and is soon found
    if math.isfinite(float(np.vdot(keypoints, keypoints)) + float(np.vdot(model, model))):
        return keypoints, model
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
    xs, ys = pixels.T.tolist()  # numbers, not arrays: there are about eight
    count = len(xs)
    middle = count // 2
    x, y = sorted(xs)[middle], sorted(ys)[middle]
    extent = 2.0 * sorted(map(math.hypot, [x - of_one for of_one in xs], [y - of_one for of_one in ys]))[middle]
    x, y = sum(xs) / count, sum(ys) / count
    xs, ys = [of_one - x for of_one in xs], [of_one - y for of_one in ys]
    xx, xy, yy = (sum(map(operator.mul, *pair)) / count for pair in ((xs, xs), (xs, ys), (ys, ys)))
    across = (xx + yy) / 2.0 - math.hypot((xx - yy) / 2.0, xy)  # the smaller eigenvalue
    if extent < settings.min_extent_px or across < (0.1 * settings.pixel_noise) ** 2:
        raise FrameError(
            'degenerate_keypoints',
            f'keypoints: they spread over {extent:.1f} px, {math.sqrt(max(across, 0.0)):.2f} px across, expected '
            f'{settings.min_extent_px:g} px and not a line; the object is too far away, or the network is uncertain',
        )
    return extent


def _solve(everything: Observations, confidence: np.ndarray, threshold: float, settings: PnpSettings) -> _Solution:
    huber, seen, suffix, noise = threshold / 2.0, everything, '', settings.pixel_noise
    fits = [evaluate(seen, pose, huber) for pose in closed_form(seen.model, seen.pixels, seen.focal)]
    if not any(fit.longest <= threshold for fit in fits):
        inliers, found = consensus(everything, confidence, threshold)
        _check_inliers(inliers, confidence, threshold, settings)
        seen, suffix = everything.where(inliers), '+ransac'
        fits = [weighed(seen, fit, huber) for fit in found]
    if not fits:
        raise FrameError(
            'degenerate_keypoints',
            f'keypoints: no pose fits {seen.number} of them; their model points lie on a line, or their order is wrong',
        )
    method = ('ippe' if len(fits) > 1 else 'sqpnp') + suffix
    fits.sort(key=_cost)  # the better one of a flat object's two poses mostly is so from the start
    fit = refine(seen, fits[0], huber)
    agreeing = fit.length <= threshold
    if seen is not everything:
        agreeing &= in_front(seen.model, fit.vector)
    if np.count_nonzero(agreeing != seen.counting):
        _check_inliers(agreeing, confidence, threshold, settings)
        seen = everything.where(agreeing)
        fit = refine(seen, weighed(seen, fit, huber), huber)
    squares = fit.length * fit.length
    rms = math.sqrt(float(squares @ seen.counting) / seen.number)
    seen, fit = readmitted(everything, seen, fit, huber, noise, settings.outlier_probability)
    fit, huber = loosened(seen, fit, huber, noise)
    solution = _Solution(seen, fit, huber, rms, method)
    return solution if len(fits) < 2 else _with_other(solution, fits[1], settings)


def _with_other(found: _Solution, start: Fit, settings: PnpSettings) -> _Solution:
    """The better of a flat object's two poses with the other, if they differ and both are possible."""
    begin = weighed(found.kept, start, found.huber)
    other = refine(found.kept, begin, found.huber, _FIRST_STEPS)
    possible = found.fit.cost + 2.0 * settings.pixel_noise**2 * _IMPOSSIBLE
    if other.cost < possible:
        other = refine(found.kept, other, found.huber)
    if not _differ(other, found.fit):
        # Seen nearly square on, noise makes one long valley of the two: its other end stands for what lies between.
        other = begin
        if not _differ(other, found.fit):
            return found
    best, other = sorted((found.fit, other), key=_cost)
    floor = settings.pixel_noise**2 * 2 * found.kept.number
    ambiguity = math.sqrt(max(best.cost, floor) / max(other.cost, floor))
    return replace(found, fit=best, other=other if other.cost < possible else None, ambiguity=ambiguity)


def _differ(one: Fit, other: Fit) -> bool:
    apart = rotation_angle(one.pose.rotation @ other.pose.rotation.T)
    return apart > _SAME_POSE and math.isfinite(one.cost)


def _cost(fit: Fit) -> float:
    return fit.cost


def _check_inliers(inliers: np.ndarray, confidence: np.ndarray, threshold: float, settings: PnpSettings) -> None:
    """Enough points, and enough of the confidence: keypoints of low confidence may well be wrong."""
    count, whole = int(np.count_nonzero(inliers)), float(np.add.reduce(confidence))
    share = float(np.add.reduce(confidence[inliers])) / max(whole, 1e-9) if whole else count / len(inliers)
    if count < settings.min_keypoints or share < settings.min_inliers - 1e-9:
        raise FrameError(
            'too_few_inliers',
            f'keypoints: {count} of {len(inliers)} agree on a pose to {threshold:.1f} px, with {share:.0%} of the '
            f'confidence, expected {settings.min_keypoints} and {settings.min_inliers:.0%}; check the keypoint '
            "order, the proportions of the object's size (its unit doesn't matter here) and the camera's intrinsics",
        )


def _check_pose(pose: Pose, solution: _Solution, max_rms: float, model: np.ndarray, settings: PnpSettings) -> None:
    if not solution.rms <= max_rms:
        raise FrameError(
            'reprojection',
            f'pose: its inliers miss their keypoints by {solution.rms:.2f} px RMS, expected at most {max_rms:.2f}; '
            f"check the proportions of the object's size (its unit doesn't matter here) and the camera's intrinsics",
        )
    # Unseen points count too: a camera cannot be inside the object.
    x, y, z = pose.translation.tolist()
    nearest = min((model @ pose.rotation[2]).tolist()) + z
    if nearest <= 0.0:
        raise FrameError(
            'behind_camera',
            f'pose: a model point lies {-nearest:.3f} m behind the camera, expected all in front; check the order of '
            f'the keypoints',
        )
    distance = math.sqrt(x * x + y * y + z * z)
    if not settings.min_distance <= distance <= settings.max_distance:
        raise FrameError(
            'implausible_distance',
            f'pose: {distance:.3f} m from the camera, expected {settings.min_distance:g} to {settings.max_distance:g}; '
            'check that objects.<class>.size (or keypoints) is in metres, or change min_distance and max_distance',
        )
    if solution.ambiguity > settings.max_ambiguity:
        raise FrameError(
            'ambiguous_pose',
            f'pose: a flat object, and its mirrored pose fits nearly as well (ratio {solution.ambiguity:.2f}, expected '
            f'at most {settings.max_ambiguity:g}); come closer or raise max_ambiguity',
        )


def _uncertainty(
    solution: _Solution, pose: Pose, symmetries: Sequence[Symmetry], settings: PnpSettings, passed: float
) -> tuple[np.ndarray, SecondPose | None]:
    """The covariance about `pose`, and the second pose with its own; `passed` as of `covariance`."""
    kept, huber, noise = solution.kept, solution.huber, settings.pixel_noise
    spread = covariance(kept, solution.fit, huber, noise, passed)
    if spread is not None:
        xx, yy, zz, uu, vv, ww = spread.diagonal().tolist()
        position, turn = math.sqrt(xx + yy + zz), math.sqrt(uu + vv + ww)
    distance = math.hypot(*pose.translation.tolist())
    if spread is None or position > settings.max_position_std * distance or turn > settings.max_rotation_std:
        raise FrameError(
            'degenerate_keypoints',
            f'pose: {kept.number} keypoints leave it uncertain by more than {settings.max_position_std:.0%} of the '
            f'distance or {settings.max_rotation_std:g} rad; the object is too small in the image, or flat and seen '
            f'from the side',
        )
    if solution.other is None:
        return spread, None
    around = covariance(kept, solution.other, huber, noise, passed)
    variance = max(noise * noise, noise_scale(kept, solution.fit, huber, noise).weighted)
    excess = (solution.other.cost - solution.fit.cost) / (2.0 * variance)
    probability = 1.0 / (1.0 + math.exp(min(excess, 700.0)))
    other = SecondPose(
        nearest(solution.other.pose, pose, symmetries), spread if around is None else around, probability
    )
    return either(pose, spread, other), other
