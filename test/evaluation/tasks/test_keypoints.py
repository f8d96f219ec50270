# SPDX-License-Identifier: Apache-2.0
"""The task of people: the truth is without fault, and what is missed, hidden, false or left out is told apart."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from isaac_inference.evaluation.panels import save_panels
from isaac_inference.evaluation.tasks.keypoints import KeypointTask, PeopleAnswer
from isaac_inference.evaluation.tasks.result import TaskResult
from isaac_inference.sim.people import KEYPOINTS

TASK = KeypointTask()
SCENE = 1003


@pytest.fixture(scope='module')
def sample():
    made = TASK.sample(SCENE, 0.0)
    assert any(truth.visible.sum() > 8 for truth in made.frame.truths)
    return made


@pytest.fixture
def truth(sample):
    """The answer that knows the truth."""
    truths = sample.frame.truths
    points = [np.column_stack((item.pixels, item.visible)) for item in truths]
    return PeopleAnswer(sample.boxes, np.stack(points), np.stack([item.joints for item in truths]))


def figures(sample, answer):
    return TASK.result([TASK.score(sample, answer)])


def test_the_truth_is_without_fault(sample, truth):
    score = TASK.score(sample, truth)
    assert TASK.loss(score) == 0.0
    values = figures(sample, truth).values
    assert (values['pck_10'], values['pck_20'], values['oks'], values['joints_known']) == (1, 1, 1, 1)
    assert (values['p50_m'], values['worst_m'], values['misses'], values['false_people']) == (0, 0, 0, 0)


def test_of_somebody_who_is_missed_nothing_is_right(sample, truth):
    none = TASK.nothing(sample)
    values = figures(sample, none).values
    counted = sum(item.visibility >= 0.25 for item in sample.frame.truths)
    assert (values['pck_10'], values['oks'], values['misses']) == (0, 0, counted)
    assert values['joints_known'] == 0 and math.isnan(values['p50_m'])
    assert TASK.loss(TASK.score(sample, none)) > 0


def test_keypoints_and_joints_are_judged_apart(sample, truth):
    longer = (sample.boxes[:, 2:] - sample.boxes[:, :2]).max(axis=1)
    keypoints = truth.keypoints.copy()
    keypoints[..., 0] += 0.15 * longer[:, None]
    joints = truth.joints.copy()
    joints[:, KEYPOINTS.index('left_knee'), 2] += 0.2
    joints[:, KEYPOINTS.index('nose')] = np.nan
    found = figures(sample, PeopleAnswer(truth.boxes, keypoints, joints))
    assert (found.values['pck_10'], found.values['pck_20']) == (0, 1)
    rows = found.rows.values
    assert rows['left_knee']['p50_m'] == pytest.approx(0.2) and rows['right_knee']['worst_m'] == 0
    assert rows['nose']['joints'] == 0 and math.isnan(rows['nose']['p50_m'])
    assert found.values['worst_m'] == pytest.approx(0.2)


def test_one_who_is_nobody_is_false(sample, truth):
    extra = PeopleAnswer(
        np.vstack((truth.boxes, [[0, 0, 9, 9]])), *(np.concatenate((a, a[:1])) for a in (truth.keypoints, truth.joints))
    )
    values = figures(sample, extra).values
    assert (values['false_people'], values['misses'], values['oks']) == (1, 0, 1)


def test_rows_may_come_in_any_order(sample, truth):
    turned = PeopleAnswer(*(array[::-1] for array in dataclasses.astuple(truth)))
    assert figures(sample, turned).values == figures(sample, truth).values


def test_pictures_plots_and_json(sample, truth, tmp_path):
    for answer in (truth, TASK.nothing(sample)):
        score = TASK.score(sample, answer)
        assert TASK.picture(sample, answer, score).shape == (964, 1284, 3)
        for scores in ([], [score]):
            found = TASK.result(scores)
            result = TaskResult(len(scores), 0, TASK.measures, found)
            summary = json.loads(json.dumps(result.summary(), allow_nan=False))
            assert list(summary['joints']) == list(KEYPOINTS)
    assert save_panels(found.panels, tmp_path, 'people').stat().st_size > 10_000
