# SPDX-License-Identifier: Apache-2.0
"""The corners of a tag to a few hundredths of a pixel: where the lines along its four edges meet.

OpenCV's own refinements find them with a bias: on drawn tags of 22 to 45 px, 'none', 'contour' and 'subpix' put them
0.3 to 0.7 px towards the middle of the tag, 'apriltag' half a pixel to the right and down, for it counts from the edge.
Here each edge is measured on many lines across it, from black to white, and a line is laid through the places where
half of the step is done. What blurs both sides alike does not move that place.
"""

from __future__ import annotations

import cv2
import numpy as np

_ACROSS = 17  # samples on a line across an edge
_ALONG = 24  # such lines for an edge
_FIRST = 0.16  # where along the edge they begin and end: a blurred corner is round
_REACH = (
    0.5  # cells to either side: what lies beyond the black border of one cell, and beyond the paper, is blurred into it
)
_NEAREST, _FURTHEST = 1.2, 5.0  # px, limits of the reach
_PASSES = 3  # the first may begin 1.5 px off
_LEVELS = 3  # samples at either end whose mean is black or white
_FEWEST = 0.5  # share of the lines across that must show an edge
_OFF = 0.5  # px; a place further from the line through the others is none


def edge_corners(
    gray: np.ndarray, corners: np.ndarray, cells: np.ndarray, min_contrast: float
) -> tuple[np.ndarray, np.ndarray]:
    """Tags' corners, measured on their edges.

    Args:
        gray: (H, W) uint8.
        corners: (N, 4, 2) px, from the middle of the first pixel, in turn around each tag; good to about 2 px.
        cells: (N,) black and white cells along a side, the border's two included.
        min_contrast: grey levels between the border and the paper around it, at least.

    Returns:
        (N, 4, 2) float64 corners in the same order and pixels, and (N,) bool, whether all four edges of a tag could
        be measured; the corners of the others are the given ones.

    Example: a black square from 20 to 60 px (edges of pixels; middles are half a pixel less) on white.
        >>> gray = np.full((80, 80), 255, np.uint8)
        >>> gray[20:60, 20:60] = 0
        >>> rough = np.array([[(21, 20), (59, 20.5), (60, 60), (20, 59)]])
        >>> found, good = edge_corners(gray, rough, np.array([8]), 20.0)
        >>> found.round(1).tolist(), good.tolist()
        ([[[19.5, 19.5], [59.5, 19.5], [59.5, 59.5], [19.5, 59.5]]], [True])
    """
    given = np.asarray(corners, np.float64)
    found, good = given.copy(), np.ones(len(given), bool)
    if not len(given):
        return found, good
    height, width = gray.shape
    sides = np.linalg.norm(np.roll(given, -1, axis=1) - given, axis=2).mean(axis=1)
    reach = np.clip(_REACH * sides / cells, _NEAREST, _FURTHEST)
    for _ in range(_PASSES):
        lines, measured = _edges(gray, found, reach, min_contrast)
        met, crossing = _meetings(lines)
        good &= measured & crossing
        good &= (np.abs(met - given).max(axis=(1, 2)) < 2.0 + _FURTHEST) & np.isfinite(met).all(axis=(1, 2))
        good &= (met >= -0.5).all(axis=(1, 2)) & (met <= (width - 0.5, height - 0.5)).all(axis=(1, 2))
        found[good] = met[good]
    found[~good] = given[~good]
    return found, good


def _edges(
    gray: np.ndarray, corners: np.ndarray, reach: np.ndarray, min_contrast: float
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4, 3) lines a x + b y = c along the edges from each corner to the next, and (N,) bool, all four measured."""
    along = np.linspace(_FIRST, 1.0 - _FIRST, _ALONG)
    begin, end = corners, np.roll(corners, -1, axis=1)
    direction = end - begin
    length = np.maximum(np.linalg.norm(direction, axis=2), 1e-9)
    direction = direction / length[..., None]
    normal = np.stack((direction[..., 1], -direction[..., 0]), axis=-1)
    middle = corners.mean(axis=1, keepdims=True)
    outward = np.sign(np.einsum('nki,nki->nk', (begin + end) / 2 - middle, normal))
    normal = normal * np.where(outward == 0.0, 1.0, outward)[..., None]
    steps = np.linspace(-1.0, 1.0, _ACROSS)[None] * reach[:, None]  # (N, S) px
    places = begin[:, :, None] + (along[:, None] * length[..., None, None]) * direction[:, :, None]  # (N, 4, A, 2)
    points = places[:, :, :, None] + steps[:, None, None, :, None] * normal[:, :, None, None]
    shape = points.shape[:-1]
    flat = points.reshape(-1, _ALONG * _ACROSS, 2).astype(np.float32)
    values = cv2.remap(gray.astype(np.float32), flat[..., 0], flat[..., 1], cv2.INTER_LINEAR).reshape(shape)
    black, white = values[..., :_LEVELS].mean(axis=-1), values[..., -_LEVELS:].mean(axis=-1)
    contrast = white - black
    share = (values - black[..., None]) / np.maximum(contrast, 1e-6)[..., None]
    # the place of the step that has the same area below it
    step = 2.0 * reach[:, None, None] / (_ACROSS - 1)
    offset = reach[:, None, None] - step * (share.sum(axis=-1) - 0.5 * (share[..., 0] + share[..., -1]))
    usable = (contrast >= min_contrast) & (np.abs(offset) <= reach[:, None, None])
    return _fitted(offset, usable, along, begin, direction, normal, length)


def _fitted(
    offset: np.ndarray,
    usable: np.ndarray,
    along: np.ndarray,
    begin: np.ndarray,
    direction: np.ndarray,
    normal: np.ndarray,
    length: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Lines through `offset` (N, 4, A) px outward of the edges from `begin`; places off the others are left out."""
    kept = usable
    for _ in range(2):
        weight = kept.astype(np.float64)
        total = np.maximum(weight.sum(axis=-1), 1e-9)
        x = (weight * along).sum(axis=-1) / total
        y = (weight * offset).sum(axis=-1) / total
        dx = along - x[..., None]
        slope = (weight * dx * offset).sum(axis=-1) / np.maximum((weight * dx**2).sum(axis=-1), 1e-9)
        kept = usable & (np.abs(offset - (y[..., None] + slope[..., None] * dx)) <= _OFF)
    first = begin + normal * (y - slope * x)[..., None]
    last = begin + direction * length[..., None] + normal * (y + slope * (1.0 - x))[..., None]
    run = last - first
    across = np.stack((run[..., 1], -run[..., 0]), axis=-1)
    lines = np.concatenate((across, np.einsum('nki,nki->nk', across, first)[..., None]), axis=-1)
    return lines, (kept.mean(axis=-1) >= _FEWEST).all(axis=-1)


def _meetings(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4, 2) where each edge meets the one before it, and (N,) bool, whether all of them do."""
    before = np.roll(lines, 1, axis=1)
    cross = before[..., 0] * lines[..., 1] - before[..., 1] * lines[..., 0]
    scale = np.linalg.norm(before[..., :2], axis=-1) * np.linalg.norm(lines[..., :2], axis=-1)
    good = np.abs(cross) > 0.05 * np.maximum(scale, 1e-9)
    cross = np.where(good, cross, 1.0)
    x = (before[..., 2] * lines[..., 1] - before[..., 1] * lines[..., 2]) / cross
    y = (before[..., 0] * lines[..., 2] - before[..., 2] * lines[..., 0]) / cross
    return np.stack((x, y), axis=-1), good.all(axis=-1)
