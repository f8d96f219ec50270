# SPDX-License-Identifier: Apache-2.0
"""What a pose from keypoints is worth: how noisy the keypoints are, and the covariance that follows."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import cv2
import numpy as np
from scipy.special import gammainc

from isaac_inference.ops.pose.pnp_refinement import Fit, Observations

_MOST_NOISE = 5.0  # of the variance at which residuals mostly are as large as is accepted
_EQUAL = 1e-3  # of weights and probabilities; closer ones are alike


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
        seen: the points that count are those that the pose was refined on.
        fit: the refined pose.
        huber: pixels, as for `refine`.
        noise: minimum standard deviation of a keypoint's x or y, in pixels.
        passed: the sum of the squared residuals, as a part of the largest with which the pose would be accepted.

    Returns:
        (6, 6) of (x, y, z, rotation about x, y, z) in the camera's frame, as in messages of ROS: the translation is
        perturbed by addition, the rotation from the left, `so3_exp(w) @ R`; None when the points leave a direction
        open.

    Example: one pixel of noise on a cube at 1 m; the distance is less certain than the position across the view.
        >>> from isaac_inference.ops.pose.pnp_refinement import evaluate
        >>> corners = np.array([[x, y, z] for x in (-0.1, 0.1) for y in (-0.1, 0.1) for z in (-0.1, 0.1)])
        >>> seen = Observations.of(corners, 600 * corners[:, :2] / (1 + corners[:, 2:]), np.ones(8), focal=600.0)
        >>> fit = evaluate(seen, np.array([0, 0, 0, 0, 0, 1.0]), 2.0)
        >>> spread = covariance(seen, fit, huber=2.0, noise=1.0)
        >>> (1000 * np.sqrt(spread.diagonal()[:3])).round(1).tolist()  # mm
        [0.6, 0.6, 4.0]
    """
    jacobian = fit.jacobian * seen.roots[:, None]
    regular, inverse = cv2.invert(cv2.mulTransposed(jacobian, True), flags=cv2.DECOMP_CHOLESKY)
    if not regular:
        return None
    scale = noise_scale(seen, fit, huber, noise)
    factor, trust = luck(passed, scale.free), _trust(seen, scale)
    spread = (trust * _mean_variance(scale.weighted, scale.free, noise, factor)) * inverse
    if trust < 1.0:
        around = inverse @ cv2.mulTransposed(jacobian * seen.roots[:, None], True) @ inverse
        spread += ((1.0 - trust) * _mean_variance(scale.equal, scale.free, noise, factor)) * around
    change = _to_left(*fit.vector[:3].tolist())
    spread = change @ spread @ change.T
    return spread if math.isfinite(float(np.vdot(spread, spread))) and min(spread.diagonal().tolist()) > 0.0 else None


class NoiseScale(NamedTuple):
    """How noisy keypoints are: a scaled inverse chi-square distribution.

    Attributes:
        weighted: its scale in squared pixels, where the variance of a point is inverse to its weight.
        equal: the same where all are equally noisy.
        free: the degrees of freedom that the residuals leave, 2 or more.
    """

    weighted: float
    equal: float
    free: int


def noise_scale(seen: Observations, fit: Fit, huber: float, noise: float) -> NoiseScale:
    """How noisy keypoints are, by those that a pose was refined on.

    Without residuals the variance is taken to be as probable at any magnitude, but not below that of `noise`.

    Args:
        seen, fit, huber, noise: as of `covariance`.

    Example: eight points are 1 px off; their 16 coordinates, less the pose's 6, share 8 squares and that of `noise`.
        >>> from isaac_inference.ops.pose.pnp_refinement import evaluate
        >>> corners = np.array([[x, y, z] for x in (-0.1, 0.1) for y in (-0.1, 0.1) for z in (-0.1, 0.1)])
        >>> off = np.sign(corners.prod(axis=1, keepdims=True)) * (1.0, 0.0)
        >>> seen = Observations.of(corners, 600 * corners[:, :2] / (1 + corners[:, 2:]) + off, np.ones(8), focal=600.0)
        >>> fit = evaluate(seen, np.array([0, 0, 0, 0, 0, 1.0]), huber=2.0)
        >>> scale = noise_scale(seen, fit, huber=2.0, noise=1.0)
        >>> round(scale.weighted, 6), round(scale.equal, 6), scale.free
        (0.9, 0.9, 10)
    """
    weighted = equal = 0.0  # numbers, not arrays: there are about eight
    slope = float(seen.number)
    for length, weight, counts in zip(fit.length.tolist(), seen.weights.tolist(), seen.counting.tolist(), strict=True):
        if counts:
            square = length * length
            if length > huber:
                # what lies beyond hardly moves the pose along its residual, and across it by their ratio
                square = huber * huber
                slope -= 1.0 - 0.5 * huber / length
            weighted, equal = weighted + weight * square, equal + square
    free, share = 2 * seen.number - 6, (slope / seen.number) ** 2
    return NoiseScale((noise * noise + weighted / share) / free, (noise * noise + equal / share) / free, free)


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


def _trust(seen: Observations, scale: NoiseScale) -> float:
    """How probable it is that weights are right and not all points equally noisy, by the scales of both; 1 where they
    are all alike, or nearly so probable.
    """
    weights = [weight for weight in seen.weights.tolist() if weight > 0.0]
    if min(weights) >= 1.0 - _EQUAL:
        return 1.0
    mean_log = sum(map(math.log, weights)) / len(weights)
    log_odds = 0.5 * scale.free * (mean_log + math.log(scale.equal / scale.weighted))
    trust = 1.0 / (1.0 + math.exp(min(-log_odds, 700.0)))
    return trust if trust < 1.0 - _EQUAL else 1.0


def _to_left(x: float, y: float, z: float) -> np.ndarray:
    """(6, 6) from a change of OpenCV's rotation vector and translation to one of translation and a turn from the left.

    How a rotation vector's change turns its rotation: Sola et al., arXiv 1812.01537, 145.
    """
    square = x * x + y * y + z * z
    if square < 1e-12:
        a, b = 0.5, 1.0 / 6.0
    else:
        angle = math.sqrt(square)
        a, b = (1.0 - math.cos(angle)) / square, (angle - math.sin(angle)) / (square * angle)
    return np.array(
        (
            0.0, 0.0, 0.0, 1.0, 0.0, 0.0,
            0.0, 0.0, 0.0, 0.0, 1.0, 0.0,
            0.0, 0.0, 0.0, 0.0, 0.0, 1.0,
            1.0 - b * (y * y + z * z), b * x * y - a * z, b * x * z + a * y, 0.0, 0.0, 0.0,
            b * x * y + a * z, 1.0 - b * (x * x + z * z), b * y * z - a * x, 0.0, 0.0, 0.0,
            b * x * z - a * y, b * y * z + a * x, 1.0 - b * (x * x + y * y), 0.0, 0.0, 0.0,
        )
    ).reshape(6, 6)  # fmt: skip
