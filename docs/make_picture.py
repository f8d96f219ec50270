# SPDX-License-Identifier: Apache-2.0
"""Makes docs/detections.jpg for the README: a street drawn by this script, seen through the real node graph.

python docs/make_picture.py path/to/yolox_nano.onnx
"""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from isaac_inference.cli.main import main

WIDTH, HEIGHT, HORIZON = 1280, 720, 430
INK, WHITE, FONT = (20, 20, 20), (245, 245, 245), cv2.FONT_HERSHEY_DUPLEX


def street() -> np.ndarray:
    """(720, 1280, 3) uint8 BGR: houses, a stop sign, traffic lights, a clock and a tennis ball."""
    picture = _background()
    for x0, x1, top, color in (
        (0, 230, 120, (120, 140, 165)),
        (230, 420, 200, (140, 150, 150)),
        (860, 1080, 150, (110, 120, 150)),
        (1080, 1280, 90, (150, 150, 140)),
    ):
        _house(picture, x0, x1, top, color)
    cv2.rectangle(picture, (0, HORIZON - 5), (WIDTH, HORIZON + 15), (170, 170, 170), cv2.FILLED)
    for x in range(0, WIDTH, 160):
        stripe = np.array([[x, 560], [x + 80, 560], [x + 70, 575], [x - 10, 575]])
        cv2.fillPoly(picture, [stripe], (220, 220, 220))
    _stop_sign(picture, 330, 230, 90)
    _traffic_light(picture, 640, 150, 30)
    _traffic_light(picture, 780, 180, 26)
    _clock(picture, 1000, 260, 85)
    _ball(picture, 980, 590, 60)
    noise = np.random.default_rng(1).normal(0, 3, picture.shape)
    return np.clip(cv2.GaussianBlur(picture, (3, 3), 0) + noise, 0, 255).astype(np.uint8)


def _background() -> np.ndarray:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for y in range(HEIGHT):
        part = y / HEIGHT
        sky, road = (235 - 40 * part, 215 - 30 * part, 190 - 20 * part), (95 + (y - HORIZON) / 10,) * 3
        picture[y] = sky if y < HORIZON else road
    return picture


def _house(picture: np.ndarray, x0: int, x1: int, top: int, color: tuple[int, int, int]) -> None:
    cv2.rectangle(picture, (x0, top), (x1, HORIZON), color, cv2.FILLED)
    for y in range(top + 20, 400, 48):
        for x in range(x0 + 16, x1 - 30, 44):
            cv2.rectangle(picture, (x, y), (x + 24, y + 30), (90, 80, 60), cv2.FILLED)
            cv2.rectangle(picture, (x, y), (x + 24, y + 30), (200, 200, 200), 1)


def _stop_sign(picture: np.ndarray, x: int, y: int, radius: int) -> None:
    cv2.rectangle(picture, (x - 7, y), (x + 7, y + round(3.4 * radius)), (150, 150, 150), cv2.FILLED)
    for size, color in ((radius, WHITE), (0.92 * radius, (30, 25, 190))):
        corners = [
            [x + size * math.cos(math.pi / 8 + k * math.pi / 4), y + size * math.sin(math.pi / 8 + k * math.pi / 4)]
            for k in range(8)
        ]
        cv2.fillPoly(picture, [np.array(corners, np.int32)], color, cv2.LINE_AA)
    _text(picture, 'STOP', x, y, radius / 50, (255, 255, 255), 4)


def _traffic_light(picture: np.ndarray, x: int, y: int, size: int) -> None:
    cv2.rectangle(picture, (x - 5, y + 3 * size), (x + 5, 460), (60, 60, 60), cv2.FILLED)
    cv2.rectangle(picture, (x - size, y - 3 * size), (x + size, y + 3 * size), (25, 25, 25), cv2.FILLED)
    for row, color in enumerate(((40, 40, 230), (30, 120, 130), (40, 90, 40))):
        cv2.circle(picture, (x, y + 2 * size * (row - 1)), round(0.75 * size), color, cv2.FILLED, cv2.LINE_AA)


def _clock(picture: np.ndarray, x: int, y: int, radius: int) -> None:
    cv2.circle(picture, (x, y), radius, (40, 40, 40), cv2.FILLED, cv2.LINE_AA)
    cv2.circle(picture, (x, y), round(0.9 * radius), WHITE, cv2.FILLED, cv2.LINE_AA)
    for hour in range(1, 13):
        angle = hour * math.pi / 6 - math.pi / 2
        _text(
            picture,
            str(hour),
            round(x + 0.72 * radius * math.cos(angle)),
            round(y + 0.72 * radius * math.sin(angle)),
            radius / 150,
            INK,
            2,
        )
    for angle, length, line in ((-2.4, 0.45, 5), (-0.6, 0.65, 3)):
        tip = (round(x + length * radius * math.cos(angle)), round(y + length * radius * math.sin(angle)))
        cv2.line(picture, (x, y), tip, INK, line, cv2.LINE_AA)


def _ball(picture: np.ndarray, x: int, y: int, radius: int) -> None:
    cv2.ellipse(picture, (x, y + radius), (radius, 12), 0, 0, 360, (70, 70, 70), cv2.FILLED, cv2.LINE_AA)
    for size in range(radius, 0, -1):
        light = 1 - size / radius
        cv2.circle(
            picture,
            (x - round(18 * light), y - round(18 * light)),
            size,
            (round(30 + 100 * light), round(200 + 50 * light), round(170 + 80 * light)),
            cv2.FILLED,
            cv2.LINE_AA,
        )
    for side in (-1, 1):
        cv2.ellipse(
            picture,
            (x + side * round(1.25 * radius), y),
            (radius, radius),
            0 if side < 0 else 180,
            -37,
            37,
            WHITE,
            4,
            cv2.LINE_AA,
        )


def _text(picture: np.ndarray, text: str, x: int, y: int, scale: float, color: tuple[int, int, int], line: int) -> None:
    (width, height), _ = cv2.getTextSize(text, FONT, scale, line)
    cv2.putText(picture, text, (x - width // 2, y + height // 2), FONT, scale, color, line, cv2.LINE_AA)


if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as folder:
        cv2.imwrite(str(Path(folder) / 'street.png'), street())
        status = main(['run', '--model', sys.argv[1], '--source', folder, '--save-images', folder + '/out'])
        seen = cv2.imread(folder + '/out/street.png')
        cv2.imwrite(str(Path(__file__).parent / 'detections.jpg'), seen, [cv2.IMWRITE_JPEG_QUALITY, 88])
    sys.exit(status)
