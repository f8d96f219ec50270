# SPDX-License-Identifier: Apache-2.0
"""Makes an ONNX Runtime session: which providers, how many threads, and errors that people can read."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort

from isaac_inference.engines.cpus import usable_cpus
from isaac_inference.engines.onnxruntime.settings import OnnxRuntimeSettings
from isaac_inference.errors import EngineError
from isaac_inference.models.onnx.external_weights import give_weights, read_proto
from isaac_inference.models.onnx.session_error import explain

_log = logging.getLogger(__name__)

PREFERENCE = ('CUDAExecutionProvider', 'CPUExecutionProvider')
"""Tried in this order when none is asked for. TensorRT's provider is not: it builds engines for minutes."""

_SHORT_NAMES = {
    'cpu': 'CPUExecutionProvider',
    'cuda': 'CUDAExecutionProvider',
    'tensorrt': 'TensorrtExecutionProvider',
}
_QUIET = 3  # log errors only; what matters is raised


def choose_providers(asked: Sequence[str]) -> list[str]:
    """The execution providers for a session, best first.

    Args:
        asked: ONNX Runtime's names, or 'cpu', 'cuda', 'tensorrt'; empty for the best of `PREFERENCE`.

    Raises:
        EngineError: one that was asked for is not in this build of ONNX Runtime.
    """
    available = ort.get_available_providers()
    if not asked:
        return [name for name in PREFERENCE if name in available]
    chosen = []
    for name in asked:
        full = _SHORT_NAMES.get(name.lower(), name)
        if full not in available:
            raise EngineError(
                f'onnxruntime {ort.__version__}: provider {name!r} is not available; available are: '
                f'{", ".join(available)}. Leave `onnxruntime.providers` empty, or install onnxruntime-gpu for CUDA'
            )
        chosen.append(full)
    return chosen


def session_from_onnx(path: Path, settings: OnnxRuntimeSettings) -> Any:
    """An ONNX Runtime session; weights beside the model are found there.

    Args:
        path: the ONNX file.
        settings: providers and threads.

    Raises:
        EngineError: a missing provider, an operator or a version that this ONNX Runtime doesn't have, a damaged file;
            says what helps.
        ModelError: weights that are missing, or behind a link that others can redirect.
    """
    chosen = choose_providers(settings.providers)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _QUIET
    options.intra_op_num_threads = settings.threads or usable_cpus()
    options.add_session_config_entry('session.intra_op.allow_spinning', '1' if settings.spinning else '0')
    options.add_session_config_entry('session.force_spinning_stop', '1')  # no spinning between two runs
    weights = give_weights(path, options)
    try:
        session = ort.InferenceSession(str(path), options, providers=chosen)
    except Exception as error:
        raise EngineError(f'{path}: {explain(path, read_proto(path), error, ort.__version__)}') from error
    del weights  # ONNX Runtime has its own copy now
    missing = [name for name in chosen if name not in session.get_providers()]
    if missing and settings.providers:
        raise EngineError(
            f'{path}: ONNX Runtime could not start {", ".join(missing)} (its libraries or a device are '
            f'missing) and would run on {session.get_providers()[0]}; fix that, or leave `onnxruntime.providers` empty'
        )
    if missing:
        _log.warning(
            '%s: ONNX Runtime could not start %s and runs on %s',
            path.name,
            ', '.join(missing),
            session.get_providers()[0],
        )
    return session
