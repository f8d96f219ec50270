# SPDX-License-Identifier: Apache-2.0
"""A top-down network's keypoints in source pixels, and the box that they make where no detector made one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.image.letterbox import Letterbox

_LEAST_PX = 1.0  # of a box's side


def in_source(points: np.ndarray, letterboxes: Sequence[Letterbox]) -> np.ndarray:
    """Keypoints of the network's input in source pixels.

    One that lies outside of the image, or outside of what the network was shown, cannot have been seen: it keeps its
    place, as the network's guess, and its confidence becomes 0.

    Args:
        points: (N, K, 3) x and y in px of the input, 0 at its edge, and confidence 0..1.
        letterboxes: what leads each row back.

    Returns:
        (N, K, 3) float32: x and y in source px, 0 at the image's edge; confidence.

    Example: an input of 64x64 px that shows an image of 128x64 px at half its size, padded above and below.
        >>> letterbox = Letterbox.between((128, 64), (64, 64))
        >>> in_source(np.array([[[32.0, 32.0, 0.5], [32.0, 4.0, 0.5]]]), [letterbox]).tolist()
        [[[64.0, 32.0, 0.5], [64.0, -24.0, 0.0]]]
    """
    found: np.ndarray = np.empty(points.shape, np.float32)
    for row, letterbox in enumerate(letterboxes):
        places = points[row, :, :2].astype(np.float64)
        source = letterbox.points_to_source(places)
        shown = _is_within(places, letterbox.input_wh) & _is_within(source, letterbox.source_wh)
        found[row, :, :2] = source
        found[row, :, 2] = np.where(shown, points[row, :, 2], 0.0)
    return found


def beyond_the_image(points: np.ndarray, source_wh: tuple[int, int]) -> np.ndarray:
    """(N,) how many keypoints of each row lie outside of the image; points (N, K, 3) in source px."""
    return np.asarray((~_is_within(points[..., :2], source_wh)).sum(axis=-1))


@dataclass(frozen=True)
class PersonSettings:
    """When somebody is there.

    Attributes:
        min_confidence: keypoints below are unsure.
        min_keypoints: fewest sure keypoints of a person.
        min_score: of a person.
    """

    min_confidence: float
    min_keypoints: int
    min_score: float


@dataclass(frozen=True)
class Person:
    """The one whom a whole image shows: (x_min, y_min, x_max, y_max) in source px, and a score 0..1."""

    box: tuple[float, float, float, float]
    score: float


def person_of(points: np.ndarray, settings: PersonSettings) -> Person | None:
    """The person whose keypoints these are: the extent of the sure ones, and their mean confidence.

    Args:
        points: (K, 3) x, y in source px, confidence, which is 0 for those outside of the image.
        settings: when somebody is there.

    Returns:
        None where nobody is there.

    Example:
        >>> points = np.array([[10.0, 20.0, 0.9], [30.0, 60.0, 0.7], [99.0, 99.0, 0.1]])
        >>> person_of(points, PersonSettings(0.3, 2, 0.25))
        Person(box=(10.0, 20.0, 30.0, 60.0), score=0.8)
        >>> person_of(points, PersonSettings(0.3, 3, 0.25)) is None
        True
    """
    sure = points[points[:, 2] >= max(settings.min_confidence, 1e-6)].astype(np.float64)
    if len(sure) < max(settings.min_keypoints, 1):
        return None
    (x0, y0), (x1, y1) = sure[:, :2].min(axis=0).tolist(), sure[:, :2].max(axis=0).tolist()
    score = float(sure[:, 2].mean())
    if score < settings.min_score or min(x1 - x0, y1 - y0) < _LEAST_PX:
        return None
    return Person((x0, y0, x1, y1), score)


def _is_within(places: np.ndarray, wh: tuple[int, int]) -> np.ndarray:
    """Which places, (..., 2), lie in an area of that (width, height), edges included."""
    return np.asarray(((places >= 0) & (places <= np.array(wh))).all(axis=-1))
