# SPDX-License-Identifier: Apache-2.0
"""isaac-inference evaluate --sim --task keypoints: the skeletons node measured through its topics."""

from __future__ import annotations

import contextlib
import json

from support.depth_cards import write_brightness
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
