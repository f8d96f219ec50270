# SPDX-License-Identifier: Apache-2.0
"""Backends by name: the best one, unknown ones, missing libraries, unknown options."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
from support.onnx_models import write_model

from isaac_inference.cuda import availability
from isaac_inference.engines import available_backends, create_engine, registry
from isaac_inference.errors import ConfigError
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
        ({'threads': -1}, 'threads: got -1, expected a whole number, 0 .all. or more'),
        ({'threads': 1.5}, 'threads: got 1.5'),
        ({'threads': True}, 'threads: got True'),
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
    with pytest.raises(ConfigError, match=f"backend 'gpu' can not run here: .*{says}"):
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
        'print(sorted({"onnx", "onnxruntime", "rclpy", "cv2", "pycuda", "tensorrt"} & set(sys.modules)))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'


def test_of_shared_settings_each_backend_takes_those_that_it_has(card):
    with create_engine(card, 'onnxruntime', shared={'threads': 1, 'workspace_mib': 512}) as engine:
        assert '1 thread' in engine.device
    with create_engine(card, 'onnxruntime', shared={'threads': 1}, threads=2) as engine:
        assert '2 threads' in engine.device
