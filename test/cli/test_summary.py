# SPDX-License-Identifier: Apache-2.0
"""What a run amounted to, in a table and in JSON."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import pytest

from isaac_inference.cli.run import summary as summary_module
from isaac_inference.cli.run.summary import RunSummary
from isaac_inference.cli.run.tallies import TALLIES
from isaac_inference.cli.shared import console as console_module
from isaac_inference.ros.bringup.clients.graph_client import FrameResult


def result(*class_ids, **latency_ms):
    detections = [{'class_id': name, 'score': 0.5, 'bbox': [1.0, 2.0, 3.0, 4.0], 'id': ''} for name in class_ids]
    return FrameResult('a.png', 5, 'lens', 640, 480, detections, latency_ms)


@pytest.fixture
def printed(monkeypatch):
    """Rows of a table, as people see them."""

    def render(table):
        out = io.StringIO()
        monkeypatch.setattr(console_module.sys, 'stdout', out)
        console_module.console().print(table)
        lines = [line.strip('│ ') for line in out.getvalue().splitlines()]
        return [' '.join(line.replace('│', ' ').split()) for line in lines if line]

    return render


@pytest.fixture
def clock(monkeypatch):
    made = SimpleNamespace(now=10.0)
    monkeypatch.setattr(summary_module, 'time', SimpleNamespace(monotonic=lambda: made.now))
    return made


def test_frames_classes_latencies_and_rate(printed, clock):
    summary = RunSummary('cups', 'composed')
    for number in range(5):
        summary.add(result('cup', 'cup', 'can', preprocess=1.0, total=10.0 * number))
        clock.now += 0.5
    assert (summary.frames, summary.failed) == (5, 0)
    rows = printed(summary.table())
    assert rows[0] == 'cups, composed'
    assert 'frames 5' in rows
    assert 'detections 15: cup 10, can 5' in rows
    assert 'preprocess [ms] p50 1.00 p95 1.00 p99 1.00' in rows
    assert 'total [ms] p50 20.00 p95 38.00 p99 39.60' in rows
    assert [row for row in rows if row.startswith('frames per second 2.0 ')]


def test_frames_without_a_result_are_counted_apart(printed):
    summary = RunSummary('cups', 'processes')
    summary.add(result('cup', total=1.0))
    summary.add(FrameResult.failure('b.png', 'no detections within 1 s'))
    assert (summary.frames, summary.failed) == (2, 1)
    rows = printed(summary.table())
    assert 'frames 2, 1 without a result' in rows
    assert 'detections 1: cup 1' in rows


@pytest.mark.parametrize(('results', 'frames'), [([], 0), ([result()], 1)])
def test_a_run_without_detections_has_a_table(printed, results, frames):
    summary = RunSummary('cups', 'composed')
    for one in results:
        summary.add(one)
    rows = printed(summary.table())
    assert f'frames {frames}' in rows
    assert 'detections 0' in rows
    assert not [row for row in rows if row.startswith('frames per second')]


def test_classes_have_their_mean_shares(printed):
    summary = RunSummary('roads', 'composed', TALLIES['classes']())
    for shares in ({'road': 0.5, 'sky': 0.25}, {'road': 1.0}):
        summary.add(FrameResult('a.png', found=shares, key='classes'))
    summary.add(FrameResult.failure('b.png', 'damaged', 'classes'))
    assert 'classes, mean share road 75.0 %, sky 12.5 %' in printed(summary.table())


def test_depth_has_its_range(printed):
    summary = RunSummary('net', 'composed', TALLIES['depth']())
    known = {'kind': 'metric', 'unit': 'm', 'known': 1.0}
    for low, middle, high in ((0.5, 1.0, 3.0), (1.0, 2.0, 9.25), (0.75, 4.0, 8.0)):
        found = {**known, 'min': low, 'median': middle, 'max': high}
        summary.add(FrameResult('a.png', found=found, key='depth'))
    summary.add(FrameResult('a.png', found={**known, 'min': None, 'median': None, 'max': None}, key='depth'))
    assert 'depth, metric 0.5 to 9.25, median 2 m' in printed(summary.table())
    assert TALLIES['depth']().row() == ('depth', 'none')


def test_a_frame_without_a_result_says_what_it_has_not():
    assert FrameResult.failure('b.png', 'damaged', 'depth').as_json()['depth'] is None


def test_brackets_in_names_are_text(printed):
    summary = RunSummary('[bold]cups', 'composed')
    summary.add(result('[red]cup', '[/]'))
    rows = printed(summary.table())
    assert rows[0] == '[bold]cups, composed'
    assert 'detections 2: [red]cup 1, [/] 1' in rows


def test_a_result_is_the_documented_json():
    line = json.loads(json.dumps(result('cup', total=2.5).as_json()))
    assert line == {
        'image': 'a.png',
        'stamp_ns': 5,
        'frame_id': 'lens',
        'width': 640,
        'height': 480,
        'detections': [{'class_id': 'cup', 'score': 0.5, 'bbox': [1.0, 2.0, 3.0, 4.0], 'id': ''}],
        'latency_ms': {'total': 2.5},
    }


def test_a_frame_without_a_result_has_no_detections_and_says_why():
    line = FrameResult.failure(3, 'damaged').as_json()
    assert (line['image'], line['detections'], line['error']) == (3, None, 'damaged')
    assert result().as_json()['detections'] == []
    assert 'error' not in result().as_json()
