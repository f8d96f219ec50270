# SPDX-License-Identifier: Apache-2.0
"""One weight as float16, and the resulting loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LARGEST = 65504.0
"""The largest finite float16."""
_MIN_NORMAL = 2.0**-14


@dataclass(frozen=True)
class WeightLoss:
    """What float16 did to one weight; counts of its values.

    Attributes:
        name: the initializer's.
        clamped: finite values beyond 65504, which were clamped to it.
        subnormal: values below 2^-14, which keep less than 11 bits.
        flushed: values below 2^-25, which became 0.
        size: of the weight.
    """

    name: str
    clamped: int
    subnormal: int
    flushed: int
    size: int


def to_half(values: np.ndarray, name: str) -> tuple[np.ndarray, WeightLoss]:
    """float32 values as float16, infinities as they are."""
    is_large = np.isfinite(values) & (np.abs(values) > LARGEST)
    half = np.where(is_large, np.sign(values) * np.float32(LARGEST), values).astype(np.float16)
    is_flushed = (half == 0) & (values != 0)
    is_subnormal = (np.abs(half) < _MIN_NORMAL) & (half != 0)
    return half, WeightLoss(name, int(is_large.sum()), int(is_subnormal.sum()), int(is_flushed.sum()), values.size)
