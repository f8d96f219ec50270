# SPDX-License-Identifier: Apache-2.0
"""Where the package's own models are, and that the one for depth is better than the way without a network."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from isaac_inference.errors import ModelError
from isaac_inference.models import demo, read_card
from isaac_inference.models.card.tasks import Task
from isaac_inference.ops.depth.dense.complete import complete_depth
from isaac_inference.sim.completion import completion_sample

MODELS = {'demo_objects.onnx': demo.demo_model, 'depth_completion.onnx': demo.completion_model}


@pytest.mark.parametrize('name', MODELS)
def test_the_model_lies_beside_the_module(name, tmp_path, monkeypatch):
    path = tmp_path / name
    path.touch()
    monkeypatch.setattr(demo, '_FOLDER', tmp_path)
    assert MODELS[name]() == path


@pytest.mark.parametrize('name', MODELS)
def test_a_missing_model_is_an_error_with_advice(name, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, '_FOLDER', tmp_path)
    with pytest.raises(ModelError, match=rf'no file .*{name}; reinstall the package, .*training/README.md'):
        MODELS[name]()


@pytest.mark.parametrize('name', MODELS)
def test_each_file_is_small_enough_to_be_shipped(name):
    assert 1_000_000 < MODELS[name]().stat().st_size <= 4_000_000


def test_the_completion_network_says_itself_what_it_is():
    card = read_card(str(demo.completion_model()))
    assert card.task is Task.DEPTH_COMPLETION
    assert not card.assumptions


def test_the_completion_network_fills_as_much_as_the_classical_way_with_smaller_errors():
    """On scenes that nothing was chosen on, apart from the camera's scale, which no frame shows."""
    session = onnxruntime.InferenceSession(str(demo.completion_model()), providers=['CPUExecutionProvider'])
    errors, parts = [], []
    for seed in range(9700, 9706):
        sample = completion_sample(seed)
        image = np.ascontiguousarray(sample.color[..., ::-1].transpose(2, 0, 1)[None], np.float32) / 255
        dense, confidence = (
            part[0, 0]
            for part in session.run(None, {'image': image, 'depth': np.nan_to_num(sample.measured)[None, None]})
        )
        truth = sample.truth * np.float32(sample.scale)
        hole = np.isnan(sample.measured) & np.isfinite(truth)
        own = hole & (confidence >= 0.5)
        classical = complete_depth(sample.measured, sample.color)
        both = hole & np.isfinite(classical)
        errors.append(
            (np.abs(dense - truth)[own] / truth[own], np.abs(classical - truth)[both] / truth[both]),
        )
        parts.append((own.sum() / hole.sum(), both.sum() / hole.sum()))
    own_error, classical_error = (np.mean([np.mean(pair[which]) for pair in errors]) for which in (0, 1))
    own_part, classical_part = np.mean(parts, axis=0)
    assert own_part >= classical_part
    assert own_error < 0.8 * classical_error
    assert own_error < 0.0025
