# SPDX-License-Identifier: Apache-2.0
"""`isaac-inference build`: options made from the settings, the list of engines, and a build's display."""

from __future__ import annotations

import argparse
import io

import pytest
from rich.console import Console
from support.onnx_models import write_model

from isaac_inference.cli import build
from isaac_inference.cli.shared.tensorrt_options import tensorrt_settings
from isaac_inference.engines.preparation import BuildProgress
from isaac_inference.engines.settings import settings_info
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import ConfigError, EngineError
from isaac_inference.pictures import FrameSource
from isaac_inference.store.engine_cache import EngineCache, EngineKey

KEY = EngineKey(
    'cups', 'ab' * 32, 'fp16', {'images': ((1, 3, 64, 96), (4, 3, 64, 96), (8, 3, 64, 96))},
    {'optimization_level': 3}, '8.6.0', 'H200', '9.0',
)  # fmt: skip


def parse(*words):
    parser = argparse.ArgumentParser()
    build.add_command(parser.add_subparsers())
    return parser.parse_args(['build', *words])


def settings_of(*words):
    return tensorrt_settings(parse('m.onnx', *words))


def run(*words):
    arguments = parse(*words)
    return arguments.execute(arguments)


def test_no_option_is_the_default():
    assert settings_of() == TensorRtSettings()


def test_every_setting_has_an_option(capsys):
    with pytest.raises(SystemExit):
        parse('--help')
    text = capsys.readouterr().out
    for name in settings_info(TensorRtSettings):
        assert (f'--{name.replace("_", "-")}' in text) == (name != 'auto_build'), name


def test_options_of_each_type():
    settings = settings_of(
        *('--precision', 'fp16', '--preset', 'fastest', '--batch', '1,4,8', '--size', '320x256,640X480,1280x736'),
        *('--tactic-sources', 'jit_convolutions, EDGE_MASK_CONVOLUTIONS', '--sparsity', '--no-cuda-graph'),
        *('--min-agreement', '0.9', '--workspace-mib', '512'),
    )
    assert settings == TensorRtSettings(
        precision='fp16', preset='fastest', min_batch=1, opt_batch=4, max_batch=8, min_wh=(320, 256),
        opt_wh=(640, 480), max_wh=(1280, 736), tactic_sources=('JIT_CONVOLUTIONS', 'EDGE_MASK_CONVOLUTIONS'),
        sparsity=True, cuda_graph=False, min_agreement=0.9, workspace_mib=512,
    )  # fmt: skip
    assert settings_of('--batch', '4').min_batch == 4
    assert settings_of('--max-wh', '640x480').max_wh == (640, 480)


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--batch', '1,2'], '--batch.*three values'),
        (['--batch', '1,2,x'], "--batch: got 'x', expected a whole number"),
        (['--size', '640'], '--size'),
        (['--batch', '1,2,4', '--max-batch', '8'], '--max-batch.*together with --batch'),
        (['--optimization-level', '9'], 'optimization_level'),
    ],
)
def test_unusable_options(words, message):
    with pytest.raises(ConfigError, match=message):
        settings_of(*words)


def test_a_model_is_needed(tmp_path):
    with pytest.raises(ConfigError, match='MODEL: missing.*--list'):
        run('--cache-dir', str(tmp_path))


def test_the_list_of_engines(tmp_path, capsys):
    assert run('--list', '--cache-dir', str(tmp_path)) == 0
    assert 'no engines' in capsys.readouterr().out
    entry = EngineCache(tmp_path).store(KEY, b'plan')
    assert run('--list', '--cache-dir', str(tmp_path)) == 0
    text = ' '.join(capsys.readouterr().out.split())
    for word in ('cups', 'fp16', '1-4-8', '8.6.0', 'H200', entry.path.name[:20]):
        assert word in text


class Build:
    """The smallest BackgroundBuild: tells three steps, then its outcome."""

    def __init__(self, outcome):
        self.outcome, self.cancelled = outcome, False
        self.steps = [
            BuildProgress('building', None, 1.0, 'level 3'),
            BuildProgress('building', 0.25, 2.0, 'level 3'),
            BuildProgress('building', 0.5, 12.0, 'level 3'),
        ]

    def wait(self, timeout_s):
        return not self.steps

    def poll(self):
        return self.steps.pop(0)

    def result(self):
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    def cancel(self):
        self.cancelled = True


@pytest.mark.parametrize('terminal', [False, True])
def test_a_build_is_shown(tmp_path, terminal):
    entry = EngineCache(tmp_path).store(KEY, b'plan', {'build_s': 61.0, 'outputs': {'output0': 0.99951}})
    out = io.StringIO()
    screen = Console(file=out, force_terminal=terminal, width=150)
    assert build.build_engine(screen, Build(entry)) == entry
    build._show(screen, entry)
    text = out.getvalue()
    if not terminal:
        assert text.splitlines()[:2] == ['     1 s  building: level 3', '    12 s  building 50 %: level 3']
        assert text.splitlines()[-1] == str(entry.path)
    assert 'in 61.0 s' in text and '0.99951' in text and 'H200' in text


@pytest.mark.parametrize('error', [EngineError('no kernel'), KeyboardInterrupt()])
def test_a_build_that_fails_or_is_interrupted_leaves_no_child(error):
    failing = Build(error)
    with pytest.raises(type(error)):
        build.build_engine(Console(file=io.StringIO()), failing)
    assert failing.cancelled


def test_an_engine_whose_boxes_differ_is_removed(tmp_path, monkeypatch):
    from contextlib import nullcontext
    from types import SimpleNamespace

    from isaac_inference import engines
    from isaac_inference.evaluation.agreement import compare

    cache = EngineCache(tmp_path)
    settings = TensorRtSettings(cache_dir=str(tmp_path), min_agreement=0.95)
    result = SimpleNamespace(images=(1, 2), agreement=0.5, failure=lambda least: 'agreement 0.5' * (least > 0.5))
    monkeypatch.setattr(engines, 'create_engine', lambda *args, **options: nullcontext())
    monkeypatch.setattr(compare, 'agreement_of', lambda *args: result)
    image = tmp_path / 'images'
    image.mkdir()
    import cv2
    import numpy as np

    cv2.imwrite(str(image / 'a.png'), np.zeros((8, 8, 3), np.uint8))
    entry, screen = cache.store(KEY, b'plan'), Console(file=io.StringIO())
    with pytest.raises(EngineError, match='agreement 0.5; the engine was removed'):
        build._check_boxes(screen, None, settings, entry, FrameSource(str(image)))
    assert cache.find(KEY) is None
    entry = cache.store(KEY, b'plan')
    settings = TensorRtSettings(cache_dir=str(tmp_path), min_agreement=0.5)
    build._check_boxes(screen, None, settings, entry, FrameSource(str(image)))
    assert cache.find(KEY) == entry


def test_without_tensorrt_it_says_so(tmp_path):
    model = write_model(tmp_path / 'cups.onnx')
    with pytest.raises((ConfigError, EngineError)) as caught:
        run(str(model), '--cache-dir', str(tmp_path), '--device', '99')
    assert 'Traceback' not in str(caught.value)
