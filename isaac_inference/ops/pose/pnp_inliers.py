# SPDX-License-Identifier: Apache-2.0
"""Which keypoints are outliers, once the others have shown how noisy keypoints are.

A fixed gate cuts the tails of noise that is large for it: what remains looks better than it is, and so would the
pose's covariance. Points beyond the gate come back, nearest first, as long as they are no further off than the ones
within let expect (a forward search: Atkinson and Riani, 'Robust Diagnostic Regression Analysis', 2000).
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from isaac_inference.ops.pose.pnp_covariance import noise_scale
from isaac_inference.ops.pose.pnp_refinement import Fit, Observations, refine, weighed

_NO_WEIGHT = 1e-8  # a point that weighs less could be anywhere, so that it is near says nothing
_EFFICIENT = 1.345  # standard deviations: Huber's limit that costs 5 % of the information where noise is normal


def readmitted(
    everything: Observations, seen: Observations, fit: Fit, huber: float, noise: float, least: float
) -> tuple[Observations, Fit]:
    """The inliers with those that are no outliers after all, and the pose refined on all of them.

    A point that wasn't used lies off its projection by its own noise and the pose's error. With the noise estimated
    from the others, the square of that distance has a scaled F distribution with 2 and nu degrees of freedom, and
    exceeds d^2 with a probability of (1 + d^2 / nu)^(-nu / 2).

    Args:
        everything: all points, all counting.
        seen: the inliers, four or more, on which `fit` was refined.
        fit: their pose.
        huber: pixels, as for `refine`.
        noise: minimum standard deviation of a keypoint's x or y, in pixels.
        least: the probability below which a point is an outlier.

    Example: where others are 1 px off, of two points left out the one that is 3 px off returns, not the one 30 px off.
        >>> from isaac_inference.ops.pose.pnp_refinement import evaluate
        >>> corners = np.array([[x, y, z] for x in (-0.1, 0.1) for y in (-0.1, 0.1) for z in (-0.1, 0.1)])
        >>> off = np.sign(corners.prod(axis=1, keepdims=True)) * (1.0, 0.0) * [[3], [30], *[[1]] * 6]
        >>> points = Observations.of(corners, 600 * corners[:, :2] / (1 + corners[:, 2:]) + off, np.ones(8), 600.0)
        >>> inliers = points.where(np.arange(8) > 1)
        >>> fit = evaluate(inliers, np.array([0, 0, 0, 0, 0, 1.0]), huber=2.0)
        >>> readmitted(points, inliers, fit, huber=2.0, noise=1.0, least=0.01)[0].counting.tolist()
        [True, False, True, True, True, True, True, True]
    """
    while seen.number < everything.number:
        variance, _, free = noise_scale(seen, fit, huber, noise)
        variance /= _of_nearest(seen.number / everything.number)
        out = np.flatnonzero(~seen.counting)
        squares = _squared_deviations(seen, fit, out, everything.weights[out], max(variance, noise * noise))
        nearest = squares.index(min(squares))
        if not (1.0 + squares[nearest] / free) ** (-free / 2.0) > least:
            break
        counting = seen.counting.copy()
        counting[out[nearest]] = True
        seen = everything.where(counting)
        fit = refine(seen, weighed(seen, fit, huber), huber)
    return seen, fit


def _of_nearest(share: float) -> float:
    """The mean square of the nearest part of normal errors in a plane, over that of all of them.

    Those within are the nearest because they were chosen so, and so look less noisy than all are (Riani, Atkinson and
    Cerioli, 'Finding an unknown number of multivariate outliers', 2009, equation 6, for two dimensions).
    """
    rest = 1.0 - share
    return 1.0 + rest * math.log(rest) / share if rest > 0.0 else 1.0


def _squared_deviations(
    seen: Observations, fit: Fit, out: np.ndarray, weights: np.ndarray, variance: float
) -> list[float]:
    """Squared standard deviations of the distances of points that do not count; inf if they are open, or
    weigh nothing.

    Args:
        seen, fit: as of `readmitted`.
        out: (M,) indices of the points.
        weights: (M,) of these points, if they counted.
        variance: squared pixels, of a point of weight 1.
    """
    information = cv2.mulTransposed(fit.jacobian * seen.roots[:, None], True)
    regular, spread = cv2.invert(information, flags=cv2.DECOMP_CHOLESKY)
    if not regular:
        return [math.inf] * len(out)
    of_out = fit.jacobian.reshape(-1, 2, 6)[out]
    spreads = (of_out @ spread @ of_out.transpose(0, 2, 1)).reshape(-1, 4).tolist()
    squares = []
    for (xx, xy, _, yy), weight, (dx, dy) in zip(spreads, weights.tolist(), fit.residual[out].tolist(), strict=True):
        if weight < _NO_WEIGHT:
            squares.append(math.inf)
            continue
        xx, yy = xx + 1.0 / weight, yy + 1.0 / weight
        squares.append((yy * dx * dx - 2.0 * xy * dx * dy + xx * dy * dy) / ((xx * yy - xy * xy) * variance))
    return squares


def loosened(seen: Observations, fit: Fit, huber: float, noise: float) -> tuple[Fit, float]:
    """The pose refined again where more than the tails of the noise were limited, and the limit in pixels.

    Args:
        seen: the inliers.
        fit, huber, noise: as of `readmitted`.

    Example: points that are all 4 px off have no tails, so a limit of 2 px gives way to one beyond them all.
        >>> from isaac_inference.ops.pose.pnp_refinement import evaluate
        >>> corners = np.array([[x, y, z] for x in (-0.1, 0.1) for y in (-0.1, 0.1) for z in (-0.1, 0.1)])
        >>> off = np.sign(corners.prod(axis=1, keepdims=True)) * (4.0, 0.0)
        >>> seen = Observations.of(corners, 600 * corners[:, :2] / (1 + corners[:, 2:]) + off, np.ones(8), focal=600.0)
        >>> fit = evaluate(seen, np.array([0, 0, 0, 0, 0, 1.0]), huber=2.0)
        >>> looser, limit = loosened(seen, fit, huber=2.0, noise=1.0)
        >>> round(fit.longest, 3), round(limit, 2), looser.longest < limit
        (4.0, 9.63, True)
    """
    if fit.longest > huber:
        wanted = _EFFICIENT * math.sqrt(noise_scale(seen, fit, huber, noise).weighted)
        if wanted > huber:
            return refine(seen, weighed(seen, fit, wanted), wanted), wanted
    return fit, huber
