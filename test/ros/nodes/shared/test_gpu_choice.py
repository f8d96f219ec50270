# SPDX-License-Identifier: Apache-2.0
"""What nodes do about a GPU: which stage goes there, backends' settings as parameters, an engine that must be built."""

from __future__ import annotations

import dataclasses
import sys
from types import SimpleNamespace

import pytest

from isaac_inference.cuda.availability import why_no_gpu
from isaac_inference.engines import registry
from isaac_inference.engines.onnxruntime.settings import OnnxRuntimeSettings
from isaac_inference.engines.preparation import BuildProgress
from isaac_inference.engines.registry import BACKENDS
from isaac_inference.engines.settings import settings_info
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import ConfigError, DeviceError, EngineError
from isaac_inference.ros.nodes.inference.backend_parameters import backend_settings
from isaac_inference.ros.nodes.inference.engine_build import EngineBuild
from isaac_inference.ros.nodes.inference.node import InferenceParameters
from isaac_inference.ros.nodes.shared import gpu_choice
from isaac_inference.ros.nodes.shared.gpu_choice import Device, stage_on_gpu
from isaac_inference.ros.runtime.parameters.schema import build, specs

no_gpu = pytest.mark.skipif(not why_no_gpu(), reason='this machine has a GPU')


@pytest.fixture
def fake_gpu(monkeypatch):
    """A machine with a GPU, as far as a node asks."""
    monkeypatch.setattr(gpu_choice, 'why_no_gpu', lambda: '')
    device = SimpleNamespace(gpu=lambda ordinal: f'gpu {ordinal}')
    monkeypatch.setitem(sys.modules, 'isaac_inference.cuda.device', device)


def never(gpu):
    pytest.fail('made a stage')


def refusing(gpu):
    raise DeviceError('no compiler for kernels')


def test_the_stage_is_made_for_the_gpu_that_was_asked_for(fake_gpu):
    assert stage_on_gpu(Device.AUTO, 1, lambda gpu: f'stage on {gpu}', pytest.fail) == 'stage on gpu 1'


def test_the_cpu_means_the_cpu(fake_gpu):
    assert stage_on_gpu(Device.CPU, 0, never, pytest.fail) is None


def test_auto_without_a_gpu_is_silent_and_cuda_is_an_error(monkeypatch):
    monkeypatch.setattr(gpu_choice, 'why_no_gpu', lambda: 'there is no NVIDIA driver')
    assert stage_on_gpu(Device.AUTO, 0, never, pytest.fail) is None
    with pytest.raises(ConfigError, match='parameter device: got "cuda", but there is no NVIDIA driver'):
        stage_on_gpu(Device.CUDA, 0, never, pytest.fail)


def test_a_stage_that_the_gpu_cannot_run(fake_gpu):
    warnings = []
    assert stage_on_gpu(Device.AUTO, 0, refusing, warnings.append) is None
    assert warnings == ['this stage runs on the CPU: no compiler for kernels']
    with pytest.raises(DeviceError, match='no compiler'):
        stage_on_gpu(Device.CUDA, 0, refusing, warnings.append)


def test_every_setting_of_every_backend_is_a_parameter_with_its_default():
    assert backend_settings(InferenceParameters()) == {item.name: item.settings_type() for item in BACKENDS}
    names = [spec.name for spec in specs(InferenceParameters)]
    for backend in BACKENDS:
        own = [name for name in names if name.startswith(f'{backend.name}.')]
        assert own == [f'{backend.name}.{name}' for name in settings_info(backend.settings_type)]


def test_parameters_become_settings():
    values = {'tensorrt.precision': 'fp16', 'tensorrt.max_wh': [640, 480], 'tensorrt.tactic_sources': ['CUDNN']}
    values |= {'onnxruntime.providers': ['cuda', 'cpu'], 'onnxruntime.threads': 2}
    chosen = backend_settings(build(InferenceParameters, values))
    expected = TensorRtSettings(precision='fp16', max_wh=(640, 480), tactic_sources=('CUDNN',))
    assert dataclasses.asdict(chosen['tensorrt']) == dataclasses.asdict(expected)
    assert chosen['onnxruntime'] == OnnxRuntimeSettings(providers=('cuda', 'cpu'), threads=2)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'tensorrt.precision': 'int4'}, 'parameter tensorrt.precision: got .int4., expected one of model, fp16'),
        ({'tensorrt.min_batch': 4}, 'parameter tensorrt.min_batch, opt_batch, max_batch: got 4, 1, 1'),
        ({'tensorrt.max_wh': [640]}, 'parameter tensorrt.max_wh: got'),
    ],
)
def test_an_unusable_setting_names_the_parameter(values, message):
    with pytest.raises(ConfigError, match=message):
        backend_settings(build(InferenceParameters, values))


class Build:
    """A build in the background that a test ends."""

    def __init__(self):
        self.done, self.error, self.cancelled = False, None, False

    def poll(self):
        return BuildProgress('building', 0.25, 12.3, 'level 3')

    def result(self):
        if self.error is not None:
            raise self.error

    def cancel(self):
        self.cancelled = True


@pytest.fixture
def building():
    return lambda tolerant: EngineBuild('yolo', Build(), tolerant=tolerant)


def test_a_build_says_how_far_it_is_and_then_that_it_is_done(building):
    work = building(tolerant=False)
    assert work.poll() == 'BUILDING the engine of yolo: 25 % building for 12 s (level 3)'
    work._build.done = True
    assert (work.poll(), work.failure) == ('', '')


def test_a_failed_build_is_an_error_unless_there_is_a_fallback(building):
    strict, tolerant = building(tolerant=False), building(tolerant=True)
    for work in (strict, tolerant):
        work._build.done, work._build.error = True, EngineError('unsupported operator Foo')
    with pytest.raises(EngineError, match='unsupported operator Foo'):
        strict.poll()
    assert (tolerant.poll(), tolerant.failure) == ('', 'unsupported operator Foo')


def test_a_build_that_is_given_up_is_cancelled(building):
    work = building(tolerant=False)
    work.cancel()
    assert work._build.cancelled


@pytest.fixture
def failing_build(monkeypatch):
    """A backend 'slow' whose build has failed by the time it is asked; its engines cannot be made."""
    build = Build()
    build.done, build.error = True, EngineError('unsupported operator Foo')
    monkeypatch.setitem(sys.modules, 'builders', SimpleNamespace(begin=lambda card, settings: build))
    slow = registry.Backend('slow', 'nowhere:Engine', 'json', '', (), preparation='builders:begin')
    monkeypatch.setattr(registry, 'BACKENDS', (slow, *BACKENDS))


def test_after_a_failed_build_a_node_with_fallback_runs_on_the_cpu(empty_graph, model, failing_build):
    empty_graph.load('InferenceNode', 'inference', model=str(model), backend='slow', fallback=True)
    empty_graph.probe.wait_active('inference')
    empty_graph.probe.wait_until(lambda: 'unsupported operator Foo' in empty_graph.probe.status('inference').message)
    assert 'runs on the CPU, because' in empty_graph.probe.status('inference').message
    assert empty_graph.probe.value('inference', 'device').startswith('CPU')


def test_after_a_failed_build_a_node_without_fallback_stays_inactive(empty_graph, model, failing_build):
    empty_graph.load('InferenceNode', 'inference', model=str(model), backend='slow')
    empty_graph.probe.wait_until(lambda: 'preparation failed' in empty_graph.probe.status('inference').message)
    assert 'unsupported operator Foo' in empty_graph.probe.status('inference').message
    assert empty_graph.probe.value('inference', 'state') == 'inactive'


@no_gpu
@pytest.mark.parametrize(
    ('plugin', 'values'),
    [
        ('InferenceNode', {'backend': 'tensorrt'}),
        ('PreprocessNode', {'device': 'cuda'}),
        ('DetectionNode', {'device': 'cuda'}),
    ],
)
def test_asked_for_a_gpu_that_is_not_there_a_node_says_so(empty_graph, model, plugin, values):
    empty_graph.load(plugin, 'stage', model=str(model), **values)
    empty_graph.probe.wait_until(lambda: 'configure failed' in empty_graph.probe.status('stage').message)
    message = empty_graph.probe.status('stage').message
    assert 'tensorrt' in message or 'parameter device' in message
