# SPDX-License-Identifier: Apache-2.0
"""Runs a model with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from isaac_inference.engines.base import Engine
from isaac_inference.engines.cpus import usable_cpus
from isaac_inference.engines.onnxruntime.loader import session_from_onnx
from isaac_inference.engines.onnxruntime.settings import OnnxRuntimeSettings
from isaac_inference.errors import EngineError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.onnx.session_error import one_line


class OnnxRuntimeEngine(Engine):
    """ONNX Runtime, on the CPU or where its providers take it. The arrays that `infer` returns are the
    caller's.

    Args:
        card: the model.
        settings: how to run it; None for the defaults.
    """

    backend = 'onnxruntime'
    needs_contiguous = False
    reuses_outputs = False

    def __init__(self, card: ModelCard, settings: OnnxRuntimeSettings | None = None) -> None:
        super().__init__(card)
        self.settings = settings or OnnxRuntimeSettings()
        self._session: Any = None
        self._output_names = [spec.name for spec in self.outputs]

    @property
    def cores(self) -> int:
        """CPU cores that one inference uses; 0 where a provider runs it on a device."""
        on_cpu = self._session is None or self._session.get_providers()[0] == 'CPUExecutionProvider'
        return (self.settings.threads or usable_cpus()) if on_cpu else 0

    def _open(self) -> None:
        self._session = session_from_onnx(self.card.path, self.settings)
        self._check_unchanged()
        provider = self._session.get_providers()[0].removesuffix('ExecutionProvider')
        threads = self.settings.threads or usable_cpus()
        self._device = (
            f'CPU ({threads} thread{"s" * (threads > 1)})' if provider == 'CPU' else f'{provider} (onnxruntime)'
        )

    def _infer(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            outputs = self._session.run(self._output_names, feeds)
        except Exception as error:  # ONNX Runtime has no common base class for its errors
            raise EngineError(f'{self.name}: inference failed: {one_line(error)}') from error
        return dict(zip(self._output_names, outputs, strict=True))

    def _close(self) -> None:
        self._session = None

    def _check_unchanged(self) -> None:
        """Raise EngineError when the file is not the one that the card was read from."""
        inputs = sorted(item.name for item in self._session.get_inputs())
        outputs = {item.name for item in self._session.get_outputs()}
        expected = sorted(spec.name for spec in self.inputs)
        if inputs != expected or not outputs.issuperset(self._output_names):
            raise EngineError(
                f'{self.card.path}: the file changed since its card was read: it has inputs {inputs} and '
                f'outputs {sorted(outputs)}, expected {expected} and {self._output_names}; configure again'
            )
