# SPDX-License-Identifier: Apache-2.0
"""The corners of a tag to a few hundredths of a pixel: where its four edges meet.

OpenCV's own refinements find them with a bias: on drawn tags of 22 to 45 px, 'none', 'contour' and 'subpix' put them
0.3 to 0.7 px towards the middle of the tag, 'apriltag' half a pixel to the right and down, for it counts from the edge.
Here each edge is measured on many lines across it, from black to white, and a line is laid through the places where
half of the step is done. What blurs both sides alike does not move that place. A lens bends the edges of large tags:
where a parabola fits clearly better than the line, it is taken.
"""

from __future__ import annotations

import cv2
import numpy as np

_ACROSS = 17  # samples on a line across an edge
_ALONG = 20  # such lines for an edge
_FIRST = 0.16  # where along the edge they begin and end: a blurred corner is round
_REACH = 0.5  # cells to either side: beyond the border of one cell, and beyond the paper, is something else
_NEAREST = 1.2  # px, the least reach
_FURTHEST = (15.0, 5.0, 5.0)  # px, the greatest, by pass; at first an edge may be bent, and further off
_MOVED = 2.0  # px that a corner may move, and half a cell more
_LEVELS = 3  # samples at either end whose mean is black or white
_FEWEST = 0.5  # share of the lines across that must show an edge
_OFF = 0.5  # px; a place further from the curve through the others is none, unless most are
_BENT = 3.5  # standard deviations that the edges of a tag must be bent by, root mean square over the four
_STRAIGHT = 48.0  # px; on shorter edges blur from the cells behind looks like a bend, and a lens makes hardly any

_ALONG_X = np.linspace(_FIRST, 1.0 - _FIRST, _ALONG)


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
    pixels = gray.astype(np.float32)
    half_cell = _REACH * np.linalg.norm(np.roll(given, -1, axis=1) - given, axis=2).mean(axis=1) / cells
    bend = np.zeros((len(given), 4))
    for furthest in _FURTHEST:
        edges = _Edges.between(found)
        offset, usable = _offsets(pixels, edges, bend, np.clip(half_cell, _NEAREST, furthest), min_contrast)
        curves, measured = _curves(offset, usable, edges.length > _STRAIGHT)
        met, crossing = edges.meetings(curves)
        good &= measured & crossing & np.isfinite(met).all(axis=(1, 2))
        good &= np.abs(met - given).max(axis=(1, 2)) < _MOVED + half_cell
        good &= (met >= -0.5).all(axis=(1, 2)) & (met <= (width - 0.5, height - 0.5)).all(axis=(1, 2))
        found[good], bend[good] = met[good], curves[good, :, 2]
    found[~good] = given[~good]
    return found, good


class _Edges:
    """The straight lines from each corner of N tags to the next: (N, 4, 2) beginnings, directions, outward normals."""

    def __init__(self, begin: np.ndarray, direction: np.ndarray, normal: np.ndarray, length: np.ndarray) -> None:
        self.begin, self.direction, self.normal, self.length = begin, direction, normal, length

    @classmethod
    def between(cls, corners: np.ndarray) -> _Edges:
        run = np.roll(corners, -1, axis=1) - corners
        length = np.maximum(np.linalg.norm(run, axis=2), 1e-9)
        direction = run / length[..., None]
        normal = np.stack((direction[..., 1], -direction[..., 0]), axis=-1)
        away = corners + run / 2 - corners.mean(axis=1, keepdims=True)
        normal = normal * np.where(np.einsum('nki,nki->nk', away, normal) < 0.0, -1.0, 1.0)[..., None]
        return cls(corners, direction, normal, length)

    def meetings(self, curves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, 4, 2) where the tangents at the ends of neighbouring edges meet, and (N,) bool, whether all of them do.

        Args:
            curves: (N, 4, 3) px outward of the lines: a + b x + c x^2, with x from 0 to 1.
        """
        a, b, c = np.moveaxis(curves, -1, 0)
        start = self.begin + self.normal * a[..., None]
        start_run = self.direction * self.length[..., None] + self.normal * b[..., None]
        end = self.begin + self.direction * self.length[..., None] + self.normal * (a + b + c)[..., None]
        end_run = self.direction * self.length[..., None] + self.normal * (b + 2.0 * c)[..., None]
        end, end_run = np.roll(end, 1, axis=1), np.roll(end_run, 1, axis=1)  # of the edge before
        cross = _cross(end_run, start_run)
        good = np.abs(cross) > 0.05 * np.linalg.norm(end_run, axis=-1) * np.linalg.norm(start_run, axis=-1)
        along = _cross(start - end, start_run) / np.where(good, cross, 1.0)
        return end + along[..., None] * end_run, good.all(axis=1)


def _offsets(
    pixels: np.ndarray, edges: _Edges, bend: np.ndarray, reach: np.ndarray, min_contrast: float
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4, A) px outward of the lines, where black turns to white, and (N, 4, A) bool, where it does.

    Args:
        pixels: (H, W) float32.
        edges: where to look.
        bend: (N, 4) px, the c of the curve that an edge is known to have.
        reach: (N,) px to either side.
        min_contrast: grey levels.
    """
    known = bend[..., None] * (_ALONG_X**2 - _ALONG_X)  # through both ends
    steps = np.linspace(-1.0, 1.0, _ACROSS) * reach[:, None]
    outward = (known[..., None] + steps[:, None, None]).astype(np.float32)  # (N, 4, A, S)
    along = _ALONG_X * edges.length[..., None]
    maps = []
    for axis in (0, 1):
        begin, direction, normal = (part[..., axis, None] for part in (edges.begin, edges.direction, edges.normal))
        place = (begin + along * direction).astype(np.float32)
        points = place[..., None] + outward * normal[..., None].astype(np.float32)
        maps.append(points.reshape(-1, _ALONG * _ACROSS))
    values = cv2.remap(pixels, maps[0], maps[1], cv2.INTER_LINEAR).reshape(outward.shape)
    black, white = (values[..., part].mean(axis=-1) for part in (slice(_LEVELS), slice(-_LEVELS, None)))
    contrast = white - black
    area = values.sum(axis=-1) - 0.5 * (values[..., 0] + values[..., -1]) - (_ACROSS - 1) * black
    wide = reach[:, None, None]
    # the place of the sharp step that has the same area below it
    offset = wide - 2.0 * wide / (_ACROSS - 1) * area / np.maximum(contrast, 1e-6)
    return known + offset, (contrast >= min_contrast) & (np.abs(offset) <= wide)


def _curves(offset: np.ndarray, usable: np.ndarray, bendable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4, 3) a + b x + c x^2 through the offsets, c 0 for a straight edge, and (N,) bool, all four edges measured.

    Places off the others are left out; an edge of which more than half is off was bent too far for the first line.
    """
    kept = usable
    for _ in range(2):
        _, residual = _fitted(offset, kept, bendable)
        typical = np.median(np.where(kept, np.abs(residual), np.inf), axis=-1)
        kept = usable & (np.abs(residual) <= np.maximum(_OFF, 3.0 * typical)[..., None])
    curves, _ = _fitted(offset, kept, bendable)
    return curves, (kept.mean(axis=-1) >= _FEWEST).all(axis=-1)


def _fitted(offset: np.ndarray, kept: np.ndarray, bendable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares over those that are kept: the parabola where its bend is significant, else the line."""
    weight = kept.astype(np.float64)
    powers = np.stack((np.ones(_ALONG), _ALONG_X - 0.5, (_ALONG_X - 0.5) ** 2))
    normal = np.einsum('nka,ia,ja->nkij', weight, powers, powers) + 1e-9 * np.eye(3)
    right = np.einsum('nka,ia,nka->nki', weight, powers, np.where(kept, offset, 0.0))
    line = np.zeros_like(right)
    line[..., :2] = np.linalg.solve(normal[..., :2, :2], right[..., :2, None])[..., 0]
    if not bendable.any():
        return _from_start(line), offset - line @ powers
    parabola = np.linalg.solve(normal, right[..., None])[..., 0]
    residual = offset - parabola @ powers
    count = weight.sum(axis=-1)
    variance = (weight * residual**2).sum(axis=-1) / np.maximum(count - 3.0, 1.0)
    sigma = np.sqrt(variance * np.linalg.inv(normal)[..., 2, 2])
    sure = np.where(count > _ALONG / 2, parabola[..., 2] / np.maximum(sigma, 1e-9), 0.0)
    together = np.sqrt((sure**2).mean(axis=1))  # a lens bends several edges of a tag, blur one or another
    bent = bendable & (together > _BENT)[:, None]
    chosen = np.where(bent[..., None], parabola, line)
    return _from_start(chosen), offset - chosen @ powers


def _from_start(middle: np.ndarray) -> np.ndarray:
    """Coefficients of x for those of x - 1/2."""
    a, b, c = np.moveaxis(middle, -1, 0)
    return np.stack((a - b / 2 + c / 4, b - c, c), axis=-1)


def _cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.asarray(first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0])
