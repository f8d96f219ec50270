# SPDX-License-Identifier: Apache-2.0
"""isaac-inference run of a network for depth from one image: rows of JSON, a table, pictures."""

from __future__ import annotations

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from support.depth_cards import TCMONODEPTH, write_brightness
from support.paths import DATA
from support.waiting import LIMIT_S

from isaac_inference.engines import create_engine
from isaac_inference.models import read_card
from isaac_inference.stages import Preprocessor
from isaac_inference.stages.depth.mono import MonoDepth

pytestmark = pytest.mark.system
WH = (160, 120)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A network whose depth is the brightness, and pictures: a ramp, black, and one that is damaged."""
    made = tmp_path_factory.mktemp('depth')
    photos = made / 'photos'
    photos.mkdir()
    ramp = np.linspace(20, 250, WH[0]).astype(np.uint8)
    cv2.imwrite(str(photos / 'a.png'), np.dstack([np.tile(ramp, (WH[1], 1))] * 3))
    cv2.imwrite(str(photos / 'b.png'), np.zeros((WH[1], WH[0], 3), np.uint8))
    (photos / 'c.png').write_bytes(b'no picture')
    return made


def run(folder, kind, *arguments):
    write_brightness(folder / f'{kind}.onnx', (64, 48))
    lines = f'task: mono_depth\ndepth: {{kind: {kind}}}\npreprocess: {{convention: unit}}\n'
    (folder / f'{kind}.yaml').write_text(lines)
    program = [sys.executable, '-m', 'isaac_inference.cli.main', 'run', '--model', f'{kind}.onnx']
    more = ['--source', 'photos', '--json', f'{kind}.jsonl', *arguments]
    done = subprocess.run([*program, *more], cwd=folder, capture_output=True, text=True, timeout=LIMIT_S)
    assert 'Traceback' not in done.stderr
    return done, [json.loads(line) for line in (folder / f'{kind}.jsonl').read_text().splitlines()]


def numbers(folder, kind, name):
    """(H, W) float32 of a picture, by the stages in this process."""
    card = read_card(folder / f'{kind}.onnx')
    tensors, letterbox = Preprocessor(card)(cv2.imread(str(folder / 'photos' / name)))
    with create_engine(card) as engine:
        return MonoDepth(card)(engine.infer(tensors), letterbox)


@pytest.mark.parametrize(('kind', 'unit', 'mode'), [('metric', 'm', '--composed'), ('inverse', None, '--processes')])
def test_rows_say_what_the_numbers_are(folder, kind, unit, mode):
    done, (ramp, black, damaged) = run(folder, kind, mode)
    assert done.returncode == 1, 'one picture is damaged'
    expected = numbers(folder, kind, 'a.png')
    known = expected[np.isfinite(expected)]
    assert len(known) and known.min() > 0
    depth = ramp['depth']
    assert (depth['kind'], depth['unit']) == (kind, unit)
    assert depth['known'] == pytest.approx(len(known) / expected.size)
    for name, value in (('min', known.min()), ('median', np.median(known)), ('max', known.max())):
        assert depth[name] == pytest.approx(float(value), rel=1e-4), name
    ranks = [int(rank) for rank in depth['percentiles']]
    assert ranks == [5, 25, 50, 75, 95]
    np.testing.assert_allclose(list(depth['percentiles'].values()), np.percentile(known, ranks), rtol=1e-4)
    assert {'preprocess', 'inference', 'depth', 'total'} <= set(ramp['latency_ms'])
    assert (black['image'], 'detections' in black) == ('b.png', False)
    assert damaged['depth'] is None and 'c.png' in damaged['error']
    assert f'depth, {kind}' in done.stdout


def test_depth_of_which_nothing_is_known_is_null(folder):
    _, (_, black, _) = run(folder, 'metric')
    nothing = {'kind': 'metric', 'unit': 'm', 'known': 0.0, 'min': None, 'median': None, 'max': None}
    assert black['depth'] == {**nothing, 'percentiles': None}, '0 m in front of the camera is no depth'


def test_a_picture_is_the_photo_beside_its_depth_with_a_scale(folder):
    run(folder, 'inverse', '--save-images', 'pictures')
    picture, photo = (cv2.imread(str(folder / name / 'a.png')) for name in ('pictures', 'photos'))
    assert picture.shape == (WH[1], 2 * WH[0], 3)
    np.testing.assert_array_equal(picture[:, : WH[0]], photo)
    blue, _, red = np.moveaxis(picture[-1, WH[0] :].astype(int), -1, 0)
    assert blue[2] > red[2], 'dark is far'
    assert red[-2] > blue[-2], 'bright is near'
    assert (picture[:, -20:] == 255).all(axis=2).any(), 'the frame of the scale'


@pytest.mark.skipif(not TCMONODEPTH.is_file(), reason='needs ../shared/data/models')
def test_a_real_network_on_a_photo(tmp_path):
    photo = sorted((DATA / 'coco' / 'eval').glob('*.jpg'))[1]
    out = tmp_path / 'out.jsonl'
    program = [sys.executable, '-m', 'isaac_inference.cli.main', 'run', '--model', str(TCMONODEPTH)]
    more = ['--source', str(photo), '--json', str(out), '--save-images', str(tmp_path / 'pictures')]
    done = subprocess.run([*program, *more], capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    depth = json.loads(out.read_text())['depth']
    assert (depth['kind'], depth['known']) == ('inverse', 1.0)
    assert depth['max'] > 3 * depth['min'] > 0, 'a person on a slope, not a bare gradient'
    picture, source = cv2.imread(str(tmp_path / 'pictures' / photo.name)), cv2.imread(str(photo))
    assert picture.shape == (source.shape[0], 2 * source.shape[1], 3)
