# SPDX-License-Identifier: Apache-2.0
"""What the commands say of a model beside their own results: what is assumed, and what a run on a picture shows."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console
from support.onnx_models import write_model
from support.onnx_models.blind import constant_model
from support.waiting import LIMIT_S

from isaac_inference import engines
from isaac_inference.cli import build
from isaac_inference.cli.main import main
from isaac_inference.engines import create_engine
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import EngineError
from isaac_inference.models import read_card

LABELS = ['cup', 'can', 'box']


@pytest.fixture
def deaf(tmp_path: Path) -> Path:
    """A model that finds the same in every picture."""
    return constant_model(tmp_path / 'deaf.onnx', LABELS)


@pytest.fixture
def unsure(tmp_path: Path) -> Path:
    """A sound model whose file does not say how its images are prepared."""
    path = write_model(tmp_path / 'unsure.onnx', 'yolox')
    path.with_suffix('.yaml').write_text('labels: [cup, can, box]')
    assert read_card(path).assumptions
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / 'pictures'
    folder.mkdir()
    cv2.imwrite(str(folder / 'white.png'), np.full((64, 96, 3), 255, np.uint8))
    return folder


def flat(text: str) -> str:
    """Without line breaks and frames of tables."""
    return ' '.join(text.replace('│', ' ').split())


def test_info_runs_the_model(unsure, capsys):
    assert main(['info', str(unsure)]) == 0
    text = flat(capsys.readouterr().out)
    assert 'probe 3 boxes at score_threshold 0.25, best raw score 0.4' in text
    assert 'probe.' not in text


def test_info_names_what_cannot_be_right(deaf, capsys):
    assert main(['info', str(deaf)]) == 0
    assert 'probe.constant_outputs exactly the same outputs' in flat(capsys.readouterr().out)


def test_info_can_only_read(deaf, capsys, monkeypatch):
    monkeypatch.setattr(engines, 'create_engine', None)
    assert main(['info', str(deaf), '--no-run']) == 0
    assert 'probe' not in capsys.readouterr().out


def test_info_without_an_engine_says_why_in_one_row(deaf, capsys, monkeypatch):
    card = read_card(deaf)
    assert card  # recognised before ONNX Runtime goes
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    assert main(['info', str(deaf)]) == 0
    assert 'probe not run: ' in flat(capsys.readouterr().out)


def test_info_shows_each_alternative_of_an_assumption_on_its_own_line(unsure, capsys):
    assert main(['info', str(unsure), '--no-run']) == 0
    assumption = read_card(unsure).assumptions[0]
    lines = [line.split('│') for line in capsys.readouterr().out.splitlines() if '│' in line]
    cells = [parts[2].strip() for parts in lines]
    assert f'assumed.{assumption.field}' in [parts[1].strip() for parts in lines]
    assert assumption.value in cells
    for line, _ in assumption.alternatives:
        assert line in cells


def test_validate_says_what_is_assumed_and_probes_both(unsure, deaf, pictures, capsys):
    words = ['--images', str(pictures), '--runs', '0', '--backend', 'onnxruntime']
    main(['validate', str(deaf), '--against', str(unsure), *words])
    text = flat(capsys.readouterr().out)
    assumption = read_card(unsure).assumptions[0]
    assert text.count(f'model unsure: {flat(assumption.text())}') == 1
    assert 'unsure (onnxruntime): on a picture of a street: 3 boxes at score_threshold 0.25' in text
    assert 'deaf (onnxruntime): constant_outputs: exactly the same outputs' in text
    assert 'unsure (onnxruntime): constant' not in text


@pytest.mark.parametrize('json', [[], ['--json', '-']])
def test_bench_says_what_is_assumed_once_and_never_between_figures(unsure, capsys, json):
    words = ['--runs', '2', '--warm-up', '0', '--backend', 'onnxruntime', '--against', str(unsure)]
    assert main(['bench', str(unsure), *words, *json]) == 0
    said = capsys.readouterr()
    text = flat(read_card(unsure).assumptions[0].text())
    assert flat(said.err if json else said.out).count(text) == 1
    assert flat(said.out if json else said.err).count(text) == 0


def test_a_new_engine_is_probed(deaf, monkeypatch):
    monkeypatch.setattr(engines, 'create_engine', lambda card, name, settings: create_engine(card, 'onnxruntime'))
    screen = Console(file=io.StringIO(), width=1000)
    build._probe(screen, read_card(deaf), TensorRtSettings())
    assert 'deaf (onnxruntime): constant_outputs: exactly the same outputs' in screen.file.getvalue()


def test_a_new_engine_that_cannot_be_opened_is_kept(deaf, monkeypatch):
    def fail(*args: object, **options: object) -> None:
        raise EngineError('no memory left')

    monkeypatch.setattr(engines, 'create_engine', fail)
    screen = Console(file=io.StringIO(), width=1000)
    build._probe(screen, read_card(deaf), TensorRtSettings())
    assert 'could not be opened for a probe: no memory left' in screen.file.getvalue()


def test_run_says_what_is_assumed_once(unsure, pictures):
    """The inference node does, on stderr."""
    program = [sys.executable, '-m', 'isaac_inference.cli.main', 'run', '--model', str(unsure)]
    words = ['--source', str(pictures), '--json', '-']
    done = subprocess.run([*program, *words], capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    text = read_card(unsure).assumptions[0].text()
    assert flat(done.stderr).count(f'model unsure: {flat(text)}') == 1
    assert text not in done.stdout
