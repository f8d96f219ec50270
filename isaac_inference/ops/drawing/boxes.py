# SPDX-License-Identifier: Apache-2.0
"""Drawing detections on an image, for people to look at."""

from __future__ import annotations

import colorsys
import functools
import zlib
from collections.abc import Sequence

import cv2
import numpy as np

from isaac_inference.ops.boxes.rotated import corner_points

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_MIN_CONFIDENCE = 0.25  # of a keypoint that is drawn
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


@functools.lru_cache(maxsize=1024)
def class_color(name: str) -> tuple[int, int, int]:
    """The BGR colour of a class name, the same in every run and on every machine.

    Example:
        >>> class_color('mug')
        (60, 242, 156)
    """
    hue = zlib.crc32(name.encode()) / 2**32
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, 0.95)
    return int(blue * 255), int(green * 255), int(red * 255)


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    names: Sequence[str],
    texts: Sequence[str],
    angles: np.ndarray | None = None,
) -> None:
    """Draw labelled boxes on `image` in place.

    Args:
        image: (H, W, 3) uint8 BGR, writable.
        boxes: (N, 4) xyxy in pixels.
        names: N class names, which determine the colours.
        texts: N captions.
        angles: (N,) rad, by how much each box is turned about its centre, clockwise; None for upright boxes.

    Example: the left edge is drawn, the inside is not.
        >>> image = np.zeros((64, 64, 3), np.uint8)
        >>> draw_boxes(image, np.array([[10, 20, 50, 60]]), ['mug'], ['mug 90%'])
        >>> bool(image[45, 10].any()), bool(image[45, 30].any())
        (True, False)
    """
    line = max(1, round(min(image.shape[:2]) / 320))
    turns = np.zeros(len(boxes)) if angles is None else angles
    for box, angle, name, text in zip(boxes, turns, names, texts, strict=True):
        color = class_color(name)
        x0, y0, x1, y1 = np.rint(box).astype(int).tolist()
        if angle:
            corners = np.rint(corner_points(box[None], np.array([angle]))[0]).astype(np.int32)
            cv2.polylines(image, [corners], True, color, line, cv2.LINE_AA)
            x0, y0 = corners[corners[:, 1].argmin()].tolist()  # the caption stands on the highest corner
        else:
            cv2.rectangle(image, (x0, y0), (x1, y1), color, line, cv2.LINE_AA)
        draw_caption(image, text, (x0, y0), color)


def draw_points(image: np.ndarray, points: np.ndarray, color: tuple[int, int, int]) -> None:
    """Draw keypoints as dots on `image` in place, but for those that are unsure (below 0.25) or outside the image.

    Args:
        image: (H, W, 3) uint8 BGR, writable.
        points: (K, 3) x and y in pixels, 0 at the image's edge, and confidence.
        color: BGR.

    Example: the second is unsure.
        >>> image = np.zeros((64, 64, 3), np.uint8)
        >>> draw_points(image, np.array([[10.5, 20.5, 0.9], [40.5, 20.5, 0.1]]), (0, 255, 0))
        >>> image[20, 10].tolist(), image[20, 40].tolist()
        ([0, 255, 0], [0, 0, 0])
    """
    height, width = image.shape[:2]
    radius = max(2, round(min(height, width) / 160))
    for x, y, confidence in points.tolist():
        if confidence >= _MIN_CONFIDENCE and 0 <= x < width and 0 <= y < height:
            cv2.circle(image, (int(x), int(y)), radius, color, cv2.FILLED, cv2.LINE_AA)


def draw_caption(image: np.ndarray, text: str, anchor: tuple[int, int], color: tuple[int, int, int]) -> None:
    """Draw `text` on a filled strip above `anchor` (x, y), or below it where there is no room; inside the image.

    Example:
        >>> image = np.zeros((64, 64, 3), np.uint8)
        >>> draw_caption(image, 'mug', (4, 40), (255, 200, 0))
        >>> image[39, 5].tolist(), image[50, 5].tolist()
        ([255, 200, 0], [0, 0, 0])
    """
    scale = max(0.4, min(image.shape[:2]) / 1000)
    (width, height), base = cv2.getTextSize(text, _FONT, scale, 1)
    x = max(0, min(anchor[0], image.shape[1] - width - 4))
    y = anchor[1] if anchor[1] >= height + base + 2 else anchor[1] + height + base + 2
    cv2.rectangle(image, (x, y - height - base - 2), (x + width + 4, y), color, cv2.FILLED)
    ink = _BLACK if sum(color) > 380 else _WHITE
    cv2.putText(image, text, (x + 2, y - base), _FONT, scale, ink, 1, cv2.LINE_AA)
