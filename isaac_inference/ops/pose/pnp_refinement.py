# SPDX-License-Identifier: Apache-2.0
"""The last step of PnP: weighted, robust least squares over the six parameters of a pose, and its covariance.

Observations are normalised image coordinates times a focal length, so residuals are in pixels. OpenCV projects and
differentiates: for a handful of points one call of it costs less than two operations of NumPy, so nothing here is done
point by point, and what a step has computed is kept for the next.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import cv2
import numpy as np
from scipy.special import gammainc

from isaac_inference.ops.geometry.rigid import Pose

MAX_STEPS = 15
_SMALLEST_DAMPING = 1e-9
_LARGEST_DAMPING = 1e6
_GAIN = 1e-3  # of the cost; with ten residuals of one sigma, the pose is off by at most a tenth of a sigma
_EXACT = 1e-12  # squared pixels; keypoints without any error are met to a millionth of a pixel
_MOST_NOISE = 5.0  # of the variance at which residuals mostly are as large as is accepted
_EQUAL = 1e-3  # of weights and probabilities; closer ones are alike
_NO_DISTORTION = np.zeros(4)
_TURN_FIRST = np.eye(6, k=3)  # (translation, rotation) by (rotation, translation)


class Observations(NamedTuple):
    """N model points and where they were seen.

    Attributes:
        model: (N, 3) in metres, object frame.
        pixels: (N, 2) normalised coordinates times `focal`: pixels from the principal point, distortion undone.
        weights: (N,) with mean 1, so that a residual of weight 1 is in pixels.
        focal: pixels.
    """

    model: np.ndarray
    pixels: np.ndarray
    weights: np.ndarray
    focal: float

    def select(self, mask: np.ndarray) -> Observations:
        """The points of an (N,) boolean mask."""
        return Observations(self.model[mask], self.pixels[mask], self.weights[mask], self.focal)


class Fit(NamedTuple):
    """Observations at one pose.

    Attributes:
        vector: (6,) rotation vector, then translation in metres, as OpenCV has them.
        residual: (N, 2) projection minus observation in pixels.
        length: (N,) of the residuals, and the largest of them, `longest`.
        cost: weighted squared pixels, robust; inf for a pose that is no number.
        jacobian: (2 N, 6) of the residuals by `vector`.
    """

    vector: np.ndarray
    residual: np.ndarray
    length: np.ndarray
    longest: float
    cost: float
    jacobian: np.ndarray

    def select(self, mask: np.ndarray, weights: np.ndarray, huber: float) -> Fit:
        """Of the observations of an (N,) boolean mask, whose `weights` are (M,); `huber` as of `evaluate`."""
        jacobian = self.jacobian.reshape(-1, 2, 6)[mask].reshape(-1, 6)
        return _fit(self.vector, self.residual[mask], self.length[mask], jacobian, weights, huber)

    @property
    def pose(self) -> Pose:
        """`T_camera_object`."""
        return Pose(cv2.Rodrigues(self.vector[:3])[0], self.vector[3:].copy())


def evaluate(seen: Observations, vector: np.ndarray, huber: float) -> Fit:
    """The observations at a pose, as `Fit.vector` has it; residuals longer than `huber` pixels cost their length.

    The points must be `in_front`: those behind the camera project to where they are not seen.

    Example: 0.01 m aside at 1 m and 500 px.
        >>> seen = Observations(np.zeros((1, 3)), np.zeros((1, 2)), np.ones(1), focal=500.0)
        >>> evaluate(seen, np.array([0, 0, 0, 0.01, 0.0, 1.0]), huber=10.0).residual.round(9).tolist()
        [[5.0, 0.0]]
    """
    projected, jacobian = cv2.projectPoints(seen.model, vector[:3], vector[3:], _intrinsics(seen.focal), _NO_DISTORTION)
    residual = projected[:, 0] - seen.pixels
    length = np.hypot(residual[:, 0], residual[:, 1])
    return _fit(vector, residual, length, jacobian[:, :6], seen.weights, huber)


def _fit(
    vector: np.ndarray,
    residual: np.ndarray,
    length: np.ndarray,
    jacobian: np.ndarray,
    weights: np.ndarray,
    huber: float,
) -> Fit:
    longest = float(np.maximum.reduce(length))
    near = length if longest <= huber else np.minimum(length, huber)
    cost = float(weights @ (near * (2.0 * length - near)))
    return Fit(vector, residual, length, longest, cost if math.isfinite(cost) else math.inf, jacobian)


def in_front(model: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """(N,) boolean of (N, 3) m: the points in front of the camera at a pose, as `Fit.vector` has it.

    Example: of an object at 1 m, what is 2 m nearer than its origin lies behind the camera.
        >>> in_front(np.array([[0.0, 0, 0.5], [0, 0, -0.5], [0, 0, -2]]), np.array([0, 0, 0, 0, 0, 1.0])).tolist()
        [True, True, False]
    """
    return np.asarray(model @ cv2.Rodrigues(vector[:3])[0][2] > -vector[5])


def refine(seen: Observations, start: Fit, huber: float, steps: int = MAX_STEPS) -> Fit:
    """Levenberg-Marquardt with Huber's loss from a roughly correct start.

    It ends where the next step would gain next to nothing, by the decrease of the cost that its own quadratic model
    predicts.

    Args:
        seen: three points or more.
        start: the same observations at a pose with all points in front of the camera, by `evaluate`.
        huber: pixels, as of `start`; longer residuals count by their length instead of their square.
        steps: largest number of steps.

    Example: from 5 cm aside and 10 cm too far.
        >>> corners = np.array([[x, y, z] for x in (-0.1, 0.1) for y in (-0.1, 0.1) for z in (-0.1, 0.1)])
        >>> seen = Observations(corners, 600 * corners[:, :2] / (1 + corners[:, 2:]), np.ones(8), focal=600.0)
        >>> fit = refine(seen, evaluate(seen, np.array([0, 0, 0, 0.05, 0, 1.1]), huber=2.0), huber=2.0)
        >>> np.allclose(fit.pose.translation, (0, 0, 1), atol=1e-6), round(fit.cost, 6)
        (True, 0.0)
    """
    fit, damping = start, _SMALLEST_DAMPING
    for _ in range(steps):
        if not math.isfinite(fit.cost):
            return fit
        hessian, gradient = _normal_equations(seen, fit, huber)
        while True:
            damped = hessian.copy()
            damped.reshape(36)[::7] *= 1.0 + damping
            solved, step = cv2.solve(damped, gradient, flags=cv2.DECOMP_CHOLESKY)
            step = step[:, 0]
            if solved:
                if float(step @ gradient) <= _GAIN * fit.cost + _EXACT:
                    return fit
                trial = evaluate(seen, fit.vector - step, huber)
                if trial.cost <= fit.cost:
                    break
            damping = max(damping * 30.0, 1e-4)
            if damping > _LARGEST_DAMPING:
                return fit
        fit = trial
        damping = max(damping * 0.1, _SMALLEST_DAMPING)
    return fit


def covariance(seen: Observations, fit: Fit, huber: float, noise: float, passed: float = 0.0) -> np.ndarray | None:
    """The covariance of a refined pose, from its residuals and the geometry.

    That of a robust regression (Huber and Ronchetti, 'Robust Statistics', 2nd edition, section 7.6): the variance of
    the limited residuals over the square of their mean slope, times (J^T W J)^-1. The variance is the mean of its
    distribution after these residuals, not their own: when the noise is estimated from a few points, a pose's error
    has Student's distribution, which is wider.

    A pose is only accepted while its residuals are small, so those that noise is large for get by where their
    residuals happen to be small: residuals near the limit stand for more noise than they show, see `luck`.

    Where weights differ, they may be right (the variance of a point is inverse to its weight) or say nothing (all are
    equally noisy); the covariance is the mean of both, each as probable as the residuals make it.

    Args:
        seen: the points that the pose was refined on.
        fit: the refined pose.
        huber: pixels, as for `refine`.
        noise: minimum standard deviation of a keypoint's x or y, in pixels.
        passed: the sum of the squared residuals, as a part of the largest with which the pose would be accepted.

    Returns:
        (6, 6) of (x, y, z, rotation about x, y, z) in the camera's frame, as in messages of ROS: the translation is
        perturbed by addition, the rotation from the left, `so3_exp(w) @ R`; None when the points leave a direction
        open.

    Example: one pixel of noise on a cube at 1 m; the distance is less certain than the position across the view.
        >>> corners = np.array([[x, y, z] for x in (-0.1, 0.1) for y in (-0.1, 0.1) for z in (-0.1, 0.1)])
        >>> seen = Observations(corners, 600 * corners[:, :2] / (1 + corners[:, 2:]), np.ones(8), focal=600.0)
        >>> spread = covariance(seen, evaluate(seen, np.array([0, 0, 0, 0, 0, 1.0]), 2.0), huber=2.0, noise=1.0)
        >>> (1000 * np.sqrt(spread.diagonal()[:3])).round(1).tolist()  # mm
        [0.6, 0.6, 4.0]
    """
    weighted = _times(seen.weights, fit.jacobian).T
    regular, inverse = cv2.invert(weighted @ fit.jacobian, flags=cv2.DECOMP_CHOLESKY)
    if not regular:
        return None
    scale, free = noise_scale(seen.weights, fit, huber, noise)
    factor = luck(passed, free)
    spread = _mean_variance(scale, free, noise, factor) * inverse
    if float(np.minimum.reduce(seen.weights)) < 1.0 - _EQUAL:
        equal, _ = noise_scale(np.ones(len(seen.weights)), fit, huber, noise)
        trust = _trust(seen.weights, scale, equal, free)
        if trust < 1.0 - _EQUAL:
            around = _mean_variance(equal, free, noise, factor) * (inverse @ (weighted @ weighted.T) @ inverse)
            spread = trust * spread + (1.0 - trust) * around
    # from OpenCV's rotation vector to a turn from the left, and the translation first
    change = _TURN_FIRST.copy()
    change[3:, :3] = _left_jacobian(*fit.vector[:3].tolist())
    spread = change @ spread @ change.T
    return spread if math.isfinite(float(np.vdot(spread, spread))) and min(spread.diagonal().tolist()) > 0.0 else None


def noise_scale(weights: np.ndarray, fit: Fit, huber: float, noise: float) -> tuple[float, int]:
    """How noisy keypoints are, by those that a pose was refined on: a scaled inverse chi-square distribution.

    Without residuals the variance is taken to be as probable at any magnitude, but not below that of `noise`.

    Args:
        weights: (N,) of the points; the variance of one is inverse to its weight.
        fit, huber, noise: as of `covariance`.

    Returns:
        The scale in squared pixels, and the degrees of freedom that the residuals leave, 2 or more.

    Example: eight points are 1 px off; their 16 coordinates, less the pose's 6, share 8 squares and that of `noise`.
        >>> corners = np.array([[x, y, z] for x in (-0.1, 0.1) for y in (-0.1, 0.1) for z in (-0.1, 0.1)])
        >>> off = np.sign(corners.prod(axis=1, keepdims=True)) * (1.0, 0.0)
        >>> seen = Observations(corners, 600 * corners[:, :2] / (1 + corners[:, 2:]) + off, np.ones(8), focal=600.0)
        >>> fit = evaluate(seen, np.array([0, 0, 0, 0, 0, 1.0]), huber=2.0)
        >>> scale, free = noise_scale(seen.weights, fit, huber=2.0, noise=1.0)
        >>> round(scale, 6), free
        (0.9, 10)
    """
    near = np.minimum(fit.length, huber)
    squares, free = float(weights @ (near * near)), 2 * len(near) - 6
    if fit.longest > huber:
        # what lies beyond hardly moves the pose along its residual, and across it by their ratio
        slopes = np.where(fit.length > huber, 0.5 * huber / np.maximum(fit.length, huber), 1.0)
        slope = float(np.add.reduce(slopes)) / len(slopes)
        squares /= slope * slope
    return (noise * noise + squares) / free, free


def luck(passed: float, free: int) -> float:
    """By what factor the variance of the noise is larger than residuals show, as larger ones were not accepted.

    With the sum of squares Q of residuals that have nu degrees of freedom, accepted up to G, the probability density of
    Q is that of sigma^2 times chi-square, over the probability of Q <= G. Of the distribution of sigma^2 that follows
    from it, sigma^2 being as probable at any magnitude up to `_MOST_NOISE` times G / nu, the mean is this factor times
    the one without the limit.

    Args:
        passed: Q / G, 0 to 1.
        free: nu.

    Example: residuals of half the largest RMS say what they are; those just below it may be large ones' luck.
        >>> round(luck(0.25, 10), 1), round(luck(0.9, 10), 1)
        (1.2, 2.1)
    """
    table = _luck_table(max(free, 2))
    place = min(max(passed, 0.0), 1.0) * (len(table) - 1)
    low = min(int(place), len(table) - 2)
    return table[low] + (place - low) * (table[low + 1] - table[low])


@functools.lru_cache(maxsize=64)
def _luck_table(free: int) -> tuple[float, ...]:
    """`luck` at even steps of `passed` from 0 to 1, where G is 1."""
    logs = np.linspace(math.log(1e-3), math.log(_MOST_NOISE), 600) - math.log(free)
    variances = np.exp(logs)
    accepted = gammainc(free / 2.0, 0.5 / variances)
    factors = [1.0]
    for share in np.linspace(0.0, 1.0, 33)[1:]:
        likely = -0.5 * free * logs - 0.5 * share / variances
        likely = np.exp(likely - likely.max())
        without, limited = (float(weights @ variances / weights.sum()) for weights in (likely, likely / accepted))
        factors.append(max(1.0, limited / without))
    return tuple(factors)


def _mean_variance(scale: float, free: int, noise: float, factor: float) -> float:
    """Squared pixels, at least those of `noise`: the mean of the distribution that `noise_scale` gives, with `luck`.

    With two degrees of freedom, where it is infinite, as if there were three.
    """
    shown = scale * free
    shown += (factor - 1.0) * max(0.0, shown - noise * noise)
    return max(noise * noise, shown / max(free - 2, 1))


def _trust(weights: np.ndarray, weighted: float, equal: float, free: int) -> float:
    """How probable it is that weights are right and not all points equally noisy, by the scales of both."""
    log_odds = 0.5 * free * (float(np.add.reduce(np.log(weights))) / len(weights) + math.log(equal / weighted))
    return 1.0 / (1.0 + math.exp(min(-log_odds, 700.0)))


def _normal_equations(seen: Observations, fit: Fit, huber: float) -> tuple[np.ndarray, np.ndarray]:
    """J^T W J (6, 6) and J^T W r (6,)."""
    weights = seen.weights if fit.longest <= huber else seen.weights * (huber / np.maximum(fit.length, huber))
    weighted = _times(weights, fit.jacobian).T
    return weighted @ fit.jacobian, weighted @ fit.residual.ravel()


def _times(weights: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
    """(2 N, 6) with both rows of a point times its weight."""
    return (jacobian.reshape(-1, 2, 6) * weights[:, None, None]).reshape(-1, 6)


@functools.lru_cache(maxsize=16)
def _intrinsics(focal: float) -> np.ndarray:
    return np.array(((focal, 0.0, 0.0), (0.0, focal, 0.0), (0.0, 0.0, 1.0)))


def _left_jacobian(x: float, y: float, z: float) -> np.ndarray:
    """(3, 3): how a rotation vector's change turns its rotation from the left (Sola et al., arXiv 1812.01537, 145)."""
    square = x * x + y * y + z * z
    if square < 1e-12:
        a, b = 0.5, 1.0 / 6.0
    else:
        angle = math.sqrt(square)
        a, b = (1.0 - math.cos(angle)) / square, (angle - math.sin(angle)) / (square * angle)
    return np.array(
        (
            1.0 - b * (y * y + z * z), b * x * y - a * z, b * x * z + a * y,
            b * x * y + a * z, 1.0 - b * (x * x + z * z), b * y * z - a * x,
            b * x * z - a * y, b * y * z + a * x, 1.0 - b * (x * x + y * y),
        )
    ).reshape(3, 3)  # fmt: skip
