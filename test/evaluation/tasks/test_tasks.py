# SPDX-License-Identifier: Apache-2.0
"""Every task of single frames: the truth itself is without fault, nothing is the worst, and both can be shown."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.evaluation.measure import Measure, percent
from isaac_inference.evaluation.panels import Against, Bars, Histogram, save_panels
from isaac_inference.evaluation.tasks.completion import CompletionTask
from isaac_inference.evaluation.tasks.masks import MaskTask
from isaac_inference.evaluation.tasks.mono_depth import MonoDepthTask
from isaac_inference.evaluation.tasks.result import TaskResult
from isaac_inference.evaluation.tasks.segmentation import (
    CLASSES,
    UNLABELLED,
    SegmentationTask,
    check_labels,
    common_ids,
)
from isaac_inference.evaluation.tasks.stereo import StereoAnswer, StereoTask
from isaac_inference.models.card.tasks import DepthKind
from isaac_inference.sim import LABELS, default_camera
from isaac_inference.sim.shown import shown_frame

# task, what a network that knows the truth answers, the figures of that answer
TASKS = {
    'masks': (
        MaskTask(),
        lambda sample: sample.truth,
        {'ap50': 1.0, 'ap50_95': 1.0, 'mean_iou': 1.0, 'boundary_f': 1.0, 'misses': 0, 'false_masks': 0},
    ),
    'segmentation': (
        SegmentationTask(),
        lambda sample: sample.classes,
        {'mean_iou': 1.0, 'pixel_accuracy': 1.0, 'unlabelled': 0.0},
    ),
    'depth': (
        MonoDepthTask(DepthKind.METRIC),
        lambda sample: sample.truth,
        {'abs_rel': 0.0, 'abs_rel_worst': 0.0, 'rmse_m': 0.0, 'delta1': 1.0, 'completeness': 1.0},
    ),
    'stereo': (
        StereoTask(),
        lambda sample: StereoAnswer(sample.disparity, sample.depth),
        {'mae_px': 0.0, 'bad_2': 0.0, 'bad_2_or_missing': 0.0, 'abs_rel': 0.0, 'completeness': 1.0},
    ),
    'completion': (
        CompletionTask(),
        lambda sample: sample.truth,
        {'holes_abs_rel': 0.0, 'holes_filled': 1.0, 'abs_rel': 0.0, 'completeness': 1.0},
    ),
}
SCENE = 41


@pytest.fixture(params=TASKS)
def case(request):
    task, perfect, expected = TASKS[request.param]
    return task, task.sample(SCENE, 0.0), perfect, expected


def test_the_truth_is_without_fault(case):
    task, sample, perfect, expected = case
    score = task.score(sample, perfect(sample))
    assert task.loss(score) == pytest.approx(0.0, abs=1e-9)
    values = task.result([score, score]).values
    assert {key: values[key] for key in expected} == pytest.approx(expected, abs=1e-6)


def test_nothing_is_the_worst(case):
    task, sample, perfect, expected = case
    good, bad = (task.score(sample, answer) for answer in (perfect(sample), task.nothing(sample)))
    assert task.loss(bad) > task.loss(good)
    best, worst = task.result([good]).values, task.result([bad]).values
    worse = [
        measure.key
        for measure in task.measures
        if not math.isnan(worst[measure.key])
        and (worst[measure.key] < best[measure.key]) == measure.more_is_better
        and worst[measure.key] != best[measure.key]
    ]
    assert worse, f'no figure says it: {dict(worst)}'


def test_a_picture_shows_input_truth_answer_and_error(case):
    task, sample, perfect, _ = case
    for answer in (perfect(sample), task.nothing(sample)):
        picture = task.picture(sample, answer, task.score(sample, answer))
        assert picture.dtype == np.uint8 and picture.shape[0] >= 2 * 480 and picture.shape[1] >= 2 * 640
        first = sample.left if isinstance(task, StereoTask) else sample.color
        np.testing.assert_array_equal(picture[40:480, :640], first[40:], err_msg='the input, below its title')


def test_json_of_a_result_is_json(case, tmp_path):
    task, sample, perfect, _ = case
    for scores in ([], [task.score(sample, perfect(sample))], [task.score(sample, task.nothing(sample))]):
        figures = task.result(scores)
        result = TaskResult(len(scores), 0, task.measures, figures, {'inference': [1.0, 3.0]}, {'task': task.name})
        summary = json.loads(json.dumps(result.summary(), allow_nan=False))
        assert list(summary)[: 1 + len(task.measures)] == ['frames', *(measure.key for measure in task.measures)]
        assert summary['stages_ms'] == {'inference': {'p50': 2.0, 'p95': pytest.approx(2.9)}}
    path = save_panels(figures.panels, tmp_path, 'title')
    assert path.stat().st_size > 10_000


def test_samples_are_the_frames_that_the_simulated_camera_shows():
    shown = list(MaskTask().samples(3, 3, first=1, scene_frames=2))
    for index, sample in enumerate(shown, start=1):
        frame = shown_frame(default_camera(), 3, index, scene_frames=2, rate_hz=30.0)
        np.testing.assert_array_equal(sample.color, frame.color)


# Segmentation


def test_class_ids_of_a_model_are_brought_to_the_simulators():
    mask = np.array([[0, 1, 2, 3, 255]], np.uint8)
    names = {0: 'background', 1: 'book', 2: 'person', 3: 'soup_can'}
    expected = [0, CLASSES.index('book'), UNLABELLED, CLASSES.index('soup_can'), UNLABELLED]
    assert common_ids(mask, names).tolist() == [expected]


def test_a_model_without_background_says_it_by_no_class():
    mask = np.array([[0, 65535, 300]], np.uint16)
    assert common_ids(mask, {0: 'book'}).tolist() == [[CLASSES.index('book'), 0, UNLABELLED]]


def test_unlabelled_pixels_are_wrong_and_counted():
    task = SegmentationTask()
    sample = task.sample(SCENE, 0.0)
    answer = sample.classes.copy()
    answer[:100] = UNLABELLED
    found = task.result([task.score(sample, answer)])
    assert found.values['unlabelled'] == pytest.approx(100 / 480)
    assert found.values['pixel_accuracy'] == pytest.approx(380 / 480)
    by_class = found.rows.values
    assert all(row['precision'] == 1.0 for row in by_class.values() if row['pixels'])
    assert sum(row['unlabelled'] * row['pixels'] for row in by_class.values()) == pytest.approx(100 * 640)


def test_a_model_must_know_the_simulators_classes():
    check_labels(['wall', *LABELS])
    with pytest.raises(ConfigError, match=r'no class book; it needs the .* cereal_box, .*it has wall, ce'):
        check_labels(['wall', *LABELS[:-1]])


def test_a_mask_of_another_size_is_refused():
    task = SegmentationTask()
    with pytest.raises(FrameError, match='class mask: got 4x3 pixels, expected 640x480'):
        task.score(task.sample(SCENE, 0.0), np.zeros((3, 4), np.uint8))


# Depth


@pytest.mark.parametrize('kind', [DepthKind.INVERSE, DepthKind.RELATIVE])
def test_relative_numbers_are_aligned_and_metric_ones_are_not(kind):
    task = MonoDepthTask(kind)
    sample = task.sample(SCENE, 0.0)
    numbers = 3.0 * (1.0 / sample.truth if kind is DepthKind.INVERSE else sample.truth) + 2.0
    assert task.score(sample, numbers)['abs_rel'] < 1e-5
    metric = MonoDepthTask(DepthKind.METRIC)
    assert metric.score(sample, 1.1 * sample.truth)['abs_rel'] == pytest.approx(0.1, abs=1e-5)


def test_the_worst_frame_stands_beside_the_mean():
    task = MonoDepthTask(DepthKind.METRIC)
    sample = task.sample(SCENE, 0.0)
    scores = [task.score(sample, factor * sample.truth) for factor in (1.0, 1.02, 1.1)]
    found = task.result(scores).values
    assert (found['abs_rel'], found['abs_rel_worst']) == (pytest.approx(0.04, abs=1e-5), pytest.approx(0.1, abs=1e-5))
    assert max(scores, key=task.loss) is scores[2]


def test_stereo_counts_what_both_cameras_see():
    task = StereoTask()
    sample = task.sample(SCENE, 0.0)
    disparity = sample.disparity + np.where(sample.visible, 0.5, 50.0).astype(np.float32)
    disparity[:240][sample.visible[:240]] += 2.0
    found = task.score(sample, StereoAnswer(disparity, sample.depth))
    upper = sample.visible[:240].sum() / sample.visible.sum()
    assert found['mae_px'] == pytest.approx(0.5 + 2.0 * upper, abs=1e-4)
    assert found['bad_2'] == pytest.approx(upper, abs=1e-6)
    assert found['density'] == pytest.approx(np.isfinite(sample.disparity).mean())


def test_completion_tells_holes_from_what_was_read():
    task = CompletionTask()
    sample = task.sample(SCENE, 0.0)
    holes = np.isnan(sample.measured)
    found = task.score(sample, np.where(holes, 1.2 * sample.truth, sample.truth))
    assert found['holes_abs_rel'] == pytest.approx(0.2, abs=1e-5)
    both = holes & np.isfinite(sample.truth)
    assert found['abs_rel'] == pytest.approx(0.2 * both.sum() / np.isfinite(sample.truth).sum(), abs=1e-5)
    unfilled = task.score(dataclasses.replace(sample), sample.measured)
    assert unfilled['holes_filled'] == 0.0 and math.isnan(unfilled['holes_abs_rel'])


# Measures and plots


def test_a_measure_in_words():
    assert Measure('mae', 'MAE', False, 'px').text(1.23456) == '1.235 px'
    assert percent('a', 'A', more_is_better=True).text(0.5) == '50.00 %'
    assert Measure('n', 'N', False, digits=0).text(2.5, 2) == '2.50'
    assert Measure('n', 'N', False).text(None) == Measure('n', 'N', False).text(math.nan) == '-'


def test_panels_of_nothing_and_of_what_is_not_finite(tmp_path):
    nan = [math.nan, math.inf]
    panels = [Histogram([], 'a'), Histogram(nan, 'b'), Bars({'c': math.nan}, 'c'), Against(nan, [1, 2], 'x', 'y')]
    assert save_panels(panels, tmp_path, 'empty').exists()
