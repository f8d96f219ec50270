# SPDX-License-Identifier: Apache-2.0
"""isaac-inference run of a model with a class for each pixel: rows of JSON, a table, pictures."""

from __future__ import annotations

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from support.onnx_models.color_classes import LABELS, colored
from support.paths import ROOT
from support.waiting import LIMIT_S

from isaac_inference.ops.drawing.boxes import class_color

pytestmark = pytest.mark.system
# the card is known to this process alone, so the graph runs in it: composed
PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from support.onnx_models.color_classes import write_color_classes
write_color_classes(Path(sys.argv[2]))
from isaac_inference.cli.main import main
sys.exit(main(sys.argv[3:]))
"""


def test_classes_of_pictures(tmp_path):
    photos, out, pictures = tmp_path / 'photos', tmp_path / 'out.json', tmp_path / 'pictures'
    photos.mkdir()
    ids = np.zeros((64, 64), int)
    ids[:, 16:] = 2
    ids[:16, 16:] = 3
    cv2.imwrite(str(photos / 'a.png'), colored(ids, scale=5))
    cv2.imwrite(str(photos / 'b.png'), colored(np.ones((64, 64), int), scale=5))
    model = tmp_path / 'colors.onnx'
    run = ['run', '--model', str(model), '--source', str(photos), '--json', str(out), '--save-images', str(pictures)]
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM, str(ROOT / 'test'), str(model), *run],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = [json.loads(line) for line in out.read_text().splitlines()]
    assert first['classes'] == {'green': 0.5625, 'dark': 0.25, 'blue': 0.1875}
    assert list(first['classes']) == ['green', 'dark', 'blue']
    assert second['classes'] == {'red': 1.0}
    assert 'detections' not in first
    assert {'preprocess', 'inference', 'segmentation', 'total'} <= set(first['latency_ms'])
    assert 'red 50.0 %' in done.stdout
    picture = cv2.imread(str(pictures / 'a.png'))
    assert picture.shape == (320, 320, 3)
    plain, green = np.array((0, 255, 0)), np.array(class_color(LABELS[2]))
    np.testing.assert_allclose(picture[200, 200], 0.55 * green + 0.45 * plain, atol=2)
