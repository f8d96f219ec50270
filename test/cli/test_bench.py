# SPDX-License-Identifier: Apache-2.0
"""`bench` on ONNX Runtime: what it measures, compares and refuses."""

from __future__ import annotations

import argparse
import json
import sys
import types

import cv2
import numpy as np
import pytest
from support.dense.networks import write_filler, write_matcher
from support.onnx_models import ultralytics_metadata, write_model

from isaac_inference.cli.bench import command as bench
from isaac_inference.cli.bench.measure import BenchSettings, bench_feeds, layer_times, measure
from isaac_inference.cli.shared.engine_choice import EngineChoice
from isaac_inference.engines import create_engine
from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.environment import model_bytes
from isaac_inference.hardware.power import measure_power
from isaac_inference.models import read_card

NAMES = ('cup', 'bowl', 'box')
QUICK = ('--runs', '20', '--seconds', '1', '--warm-up', '1')


def execute(*arguments):
    parser = argparse.ArgumentParser()
    bench.add_command(parser.add_subparsers(required=True))
    parsed = parser.parse_args(['bench', *map(str, arguments)])
    return parsed.execute(parsed)


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / 'fixed.onnx', 'yolov8', metadata=ultralytics_metadata(NAMES))


@pytest.fixture
def dynamic(tmp_path):
    return write_model(tmp_path / 'dynamic.onnx', 'yolov8', dynamic='batch', metadata=ultralytics_metadata(NAMES))


def test_what_is_measured(tmp_path, model, capsys):
    assert execute(model, *QUICK, '--layers', '--json', tmp_path / 'out.json', '--plot', tmp_path / 'out.png') == 0
    found = json.loads((tmp_path / 'out.json').read_text())
    wall = found['wall_ms']
    assert wall['count'] == 20 and found['batch'] == 1 and found['engine'] == 'fixed (onnxruntime)'
    assert 0 < wall['min'] <= wall['p50'] <= wall['p90'] <= wall['p95'] <= wall['p99'] <= wall['p99_9'] <= wall['max']
    assert found['throughput'] == pytest.approx(1e3 / wall['mean'])
    assert (
        found['gpu_ms'] is None
        and found['throughput_two_in_flight'] is None
        and found['enqueue_ms'] is None
        and found['device_memory_bytes'] == {}
    )
    assert found['power']['watts'] is None and 'GPU' in found['power']['reason']
    assert found['host_bytes'] > 2**20 and found['speedup'] is None
    assert found['layers']['model']['ms'] == [] and 'TensorRT backend' in found['layers']['model']['reason']
    assert found['facts']['models']['model']['device'].startswith('CPU')
    assert cv2.imread(str(tmp_path / 'out.png')).std() > 5
    assert 'p99.9' in capsys.readouterr().out


def test_a_sweep_over_the_batch_against_another_model(tmp_path, dynamic, capsys):
    out = tmp_path / 'out.json'
    assert (
        execute(dynamic, '--against', dynamic, '--batch', '4,1', *QUICK, '--json', out, '--plot', tmp_path / 'o.png')
        == 0
    )
    found = json.loads(out.read_text())
    assert [row['batch'] for row in found['sweep']] == [1, 4]
    for row in found['sweep']:
        speed = row['speedup']
        assert speed['value'] == pytest.approx(row['against']['wall_ms']['p50'] / row['model']['wall_ms']['p50'])
        assert speed['low'] <= speed['p25'] <= speed['p75'] <= speed['high']
        assert row['model']['throughput'] == pytest.approx(row['batch'] * 1e3 / row['model']['wall_ms']['mean'])
    assert 'times as fast as dynamic (onnxruntime), against' in ' '.join(capsys.readouterr().out.split())


def test_a_fixed_batch_is_refused_with_what_to_do(model):
    with pytest.raises(ConfigError, match=r'fixed: batch 2: .*one image at a time .*export it with a dynamic batch'):
        execute(model, '--batch', '1,2', *QUICK)


@pytest.mark.parametrize('text', ['', '0', '1,x', '-1', '1.5'])
def test_a_batch_must_be_whole_numbers(text):
    with pytest.raises(ConfigError, match='expected whole numbers'):
        bench.parse_batches(text)


@pytest.mark.parametrize('more', [['--runs', '0'], ['--seconds', '0'], ['--warm-up', '-1'], ['--against-backend', 'b']])
def test_bad_options_are_refused(model, more):
    with pytest.raises(ConfigError):
        execute(model, *more)


def test_feeds_are_pictures_as_the_card_wants_them_and_always_the_same(dynamic):
    card = read_card(dynamic)
    first, again = bench_feeds(card, 2)['images'], bench_feeds(card, 2)['images']
    assert first.shape == (2, 3, 64, 96) and first.dtype == np.float32
    assert np.array_equal(first, again) and not np.array_equal(first[0], first[1])
    assert 0 <= first.min() < 0.1 and 0.9 < first.max() <= 1 and 0.1 < first.std() < 0.4


def test_measure_serves_scripts(model):
    with create_engine(read_card(model)) as engine:
        found = measure(engine, settings=BenchSettings(runs=7, warm_up=0, block=3, power_seconds=0))
    assert found.wall.count == len(found.samples) == 9 and found.power.reason == 'not asked for'


def test_layers_come_from_the_engine_that_knows_them():
    engine = types.SimpleNamespace(profile_layers=lambda runs: [('conv', 0.2), ('add', 0.1 * runs / 50)])
    assert layer_times(engine) == ([('conv', 0.2), ('add', 0.1)], '')


def test_the_size_of_a_built_engine_is_its_plans(model, tmp_path):
    engine = create_engine(read_card(model))
    assert model_bytes(engine) == model.stat().st_size
    engine.memory = {'plan': 123 / 2**20}
    assert model_bytes(engine) == 123
    outside = write_model(tmp_path / 'out.onnx', 'yolov8', external_data=True, metadata=ultralytics_metadata(NAMES))
    weights = tmp_path / 'out.onnx.data'
    assert model_bytes(create_engine(read_card(outside))) == outside.stat().st_size + weights.stat().st_size


def test_tensorrt_settings_do_not_trouble_other_backends(model):
    given = {'tensorrt': {'precision': 'fp16', 'preset': 'best'}, 'onnxruntime': {'threads': 1}}
    with EngineChoice('onnxruntime', given).engine(read_card(model)) as engine:
        assert engine.backend == 'onnxruntime' and engine.device == 'CPU (1 thread)'


class Nvml(types.ModuleType):
    """The few calls of NVML; its energy counter moves by 5 mJ a call of the engine."""

    class NVMLError(Exception):
        pass

    def __init__(self, counter=True, starts=True):
        super().__init__('pynvml')
        self.counter, self.starts, self.energy, self.asked = counter, starts, 1000, None
        self.nvmlShutdown = lambda: None
        self.nvmlDeviceGetHandleByUUID = self.nvmlDeviceGetHandleByIndex = self.handle
        self.nvmlDeviceGetPowerUsage = lambda handle: 50_000

    def nvmlInit(self):
        if not self.starts:
            raise self.NVMLError('driver not loaded')

    def handle(self, which):
        self.asked = which
        return which

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        if not self.counter:
            raise self.NVMLError('not supported')
        return self.energy

    def work(self):
        self.energy += 5


def test_energy_of_a_call_by_the_counter(monkeypatch):
    nvml = Nvml()
    monkeypatch.setitem(sys.modules, 'pynvml', nvml)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '3,GPU-abc')
    found = measure_power(nvml.work, 0, 0.2)
    assert found.millijoules == 5.0 and nvml.asked == 3 and found.method == 'energy counter'
    assert found.watts == pytest.approx(5e-3 * found.calls / found.seconds)
    measure_power(nvml.work, 1, 0.2)
    assert nvml.asked == 'GPU-abc'


def test_power_is_sampled_where_there_is_no_counter(monkeypatch):
    nvml = Nvml(counter=False)
    monkeypatch.setitem(sys.modules, 'pynvml', nvml)
    found = measure_power(nvml.work, 0, 0.2)
    assert found.watts == 50.0 and found.method == 'power samples'
    assert found.millijoules == pytest.approx(50e3 * found.seconds / found.calls)


def test_no_power_says_why(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pynvml', Nvml(starts=False))
    assert 'driver not loaded' in measure_power(int, 0).reason
    monkeypatch.setitem(sys.modules, 'pynvml', None)
    found = measure_power(int, 0)
    assert found.watts is None and 'pip install nvidia-ml-py' in found.reason


@pytest.mark.parametrize('write, names', [(write_matcher, {'left', 'right'}), (write_filler, {'image', 'depth'})])
def test_pairs_and_images_with_depth_are_measured(tmp_path, capsys, write, names):
    path = write(tmp_path / 'm.onnx')
    feeds = bench_feeds(read_card(path))
    assert set(feeds) == names and all(len(array) == 1 and array.std() > 0 for array in feeds.values())
    with pytest.raises(ConfigError, match='the model takes one image at a time'):
        bench_feeds(read_card(path), 2)
    assert execute(path, *QUICK) == 0 and 'images/s' in capsys.readouterr().out
