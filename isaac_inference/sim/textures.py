# SPDX-License-Identifier: Apache-2.0
"""The paint on the objects' faces, generated: every face of a box looks different."""

from __future__ import annotations

import functools
import zlib

import cv2
import numpy as np

from isaac_inference.sim.catalog import ObjectKind

PIXELS_PER_M = 1400.0
LEVELS = 3  # of the pyramid, so that a small object does not flicker
BOX_FACES = ('+x', '-x', '+y', '-y', '+z', '-z')
Pyramid = tuple[np.ndarray, ...]


@functools.cache
def faces_of(kind: ObjectKind) -> dict[str, Pyramid]:
    """Face name -> the texture at full, half and quarter size, each (h, w, 3) uint8 BGR.

    A cuboid has '+x' ... '-z', a cylinder 'side' (its width is once around, from azimuth 0), '+z' and '-z'.
    """
    names = BOX_FACES if kind.shape == 'cuboid' else ('side', '+z', '-z')
    return {name: pyramid(_paint(kind, name)) for name in names}


def pyramid(image: np.ndarray) -> Pyramid:
    """The image and its halvings."""
    levels = [np.ascontiguousarray(image)]
    for _ in range(LEVELS - 1):
        levels.append(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    return tuple(levels)


def face_extent(kind: ObjectKind, face: str) -> tuple[float, float]:
    """(width, height) of a face in m, as it is read from outside."""
    x, y, z = kind.size
    if face == 'side':
        return np.pi * x, z
    return {'x': (y, z), 'y': (x, z), 'z': (x, y)}[face[1]]


def _paint(kind: ObjectKind, face: str) -> np.ndarray:
    """One face; what is drawn depends on the kind's and the face's names alone."""
    width, height = (max(16, round(extent * PIXELS_PER_M)) for extent in face_extent(kind, face))
    rng = np.random.default_rng(zlib.crc32(f'{kind.name} {face}'.encode()))
    if kind.symmetries and face == 'side':
        return _bands(kind, width, height)
    if kind.symmetries:
        return _rings(kind, width, height, face)
    order = 0 if face == 'side' else ('+y', '-y', '+x', '-x', '+z', '-z').index(face)
    ground, ink = kind.palette[order % 2], kind.palette[(order + 1) % 2]
    third = kind.palette[2 % len(kind.palette)]
    image = np.full((height, width, 3), ground, np.uint8)
    for _ in range(5):
        _blob(image, rng, [ink, third, ground])
    (_title, _table, _bars, _stripes, _sun, _checks)[order](image, kind, ink, third)
    cv2.rectangle(image, (0, 0), (width - 1, height - 1), third, 5)
    return image


def _blob(image: np.ndarray, rng: np.random.Generator, colors: list[tuple[int, ...]]) -> None:
    height, width = image.shape[:2]
    size = min(height, width)
    center = rng.uniform((0, 0), (width, height))
    corners = center + rng.uniform(-0.28, 0.28, (int(rng.integers(3, 7)), 2)) * size
    shade = np.clip(np.array(colors[int(rng.integers(len(colors)))]) * rng.uniform(0.6, 1.3), 0, 255)
    cv2.fillPoly(image, [corners.astype(np.int32)], shade.tolist(), cv2.LINE_AA)


def _write(image: np.ndarray, text: str, color: tuple[int, ...], y: float, height: float) -> None:
    """Centred text, `y` and `height` as fractions of the face."""
    rows, columns = image.shape[:2]
    (width, tall), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, 1.0, 2)
    scale = min(height * rows / tall, 0.86 * columns / width)
    origin = (round((columns - width * scale) / 2), round(y * rows + tall * scale / 2))
    cv2.putText(image, text, origin, cv2.FONT_HERSHEY_DUPLEX, scale, color, max(2, round(scale * 2.6)), cv2.LINE_AA)


def _title(image: np.ndarray, kind: ObjectKind, ink: tuple[int, ...], third: tuple[int, ...]) -> None:
    rows, columns = image.shape[:2]
    cv2.circle(image, (columns // 2, int(rows * 0.68)), int(min(rows, columns) * 0.24), third, -1, cv2.LINE_AA)
    cv2.circle(image, (int(columns * 0.58), int(rows * 0.64)), int(min(rows, columns) * 0.1), ink, -1, cv2.LINE_AA)
    _write(image, kind.title, ink, 0.24, 0.22)


def _table(image: np.ndarray, kind: ObjectKind, ink: tuple[int, ...], third: tuple[int, ...]) -> None:
    rows, columns = image.shape[:2]
    for index in range(7):
        y = int(rows * (0.35 + 0.08 * index))
        right = int(columns * (0.9 if index % 3 else 0.6))
        cv2.line(image, (int(columns * 0.12), y), (right, y), ink, max(2, rows // 60), cv2.LINE_AA)
    _write(image, kind.title[::-1], third, 0.18, 0.14)


def _bars(image: np.ndarray, kind: ObjectKind, ink: tuple[int, ...], third: tuple[int, ...]) -> None:
    rows, columns = image.shape[:2]
    for index in range(9):
        x, thick = int(columns * (0.16 + 0.075 * index)), max(2, columns // (22 + 13 * (index % 3)))
        cv2.line(image, (x, int(rows * 0.66)), (x, int(rows * 0.9)), ink, thick)
    _write(image, kind.title[0], third, 0.3, 0.34)


def _stripes(image: np.ndarray, kind: ObjectKind, ink: tuple[int, ...], third: tuple[int, ...]) -> None:
    rows, columns = image.shape[:2]
    for index in range(-2, 8, 2):
        x = int(columns * index / 6)
        corners = np.array([(x, rows), (x + columns // 6, rows), (x + columns // 2, 0), (x + columns // 3, 0)])
        cv2.fillConvexPoly(image, corners.astype(np.int32), ink if index % 4 else third, cv2.LINE_AA)
    _write(image, kind.title[-1], third, 0.7, 0.3)


def _sun(image: np.ndarray, kind: ObjectKind, ink: tuple[int, ...], third: tuple[int, ...]) -> None:
    rows, columns = image.shape[:2]
    center, reach = (int(columns * 0.36), int(rows * 0.5)), 0.42 * min(rows, columns)
    for angle in np.arange(0, 2 * np.pi, np.pi / 5):
        tip = (int(center[0] + reach * np.cos(angle)), int(center[1] + reach * np.sin(angle)))
        cv2.line(image, center, tip, ink, max(3, rows // 24), cv2.LINE_AA)
    cv2.circle(image, center, int(reach * 0.5), third, -1, cv2.LINE_AA)


def _checks(image: np.ndarray, kind: ObjectKind, ink: tuple[int, ...], third: tuple[int, ...]) -> None:
    rows, columns = image.shape[:2]
    step = max(6, min(rows, columns) // 5)
    for row in range(0, rows // 2, step):
        for column in range((row // step) % 2 * step, columns, 2 * step):
            image[row : row + step, column : column + step] = ink
    cv2.rectangle(image, (columns // 8, int(rows * 0.62)), (columns // 2, int(rows * 0.9)), third, -1)


def _bands(kind: ObjectKind, width: int, height: int) -> np.ndarray:
    """The side of a can that looks the same from all directions, with the top unlike the bottom."""
    ground, ink = kind.palette[:2]
    image = np.full((height, width, 3), ground, np.uint8)
    for top, bottom, color in (
        (0.0, 0.06, (190, 190, 195)),
        (0.18, 0.34, ink),
        (0.42, 0.46, ink),
        (0.72, 0.88, (60, 170, 215)),
        (0.95, 1.0, (150, 150, 155)),
    ):
        image[int(top * height) : int(bottom * height)] = color
    return image


def _rings(kind: ObjectKind, width: int, height: int, face: str) -> np.ndarray:
    image = np.full((height, width, 3), (185, 185, 190) if face == '+z' else (120, 120, 130), np.uint8)
    radii = (0.46, 0.38, 0.3) if face == '+z' else (0.44, 0.2)
    for radius in radii:
        cv2.circle(image, (width // 2, height // 2), int(radius * width), (130, 130, 140), 3, cv2.LINE_AA)
    if face == '-z':
        cv2.circle(image, (width // 2, height // 2), int(0.16 * width), kind.palette[0], -1, cv2.LINE_AA)
    return image
