# SPDX-License-Identifier: Apache-2.0
"""What nodes do about a GPU: which stage goes there, TensorRT as parameters, an engine that must be built."""

from __future__ import annotations

import dataclasses
import sys
from types import SimpleNamespace

import pytest

from isaac_inference.cuda.availability import why_no_gpu
from isaac_inference.engines.tensorrt.build.progress import BuildProgress
from isaac_inference.engines.tensorrt.settings import TensorRtSettings, settings_info
from isaac_inference.errors import ConfigError, DeviceError, EngineError
from isaac_inference.ros.nodes.inference import engine_build
from isaac_inference.ros.nodes.inference.engine_build import EngineBuild
from isaac_inference.ros.nodes.inference.node import InferenceParameters
from isaac_inference.ros.nodes.inference.tensorrt_parameters import TensorRtParameters, tensorrt_settings
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


def test_every_setting_of_tensorrt_is_a_parameter_with_its_default():
    assert tensorrt_settings(TensorRtParameters()) == TensorRtSettings()
    names = {spec.name for spec in specs(InferenceParameters) if spec.name.startswith('tensorrt.')}
    assert names == {f'tensorrt.{name}' for name in settings_info()}


def test_parameters_become_settings():
    values = {'tensorrt.precision': 'fp16', 'tensorrt.max_wh': [640, 480], 'tensorrt.tactic_sources': ['CUDNN']}
    chosen = tensorrt_settings(build(InferenceParameters, values).tensorrt)
    expected = TensorRtSettings(precision='fp16', max_wh=(640, 480), tactic_sources=('CUDNN',))
    assert dataclasses.asdict(chosen) == dataclasses.asdict(expected)


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
        tensorrt_settings(build(InferenceParameters, values).tensorrt)


class Build:
    """A build in the background that a test ends."""

    def __init__(self, card, settings):
        self.done, self.error, self.cancelled = False, None, False

    def poll(self):
        return BuildProgress('building', 0.25, 12.3, 'level 3')

    def result(self):
        if self.error is not None:
            raise self.error

    def cancel(self):
        self.cancelled = True


@pytest.fixture
def building(monkeypatch):
    monkeypatch.setattr(engine_build, 'BackgroundBuild', Build)
    return lambda tolerant: EngineBuild(SimpleNamespace(name='yolo'), TensorRtSettings(), tolerant=tolerant)


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
