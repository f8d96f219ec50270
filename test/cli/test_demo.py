# SPDX-License-Identifier: Apache-2.0
"""The demo as a newcomer runs it, shorter: the shipped model on the simulated camera, for real."""

from __future__ import annotations

import json
import subprocess
import sys

import cv2
import pytest
from support.waiting import LIMIT_S

from isaac_inference.cli.main import main
from isaac_inference.models import read_card
from isaac_inference.models.demo import demo_model
from isaac_inference.sim import LABELS, OBJECT_SIZES

pytestmark = pytest.mark.system


def test_the_demo_finds_objects_and_their_poses(tmp_path):
    program = [sys.executable, '-m', 'isaac_inference.cli.main', 'demo', '--frames', '30', '--out', str(tmp_path)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=2 * LIMIT_S)
    assert done.returncode == 0, done.stderr
    assert 'median rotation error' in done.stdout
    assert 'first detection' in done.stdout
    figures = json.loads((tmp_path / 'figures.json').read_text())
    assert figures['frames'] > 0
    assert figures['map50'] > 0.8
    assert figures['add_0_1d'] > 0.6
    assert figures['median_translation_rel'] < 0.03

    video = cv2.VideoCapture(str(tmp_path / 'demo.mp4'))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) > 5
    good, picture = video.read()
    video.release()
    assert good
    assert picture.shape == (480, 640, 3)
    assert cv2.imread(str(tmp_path / 'demo.png')) is not None
    assert cv2.imread(str(tmp_path / 'evaluation.png')) is not None


def test_several_cameras_find_more_together_than_any_alone(tmp_path):
    program = [sys.executable, '-m', 'isaac_inference.cli.main', 'demo', '--cameras', '3', '--frames', '8']
    done = subprocess.run([*program, '--out', str(tmp_path)], capture_output=True, text=True, timeout=2 * LIMIT_S)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / 'figures.json').read_text())
    assert figures.keys() == {'front', 'left', 'right', 'fused'}
    assert all(name in done.stdout for name in figures)
    alone = [figures[name]['add_0_1d'] for name in ('front', 'left', 'right')]
    assert figures['fused']['frames'] == 8
    assert figures['fused']['add_0_1d'] >= (1 + max(alone)) / 2
    assert cv2.imread(str(tmp_path / 'cameras.png')).shape == (508, 3 * 640, 3)


def test_no_cameras_at_all_are_refused(tmp_path, capsys):
    assert main(['demo', '--cameras', '0', '--out', str(tmp_path)]) != 0
    assert 'cameras: got 0, expected 1 to 16' in capsys.readouterr().err


def test_the_shipped_model_says_everything_itself():
    path = demo_model()
    card = read_card(path)
    assert path.stat().st_size <= 4_500_000
    assert card.labels == LABELS
    assert card.keypoints is not None
    assert card.keypoints.count == 8
    assert {name: spec.size for name, spec in card.objects.items()} == OBJECT_SIZES
    assert card.objects['soup_can'].symmetries == (('z', 0),)
    assert card.sources['labels'].startswith('card in')
