# SPDX-License-Identifier: Apache-2.0
"""Pictures of one frame: input, truth, answer and error side by side, each with its title."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from isaac_inference.ops.drawing.boxes import draw_caption
from isaac_inference.ops.drawing.depth import color_map

_TITLE = (40, 40, 40)  # BGR
_GAP = 4  # px between panels
_PALE = 0.35  # of the picture that is left under what is drawn
MISSED, FALSE, WRONG = (255, 160, 40), (60, 60, 255), (60, 60, 255)
"""BGR of pixels that were not found, that are nothing, and that are something else."""


def side_by_side(panels: Sequence[tuple[str, np.ndarray]], columns: int = 2) -> np.ndarray:
    """(H, W, 3) uint8 BGR of pictures of one size, row by row, each with its title in the upper left corner.

    Example:
        >>> side_by_side([('a', np.zeros((80, 90, 3), np.uint8))] * 3).shape
        (164, 184, 3)
    """
    height, width = panels[0][1].shape[:2]
    rows = -(-len(panels) // columns)
    whole = np.full((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3), 255, np.uint8)
    for place, (title, panel) in enumerate(panels):
        row, column = divmod(place, columns)
        shown = np.array(panel)
        draw_caption(shown, title, (0, 0), _TITLE)
        top, left = row * (height + _GAP), column * (width + _GAP)
        whole[top : top + height, left : left + width] = shown
    return whole


def pale(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: an image in weak grey, for marks to be seen on."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return np.asarray(cv2.addWeighted(grey, _PALE, np.full_like(grey, 255), 0.0, 90.0 * _PALE))


def marked(image: np.ndarray, marks: Sequence[tuple[np.ndarray, tuple[int, int, int]]]) -> np.ndarray:
    """A pale copy of an image in which pixels (masks (H, W) bool) have a colour; later marks lie above earlier ones."""
    shown = pale(image)
    for where, color in marks:
        shown[where] = color
    return shown


def limits_of(truth: np.ndarray) -> tuple[float, float]:
    """The range that the truth's and the answer's colours span: of all but 1 % of the truth at either end."""
    known = truth[np.isfinite(truth)]
    if not len(known):
        return 0.0, 1.0
    low, high = np.percentile(known, (1.0, 99.0))
    return float(low), float(high)


def error_map(errors: np.ndarray, unit: str, largest: float) -> np.ndarray:
    """(H, W, 3) uint8 BGR of (H, W) float errors, blue for none, red for `largest` and more, grey for unknown."""
    return color_map(errors.astype(np.float32), unit, (0.0, largest), near_is_large=True)
