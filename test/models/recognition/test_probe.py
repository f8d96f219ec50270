# SPDX-License-Identifier: Apache-2.0
"""The one run of a model on a picture: once for each way to feed it."""

from __future__ import annotations

import dataclasses

from support.onnx_models import WH, write_model

from isaac_inference.models.card.sourced import Sourced
from isaac_inference.models.onnx.reader import read_model_file
from isaac_inference.models.recognition import probe
from isaac_inference.models.recognition.image_input import InputFinding
from isaac_inference.ops.image.options import TensorLayout


def test_a_wrong_layout_does_not_hide_what_the_right_one_gives(tmp_path):
    file = read_model_file(write_model(tmp_path / 'm.onnx', 'yolov8', layout='NHWC'))
    wrong = InputFinding(Sourced(file.inputs[0], ''), Sourced(TensorLayout.NCHW, ''), Sourced(WH, ''), ())
    right = dataclasses.replace(wrong, layout=Sourced(TensorLayout.NHWC, ''))
    assert probe.Probe(file, wrong)() == {}
    assert set(probe.Probe(file, right)()) == {'output0'}


def test_a_file_is_run_once_for_several_cards(tmp_path, monkeypatch):
    file = read_model_file(write_model(tmp_path / 'm.onnx', 'yolov8'))
    inputs = InputFinding(Sourced(file.inputs[0], ''), Sourced(TensorLayout.NCHW, ''), Sourced(WH, ''), ())
    first = probe.Probe(file, inputs)()
    monkeypatch.setattr(probe, '_run', None)
    assert first and probe.Probe(file, inputs)() is first
