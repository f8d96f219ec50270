# SPDX-License-Identifier: Apache-2.0
"""Runs a graph that is still in memory, on the CPU with ONNX Runtime, the same way each time."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isaac_inference.errors import ConfigError, ModelError
from isaac_inference.models.onnx.external_weights import give_weights, read_proto
from isaac_inference.models.onnx.session_error import explain, one_line

_QUIET = 3  # log errors only; what matters is raised


class Session:
    """A CPU session of a model in memory, or of a file.

    Args:
        model: an `onnx.ModelProto` below 2 GiB, or the path of a file.
        basic: leave out ONNX Runtime's rewriting of the graph beyond constant folding, so that Q/DQ is computed as in
            the file.

    Raises:
        ConfigError: ONNX Runtime is missing.
        ModelError: it can't load or run the model.
    """

    def __init__(self, model: Any, *, basic: bool = False) -> None:
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise ConfigError(
                'converting needs the onnxruntime package, which is missing; `pip install onnxruntime`'
            ) from error
        options = ort.SessionOptions()
        options.log_severity_level = _QUIET
        level = ort.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_ENABLE_BASIC if basic else level.ORT_ENABLE_ALL
        options.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else 0
        path = Path(model).absolute() if isinstance(model, (str, Path)) else None
        weights = give_weights(path, options) if path else None
        try:
            given = str(path) if path else model.SerializeToString()
            self._session = ort.InferenceSession(given, options, providers=['CPUExecutionProvider'])
        except Exception as error:  # ONNX Runtime has no common base class for its errors
            proto = read_proto(path) if path else model
            why = explain(path or Path('MODEL.onnx'), proto, error, ort.__version__)
            raise ModelError(f'{path or "the model"}: {why}') from error
        del weights  # ONNX Runtime has its own copy now
        self.output_names = [item.name for item in self._session.get_outputs()]

    def run(self, feeds: Mapping[str, np.ndarray], names: Sequence[str] | None = None) -> list[np.ndarray]:
        """The outputs `names` (default: all) of one run."""
        try:
            return list(self._session.run(list(names) if names is not None else self.output_names, dict(feeds)))
        except Exception as error:
            raise ModelError(f'ONNX Runtime cannot run the model on the images: {one_line(error)[:400]}') from error
