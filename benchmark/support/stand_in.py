# SPDX-License-Identifier: Apache-2.0
"""A stand-in engine: takes a chosen time, returns zeros in the model's output shapes. Backend name: 'stand_in'."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from isaac_inference.engines import Backend, registry
from isaac_inference.engines.base import Engine
from isaac_inference.engines.settings import BackendSettings
from isaac_inference.models import ModelCard

NAME = 'stand_in'


class StandInEngine(Engine):
    """Sleeps as an accelerator would let the CPU sleep; every check of the base class stays."""

    backend = NAME
    reuses_outputs = False
    period_s: ClassVar[float] = 0.0

    def __init__(self, card: ModelCard, settings: BackendSettings) -> None:
        super().__init__(card)

    def _open(self) -> None:
        self._device = f'stand-in, {self.period_s * 1e3:g} ms'

    def _infer(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        end = time.monotonic() + self.period_s
        result = {spec.name: np.zeros([size or 1 for size in spec.shape], spec.dtype) for spec in self.outputs}
        time.sleep(max(0.0, end - time.monotonic()))
        return result

    def _close(self) -> None:
        pass


def register(period_s: float) -> dict[str, str]:
    """Make the engine known in this process; returns the inference node's parameters that choose it."""
    StandInEngine.period_s = period_s
    entry = Backend(NAME, f'{__name__}:{StandInEngine.__name__}', 'numpy', '', ('numpy',))
    registry.BACKENDS = (*(backend for backend in registry.BACKENDS if backend.name != NAME), entry)
    return {'backend': NAME}
