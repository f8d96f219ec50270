# SPDX-License-Identifier: Apache-2.0
"""How sure a network is of a keypoint, 0..1."""

from __future__ import annotations

import numpy as np

ACTIVATIONS = ('none', 'sigmoid')


def activated(values: np.ndarray, activation: str) -> np.ndarray:
    """Values in 0..1 as float32.

    Args:
        values: of any shape, finite.
        activation: 'sigmoid' for logits; 'none' for values that are 0..1 but for rounding, or about that: a heatmap's
            peak may be 1.1. They are clipped.

    Example:
        >>> activated(np.array([-0.1, 0.5, 1.2]), 'none').tolist(), activated(np.array([0.0]), 'sigmoid').tolist()
        ([0.0, 0.5, 1.0], [0.5])
    """
    if activation == 'sigmoid':
        return (0.5 + 0.5 * np.tanh(0.5 * np.asarray(values, np.float32))).astype(np.float32)  # never overflows
    return np.clip(values, 0.0, 1.0).astype(np.float32)
