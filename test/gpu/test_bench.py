# SPDX-License-Identifier: Apache-2.0
"""`bench` and `validate` on TensorRT, where there is a GPU."""

from __future__ import annotations

import argparse
import json

import cv2
import numpy as np
import pytest
from support.onnx_models import ultralytics_metadata, write_model

from isaac_inference.cli.bench import command as bench
from isaac_inference.cli.validate import command as validate
from isaac_inference.engines.registry import BACKENDS
from isaac_inference.hardware.power import measure_power

WHY = next((item.why_not for item in BACKENDS if item.name == 'tensorrt'), 'there is no TensorRT backend')
pytestmark = pytest.mark.skipif(bool(WHY), reason=f'TensorRT {WHY}')
NAMES = ('cup', 'bowl', 'box')


def execute(module, *arguments):
    parser = argparse.ArgumentParser()
    module.add_command(parser.add_subparsers(required=True))
    name = module.__name__.split('.')[2]  # isaac_inference.cli.<name>.command
    parsed = parser.parse_args([name, *map(str, arguments)])
    return parsed.execute(parsed)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Engines of these tests stay out of the user's cache."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / 'dynamic.onnx', 'yolov8', dynamic='batch', metadata=ultralytics_metadata(NAMES))


def test_gpu_time_memory_layers_and_a_sweep(tmp_path, model):
    out = tmp_path / 'out.json'
    execute(
        bench, model, '--backend', 'tensorrt', '--preset', 'fastest', '--batch', '1,4', '--runs', 40, '--seconds', 5,
        '--layers', '--json', out, '--plot', tmp_path / 'out.png',
    )  # fmt: skip
    found = json.loads(out.read_text())
    assert [row['batch'] for row in found['sweep']] == [1, 4]
    for row in found['sweep']:
        item = row['model']
        assert item['gpu_ms']['count'] >= 30 and 0 < item['gpu_ms']['p50'] < item['wall_ms']['p50']
        assert item['enqueue_ms']['p50'] > 0 and item['throughput_two_in_flight'] > 0
        assert item['device_memory_bytes']['plan'] > 0 and item['device_memory_bytes']['pool used'] > 0
    assert found['layers']['model']['ms'] and all(ms >= 0 for _, ms in found['layers']['model']['ms'])
    assert cv2.imread(str(tmp_path / 'out.png')).std() > 5


def test_power_has_a_figure_or_a_reason():
    found = measure_power(lambda: np.ones(1000).sum(), 0, 0.3)
    assert (found.watts is not None and found.watts > 1) or found.reason


def test_a_built_engine_agrees_with_the_model_in_onnx_runtime(tmp_path, model):
    images = tmp_path / 'images'
    images.mkdir()
    cv2.imwrite(str(images / 'white.png'), np.full((64, 96, 3), 255, np.uint8))
    out = tmp_path / 'out.json'
    code = execute(
        validate, model, '--against', model, '--backend', 'tensorrt', '--against-backend', 'onnxruntime',
        '--preset', 'fastest', '--images', images, '--min-agreement', 1, '--json', out,
    )  # fmt: skip
    found = json.loads(out.read_text())
    assert code == 0 and found['agreement'] == 1.0 and found['finite'] and found['max_abs_error'] < 0.1
    assert found['bytes']['candidate'] != found['bytes']['reference'] == model.stat().st_size
