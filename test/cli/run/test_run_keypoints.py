# SPDX-License-Identifier: Apache-2.0
"""isaac-inference run of top-down keypoints, alone and behind a detector: rows of JSON with names, pictures, errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.keypoints.dots import dots_of, scene
from support.onnx_models import known_detections, ultralytics_metadata, write_model
from support.paths import ROOT
from support.waiting import LIMIT_S

pytestmark = pytest.mark.system
# the card is known to this process alone, so the graph runs in it: composed
PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from support.keypoints.dots import write_dots
write_dots(Path(sys.argv[2]))
from isaac_inference.cli.main import main
sys.exit(main(sys.argv[3:]))
"""
# the same, with a second model whose answers are of no use
BROKEN = PROGRAM.replace(
    'from isaac_inference.cli.main',
    """
from isaac_inference.errors import FrameError
from isaac_inference.stages.keypoints.decoder import TopDownDecoder
def refuse(self, outputs):
    raise FrameError('non_finite_output', 'model pose: its heatmaps hold NaN')
TopDownDecoder.decode = refuse
from isaac_inference.cli.main""",
)
BOX = tuple(2.0 * value for value in known_detections(1, (64, 64))[0].xyxy)


def run(tmp_path: Path, *arguments: str, program: str = PROGRAM) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, '-c', program, str(ROOT / 'test'), str(tmp_path / 'pose.onnx'), 'run', *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / 'photos'
    folder.mkdir()
    cv2.imwrite(str(folder / 'a.png'), scene((128, 128), [BOX]))
    cv2.imwrite(str(folder / 'b.png'), np.zeros((128, 128, 3), np.uint8))
    return folder


def rows_of(done: subprocess.CompletedProcess[str], path: Path) -> list[dict]:
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in path.read_text().splitlines()]


def assert_named_points(detection: dict, box: tuple[float, ...]) -> None:
    assert list(detection['keypoints']) == ['red', 'green', 'blue']
    points = np.array(list(detection['keypoints'].values()))
    assert np.abs(points[:, :2] - dots_of(box)).max() <= 0.5


def test_a_detector_and_a_top_down_model(tmp_path: Path, photos: Path) -> None:
    metadata = ultralytics_metadata(['person'], imgsz=(64, 64))
    person = write_model(tmp_path / 'person.onnx', 'yolov8', classes=1, input_wh=(64, 64), metadata=metadata)
    out, pictures = tmp_path / 'out.json', tmp_path / 'pictures'
    models = f'{person},{tmp_path / "pose.onnx"}'
    done = run(
        tmp_path, '--models', models, '--source', str(photos), '--json', str(out), '--save-images', str(pictures)
    )
    first, second = rows_of(done, out)
    [found] = first['detections']
    assert found['class_id'] == 'person'
    assert_named_points(found, BOX)
    assert second['detections'] == []
    stages = ['preprocess', 'inference', 'detection', 'crops', 'crops_inference', 'keypoints', 'total']
    assert list(first['latency_ms']) == stages
    assert 'person, pose' in done.stdout
    before, after = cv2.imread(str(photos / 'a.png')), cv2.imread(str(pictures / 'a.png'))
    assert before.shape == after.shape and (before != after).any()


def test_boxes_whose_keypoints_fail_are_not_the_answer(tmp_path: Path, photos: Path) -> None:
    metadata = ultralytics_metadata(['person'], imgsz=(64, 64))
    person = write_model(tmp_path / 'person.onnx', 'yolov8', classes=1, input_wh=(64, 64), metadata=metadata)
    (photos / 'b.png').unlink()
    out, models = tmp_path / 'out.json', f'{person},{tmp_path / "pose.onnx"}'
    arguments = ['--models', models, '--source', str(photos), '--json', str(out), '--timeout', '10']
    done = run(tmp_path, *arguments, program=BROKEN)
    assert done.returncode == 1, done.stdout + done.stderr
    [row] = [json.loads(line) for line in out.read_text().splitlines()]
    assert row['detections'] is None
    assert row['error'].startswith('no keypoints, keypoints/timings within 10 s; ')
    assert 'non_finite_output' in row['error']


def test_alone(tmp_path: Path, photos: Path) -> None:
    out = tmp_path / 'out.json'
    done = run(tmp_path, '--model', str(tmp_path / 'pose.onnx'), '--source', str(photos), '--json', str(out))
    first, second = rows_of(done, out)
    [found] = first['detections']
    assert found['class_id'] == 'person'
    assert_named_points(found, BOX)
    assert second['detections'] == []
    assert list(first['latency_ms']) == ['preprocess', 'inference', 'keypoints', 'total']


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['--models', '{pose}'], r'--models: got 1 path'),
        (['--models', '{pose},{pose}'], r'is for top_down_keypoints'),
        (['--models', '{pose},/nowhere.onnx'], r"no such file '/nowhere.onnx'"),
        (['--model', '{pose}', '--models', '{pose},{pose}'], r'not allowed with argument --model'),
        ([], r'one of the arguments --model --models is required'),
    ],
)
def test_what_cannot_be_run_is_said(tmp_path: Path, photos: Path, arguments: list[str], said: str) -> None:
    given = [argument.format(pose=tmp_path / 'pose.onnx') for argument in arguments]
    done = run(tmp_path, *given, '--source', str(photos))
    assert done.returncode != 0
    assert said in done.stdout.replace('\n', ' ') + done.stderr.replace('\n', ' ')
