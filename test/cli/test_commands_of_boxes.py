# SPDX-License-Identifier: Apache-2.0
"""Commands that are about boxes refuse models without any before anything starts, and say what measures those."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from isaac_inference.cli.main import main
from isaac_inference.models.demo import completion_model
from test.support.keypoints.dots import write_dots

COMMANDS = {
    'demo': ['demo', '--model', 'MODEL'],
    'evaluate': ['evaluate', '--sim', '--model', 'MODEL'],
    'convert': ['convert', 'MODEL', '--precision', 'fp16', '--out', 'OUT'],
    'validate': ['validate', 'MODEL', '--against', 'MODEL', '--images', 'IMAGES'],
    'calibrate-card': ['calibrate-card', 'MODEL', '--images', 'IMAGES'],
}


@pytest.fixture
def images(tmp_path: Path) -> str:
    folder = tmp_path / 'images'
    folder.mkdir()
    cv2.imwrite(str(folder / 'a.png'), np.zeros((48, 64, 3), np.uint8))
    return str(folder)


# calibrate-card reads the file anew, and the card of the synthetic one is known to this process only
CASES = [(command, 'completion') for command in COMMANDS] + [
    (command, 'keypoints') for command in COMMANDS if command != 'calibrate-card'
]


@pytest.mark.parametrize(('command', 'kind'), CASES)
def test_a_model_without_boxes(
    command: str, kind: str, images: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(completion_model() if kind == 'completion' else write_dots(tmp_path / 'pose.onnx').path)
    places = {'MODEL': model, 'IMAGES': images, 'OUT': str(tmp_path / 'out.onnx')}
    assert main([places.get(word, word) for word in COMMANDS[command]]) == 1
    said = capsys.readouterr().err
    assert f'error: {command}' in said
    assert model in said
    assert f'`isaac-inference evaluate --sim --task {kind} --model {model}` measures it' in said
    assert not (tmp_path / 'out.onnx').exists()
