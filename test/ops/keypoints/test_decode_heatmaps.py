# SPDX-License-Identifier: Apache-2.0
"""Heatmaps below the size of a cell: accuracy on Gaussians, where cells lie, and maps that are no hill."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from isaac_inference.ops.keypoints.decode_heatmaps import HeatmapGrid, decode_heatmaps

CELLS_WH = (48, 64)


def gaussians(places, sigma=2.0, heights=1.0, cells_wh=CELLS_WH, tilt=0.0):
    """(1, K, h, w) maps with tops at cell coordinates (K, 2); `tilt` makes ellipses of them."""
    rows, columns = np.mgrid[: cells_wh[1], : cells_wh[0]]
    x, y = columns - places[:, 0, None, None], rows - places[:, 1, None, None]
    squared = x * x + 2 * tilt * x * y + (1 - tilt) * y * y
    return (np.reshape(heights, (-1, 1, 1)) * np.exp(-squared / (2 * sigma**2))).astype(np.float32)[None]


def found_cells(maps, activation='none'):
    """Tops in cells: at one px a cell, measured from the centres."""
    height, width = maps.shape[2:]
    return decode_heatmaps(maps, (width, height), activation=activation)[0, :, :2] - 0.5


def smooth_noise(rng, shape, level):
    noise = cv2.GaussianBlur(rng.standard_normal((shape[0] * shape[1], shape[2])), (0, 0), 0.6).reshape(shape)
    return level * noise / noise.std()


@pytest.mark.parametrize('sigma', [1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize('tilt', [0.0, 0.35])
def test_gaussians_are_found_exactly_at_the_border_too(sigma, tilt):
    rng = np.random.default_rng(1000)
    places = rng.uniform((0, 0), (CELLS_WH[0] - 1, CELLS_WH[1] - 1), (300, 2))
    maps = gaussians(places, sigma, rng.uniform(0.2, 1.0, 300), tilt=tilt)
    np.testing.assert_allclose(found_cells(maps), places, atol=0.01)


@pytest.mark.parametrize(('sigma', 'mean', 'border_mean'), [(1.0, 0.12, 0.15), (2.0, 0.12, 0.17), (3.0, 0.16, 0.3)])
def test_noise_of_5_percent(sigma, mean, border_mean):
    rng = np.random.default_rng(1001)
    middle = rng.uniform((4, 4), (43, 59), (400, 2))
    border = np.stack((rng.uniform(0, 2, 400), rng.uniform(0, 63, 400)), axis=1)
    for places, most in ((middle, mean), (border, border_mean)):
        maps = gaussians(places, sigma)
        maps = maps + smooth_noise(rng, maps.shape[1:], 0.05).astype(np.float32)
        assert np.linalg.norm(found_cells(maps) - places, axis=1).mean() < most


def test_it_beats_a_quarter_of_a_cell_towards_the_higher_neighbour():
    rng = np.random.default_rng(1002)
    places = rng.uniform((4, 4), (43, 59), (400, 2))
    maps = gaussians(places)
    maps = maps + smooth_noise(rng, maps.shape[1:], 0.05).astype(np.float32)
    quarter = []
    for heights in maps[0]:
        y, x = np.unravel_index(heights.argmax(), heights.shape)
        right, down = heights[y, x + 1] - heights[y, x - 1], heights[y + 1, x] - heights[y - 1, x]
        quarter.append((x + 0.25 * np.sign(right), y + 0.25 * np.sign(down)))
    error, error_of_quarter = (np.linalg.norm(item - places, axis=1).mean() for item in (found_cells(maps), quarter))
    assert error < 0.5 * error_of_quarter


def test_logits_are_read_as_the_probabilities_that_they_are():
    places = np.array([[10.3, 20.6], [0.2, 63.0]])
    probability = gaussians(places, heights=0.9).astype(np.float64).clip(1e-9)
    logits = np.log(probability / (1 - probability)).astype(np.float32)
    np.testing.assert_allclose(found_cells(logits, 'sigmoid'), places, atol=0.01)
    confidence = decode_heatmaps(logits, CELLS_WH, activation='sigmoid')[0, :, 2]
    np.testing.assert_allclose(confidence, probability[0].max(axis=(1, 2)), atol=1e-4)


@pytest.mark.parametrize(
    ('grid', 'first', 'last'),  # px of the input, from the edges, of the first and last of 16 cells in 63 px
    [
        (HeatmapGrid.SCALED, 0.5, 15 * 63 / 16 + 0.5),
        (HeatmapGrid.CORNERS, 0.5, 62.5),
        (HeatmapGrid.CELLS, 0.5 * 63 / 16, 63 - 0.5 * 63 / 16),
    ],
)
def test_where_the_cells_lie(grid, first, last):
    maps = np.zeros((1, 2, 12, 16), np.float32)
    maps[0, 0, 0, 0] = maps[0, 1, 11, 15] = 1.0
    found = decode_heatmaps(maps, (63, 12), grid)[0]
    np.testing.assert_allclose(found[:, 0], [first, last], atol=1e-4)
    np.testing.assert_allclose(found[:, 1], [0.5, 11.5], atol=1e-4)


@pytest.mark.parametrize(
    'heights',
    [
        np.zeros((5, 6)),
        np.ones((5, 6)),
        np.full((5, 6), -3.0),
        np.eye(5, 6),
        np.tile([0.0, 1.0, 1.0, 0.0, 0.0, 0.0], (5, 1)),
        np.arange(30.0).reshape(5, 6),
        np.ones((1, 6)),
        np.ones((1, 1)),
    ],
)
def test_a_map_without_a_hill_keeps_its_highest_cell(heights):
    found = found_cells(heights[None, None].astype(np.float32))[0]
    y, x = np.unravel_index(heights.argmax(), heights.shape)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, (x, y), atol=1.01)
    assert 0.0 <= decode_heatmaps(heights[None, None].astype(np.float32), (6, 5))[0, 0, 2] <= 1.0
