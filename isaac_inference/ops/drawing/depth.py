# SPDX-License-Identifier: Apache-2.0
"""A depth image in colours, with a scale that says what they mean."""

from __future__ import annotations

import cv2
import numpy as np

from isaac_inference.ops.drawing.boxes import draw_caption

_UNKNOWN = (40, 40, 40)
_WHITE, _DARK = (255, 255, 255), (40, 40, 40)
_TICKS = 5
_RANGE = (2.0, 98.0)  # percent of the pixels between which colours are spread where no range is given


def color_map(
    values: np.ndarray, unit: str = 'm', limits: tuple[float, float] | None = None, near_is_large: bool = False
) -> np.ndarray:
    """Values as colours, red for near and blue for far, with a scale at the right edge of the picture.

    Args:
        values: (H, W) float32; NaN for unknown, which is dark grey.
        unit: what stands at the scale; '' for numbers without one.
        limits: lowest and highest value that the colours span; default: those of all but the outermost 2 % of pixels.
        near_is_large: whether the largest value is the nearest, as of disparities and inverse depth.

    Returns:
        (H, W, 3) uint8 BGR.

    Example: what is unknown is grey.
        >>> picture = color_map(np.array([[1.0, 2.0, np.nan]], np.float32).repeat(4, axis=0), limits=(1.0, 2.0))
        >>> picture.shape, picture[0, 2].tolist()
        ((4, 3, 3), [40, 40, 40])
    """
    known = np.isfinite(values)
    low, high = limits or _limits(values[known])
    share = (np.where(known, values, low) - low) / max(high - low, 1e-12)
    level = np.clip(share if near_is_large else 1.0 - share, 0.0, 1.0)
    picture = cv2.applyColorMap(np.rint(255.0 * level).astype(np.uint8), cv2.COLORMAP_TURBO)
    picture[~known] = _UNKNOWN
    if known.any():
        _draw_scale(picture, low, high, unit, near_is_large)
    return picture


def _limits(known: np.ndarray) -> tuple[float, float]:
    if not len(known):
        return 0.0, 1.0
    low, high = np.percentile(known[:: max(1, len(known) // 20000)], _RANGE)
    return float(low), float(high)


def _draw_scale(picture: np.ndarray, low: float, high: float, unit: str, near_is_large: bool) -> None:
    """In place: a bar of the colours, the nearest at the bottom, and values beside it; none where it has no room."""
    height, width = picture.shape[:2]
    if height < 80 or width < 120:
        return
    bar, top, bottom = max(8, width // 50), height // 10, height - height // 10
    right = width - max(6, width // 60)
    ramp = np.linspace(0.0, 255.0, bottom - top).round().astype(np.uint8)[:, None].repeat(bar, axis=1)
    picture[top:bottom, right - bar : right] = cv2.applyColorMap(ramp, cv2.COLORMAP_TURBO)
    cv2.rectangle(picture, (right - bar - 1, top - 1), (right, bottom), _WHITE, 1)
    far, near = (low, high) if near_is_large else (high, low)
    digits = max(0, min(3, 2 - int(np.floor(np.log10(max(abs(low), abs(high), 1e-9))))))
    font = max(0.4, min(height, width) / 1000)
    for index in range(_TICKS):
        share = index / (_TICKS - 1)
        text = f'{far + share * (near - far):.{digits}f} {unit}'.strip()
        (length, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, font, 1)
        row = round(top + share * (bottom - 1 - top))
        draw_caption(picture, text, (right - bar - length - 8, row + round(12 * font)), _DARK)
