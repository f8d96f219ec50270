# SPDX-License-Identifier: Apache-2.0
"""Relative depth made metric: the scale and shift that known depths of some pixels ask for.

Networks that were trained on many cameras give depth, or mostly its inverse, up to a scale and a shift that differ from
picture to picture (Ranftl et al., "Towards Robust Monocular Depth Estimation", TPAMI 2022). Both follow from the
depths of some pixels, of which many may be wrong: a sample of two (RANSAC), then least squares over all that agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from isaac_inference.errors import FrameError

_TRIES = 120
_MOST = 3000  # pixels that are looked at: more make it no better
_JUDGES = 500  # of them that a sample is judged by
_LEAST_SPREAD = 1.15  # of known depths, 95 % over 5 %: from one distance alone no shift follows
_REFINEMENTS = 4


@dataclass(frozen=True)
class ScaleShift:
    """The rule `target = scale * number + shift`, where the target is depth in m, or its inverse.

    Attributes:
        scale, shift: 1/m, or m.
        inverse: whether the target is the inverse of depth.
        inliers: part of the pixels that agree.
        relative: median of |depth - known| / known of those.
        count: pixels that were asked: all that are known, or evenly as many of them as make it no better.
    """

    scale: float
    shift: float
    inverse: bool
    inliers: float = 1.0
    relative: float = 0.0
    count: int = 0

    def depth(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers to m, float32; NaN where that gives no depth in front of the camera.

        Example:
            >>> ScaleShift(0.5, 0.0, inverse=True).depth(np.array([1.0, 0.0], np.float32)).tolist()
            [2.0, nan]
        """
        found = np.asarray(numbers * np.float32(self.scale), np.float32)
        found += np.float32(self.shift)
        with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
            if self.inverse:
                np.reciprocal(found, out=found)
            # NaN compares false: where nothing is out of range, the two looks are all that there is to do
            if found.size and not (found.min() > 0.0 and found.max() < np.inf):
                found[~((found > 0.0) & (found < np.inf))] = np.nan
        return found


@dataclass(frozen=True)
class FitSettings:
    """When a fit is believed.

    Attributes:
        tolerance: relative, by which the depth of a pixel that agrees may be off.
        min_points: known depths, at least.
        min_inliers: part of them that must agree.
        max_relative: of the median error of those.
    """

    tolerance: float = 0.1
    min_points: int = 50
    min_inliers: float = 0.5
    max_relative: float = 0.06


def fit_scale_shift(
    numbers: np.ndarray, known: np.ndarray, inverse: bool, settings: FitSettings | None = None
) -> ScaleShift:
    """The scale and shift by which a network's numbers agree with known depths.

    Args:
        numbers: the network's, of any shape.
        known: m, of the same shape; NaN where unknown.
        inverse: whether the network's numbers grow with the inverse of depth.
        settings: when it is believed.

    Raises:
        FrameError: 'align_few_points', 'align_one_distance' (all that is known is about as far away, so that scale and
            shift cannot be told apart), 'align_disagrees' (too few agree, or too badly).

    Example: every fifth of the known depths is wrong.
        >>> known = np.linspace(1.0, 4.0, 200)
        >>> numbers = (1.0 / known - 0.1) / 0.02
        >>> known[::5] = 9.0
        >>> found = fit_scale_shift(numbers, known, inverse=True)
        >>> round(found.scale, 4), round(found.shift, 4), found.inliers
        (0.02, 0.1, 0.8)
    """
    chosen = settings or FitSettings()
    x, z = _usable(numbers, known)
    if len(z) < chosen.min_points:
        raise FrameError(
            'align_few_points',
            f'{len(z)} pixels have both a number of the network and a known depth, expected {chosen.min_points} or '
            'more; look at the depth that it is aligned to',
        )
    _check_distances(z)
    agree = _off(_sample(x, z, inverse, chosen.tolerance), x, z) <= chosen.tolerance
    found, off = ScaleShift(0.0, 0.0, inverse), np.full(len(z), np.inf)
    for _ in range(_REFINEMENTS):
        if agree.sum() < 2:
            break
        found = _least_squares(x[agree], z[agree], inverse)
        before, off = agree, _off(found, x, z)
        agree = off <= chosen.tolerance
        if (agree == before).all():
            break
    share = float(agree.mean())
    relative = float(np.median(off[agree])) if agree.any() else np.inf
    if found.scale <= 0.0 or share < chosen.min_inliers or relative > chosen.max_relative:
        raise FrameError(
            'align_disagrees',
            f'with the best scale and shift {100 * share:.0f} % of {len(z)} known depths agree within '
            f'{100 * chosen.tolerance:g} %, by {100 * relative:.1f} % in the median, expected '
            f'{100 * chosen.min_inliers:g} % and {100 * chosen.max_relative:g} %: the network does not see this scene '
            'as it is, or the known depth is not that of this image',
        )
    _check_distances(z[agree])
    return replace(found, inliers=share, relative=relative, count=len(z))


def _check_distances(z: np.ndarray) -> None:
    ranks = len(z) // 20, len(z) - 1 - len(z) // 20
    near, far = np.partition(z, ranks)[list(ranks)]
    if far < _LEAST_SPREAD * near:
        raise FrameError(
            'align_one_distance',
            f'what is known is {near:.2f} to {far:.2f} m away: from one distance scale and shift cannot be told apart',
        )


def _off(rule: ScaleShift, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """|depth - z| / z; inf where the rule gives none."""
    target = rule.scale * x + rule.shift
    with np.errstate(divide='ignore', invalid='ignore'):
        depth = 1.0 / target if rule.inverse else target
        return np.where(target > 0.0, np.abs(depth - z) / z, np.inf)


def _usable(numbers: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(numbers, depths) of pixels that have both: float64, evenly thinned out where they are many."""
    x: np.ndarray = numbers.ravel()
    z: np.ndarray = known.ravel()
    with np.errstate(invalid='ignore'):
        places: slice | np.ndarray = slice(None, None, _step(z.size // (2 * _MOST), known.shape[-1]))
        if z.size > 2 * _MOST and np.count_nonzero(z[places] > 0.0) < _MOST:  # sparse, or in a pattern
            places = np.flatnonzero(z > 0.0)
        x, z = x[places], z[places]
        usable = np.flatnonzero((z > 0.0) & np.isfinite(x) & np.isfinite(z))
    usable = usable[:: max(1, len(usable) // _MOST)]
    return x[usable].astype(np.float64), z[usable].astype(np.float64)


def _step(wanted: int, width: int) -> int:
    """The largest step up to the wanted one by which not all pixels are of a few columns; at least 1."""
    return next((step for step in range(wanted, 1, -1) if math.gcd(step, width) == 1), 1)


def _sample(x: np.ndarray, z: np.ndarray, inverse: bool, tolerance: float) -> ScaleShift:
    """The rule of the pair of pixels that most of a part of them agree with."""
    rng = np.random.default_rng(len(z))
    target = 1.0 / z if inverse else z
    first, second = rng.integers(0, len(z), (2, _TRIES))
    part = rng.integers(0, len(z), min(len(z), _JUDGES))
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        scale = (target[first] - target[second]) / (x[first] - x[second])
        shift = target[first] - scale * x[first]
        some, own = x[part].astype(np.float32), (z[part] if inverse else 1.0 / z[part]).astype(np.float32)
        found = scale.astype(np.float32)[:, None] * some
        found += shift.astype(np.float32)[:, None]
        found *= own
        # what it gives over what is known: of depth, or of its inverse
        agree = (found <= 1.0 + tolerance) & (found >= 1.0 / (1.0 + tolerance))
    votes = np.where(scale > 0.0, agree.sum(axis=1), -1)
    best = int(votes.argmax())
    if votes[best] < 0:
        return ScaleShift(0.0, 0.0, inverse)
    return ScaleShift(float(scale[best]), float(shift[best]), inverse)


def _least_squares(x: np.ndarray, z: np.ndarray, inverse: bool) -> ScaleShift:
    """Of the relative errors of depth, to first order."""
    target = 1.0 / z if inverse else z
    weight = np.square(z if inverse else 1.0 / z)  # d(depth) / depth = -depth * d(1 / depth)
    weight /= weight.sum()
    middle, level = float(weight @ x), float(weight @ target)
    off = x - middle
    weighted = weight * off
    spread = float(weighted @ off)
    scale = float(weighted @ (target - level)) / spread if spread > 0.0 else 0.0
    return ScaleShift(scale, level - scale * middle, inverse)


class SmoothScaleShift:
    """A running mean of fits: what differs from picture to picture is mostly noise.

    Args:
        share: of each new fit, 0..1; 1 takes every fit as it is.
        jump: relative change of scale, or of shift by the scale of the numbers, that is no noise: the mean begins anew.

    Example:
        >>> smooth = SmoothScaleShift(0.5)
        >>> smooth.put(ScaleShift(1.0, 0.0, True), 1.0).scale, smooth.put(ScaleShift(1.1, 0.0, True), 1.0).scale
        (1.0, 1.05)
    """

    def __init__(self, share: float = 0.3, jump: float = 0.3) -> None:
        self._share, self._jump = share, jump
        self._mean: ScaleShift | None = None

    def put(self, fit: ScaleShift, level: float) -> ScaleShift:
        """A new fit; the mean so far.

        Args:
            fit: of this picture.
            level: a typical number of the network in it, such as the median: where the two rules are compared.
        """
        before = self._mean
        if before is not None and before.inverse == fit.inverse:
            new, old = (rule.scale * level + rule.shift for rule in (fit, before))
            if old > 0.0 and abs(new / old - 1.0) < self._jump:
                share = self._share
                fit = replace(
                    fit,
                    scale=before.scale + share * (fit.scale - before.scale),
                    shift=before.shift + share * (fit.shift - before.shift),
                )
        self._mean = fit
        return fit

    def clear(self) -> None:
        """Forget all fits."""
        self._mean = None
