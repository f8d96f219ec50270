# SPDX-License-Identifier: Apache-2.0
"""isaac-inference evaluate --sim --task keypoints: the skeletons node measured through its topics."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
from support.depth_cards import write_brightness
from support.onnx_models import ultralytics_metadata, write_model
from support.onnx_models.constant import write_constant
from support.paths import DATA
from support.waiting import LIMIT_S

from isaac_inference.cli.evaluate import measure
from isaac_inference.cli.main import main
from isaac_inference.sim.people import KEYPOINTS


def test_joints_in_space_without_a_model(ros, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(measure, 'default_ros', contextlib.nullcontext)
    out, worst = tmp_path / 'figures.json', tmp_path / 'worst'
    given = ['--seed', '31', '--frames', '4', '--warmup', '1', '--timeout', str(LIMIT_S), '--worst', '1', str(worst)]
    assert main(['evaluate', '--sim', '--task', 'keypoints', *given, '--json', str(out)]) == 0, capsys.readouterr().err
    figures = json.loads(out.read_text())
    assert (figures['frames'], figures['misses'], figures['false_people']) == (4, 0, 0)
    assert 0.0 < figures['p50_m'] < 0.1 and figures['joints_known'] > 0.5
    assert figures['pck_20'] > 0.95, 'keypoints are the true ones, with a little noise'
    assert set(figures['joints']) == set(KEYPOINTS) and 'skeletons' in figures['stages_ms']
    assert len(list(worst.iterdir())) == 1
    assert 'keypoints without a model' in ' '.join(capsys.readouterr().out.split())


def test_a_model_without_people_is_refused(tmp_path, capsys):
    model = write_brightness(tmp_path / 'bright.onnx')
    (tmp_path / 'bright.yaml').write_text('task: mono_depth\n')
    assert main(['evaluate', '--sim', '--task', 'keypoints', '--model', str(model)]) == 1
    assert 'nothing says that it finds the 17 keypoints of COCO' in capsys.readouterr().err


_PERSON = DATA / 'models' / 'yolox_person_192.onnx'
_POINTS = ['movenet_singlepose_lightning', 'blazepose_landmark_lite']


@pytest.mark.skipif(not _PERSON.exists(), reason=f'no {_PERSON}')
@pytest.mark.parametrize('stem', _POINTS)
def test_a_detector_and_a_real_network_behind_it(ros, monkeypatch, tmp_path, capsys, stem):
    """Of BlazePose's 33 points the 17 of COCO are measured."""
    monkeypatch.setattr(measure, 'default_ros', contextlib.nullcontext)
    out, chain = tmp_path / 'figures.json', f'{_PERSON},{DATA / "models" / stem}.onnx'
    given = ['--seed', '33', '--frames', '3', '--warmup', '1', '--timeout', str(LIMIT_S), '--models', chain]
    assert main(['evaluate', '--sim', '--task', 'keypoints', *given, '--json', str(out)]) == 0, capsys.readouterr().err
    figures = json.loads(out.read_text())
    assert figures['frames'] == 3
    assert set(figures['joints']) == set(KEYPOINTS) and 'crops' in figures['stages_ms']
    assert figures['pck_20'] > 0.3, 'figures of capsules are not what it was trained on, but it knows a person'
    assert stem in ' '.join(capsys.readouterr().out.split())


def write_points(path, count):
    """A network of the layout of MoveNet, whose points are always the same."""
    rows = np.column_stack((np.linspace(0.1, 0.9, count), np.linspace(0.2, 0.8, count), np.full(count, 0.9)))
    return write_constant(
        path, {'points': rows[None, None].astype(np.float32)}, image=('image', 'int32', (1, 192, 192, 3))
    )


@pytest.fixture
def detector(tmp_path):
    """One person, always in the same place."""
    metadata = ultralytics_metadata(['person'], imgsz=(64, 64))
    return write_model(tmp_path / 'person.onnx', 'yolov8', classes=1, input_wh=(64, 64), metadata=metadata)


def test_a_made_up_detector_and_a_made_up_network(ros, monkeypatch, tmp_path, capsys, detector):
    """A made-up detector and a made-up network: whom they miss is missed, and their figures are there."""
    monkeypatch.setattr(measure, 'default_ros', contextlib.nullcontext)
    points, out = write_points(tmp_path / 'points.onnx', len(KEYPOINTS)), tmp_path / 'figures.json'
    given = ['--seed', '33', '--frames', '2', '--warmup', '1', '--timeout', str(LIMIT_S)]
    given += ['--models', f'{detector},{points}', '--json', str(out)]
    assert main(['evaluate', '--sim', '--task', 'keypoints', *given]) == 0, capsys.readouterr().err
    figures = json.loads(out.read_text())
    assert figures['frames'] == 2 and set(figures['stages_ms']) >= {'crops', 'keypoints', 'skeletons'}


def test_a_chain_whose_second_has_other_points_is_refused(tmp_path, capsys, detector):
    points = write_points(tmp_path / 'points.onnx', 3)
    points.with_suffix('.yaml').write_text(
        'task: top_down_keypoints\noutputs: {keypoints: points}\nkeypoints:\n  columns: [y, x, confidence]\n'
        '  unit: fraction\n  skeleton: {names: [nose, left_wrist, right_wrist], edges: [[left_wrist, right_wrist]]}\n'
    )
    assert main(['evaluate', '--sim', '--task', 'keypoints', '--models', f'{detector},{points}']) == 1
    said = ' '.join(capsys.readouterr().err.split())
    assert str(points) in said and 'has no left_eye, right_eye' in said


@pytest.mark.parametrize('task', ['poses', 'masks'])
def test_two_models_are_for_keypoints_alone(task, capsys):
    assert main(['evaluate', '--sim', '--task', task, '--models', 'person.onnx,pose.onnx']) == 1
    assert f'--models: got --task {task}, expected --task keypoints' in ' '.join(capsys.readouterr().err.split())
