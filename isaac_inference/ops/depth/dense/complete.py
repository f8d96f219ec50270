# SPDX-License-Identifier: Apache-2.0
"""Holes of a depth image filled by what is around them, as far as the colour image says that it is one surface.

Inside a hole the inverse of depth is what its rim makes of it when it spreads from pixel to pixel, less across the
edges of the colour image (as Levin et al., "Colorization using Optimization", SIGGRAPH 2004, spread colour). The
inverse, since that of a plane is linear in the image, and a linear rim is continued linearly: slanted surfaces stay
slanted. The square of it spreads along, which gives the spread of the rim as it is seen from each pixel: where a near
and a far surface both reach a pixel, it lies on neither, and stays unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from isaac_inference.errors import ConfigError, FrameError

_LEVELS = ((12, 1.5), (14, 1.6), (40, 1.75))  # steps and over-relaxation: of the image, of half and of a quarter of it
_FAINTEST = 1e-4  # of a neighbour's weight: across a strong edge it is small, and never nothing
_JUMP = 0.03  # relative: a larger difference between neighbours is an edge, and what was read there may be on neither
_NEIGHBOURS = ((0, -1), (0, 1), (-1, 0), (1, 0))


@dataclass(frozen=True)
class CompletionSettings:
    """What is filled.

    Attributes:
        max_reach: px, pixels farther from any reading stay unknown: holes are filled that are up to twice as wide.
        edge: grey levels, a step of colour between neighbours that lets exp(-1/2) of the depth through.
        min_support: 0..1, the least of that along the best way from a reading to the pixel; below, it stays unknown:
            the colour image shows something there that no depth is known of.
        refill_edges: whether what was read at steps of depth is filled anew, since it often lies between the two
            surfaces; where nothing supports that it stays as it was read.
        max_spread: relative, standard deviation of the rim's inverse depth as it is seen from the pixel; above, it
            stays unknown.
    """

    max_reach: int = 24
    edge: float = 5.0
    min_support: float = 0.03
    max_spread: float = 0.03
    refill_edges: bool = True

    def __post_init__(self) -> None:
        if self.max_reach < 1 or self.edge <= 0.0:
            raise ConfigError(f'{self}: max_reach must be at least 1 px, edge above 0 grey levels')


def complete_depth(depth: np.ndarray, color: np.ndarray, settings: CompletionSettings | None = None) -> np.ndarray:
    """A depth image with its holes filled where something supports it.

    Args:
        depth: (H, W) float32 m, NaN for holes.
        color: (H, W, 3) uint8 of the same view.
        settings: what is filled; default: CompletionSettings().

    Returns:
        (H, W) float32 m: what was read as it is, what was filled, and NaN for the rest.

    Raises:
        FrameError: 'completion_size', the two images differ in size.

    Example: a hole in a wall of one colour.
        >>> depth = np.full((20, 20), 2.0, np.float32)
        >>> depth[8:12, 8:12] = np.nan
        >>> bool(np.allclose(complete_depth(depth, np.full((20, 20, 3), 90, np.uint8)), 2.0))
        True
    """
    if depth.shape != color.shape[:2]:
        raise FrameError(
            'completion_size',
            f'depth has {depth.shape[1]}x{depth.shape[0]} pixels, the image {color.shape[1]}x{color.shape[0]}: holes '
            'are filled by what the image shows of the same view; use depth that is registered (aligned) to it',
        )
    chosen = settings or CompletionSettings()
    missing = ~(depth > 0.0)  # NaN too
    if missing.all():
        return np.full_like(depth, np.nan)
    unsure = missing | depth_steps(depth, missing) if chosen.refill_edges else missing
    if not unsure.any() or unsure.all():
        return np.where(missing, np.float32(np.nan), depth)
    away = cv2.distanceTransform(unsure.astype(np.uint8), cv2.DIST_L2, 3)
    holes = unsure & (away <= chosen.max_reach)
    with np.errstate(divide='ignore', invalid='ignore'):
        inverse = np.where(unsure, np.float32(0.0), np.float32(1.0) / depth)
    field = _Field(~unsure, holes, color, chosen.edge)
    mean, square = _settled(np.stack((inverse, inverse * inverse)), ~unsure, holes, color, chosen.edge, field)
    rows, columns = field.places
    mean, square = mean[rows, columns], square[rows, columns]
    spread = np.sqrt(np.maximum(square - mean * mean, 0.0)) / np.maximum(mean, np.float32(1e-9))
    filled = (spread <= chosen.max_spread) & (mean > 0.0) & (field.support() >= chosen.min_support)
    result = np.where(missing, np.float32(np.nan), depth)
    result[rows[filled], columns[filled]] = 1.0 / mean[filled]
    return result


def depth_steps(depth: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Readings beside others that are nearer or farther by more than a surface that recedes is: they often lie on none.

    Args:
        depth: (H, W) float32 m.
        missing: (H, W) bool, where there is no reading.

    Returns:
        (H, W) bool; False where there is no reading.

    Example:
        >>> depth = np.array([[1.0, 1.0, 1.5, 2.0, 2.0]], np.float32)
        >>> depth_steps(depth, np.zeros(depth.shape, np.bool_)).tolist()
        [[False, True, True, True, False]]
    """
    kernel = np.ones((3, 3), np.uint8)
    nearest = cv2.erode(np.where(missing, np.float32(np.inf), depth), kernel)
    farthest = cv2.dilate(np.where(missing, np.float32(0.0), depth), kernel)
    return np.asarray(~missing & (farthest - nearest > _JUMP * depth))


def _settled(
    values: np.ndarray,
    known: np.ndarray,
    holes: np.ndarray,
    color: np.ndarray,
    edge: float,
    field: _Field | None = None,
    level: int = 0,
) -> np.ndarray:
    """Values spread from where they are known into holes, from coarse to fine.

    Args:
        values: (2, H, W) float32.
        known, holes: (H, W) bool.
        color: (H, W, 3) uint8.
        edge: grey levels.
        field: of the holes, where it is there already.
        level: 0 for the image itself.
    """
    field = field or _Field(known, holes, color, edge)
    begin = values.copy()
    if level + 1 < len(_LEVELS) and min(known.shape) >= 16:
        small = _halved(values, known, holes, color)
        below = _settled(*small, edge, level=level + 1)
        rows, columns = (
            np.minimum(place // 2, size - 1) for place, size in zip(field.places, below.shape[1:], strict=True)
        )
        begin[:, field.places[0], field.places[1]] = below[:, rows, columns]
    else:
        nearest = _nearest_known(known)
        for index in range(2):
            begin[index][holes] = values[index].ravel()[nearest[holes]]
    return np.stack([field.spread(part, *_LEVELS[level]) for part in begin])


def _halved(
    values: np.ndarray, known: np.ndarray, holes: np.ndarray, color: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All four at half the size: a pixel is known where one of its four is, a hole where none is and one is a hole."""
    height, width = (size // 2 * 2 for size in known.shape)
    blocks = known[:height, :width].reshape(height // 2, 2, width // 2, 2).astype(np.float32)
    count = blocks.sum(axis=(1, 3))
    sums = (values[:, :height, :width].reshape(2, height // 2, 2, width // 2, 2) * blocks).sum(axis=(2, 4))
    half_known = count > 0.0
    half_holes = holes[:height, :width].reshape(height // 2, 2, width // 2, 2).any(axis=(1, 3)) & ~half_known
    small = cv2.resize(color[:height, :width], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return sums / np.maximum(count, np.float32(1.0)), half_known, half_holes, small


def _nearest_known(known: np.ndarray) -> np.ndarray:
    """(H, W) intp: flat place of each pixel's nearest known one."""
    _, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label = np.zeros(int(labels.max()) + 1, np.intp)
    by_label[labels[known]] = np.flatnonzero(known)
    return np.asarray(by_label[labels])


class _Field:
    """The pixels of holes, with the weights of their neighbours; flat arrays have a margin of one pixel.

    Attributes:
        places: (rows, columns) of the pixels.
    """

    def __init__(self, known: np.ndarray, holes: np.ndarray, color: np.ndarray, edge: float) -> None:
        rows, columns = self.places = np.nonzero(holes)
        self._width = width = known.shape[1] + 2
        self._inside = (rows + 1) * width + columns + 1
        self._neighbours = np.stack([self._inside + down * width + across for down, across in _NEIGHBOURS])
        self._known = np.pad(known, 1)
        # a camera's noise is no edge
        smooth = np.pad(cv2.GaussianBlur(color, (0, 0), 1.0), ((1, 1), (1, 1), (0, 0)), mode='edge')
        flat = smooth.reshape(-1, 3).astype(np.float32)
        step = ((flat[self._neighbours] - flat[self._inside]) ** 2).mean(axis=2) / np.float32(edge**2)
        there = np.pad(known | holes, 1).ravel()[self._neighbours]
        self._similar = np.where(there, np.exp(np.float32(-0.5) * step), np.float32(0.0))
        weights = np.where(there, self._similar + np.float32(_FAINTEST), np.float32(0.0))
        weights /= np.maximum(weights.sum(axis=0), np.float32(1e-12))
        odd = (rows + columns) % 2 == 1
        self._halves = [
            (self._inside[half], np.ascontiguousarray(self._neighbours[:, half]), weights[:, half])
            for half in (np.flatnonzero(odd), np.flatnonzero(~odd))
        ]

    def spread(self, values: np.ndarray, steps: int, relaxation: float) -> np.ndarray:
        """(H, W) float32, settled in the holes: successive over-relaxation, odd and even pixels by turns."""
        flat = np.pad(values, 1).ravel()
        for step in range(steps + 1):
            # the last one is without, so that no value is beyond those around it
            share = np.float32(relaxation if step < steps else 1.0)
            for inside, neighbours, weights in self._halves:
                found = np.einsum('ij,ij->j', flat.take(neighbours), weights)
                flat[inside] += share * (found - flat[inside])
        return np.asarray(flat.reshape(-1, self._width)[1:-1, 1:-1])

    def support(self) -> np.ndarray:
        """(N,) 0..1: the least similarity along the best way from a reading to each pixel."""
        support = self._known.ravel().astype(np.float32)
        while True:
            before = support[self._inside]
            reached = np.minimum(support.take(self._neighbours), self._similar).max(axis=0)
            if not (reached > before).any():
                return np.asarray(before)
            support[self._inside] = np.maximum(before, reached)
