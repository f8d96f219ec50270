# SPDX-License-Identifier: Apache-2.0
"""Masks by their definition, pixel by pixel and in float64: slow, and nothing of the package in it."""

from __future__ import annotations

import math

import numpy as np


def bilinear(values: np.ndarray, x: float, y: float, outside: float | None = None) -> float:
    """A map at a place measured from its edge; beyond the outermost centres its outermost values, or `outside`."""
    height, width = values.shape

    def cell(row: int, column: int) -> float:
        if outside is not None and not (0 <= row < height and 0 <= column < width):
            return outside
        return float(values[min(max(row, 0), height - 1), min(max(column, 0), width - 1)])

    column, row = math.floor(x - 0.5), math.floor(y - 0.5)
    right, down = x - 0.5 - column, y - 0.5 - row
    above = cell(row, column) * (1 - right) + cell(row, column + 1) * right
    below = cell(row + 1, column) * (1 - right) + cell(row + 1, column + 1) * right
    return above * (1 - down) + below * down


def map_reference(
    values: np.ndarray, box: np.ndarray, source_wh: tuple[int, int], scale: tuple, offset: tuple, input_wh: tuple
) -> np.ndarray:
    """(H, W) float64: a map over the network's whole input at the centres of the source pixels under a box; -inf
    elsewhere. Cells whose centres lie in the padding are not used.
    """
    height, width = values.shape
    cells = (width / input_wh[0], height / input_wh[1])
    low = [max(0, math.ceil(offset[i] * cells[i] - 0.5)) for i in (0, 1)]
    high = [
        min(side, math.ceil((offset[i] + scale[i] * source_wh[i]) * cells[i] - 0.5))
        for i, side in ((0, width), (1, height))
    ]
    shown = values[low[1] : max(high[1], low[1] + 1), low[0] : max(high[0], low[0] + 1)]
    found = np.full((source_wh[1], source_wh[0]), -np.inf)
    for row in range(source_wh[1]):
        for column in range(source_wh[0]):
            x, y = column + 0.5, row + 0.5
            if box[0] <= column < box[2] and box[1] <= row < box[3]:
                place = [(p * scale[i] + offset[i]) * cells[i] - low[i] for i, p in ((0, x), (1, y))]
                found[row, column] = bilinear(shown, *place)
    return found


def crop_reference(values: np.ndarray, box: np.ndarray, source_wh: tuple[int, int]) -> np.ndarray:
    """(H, W) float64: probabilities that are stretched over a box; 0 outside of it."""
    height, width = values.shape
    found = np.zeros((source_wh[1], source_wh[0]))
    for row in range(source_wh[1]):
        for column in range(source_wh[0]):
            x, y = column + 0.5, row + 0.5
            if box[0] <= x < box[2] and box[1] <= y < box[3]:
                place = (x - box[0]) / (box[2] - box[0]) * width, (y - box[1]) / (box[3] - box[1]) * height
                found[row, column] = bilinear(values, *place, outside=0.0)
    return found


def painted_reference(masks: list[np.ndarray], scores: np.ndarray) -> np.ndarray:
    """(H, W) number of the best mask in each pixel, 0 for none; of equal scores the first."""
    image = np.zeros(masks[0].shape, np.uint16)
    best = np.full(masks[0].shape, -np.inf)
    for index, mask in enumerate(masks):
        wins = mask & (scores[index] > best)
        image[wins], best[wins] = index + 1, scores[index]
    return image
