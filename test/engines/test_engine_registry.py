# SPDX-License-Identifier: Apache-2.0
"""Backends by name: the best one, unknown ones, missing libraries, unknown options."""

from __future__ import annotations

import subprocess
import sys

import pytest
from onnx_models import write_model

from isaac_inference.engines import available_backends, create_engine, registry
from isaac_inference.errors import ConfigError
from isaac_inference.models import read_card


@pytest.fixture
def card(tmp_path):
    return read_card(write_model(tmp_path / 'm.onnx', 'yolov8'))


def test_auto_takes_the_first_that_is_installed(card):
    assert create_engine(card).backend == 'onnxruntime'
    assert create_engine(card, 'onnxruntime', threads=1).name == 'm (onnxruntime)'


def test_available_backends_have_a_version():
    assert [(backend.name, bool(backend.version)) for backend in available_backends()] == [('onnxruntime', True)]


def test_an_unknown_backend_lists_the_known_ones(card):
    with pytest.raises(ConfigError, match="backend: got 'tensorrtx'; known are: auto, onnxruntime"):
        create_engine(card, 'tensorrtx')


def test_an_unknown_option_names_the_likely_one(card):
    with pytest.raises(ConfigError, match="unknown option 'thread'; did you mean 'threads'"):
        create_engine(card, thread=1)


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
    with pytest.raises(ConfigError, match='no inference library is installed; choose one: absent: install it'):
        create_engine(card)


def test_auto_skips_what_is_not_installed(card, monkeypatch):
    absent = registry.Backend('absent', 'nowhere:Engine', 'no_such_library', '', ())
    monkeypatch.setattr(registry, 'BACKENDS', (absent, *registry.BACKENDS))
    assert create_engine(card).backend == 'onnxruntime'


def test_libraries_are_imported_only_when_needed():
    code = (
        'import sys, isaac_inference.engines, isaac_inference.models; '
        'print(sorted({"onnx", "onnxruntime", "rclpy", "cv2"} & set(sys.modules)))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'


def test_of_shared_settings_each_backend_takes_those_that_it_has(card):
    with create_engine(card, shared={'threads': 1, 'workspace_mib': 512}) as engine:
        assert '1 thread' in engine.device
    with create_engine(card, shared={'threads': 1}, threads=2) as engine:
        assert '2 threads' in engine.device
