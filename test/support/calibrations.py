# SPDX-License-Identifier: Apache-2.0
"""Calibrations of cameras whose lens bends, for tests of rectification."""

from __future__ import annotations

import numpy as np

from isaac_inference.ops.geometry.calibration import Calibration
from isaac_inference.ops.geometry.rectification import Rectification

D = (-0.28, 0.07, 0.0012, -0.0018, -0.006)


def matrices(width: int, height: int, zoom: float) -> tuple[np.ndarray, np.ndarray]:
    """K, and P with another focal length and centre."""
    f = 0.7 * max(width, height)
    K = np.array([[f, 0, width / 2 + 3.5], [0, f * 1.01, height / 2 - 2.75], [0, 0, 1]])
    P = np.array([[zoom * f, 0, width / 2 - 1.0, 0], [0, zoom * f, height / 2 + 0.5, 0], [0, 0, 1, 0]])
    return K, P


def rectification(width: int, height: int, zoom: float = 0.8) -> Rectification:
    """Of images of that size."""
    K, P = matrices(width, height, zoom)
    said = Calibration(width, height, 'plumb_bob', D, tuple(K.ravel()), tuple(P.ravel()))
    return Rectification.between(said, (width, height))
