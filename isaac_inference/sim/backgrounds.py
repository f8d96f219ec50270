# SPDX-License-Identifier: Apache-2.0
"""Table tops and walls, generated from a seed."""

from __future__ import annotations

import functools

import cv2
import numpy as np

SIDE = 1024  # px of a table's picture
VARIETY = 48  # different tables; a scene takes one by number


@functools.lru_cache(maxsize=VARIETY)
def surface(number: int) -> np.ndarray:
    """A picture (SIDE, SIDE, 3) uint8 BGR: wood, cloth, tiles, speckle or print."""
    rng = np.random.default_rng([7, number])
    tone = rng.uniform(40, 225, 3) * 0.5 + rng.uniform(40, 225) * 0.5
    layers = (_wood, _tiles, _speckle, _print, _cloth)
    relief = layers[number % len(layers)](rng)
    color = tone + relief * rng.uniform(0.4, 1.0) + _noise(rng, 4)[..., None] * 14
    return np.clip(color, 0, 255).astype(np.uint8)


def _noise(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Smooth noise of about unit size, (SIDE, SIDE) float32."""
    grid = rng.standard_normal((cells, cells)).astype(np.float32)
    return cv2.resize(grid, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


def _wood(rng: np.random.Generator) -> np.ndarray:
    rows = np.linspace(0, rng.uniform(20, 60), SIDE, dtype=np.float32)[:, None]
    grain = np.sin(rows + _noise(rng, 5) * 2.5) * 14 + _noise(rng, 200) * 5
    return grain[..., None] * np.array([0.7, 0.9, 1.1], np.float32)


def _tiles(rng: np.random.Generator) -> np.ndarray:
    count = int(rng.integers(4, 14))
    shades = rng.normal(0, 28, (count, count, 3)).astype(np.float32)
    picture = cv2.resize(shades, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    for line in np.linspace(0, SIDE, count + 1).astype(int):
        cv2.line(picture, (line, 0), (line, SIDE), (-50, -50, -50), 4)
        cv2.line(picture, (0, line), (SIDE, line), (-50, -50, -50), 4)
    return picture


def _speckle(rng: np.random.Generator) -> np.ndarray:
    picture = np.repeat(_noise(rng, 256)[..., None] * 22, 3, axis=2)
    return picture + _noise(rng, 12)[..., None] * rng.normal(0, 16, 3)


def _print(rng: np.random.Generator) -> np.ndarray:
    """Newspaper, posters: coloured polygons and letters that are none of the objects."""
    picture = np.zeros((SIDE, SIDE, 3), np.float32)
    for _ in range(40):
        center, reach = rng.uniform(0, SIDE, 2), rng.uniform(30, 220)
        corners = center + rng.uniform(-1, 1, (int(rng.integers(3, 8)), 2)) * reach
        cv2.fillPoly(picture, [corners.astype(np.int32)], rng.normal(0, 70, 3).tolist(), cv2.LINE_AA)
    for _ in range(30):
        text = ''.join(chr(code) for code in rng.integers(65, 91, int(rng.integers(2, 8))))
        place = tuple(int(value) for value in rng.integers(0, SIDE, 2))
        color, scale = rng.normal(0, 80, 3).tolist(), float(rng.uniform(0.6, 3.0))
        cv2.putText(picture, text, place, cv2.FONT_HERSHEY_DUPLEX, scale, color, int(scale * 2) + 1, cv2.LINE_AA)
    return picture


def _cloth(rng: np.random.Generator) -> np.ndarray:
    x = np.arange(SIDE, dtype=np.float32)
    weave = np.sin(x * rng.uniform(0.02, 0.2))[None] * 18 + np.sin(x * rng.uniform(0.02, 0.2))[:, None] * 18
    return weave[..., None] * rng.uniform(-1, 1, 3).astype(np.float32)
