# SPDX-License-Identifier: Apache-2.0
"""isaac-inference run: the real graph on a folder of pictures."""

from __future__ import annotations

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from support.onnx_models import WH, known_detections, ultralytics_metadata, write_model, write_model_of_links
from support.onnx_models.constant import write_constant
from support.waiting import LIMIT_S

from isaac_inference.engines import create_engine
from isaac_inference.models import read_card
from isaac_inference.ops.drawing.boxes import class_color
from isaac_inference.stages import Postprocessor, Preprocessor

pytestmark = pytest.mark.system
LABELS = ['cup', 'can', 'box']


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A model, and pictures: one white, one damaged, one black."""
    made = tmp_path_factory.mktemp('run')
    write_model(made / 'cups.onnx', 'yolov8', metadata=ultralytics_metadata(LABELS))
    photos = made / 'photos'
    photos.mkdir()
    size = (2 * WH[1], 2 * WH[0], 3)
    cv2.imwrite(str(photos / 'a.png'), np.full(size, 255, np.uint8))
    (photos / 'b [x].png').write_bytes(b'no picture')
    cv2.imwrite(str(photos / 'c.png'), np.zeros(size, np.uint8))
    return made


def run(folder, *arguments, model='cups.onnx', source='photos'):
    program = [sys.executable, '-m', 'isaac_inference.cli.main', 'run', '--model', model, '--source', source]
    return subprocess.run([*program, *arguments], cwd=folder, capture_output=True, text=True, timeout=LIMIT_S)


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def check(found):
    """The three lines of the folder: three boxes, an error, nothing."""
    white, damaged, black = found
    assert (white['image'], white['frame_id'], white['width'], white['height']) == (
        'a.png',
        'camera_optical_frame',
        2 * WH[0],
        2 * WH[1],
    )
    assert [item['class_id'] for item in white['detections']] == LABELS
    assert all(set(item) == {'class_id', 'score', 'bbox', 'id'} for item in white['detections'])
    for item, known in zip(white['detections'], known_detections(), strict=True):
        x0, y0, x1, y1 = np.multiply(known.xyxy, 2)
        assert item['bbox'] == pytest.approx([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], abs=0.5)
        assert item['score'] == pytest.approx(known.score, abs=0.01)
        assert item['id'] == ''
    assert set(white['latency_ms']) == {'preprocess', 'inference', 'detection', 'total'}
    assert white['latency_ms']['total'] >= max(white['latency_ms'].values()) > 0
    assert damaged['detections'] is None
    assert 'b [x].png: OpenCV cannot read it' in damaged['error']
    assert (black['image'], black['detections']) == ('c.png', [])
    assert black['stamp_ns'] > white['stamp_ns'] > 1_600_000_000_000_000_000


def test_composed_writes_json_lines_and_pictures(folder):
    done = run(folder, '--json', 'out/lines.jsonl', '--save-images', 'out/images')
    assert done.returncode == 1, 'one picture is damaged'
    check(lines((folder / 'out/lines.jsonl').read_text()))
    assert sorted(path.name for path in (folder / 'out/images').iterdir()) == ['a.png', 'c.png']
    drawn = cv2.imread(str(folder / 'out/images/a.png'))
    assert drawn.shape == (2 * WH[1], 2 * WH[0], 3)
    assert (drawn != 255).any(), 'boxes are drawn'
    assert 'detections' in done.stdout and '3: cup 1, can 1, box 1' in done.stdout
    assert 'b [x].png' in done.stdout
    assert 'Traceback' not in done.stderr


def test_processes_find_the_same_and_json_may_go_to_stdout(folder):
    done = run(folder, '--processes', '--json', '-')
    assert done.returncode == 1, done.stderr
    check(lines(done.stdout))
    assert '3, 1 without a result' in done.stderr
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize('mode', ['--composed', '--processes'])
def test_a_model_with_keypoints_writes_them_with_each_detection(folder, mode):
    path = folder / 'pose.onnx'
    write_model(path, 'yolov8_pose', metadata=ultralytics_metadata(LABELS, task='pose', kpt_shape=[8, 3]))
    done = run(folder, mode, '--frames', '1', '--json', '-', '--save-images', 'out/pose', model='pose.onnx')
    assert done.returncode == 0, done.stderr
    detections = lines(done.stdout)[0]['detections']
    card, picture = read_card(path), cv2.imread(str(folder / 'photos' / 'a.png'))
    tensors, letterbox = Preprocessor(card)(picture)
    with create_engine(card) as engine:
        expected = Postprocessor(card)(engine.infer(tensors), letterbox)
    assert expected.keypoints.shape == (3, 8, 3)
    assert [item['class_id'] for item in detections] == [card.labels[index] for index in expected.class_ids]
    np.testing.assert_allclose([item['keypoints'] for item in detections], expected.keypoints, atol=1e-3)
    drawn = cv2.imread(str(folder / 'out/pose/a.png'))
    for label, (x, y, _) in zip(LABELS, expected.keypoints[:, 2], strict=True):  # in the middle of its box
        assert drawn[int(y), int(x)] == pytest.approx(class_color(label), abs=2)


def test_the_number_of_frames_can_be_limited(folder):
    done = run(folder, '--frames', '1', '--json', '-')
    assert done.returncode == 0, done.stderr
    assert [line['image'] for line in lines(done.stdout)] == ['a.png']


def test_a_model_of_links_is_read_where_its_links_are(folder):
    (folder / 'hub').mkdir()
    write_model_of_links(folder / 'hub', metadata=ultralytics_metadata(LABELS))
    done = run(folder, '--frames', '1', '--json', '-', model='hub/snapshots/abc/model.onnx')
    assert done.returncode == 0, done.stderr
    assert [item['class_id'] for item in lines(done.stdout)[0]['detections']] == LABELS


@pytest.mark.parametrize(
    ('given', 'says'),
    [
        ({'model': 'none.onnx'}, 'none.onnx'),
        ({'source': 'nowhere'}, "source 'nowhere': no such file or folder"),
    ],
)
def test_a_bad_model_or_source_is_one_error_before_anything_starts(folder, given, says):
    done = run(folder, **given)
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line]
    assert line.startswith('error: ')
    assert says in line


def test_parameters_that_a_node_refuses_end_the_run_with_the_reason(folder):
    (folder / 'bad.yaml').write_text('/**/detection:\n  ros__parameters: {score_threshold: 7.0}\n')
    done = run(folder, '--params-file', 'bad.yaml')
    assert done.returncode == 1
    assert 'parameter score_threshold: got 7.0 (float), expected number in [0, 1]' in done.stderr.splitlines()[-1]


def test_a_model_that_needs_more_than_a_picture_is_refused_before_anything_starts(folder):
    disparity = {'disparity': np.linspace(0.5, 8, 96 * 128, dtype=np.float32).reshape(1, 1, 96, 128)}
    images = [(name, 'float32', (1, 3, 96, 128)) for name in ('left', 'right')]
    write_constant(folder / 'pair.onnx', disparity, image=images[0], beside=images[1:])
    done = run(folder, model='pair.onnx')
    assert done.returncode != 0
    assert 'pair.onnx is for stereo_depth, which needs more than one picture' in ' '.join(done.stderr.split())
