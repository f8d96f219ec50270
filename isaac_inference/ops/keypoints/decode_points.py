# SPDX-License-Identifier: Apache-2.0
"""Keypoints that a network puts out as coordinates: MoveNet, BlazePose, and any regression of points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isaac_inference.ops.keypoints.confidence import activated

COLUMNS = ('x', 'y', 'confidence', 'other')
"""What the values of a point may be: 'other' is not read, such as a z without a unit."""


def decode_points(
    points: np.ndarray, columns: Sequence[str], scale_xy: tuple[float, float], activation: str = 'none'
) -> np.ndarray:
    """Points with their confidences.

    Args:
        points: (N, K, D) float32, finite.
        columns: D names of `COLUMNS`, 'x' and 'y' once each; the lowest of several confidences counts, as a point must
            be seen and be in the picture. Without any it is 1.
        scale_xy: px of the network's input that a unit of x and of y is: 1 for px, its width and height for 0..1.
        activation: what makes 0..1 of the confidences: 'none' or 'sigmoid'.

    Returns:
        (N, K, 3) float32: x, y in px of the network's input, measured from its edges; confidence 0..1.

    Example: MoveNet's order, in an input of 192 x 192 px.
        >>> decode_points(np.array([[[0.5, 0.25, 0.75]]], np.float32), ('y', 'x', 'confidence'), (192, 192)).tolist()
        [[[48.0, 96.0, 0.75]]]
    """
    found = np.ones((*points.shape[:2], 3), np.float32)
    found[..., 0] = points[..., columns.index('x')] * scale_xy[0]
    found[..., 1] = points[..., columns.index('y')] * scale_xy[1]
    sure = [index for index, name in enumerate(columns) if name == 'confidence']
    if sure:
        found[..., 2] = activated(points[..., sure].min(axis=-1), activation)
    return found
