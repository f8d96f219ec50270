# SPDX-License-Identifier: Apache-2.0
"""Engines run a model. One base class holds every check; one folder a backend.

with create_engine(read_card('model.onnx')) as engine:  # or create_engine(card, 'onnxruntime', threads=2)
    outputs = engine.infer({'images': images})
"""

from __future__ import annotations

from isaac_inference.engines.base import Engine
from isaac_inference.engines.checks import non_finite
from isaac_inference.engines.registry import Backend, available_backends, choose_backend, create_engine

__all__ = ['Backend', 'Engine', 'available_backends', 'choose_backend', 'create_engine', 'non_finite']
