# SPDX-License-Identifier: Apache-2.0
"""Keypoints that a network puts out as a histogram over x and one over y (SimCC; RTMPose).

Li et al., "SimCC: a Simple Coordinate Classification Perspective for Human Pose Estimation", ECCV 2022: the place is
the highest bin divided by the bins per pixel. A bin k of a network that was trained with n bins per pixel is the pixel
INDEX k / n, so that the centre of pixel 0 is bin 0; measured from the pixels' edges that is k / n + 0.5.
"""

from __future__ import annotations

import numpy as np

from isaac_inference.ops.keypoints.confidence import activated


def decode_simcc(
    x: np.ndarray, y: np.ndarray, bins_per_px: tuple[float, float], activation: str = 'none'
) -> np.ndarray:
    """Keypoints of histograms.

    Args:
        x, y: (N, K, bins) float32, finite.
        bins_per_px: the split ratio along x and y; RTMPose's is 2.
        activation: 'none' where the heights are confidences as they are (RTMPose), 'softmax' for logits, whose
            probabilities along an axis then are the heights, or 'sigmoid'.

    Returns:
        (N, K, 3) float32: x, y in px of the network's input, measured from its edges; as confidence the height of the
        lower one of the two peaks, clipped to 0..1.

    Example: two bins per px; pixel 1 in x, half-way between pixels 1 and 2 in y.
        >>> x, y = np.zeros((1, 1, 8), np.float32), np.zeros((1, 1, 6), np.float32)
        >>> x[0, 0, 2], y[0, 0, 3] = 0.75, 0.5
        >>> decode_simcc(x, y, (2, 2)).tolist()
        [[[1.5, 2.0, 0.5]]]
    """
    found = np.empty((*x.shape[:2], 3), np.float32)
    heights = []
    for axis, bins in enumerate((x, y)):
        best = bins.argmax(axis=-1)
        found[..., axis] = best / bins_per_px[axis] + 0.5
        peak = np.take_along_axis(bins, best[..., None], axis=-1)[..., 0]
        heights.append(1.0 / np.exp(bins - peak[..., None]).sum(axis=-1) if activation == 'softmax' else peak)
    found[..., 2] = activated(np.minimum(*heights), 'none' if activation == 'softmax' else activation)
    return found
