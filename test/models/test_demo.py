# SPDX-License-Identifier: Apache-2.0
"""Where the package's own model is."""

from __future__ import annotations

import pytest

from isaac_inference.errors import ModelError
from isaac_inference.models import demo


def test_the_model_lies_beside_the_module(tmp_path, monkeypatch):
    path = tmp_path / 'demo_objects.onnx'
    path.touch()
    monkeypatch.setattr(demo, '_FILE', path)
    assert demo.demo_model() == path


def test_a_missing_model_is_an_error_with_advice(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, '_FILE', tmp_path / 'demo_objects.onnx')
    with pytest.raises(ModelError, match=r'no file .*demo_objects.onnx; reinstall the package, .*training/README.md'):
        demo.demo_model()
