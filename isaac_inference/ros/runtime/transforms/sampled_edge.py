# SPDX-License-Identifier: Apache-2.0
"""One link's samples, and its matrix at any stamp between them.

pytransform3d's own TemporalTransformManager with NumpyTimeseriesTransform takes 1 ms for a chain of three links and
copies a whole series for each new sample; so the samples are kept here, and the library does the maths.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Any

import numpy as np
from pytransform3d.rotations import matrix_from_quaternion, slerp_weights

from isaac_inference.ros.runtime.transforms.base import Link
from isaac_inference.ros.runtime.transforms.frame_tree import Edge

MAX_SAMPLES = 20_000  # per link, whatever its stamps
_Sample = tuple[tuple[float, float, float], tuple[float, float, float, float]]  # translation; quaternion (w, x, y, z)


class SampledEdge(Edge):
    """An edge with its samples, by ascending stamp; of two with the same stamp the later one counts."""

    def __init__(self, link: Link, is_static: bool, buffer_ns: int) -> None:
        super().__init__(link, is_static, buffer_ns)
        self._stamps: list[int] = []
        self._samples: list[_Sample] = []
        self._fixed = np.eye(4)

    def put(self, link: Link) -> None:
        """Add a sample."""
        x, y, z, w = link.rotation
        sample = link.translation, (w, x, y, z)
        if self.is_static:
            self._fixed = _matrix(*sample)
            return
        place = bisect_left(self._stamps, link.stamp_ns)
        if place < len(self._stamps) and self._stamps[place] == link.stamp_ns:
            self._samples[place] = sample
            return
        self._stamps.insert(place, link.stamp_ns)
        self._samples.insert(place, sample)
        too_old = bisect_left(self._stamps, self._stamps[-1] - self._buffer_ns)
        too_many = len(self._stamps) - MAX_SAMPLES
        if (surplus := max(too_old, too_many)) > 0:
            del self._stamps[:surplus], self._samples[:surplus]
        self.oldest_ns, self.newest_ns = self._stamps[0], self._stamps[-1]

    def matrix(self, stamp_ns: int) -> np.ndarray:
        """T_parent_child, (4, 4) float64, at a stamp from `oldest_ns` to `newest_ns` (any, where static)."""
        if self.is_static:
            return self._fixed
        right = bisect_left(self._stamps, stamp_ns)
        if self._stamps[right] == stamp_ns:
            return _matrix(*self._samples[right])
        before, after = self._stamps[right - 1], self._stamps[right]
        return _between(self._samples[right - 1], self._samples[right], (stamp_ns - before) / (after - before))


def _between(start: _Sample, end: _Sample, part: float) -> np.ndarray:
    """Linear in translation, spherical in rotation, along the shorter arc; `part` from 0 to 1."""
    (ax, ay, az), (w0, x0, y0, z0) = start
    (bx, by, bz), (w1, x1, y1, z1) = end
    cosine = w0 * w1 + x0 * x1 + y0 * y1 + z0 * z1
    weights: Any = slerp_weights(math.acos(min(abs(cosine), 1.0)), part)
    near, far = float(weights[0]), math.copysign(float(weights[1]), cosine)
    shift = ax + part * (bx - ax), ay + part * (by - ay), az + part * (bz - az)
    return _matrix(shift, (near * w0 + far * w1, near * x0 + far * x1, near * y0 + far * y1, near * z0 + far * z1))


def _matrix(translation: tuple[float, float, float], quaternion: tuple[float, float, float, float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = matrix_from_quaternion(quaternion)  # which normalises it
    matrix[:3, 3] = translation
    return matrix
