# SPDX-License-Identifier: Apache-2.0
"""The range of each tensor that becomes int8, from real images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from isaac_inference.errors import ModelError
from isaac_inference.models.precision.activations import Feeds, largest_magnitudes, magnitude_histograms
from isaac_inference.models.precision.int8.thresholds import PERCENTILE, check_method, threshold


def tensor_ranges(
    model: Any,
    names: Sequence[str],
    feeds: Feeds,
    *,
    method: str,
    percentile: float = PERCENTILE,
    step: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Tensor -> the magnitude that int8's 127 stands for; the same for the same feeds.

    Args:
        model: an `onnx.ModelProto` in float32.
        names: the tensors.
        feeds: model inputs by name, one image each; iterated once, or twice for histograms.
        method, percentile: as for `thresholds.threshold`.
        step: called after each image of each pass.

    Raises:
        ConfigError: an unknown method or percentile.
        ModelError: no image, or a tensor that is not finite.
    """
    check_method(method, percentile)
    largest = largest_magnitudes(model, names, feeds, step)
    broken = [name for name, value in largest.items() if not np.isfinite(value)]
    if broken:
        raise ModelError(
            f'calibration: {", ".join(broken[:4])}: not finite on the calibration images, in float32 already; '
            "check the images and the card's preprocessing"
        )
    if method == 'minmax':
        return largest
    histograms = magnitude_histograms(model, largest, feeds, step)
    return {
        name: threshold(histograms[name], value, method, percentile) if name in histograms else value
        for name, value in largest.items()
    }
