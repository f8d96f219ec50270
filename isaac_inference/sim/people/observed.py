# SPDX-License-Identifier: Apache-2.0
"""What a keypoint network might say of simulated people: true keypoints with noise, and how sure it is of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isaac_inference.sim.people.scene import PersonTruth

_BOLD = 0.3  # part of the hidden joints of which a network is nearly as sure as of seen ones


def observed_keypoints(
    truths: Sequence[PersonTruth], rng: np.random.Generator, noise: tuple[float, float] = (2.0, 4.0)
) -> np.ndarray:
    """(N, 17, 3) float32: x and y in px, 0 at the image's edge, and confidence 0..1.

    Seen joints have confidences of 0.45 to 1, hidden ones mostly below 0.45, but of some of them it is as sure. A joint
    behind the camera has confidence 0.

    Args:
        truths: the people.
        rng: of noise and confidences.
        noise: px, the standard deviation of each coordinate is drawn between these for the whole image.
    """
    rows = np.zeros((len(truths), 17, 3), np.float32)
    sigma = rng.uniform(*noise)
    for row, truth in zip(rows, truths, strict=True):
        row[:, :2] = truth.pixels + rng.normal(0.0, sigma, truth.pixels.shape)
        bold = rng.random(len(row)) < _BOLD
        row[:, 2] = np.where(truth.visible | bold, rng.uniform(0.45, 1.0, len(row)), rng.uniform(0.0, 0.45, len(row)))
        row[~np.isfinite(row[:, :2]).all(axis=1)] = 0.0
    return rows
