# SPDX-License-Identifier: Apache-2.0
"""Figures of whole runs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.frame_records import SIZE, boxes, pose, poses, record

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation import EvaluationSettings, FrameRecord, ObjectGeometry, evaluate
from isaac_inference.evaluation.accuracy.plots import save_plots
from isaac_inference.ops.geometry.symmetry import Symmetry

FIRST_KEYS = [
    'frames',
    'map50',
    'map50_95',
    'add_0_1d',
    'median_translation_rel',
    'median_rotation_deg',
    'id_switches',
    'fps',
    'total_ms_p50',
]
DIAMETER = float(np.linalg.norm(SIZE))


def cup(x=0.0, visible=1.0, **where):
    return ('cup', visible, pose(x=x, **where))


def numbers(value):
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers(item)]
    return [value] if isinstance(value, float) else []


def test_add_recall_counts_misses_and_needs_a_tenth_of_the_diameter():
    near, far = 0.099 * DIAMETER, 0.101 * DIAMETER
    result = evaluate(
        [
            record([cup(), cup(1.0)], [cup(near), cup(1.0 + far)]),
            record([cup(), cup(1.0, visible=0.1)], []),
            record([cup()], [cup(), cup(2.0)]),
        ]
    )
    summary = result.summary()
    assert summary['add_0_1d'] == pytest.approx(2 / 4), 'near and exact; far and missed'
    assert (summary['misses'], summary['false_poses']) == (1, 1)
    assert summary['poses']['translation_m']['p50'] == pytest.approx(near)
    assert summary['classes']['cup']['poses']['truths'] == 4


def test_errors_are_medians():
    found = [cup(turn=(0, 0, angle), z=1 + error) for angle, error in ((1, 0.001), (2, 0.002), (9, 0.009))]
    summary = evaluate([record([cup()], [one]) for one in found]).summary()
    assert summary['median_rotation_deg'] == pytest.approx(2)
    assert summary['median_translation_rel'] == pytest.approx(0.002)


def test_the_given_geometry_decides_over_the_size():
    frames = [record([cup()], [cup(turn=(0, 0, 90))])]
    assert evaluate(frames).summary()['add_0_1d'] == 0.0
    can = ObjectGeometry.from_size((0.06, 0.06, 0.1), (Symmetry('z', 0),))
    summary = evaluate(frames, {'cup': can}).summary()
    assert summary['add_0_1d'] == 1.0
    assert summary['median_rotation_deg'] == pytest.approx(0, abs=1e-6)


def test_unanswered_frames_are_reported_and_count_only_when_asked_for():
    frames = [record([cup()], [cup()]), record([cup()], answered=False)]
    summary = evaluate(frames).summary()
    assert (summary['frames'], summary['dropped_frames'], summary['add_0_1d']) == (1, 1, 1.0)
    summary = evaluate(frames, settings=EvaluationSettings(count_dropped=True)).summary()
    assert (summary['frames'], summary['add_0_1d'], summary['misses']) == (1, 0.5, 1)


def test_the_summary_has_its_keys_first_and_is_json_without_truth_or_estimates():
    for frames in ([], [record()], [record([cup()], [])], [record([], [cup()])]):
        summary = evaluate(frames, speed_records=frames).summary()
        assert list(summary)[: len(FIRST_KEYS)] == FIRST_KEYS
        json.dumps(summary, allow_nan=False)
    assert summary['add_0_1d'] is None
    assert summary['false_poses'] == 1


def test_speed_is_of_the_frames_that_were_shown_at_a_rate():
    fast = [
        record(
            stamp_ns=k,
            finished_ns=10**9 + k * 40_000_000,
            total_ms=20.0 + k,
            pipeline_ms=15.0,
            stages_ms={'pose': 2.0},
            answered=k != 3,
        )
        for k in range(6)
    ]
    summary = evaluate([record([cup()], [cup()])], speed_records=fast).summary()
    assert summary['fps'] == pytest.approx(4 / 0.2)
    assert summary['total_ms_p50'] == pytest.approx(22.0)
    assert summary['speed']['dropped'] == 1
    assert summary['speed']['stages_ms']['pose'] == {'p50': 2.0, 'p95': 2.0}
    assert evaluate([record()]).summary()['fps'] is None


def test_a_visibility_out_of_range_is_refused():
    with pytest.raises(ConfigError, match='min_visibility: got 25'):
        EvaluationSettings(min_visibility=25)


def busy_run():
    random = np.random.default_rng(5)
    frames = []
    for k in range(60):
        truth = [(n, random.uniform(0.1, 1), pose(x, 0, random.uniform(0.4, 2))) for n, x in (('cup', 0), ('can', 0.5))]
        found = [(n, 0.9, T @ pose(*random.normal(0, 0.004, 3), turn=random.normal(0, 2, 3))) for n, _, T in truth]
        place = boxes(('cup', 1, (0, 0, 100, 100)), ('can', 1, (200, 0, 300, 100)))
        seen = place.boxes + random.normal(0, 8, (2, 4))
        frames.append(
            FrameRecord(
                k,
                place,
                poses(*truth),
                boxes(*((n, random.uniform(0.3, 1), b) for n, b in zip(place.classes, seen, strict=True))),
                poses(*found),
                stages_ms={'inference': random.uniform(10, 14), 'pose': random.uniform(1, 3)},
                total_ms=random.uniform(18, 30),
                pipeline_ms=random.uniform(15, 20),
                finished_ns=k * 33_000_000 + 1,
            )
        )
    return frames


@pytest.mark.parametrize('frames', [[], busy_run()], ids=['nothing', 'busy'])
def test_plots_are_a_picture(frames, tmp_path):
    cv2 = pytest.importorskip('cv2')
    pytest.importorskip('matplotlib')
    path = save_plots(evaluate(frames, speed_records=frames), tmp_path / 'new', 'a title')
    picture = cv2.imread(str(path))
    assert picture.shape[1] > 1200
    assert picture.std() > 5
