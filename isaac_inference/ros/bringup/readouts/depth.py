# SPDX-License-Identifier: Apache-2.0
"""Depth of one image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.models.card.tasks import DepthKind
from isaac_inference.ros.bringup.readouts.base import Readout
from isaac_inference.ros.messages.depth import depth_array
from isaac_inference.ros.messages.detections import Skip
from isaac_inference.ros.messages.image import IMAGE, ImageFrame

_PERCENTILES = (5, 25, 50, 75, 95)
_DIGITS = 6  # significant ones


class DepthReadout(Readout):
    """'kind' (metric, relative: larger is farther, inverse: larger is nearer), 'unit' ('m', or null where the numbers
    have none), 'min', 'median' and 'max' (null where nothing is known), 'percentiles' (5, 25, 50, 75, 95), and 'known',
    the share of the picture that has a number.

    Args:
        kind: what the numbers of the network mean.
    """

    key, stages, picture_topic = 'depth', ('depth',), 'depth/picture'

    def __init__(self, kind: DepthKind) -> None:
        self._kind = kind
        self._topic = 'depth/image' if kind is DepthKind.METRIC else 'depth/relative'
        self.answers, self.latched = {self._topic: IMAGE}, {}

    def read(self, messages: Mapping[str, Any], source_wh: tuple[int, int], skip: Skip) -> dict[str, Any]:
        values = depth_array(messages[self._topic])
        if values.shape != source_wh[::-1]:
            raise FrameError(
                'depth_size',
                f'{self._topic}: got {values.shape[1]}x{values.shape[0]} px, expected {source_wh[0]}x{source_wh[1]}, '
                'those of the picture',
            )
        known = values[np.isfinite(values)]
        found: dict[str, Any] = {
            'kind': self._kind.value,
            'unit': 'm' if self._kind is DepthKind.METRIC else None,
            'known': round(len(known) / values.size, 6),
        }
        if not len(known):
            return {**found, 'min': None, 'median': None, 'max': None, 'percentiles': None}
        ranks = np.percentile(known, _PERCENTILES)
        return {
            **found,
            'min': _rounded(known.min()),
            'median': _rounded(np.median(known)),
            'max': _rounded(known.max()),
            'percentiles': {str(rank): _rounded(value) for rank, value in zip(_PERCENTILES, ranks, strict=True)},
        }

    def picture(self, source: np.ndarray, frame: ImageFrame) -> np.ndarray:
        """The picture beside its depth in colours, or above it where it is wide."""
        drawn = super().picture(source, frame)
        join = cv2.hconcat if source.shape[1] <= 2 * source.shape[0] else cv2.vconcat
        return np.asarray(join([source, drawn]))


def _rounded(value: float) -> float:
    return float(f'{value:.{_DIGITS}g}')
