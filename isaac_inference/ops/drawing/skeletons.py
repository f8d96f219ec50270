# SPDX-License-Identifier: Apache-2.0
"""Drawing skeletons of people on an image: bones and joints, the left side in another colour than the right."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

_COLORS = {1: (40, 140, 255), -1: (255, 170, 50), 0: (235, 235, 235)}  # BGR: left orange, right blue, between white
_DARK = (25, 25, 25)
_BITS = 4  # of fraction, in OpenCV's fixed-point numbers
_CROWDED = 0.25  # of the distance to the next joint, that a line may be wide and a joint's radius long
_SMALL, _LARGE = 60.0, 400.0  # px of a person's height, between which lines become thicker


def sides_of(count: int, left: Sequence[int], right: Sequence[int]) -> list[int]:
    """1 for each of the points that is a left one, -1 for right ones, 0 for the others.

    Example:
        >>> sides_of(3, left=[1], right=[2])
        [0, 1, -1]
    """
    return [1 if index in left else -1 if index in right else 0 for index in range(count)]


def side_color(side: int) -> tuple[int, int, int]:
    """BGR of the left side (1), the right one (-1), or what is between (0).

    Example:
        >>> side_color(1)
        (40, 140, 255)
    """
    return _COLORS[side]


def draw_skeleton(
    image: np.ndarray,
    keypoints: np.ndarray,
    edges: Sequence[tuple[int, int]],
    left: Sequence[int] = (),
    right: Sequence[int] = (),
    min_confidence: float = 0.3,
) -> None:
    """Draw one person's bones and joints on `image` in place, but for those that are unsure.

    Args:
        image: (H, W, 3) uint8 BGR, writable.
        keypoints: (K, 3) x and y in px, 0 at the image's edge, and confidence.
        edges: indices of the points that are joined.
        left, right: indices of the points of each side, which have colours of their own.
        min_confidence: below it a joint is not drawn, nor are its bones.

    Example: the third point is unsure.
        >>> image = np.zeros((64, 64, 3), np.uint8)
        >>> rows = np.array([[10.0, 20, 0.9], [50, 20, 0.9], [50, 60, 0.1]])
        >>> draw_skeleton(image, rows, [(0, 1), (1, 2)])
        >>> bool(image[20, 30].any()), bool(image[40, 50].any())
        (True, False)
    """
    height, width = image.shape[:2]
    x, y, confidence = keypoints.T
    with np.errstate(invalid='ignore'):
        sure = (confidence >= min_confidence) & (x >= 0) & (y >= 0) & (x < width) & (y < height)
    if not sure.any():
        return
    tall = float(np.ptp(y[sure]))
    share = min(max((tall - _SMALL) / (_LARGE - _SMALL), 0.0), 1.0)
    line = max(1, round((1.0 + 4.0 * share) * max(1.0, min(height, width) / 720)))
    sides = sides_of(len(keypoints), left, right)
    places = [
        (round((px - 0.5) * 2**_BITS), round((py - 0.5) * 2**_BITS)) if is_sure else (0, 0)
        for px, py, is_sure in zip(x.tolist(), y.tolist(), sure.tolist(), strict=True)
    ]
    bones = [(a, b) for a, b in edges if sure[a] and sure[b]]
    room = [math.inf] * len(keypoints)  # px to the nearest joint that one is joined to: a face has little
    for a, b in bones:
        apart = math.hypot(x[a] - x[b], y[a] - y[b])
        room[a], room[b] = min(room[a], apart), min(room[b], apart)
    widths = [max(1, min(line, int(_CROWDED * min(room[a], room[b])))) for a, b in bones]
    for (a, b), width_px in zip(bones, widths, strict=True):  # a dark rim, so that bones stand out from what is behind
        cv2.line(image, places[a], places[b], _DARK, width_px + 2, cv2.LINE_AA, _BITS)
    for (a, b), width_px in zip(bones, widths, strict=True):
        color = side_color(sides[a] if sides[a] == sides[b] else 0)
        cv2.line(image, places[a], places[b], color, width_px, cv2.LINE_AA, _BITS)
    for index in np.flatnonzero(sure).tolist():
        radius = max(1.5, min(line + 1.0, _CROWDED * room[index]))
        for size, color in ((radius + 1.0, _DARK), (radius, side_color(sides[index]))):
            cv2.circle(image, places[index], round(size * 2**_BITS), color, cv2.FILLED, cv2.LINE_AA, _BITS)
