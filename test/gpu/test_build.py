# SPDX-License-Identifier: Apache-2.0
"""Engines built by the real TensorRT on a real GPU: a tiny convolution, at level 0, without cuBLAS and cuDNN."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from isaac_inference.cuda.availability import why_no_gpu
from isaac_inference.engines.tensorrt.build.ensure import ensure_engine, find_engine
from isaac_inference.engines.tensorrt.build.process import BackgroundBuild
from isaac_inference.engines.tensorrt.graph_facts import graph_facts
from isaac_inference.engines.tensorrt.loader import Plan
from isaac_inference.engines.tensorrt.runner import TensorRtEngine
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import EngineError
from isaac_inference.models import read_card
from isaac_inference.store.engine_cache import EngineCache

pytest.importorskip('tensorrt', reason='TensorRT is not installed')
pytestmark = [
    pytest.mark.skipif(bool(why_no_gpu()), reason=why_no_gpu() or 'GPU'),
    pytest.mark.timeout(600),
]
CARD = 'decoder: yolov8\nlabels: [a, b, c]\n'
WH = 64


def write_detector(path: Path, *, batch: int | str = 1, extra: str = '') -> Path:
    """A convolution of stride 8 with ReLU, shaped as YOLOv8's output [N, 7, 64]; `extra` is one more operator."""
    generator = np.random.default_rng(1)
    nodes = [
        helper.make_node('Conv', ['images', 'w'], ['c'], 'conv', strides=[8, 8], kernel_shape=[8, 8]),
        helper.make_node('Relu', ['c'], ['r'], 'relu'),
    ]
    if extra:
        nodes.append(helper.make_node(extra, ['r'], ['e'], 'odd_one', domain='nowhere'))
    nodes.append(helper.make_node('Reshape', ['e' if extra else 'r', 'shape'], ['output0'], 'flat'))
    return save_detector(path, nodes, {'w': generator.normal(0, 0.1, (7, 3, 8, 8)).astype(np.float32)}, batch)


def write_quantized(path: Path) -> Path:
    """The same with a 3x3 convolution of 32 channels between Q/DQ nodes: TensorRT has int8 kernels for such ones."""
    generator = np.random.default_rng(1)
    constants = {
        'w': generator.normal(0, 0.1, (32, 3, 8, 8)).astype(np.float32),
        'middle': generator.normal(0, 0.06, (32, 32, 3, 3)).astype(np.float32),
        'last': generator.normal(0, 0.2, (7, 32, 1, 1)).astype(np.float32),
        'scale': np.float32(4 / 127),
        'weight_scale': np.float32(0.24 / 127),
        'zero': np.int8(0),
    }
    nodes = [
        helper.make_node('Conv', ['images', 'w'], ['c'], 'conv', strides=[8, 8], kernel_shape=[8, 8]),
        helper.make_node('Relu', ['c'], ['r'], 'relu'),
    ]
    for name, scale in (('r', 'scale'), ('middle', 'weight_scale')):
        nodes.append(helper.make_node('QuantizeLinear', [name, scale, 'zero'], [f'{name}_q'], f'{name}_q'))
        nodes.append(helper.make_node('DequantizeLinear', [f'{name}_q', scale, 'zero'], [f'{name}_d'], f'{name}_d'))
    nodes += [
        helper.make_node('Conv', ['r_d', 'middle_d'], ['m'], 'inner', pads=[1] * 4, kernel_shape=[3, 3]),
        helper.make_node('Relu', ['m'], ['s'], 'relu_inner'),
        helper.make_node('Conv', ['s', 'last'], ['l'], 'head', kernel_shape=[1, 1]),
        helper.make_node('Reshape', ['l', 'shape'], ['output0'], 'flat'),
    ]
    return save_detector(path, nodes, constants, 1)


def save_detector(path: Path, nodes: list[Any], constants: dict[str, Any], batch: int | str) -> Path:
    """Write the model, and its card beside it."""
    constants = {**constants, 'shape': np.array([0, 7, -1], np.int64)}
    graph = helper.make_graph(
        nodes,
        'tiny',
        [helper.make_tensor_value_info('images', TensorProto.FLOAT, [batch, 3, WH, WH])],
        [helper.make_tensor_value_info('output0', TensorProto.FLOAT, [batch, 7, (WH // 8) ** 2])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid('', 13), helper.make_opsetid('nowhere', 1)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    path.with_suffix('.yaml').write_text(CARD)
    return path


@pytest.fixture
def settings(tmp_path):
    return TensorRtSettings(
        preset='fastest',
        tactic_sources=('JIT_CONVOLUTIONS', 'EDGE_MASK_CONVOLUTIONS'),
        cache_dir=str(tmp_path / 'cache'),
    )


def test_the_second_call_finds_the_engine(tmp_path, settings):
    card = read_card(write_detector(tmp_path / 'tiny.onnx'))
    phases = []
    assert find_engine(card, settings) is None
    entry = ensure_engine(card, settings, lambda progress: phases.append(progress.phase))
    assert entry.metadata['agreement'] > 0.99 and 'building' in phases
    told = len(phases)
    assert ensure_engine(card, settings, lambda progress: phases.append(progress.phase)) == entry
    assert len(phases) == told
    timings = list((tmp_path / 'cache' / 'timing').glob('*.timing'))
    assert len(timings) == 1 and timings[0].stat().st_size > 0


def test_a_dynamic_batch(tmp_path, settings):
    card = read_card(write_detector(tmp_path / 'tiny.onnx', batch='batch'))
    entry = ensure_engine(card, dataclasses.replace(settings, opt_batch=2, max_batch=4))
    assert entry.metadata['key']['shapes']['images'] == [[1, 3, 64, 64], [2, 3, 64, 64], [4, 3, 64, 64]]


def test_float16(tmp_path, settings):
    card = read_card(write_detector(tmp_path / 'tiny.onnx'))
    entry = ensure_engine(card, dataclasses.replace(settings, precision='fp16'))
    assert 0.999 < entry.metadata['agreement'] <= 1.0


def test_a_graph_with_q_and_dq(tmp_path, settings):
    card = read_card(write_quantized(tmp_path / 'tiny.onnx'))
    assert graph_facts(card.path).quantized
    assert ensure_engine(card, settings).metadata['agreement'] > 0.98


def test_an_unsupported_operator_is_named(tmp_path, settings):
    card = read_card(write_detector(tmp_path / 'tiny.onnx', extra='Frobnicate'))
    with pytest.raises(EngineError, match='Frobnicate.*odd_one'):
        ensure_engine(card, settings)
    assert EngineCache(settings.cache_dir).entries() == []


@pytest.mark.parametrize('plan', [b'not an engine at all' * 40, b'ftrt' + bytes(400)])
def test_foreign_bytes_are_refused(tmp_path, settings, plan):
    card = read_card(write_detector(tmp_path / 'tiny.onnx'))
    given = Plan(plan, 'nowhere')
    with pytest.raises(EngineError, match='nowhere: the engine'), TensorRtEngine(card, given, settings) as engine:
        engine.infer({'images': np.zeros((1, 3, WH, WH), np.float32)})


def test_two_processes_build_once(tmp_path, settings):
    model = write_detector(tmp_path / 'tiny.onnx')
    code = (
        'import logging, sys\nlogging.basicConfig(level=logging.INFO, stream=sys.stdout)\n'
        'from isaac_inference.engines.tensorrt.build.ensure import ensure_engine\n'
        'from isaac_inference.engines.tensorrt.settings import TensorRtSettings\n'
        'from isaac_inference.models import read_card\n'
        f'settings = TensorRtSettings(**{dataclasses.asdict(settings)!r})\n'
        f'ensure_engine(read_card({str(model)!r}), settings)\n'
    )
    processes = [
        subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True, env=os.environ)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=500)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum('tiny: building:' in text for text in said) == 1


def test_in_the_background(tmp_path, settings):
    card = read_card(write_detector(tmp_path / 'tiny.onnx'))
    build = BackgroundBuild(card, settings)
    assert build.wait(500)
    assert build.result() == find_engine(card, settings)
    assert build.poll().phase == 'finished'
