# SPDX-License-Identifier: Apache-2.0
"""Backends by name: the best one, unknown ones, missing libraries, unknown options."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from support.onnx_models import write_model

from isaac_inference.cuda import availability
from isaac_inference.engines import available_backends, create_engine, registry
from isaac_inference.engines.onnxruntime.settings import OnnxRuntimeSettings
from isaac_inference.engines.reference import cpu_reference
from isaac_inference.engines.settings import settings_info
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import ConfigError, EngineError
from isaac_inference.models import read_card


@pytest.fixture
def card(tmp_path):
    return read_card(write_model(tmp_path / 'm.onnx', 'yolov8'))


def test_auto_takes_the_first_that_is_installed(card):
    assert create_engine(card).backend == available_backends()[0].name
    assert create_engine(card, 'onnxruntime', threads=1).name == 'm (onnxruntime)'


def test_available_backends_have_a_version():
    found = {backend.name: bool(backend.version) for backend in available_backends()}
    assert found.pop('onnxruntime') and all(found.values())


def test_an_unknown_backend_lists_the_known_ones(card):
    with pytest.raises(ConfigError, match="backend: got 'tensorrtx'; known are: auto, tensorrt, onnxruntime"):
        create_engine(card, 'tensorrtx')


def test_an_unknown_option_names_the_likely_one(card):
    with pytest.raises(ConfigError, match="unknown option 'thread'; did you mean 'threads'"):
        create_engine(card, 'onnxruntime', thread=1)


@pytest.mark.parametrize(
    'options, says',
    [
        ({'threads': -1}, 'threads: got -1, expected 0 or more threads'),
        ({'threads': 1.5}, 'threads: got 1.5, expected int'),
        ({'threads': True}, 'threads: got True, expected int'),
        ({'spinning': 1}, 'spinning: got 1, expected bool'),
        ({'providers': 'cpu'}, r"providers: got 'cpu', expected a list of names"),
        ({'providers': [1]}, r'providers: got \[1\]'),
    ],
)
def test_wrong_options(card, options, says):
    with pytest.raises(ConfigError, match=says):
        create_engine(card, 'onnxruntime', **options)


def test_a_missing_library_says_what_to_install(card, monkeypatch):
    absent = registry.Backend('absent', 'nowhere:Engine', 'no_such_library', 'install it with `pip install x`', ('x',))
    monkeypatch.setattr(registry, 'BACKENDS', (absent,))
    assert available_backends() == () and absent.version is None
    with pytest.raises(ConfigError, match="backend 'absent' needs .* 'no_such_library', which is missing; install it"):
        create_engine(card, 'absent')
    with pytest.raises(ConfigError, match='none can run here: absent needs .*no_such_library.*; install it with'):
        create_engine(card)


def test_auto_skips_what_is_not_installed(card, monkeypatch):
    absent = registry.Backend('absent', 'nowhere:Engine', 'no_such_library', '', ())
    monkeypatch.setattr(registry, 'BACKENDS', (absent, *registry.BACKENDS))
    assert create_engine(card).backend == available_backends()[0].name


def no_gpu():
    return 'there is no GPU; buy one'


@pytest.mark.parametrize(
    'probe, says', [(f'{__name__}:no_gpu', 'there is no GPU; buy one'), ('no_such_module:probe', 'no_such_module')]
)
def test_a_probe_keeps_a_backend_from_auto_and_says_why(card, monkeypatch, probe, says):
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or SimpleNamespace(no_gpu=no_gpu))
    engine = 'isaac_inference.engines.onnxruntime.runner:OnnxRuntimeEngine'
    here = registry.Backend('here', engine, 'json', '', ('onnxruntime',))
    monkeypatch.setattr(registry, 'BACKENDS', (registry.Backend('gpu', engine, 'json', '', (), probe), here))
    assert [backend.name for backend in available_backends()] == ['here']
    assert create_engine(card).card is card
    with pytest.raises(ConfigError, match=f"backend 'gpu' cannot run here: .*{says}"):
        create_engine(card, 'gpu')


def test_a_probe_without_objection_lets_a_backend_run(monkeypatch):
    monkeypatch.setitem(sys.modules, 'probes', SimpleNamespace(fine=lambda: ''))
    assert registry.Backend('gpu', 'x:Y', 'json', '', (), 'probes:fine').is_available


def test_tensorrt_goes_first_and_runs_only_with_a_gpu(monkeypatch):
    first = registry.BACKENDS[0]
    assert first.name == 'tensorrt' and first.probe == 'isaac_inference.cuda.availability:why_no_gpu'
    monkeypatch.setattr(availability, 'why_no_gpu', lambda: 'no driver')
    assert not first.is_available


def test_libraries_are_imported_only_when_needed():
    code = (
        'import sys, isaac_inference.engines, isaac_inference.models; '
        'print(sorted({"onnx", "onnxruntime", "rclpy", "cv2", "pycuda", "tensorrt", "tokenizers"} & set(sys.modules)))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'


def test_settings_are_by_backend_and_options_go_first(card):
    settings = {'onnxruntime': OnnxRuntimeSettings(threads=1), 'tensorrt': TensorRtSettings(workspace_mib=512)}
    with create_engine(card, 'onnxruntime', settings=settings) as engine:
        assert '1 thread' in engine.device
    with create_engine(card, 'onnxruntime', settings=settings, threads=2) as engine:
        assert '2 threads' in engine.device


@pytest.mark.parametrize(
    'settings, says',
    [
        ({'onnxrt': OnnxRuntimeSettings()}, "settings: got 'onnxrt'; known are: tensorrt, onnxruntime"),
        ({'tensorrt': OnnxRuntimeSettings()}, "got OnnxRuntimeSettings for 'tensorrt', expected TensorRtSettings"),
    ],
)
def test_settings_of_another_backend_are_refused(card, settings, says):
    with pytest.raises(ConfigError, match=says):
        create_engine(card, 'onnxruntime', settings=settings)


def test_an_option_of_another_backend_names_it(card):
    with pytest.raises(ConfigError, match="unknown option 'precision'; it is one of backend 'tensorrt'"):
        create_engine(card, 'onnxruntime', precision='fp16')


def test_every_backend_has_documented_settings_of_its_own():
    for backend in registry.BACKENDS:
        info = settings_info(backend.settings_type)
        assert info and all(item.description.endswith('.') for item in info.values()), backend.name
        assert backend.settings_type() == backend.choose_settings()


def test_on_the_cpu_the_other_settings_stay():
    wide = TensorRtSettings(max_batch=4)
    name, settings = registry.on_cpu({'tensorrt': wide, 'onnxruntime': OnnxRuntimeSettings(('cuda',), threads=3)})
    assert name == registry.cpu_backend().name == 'onnxruntime'
    assert settings == {'tensorrt': wide, 'onnxruntime': OnnxRuntimeSettings(('cpu',), threads=3)}


def test_without_a_backend_for_the_cpu_it_says_so(monkeypatch):
    monkeypatch.setattr(registry, 'BACKENDS', registry.BACKENDS[:1])
    with pytest.raises(ConfigError, match='no known backend runs models on the CPU'):
        registry.on_cpu()


def test_only_a_backend_that_prepares_begins_something(card, monkeypatch):
    begun = []
    monkeypatch.setitem(sys.modules, 'builders', SimpleNamespace(begin=lambda *what: begun.append(what) or 'build'))
    settings = OnnxRuntimeSettings()
    slow = registry.Backend('slow', 'x:Y', 'json', '', (), preparation='builders:begin')
    assert slow.prepare(card, settings) == 'build' and begun == [(card, settings)]
    assert registry.Backend('quick', 'x:Y', 'json', '', ()).prepare(card, settings) is None
    missing = registry.Backend('gone', 'x:Y', 'no_such_library', 'install it', (), preparation='builders:begin')
    with pytest.raises(ConfigError, match="backend 'gone' needs the Python module 'no_such_library'"):
        missing.prepare(card, settings)
    assert len(begun) == 1


def test_a_reference_is_the_model_on_the_cpu_and_closed_at_the_end(card):
    with create_engine(card, 'onnxruntime') as engine, cpu_reference(card) as run:
        feeds = engine.zero_feeds()
        np.testing.assert_array_equal(run(feeds)['output0'], engine.infer(feeds)['output0'])
    with pytest.raises(EngineError, match='not open'):
        run(feeds)


def test_where_nothing_runs_on_the_cpu_there_is_no_reference(card, monkeypatch, caplog):
    row = registry.BACKENDS[1]
    monkeypatch.setattr(registry, 'BACKENDS', (dataclasses.replace(row, library='no_such_library'),))
    with caplog.at_level('WARNING'), cpu_reference(card) as run:
        assert run is None
    assert 'nothing to compare it with' in caplog.text and 'no_such_library' in caplog.text
