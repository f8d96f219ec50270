# SPDX-License-Identifier: Apache-2.0
"""What a real camera adds: tint, blur and noise in colour; noise, steps and holes in depth."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

_NOISE_STD = 16.0  # of the stored tile, in grey levels
_MARGIN = 64
_NEIGHBOURS = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class SensorSettings:
    """One camera's faults.

    Attributes:
        blur: standard deviation of the lens's blur, px; 0 is none.
        motion_blur: length of a smear, px; 0 is none.
        motion_angle: its direction, rad.
        noise: standard deviation of each colour value, grey levels.
        gains: on blue, green and red.
        gamma: exponent on brightness in 0..1.
        depth_noise: standard deviation at 1 m, m; grows with the square of the distance, as in stereo cameras.
        depth_hole_edges: whether depth is missing along jumps of more than 3 cm.
    """

    blur: float = 0.6
    motion_blur: int = 0
    motion_angle: float = 0.0
    noise: float = 3.0
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    depth_noise: float = 0.0012
    depth_hole_edges: bool = True


def sense_color(image: np.ndarray, settings: SensorSettings, rng: np.random.Generator) -> np.ndarray:
    """The picture as this camera sees it; (H, W, 3) uint8 BGR in and out."""
    result = cv2.LUT(image, _tone_curve(settings.gains, settings.gamma))
    if settings.motion_blur > 1:
        cv2.filter2D(result, -1, _smear(settings.motion_blur, settings.motion_angle), result)
    if settings.blur > 0:
        cv2.GaussianBlur(result, (0, 0), settings.blur, result)
    if settings.noise > 0:
        height, width = image.shape[:2]
        top, left = (int(value) for value in rng.integers(0, _MARGIN, 2))
        tile = _noise_tile(height, width, 3)[top : top + height, left : left + width]
        share = settings.noise / _NOISE_STD
        cv2.addWeighted(result, 1.0, tile, share, -128.0 * share, result)
    return result


def sense_depth(depth: np.ndarray, settings: SensorSettings, rng: np.random.Generator) -> np.ndarray:
    """Depth as this camera measures it; (H, W) float32 m, NaN for holes, in and out."""
    height, width = depth.shape
    top, left = (int(value) for value in rng.integers(0, _MARGIN, 2))
    tile = _depth_tile(height, width)[top : top + height, left : left + width]
    result = np.float32(settings.depth_noise) * depth
    for factor in (depth, tile):
        result *= factor
    result += depth
    if settings.depth_hole_edges:
        filled = depth.copy()
        cv2.patchNaNs(filled, 10.0)
        jumps = np.asarray(cv2.dilate(filled, _NEIGHBOURS))
        np.subtract(jumps, cv2.erode(filled, _NEIGHBOURS, dst=filled), out=jumps)
        np.copyto(result, np.nan, where=jumps > 0.03)
    return result


@functools.lru_cache(maxsize=64)
def _tone_curve(gains: tuple[float, float, float], gamma: float) -> np.ndarray:
    values = 255.0 * (np.arange(256) / 255.0) ** gamma
    return np.clip(values[:, None] * np.asarray(gains), 0, 255).astype(np.uint8)[None]


def _smear(length: int, angle: float) -> np.ndarray:
    kernel = np.zeros((length, length), np.float32)
    center, reach = (length - 1) / 2, (length - 1) / 2
    step = np.array([np.cos(angle), np.sin(angle)]) * reach
    start, end = (np.round(center + sign * step).astype(int).tolist() for sign in (-1, 1))
    cv2.line(kernel, start, end, (1.0,))
    return kernel / kernel.sum()


@functools.lru_cache(maxsize=2)
def _noise_tile(height: int, width: int, channels: int) -> np.ndarray:
    shape = (height + _MARGIN, width + _MARGIN, channels)
    noise = np.random.default_rng(11).normal(128, _NOISE_STD, shape)
    return np.clip(np.round(noise), 0, 255).astype(np.uint8)


@functools.lru_cache(maxsize=2)
def _depth_tile(height: int, width: int) -> np.ndarray:
    """Noise of unit size that is correlated between neighbouring pixels, as from stereo matching windows."""
    noise = np.random.default_rng(12).standard_normal((height + _MARGIN, width + _MARGIN)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.0)
    return smooth / smooth.std()
