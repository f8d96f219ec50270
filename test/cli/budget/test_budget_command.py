# SPDX-License-Identifier: Apache-2.0
"""isaac-inference budget: the real graph against a budget; what is not measured, the verdict and the exit status."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from rich.console import Console
from support.onnx_models import ultralytics_metadata, write_model
from support.waiting import LIMIT_S

from isaac_inference.cli.budget.report import Verdict, assumed_stages, print_verdict
from isaac_inference.cli.main import main
from isaac_inference.serving.budgets.budget import Budget
from isaac_inference.serving.budgets.check import BudgetCheck
from isaac_inference.serving.budgets.frame_times import FrameTimes

CHAIN = ('preprocess', 'inference', 'detection')
BUDGET = Budget('arm', 50.0, 50.0, 500.0, {'camera': 10.0, 'inference': 20.0, 'pose': 8.0})


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    metadata = ultralytics_metadata(['cup', 'can', 'box'], imgsz=(64, 64))
    return write_model(tmp_path_factory.mktemp('model') / 'tiny.onnx', 'yolov8', input_wh=(64, 64), metadata=metadata)


def run(*arguments):
    program = [
        sys.executable,
        '-m',
        'isaac_inference.cli.main',
        'budget',
        '--rate',
        '1000',
        '--frames',
        '5',
        *arguments,
    ]
    return subprocess.run(list(map(str, program)), capture_output=True, text=True, timeout=LIMIT_S)


@pytest.mark.system
def test_a_budget_that_is_kept(model, tmp_path):
    budget = tmp_path / 'wide.yaml'
    budget.write_text('total_ms: 60000\nstages: {camera: 30, inference: 30000}\n')
    done = run('--model', model, '--budget', budget, '--json', '-')
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found['kept'] is True
    assert found['frames'] == {'frames': 5, 'late': 0, 'missing': 0}
    assert list(found['stages']) == ['total', 'camera', 'transport', *CHAIN]
    assert found['stages']['camera'] == {'budget_ms': 30.0, 'measured': False, 'p50': 30.0, 'p95': 30.0, 'p99': 30.0}
    measured = [found['stages'][name]['p50'] for name in CHAIN]
    assert all(value > 0 for value in measured)
    assert found['stages']['total']['p99'] >= 30 + max(measured)


@pytest.mark.system
def test_a_budget_that_is_not_kept_names_the_stage(model, tmp_path):
    budget = tmp_path / 'narrow.yaml'
    budget.write_text('total_ms: 0.002\nstages: {inference: 0.001}\n')
    done = run('--model', model, '--budget', budget)
    assert done.returncode == 1
    assert 'not kept: 5 of 5 frames later than 0.002 ms' in done.stdout
    assert 'inference is over its 0.001 ms by up to' in ' '.join(done.stdout.split())


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--budget', 'humanoids'], 'did you mean humanoid?'),
        (['--budget', 'humanoid', '--size', '640'], '--size 640: expected width x height'),
        (['--budget', 'humanoid', '--frames', '0'], 'expected at least one frame'),
        (['--budget', 'humanoid', '--source', '/nowhere'], 'no such file or folder'),
    ],
)
def test_what_cannot_be_measured_is_refused(model, capsys, arguments, words):
    assert main(['budget', '--model', str(model), *arguments]) == 1
    assert words in capsys.readouterr().err


def verdict(*totals, missing=0):
    check = BudgetCheck(BUDGET)
    assumed = assumed_stages(BUDGET, CHAIN)
    for total in totals:
        check.take(assumed.added_to(FrameTimes(1, total, {'inference': total}, 0.0)), 0)
    for _ in range(missing):
        check.missed(0)
    return Verdict(BUDGET, check.report(), assumed)


def test_what_is_not_measured_is_taken_as_used():
    assert verdict(1.0).assumed.stages == {'camera': 10.0, 'pose': 8.0}
    assert verdict(1.0).total.p50 == 19.0
    assert verdict(31.0).is_kept
    assert not verdict(33.0).is_kept, '33 + 18 ms'


def test_a_stage_that_stands_for_another_is_measured():
    assert assumed_stages(BUDGET, ('tags', 'skeletons')).stages == {'camera': 10.0, 'inference': 20.0}


def test_frames_without_a_result_do_not_keep_a_budget():
    found = verdict(*[1.0] * 500, missing=1)
    assert not found.is_kept
    assert found.to_dict()['frames']['missing'] == 1
    assert verdict(missing=1).to_dict()['stages']['total']['p50'] is None


def test_the_table_says_who_is_over_though_the_whole_is_in_time():
    out = io.StringIO()
    print_verdict(Console(file=out, width=150), verdict(25.0), 'tiny')
    text = ' '.join(out.getvalue().split())
    assert 'kept: 99 of 100 frames within 43.0 of 50 ms' in text
    assert 'inference: over its own part, which others make up for' in text
    assert 'over by 5.0' in text
