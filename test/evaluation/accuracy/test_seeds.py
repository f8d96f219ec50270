# SPDX-License-Identifier: Apache-2.0
"""Several seeds: means, worst and best by what is better, and spread."""

from __future__ import annotations

import json

import numpy as np
import pytest

from isaac_inference.evaluation import Boxes, FrameRecord, Poses, evaluate
from isaac_inference.evaluation.accuracy.result import MEASURES
from isaac_inference.evaluation.accuracy.seeds import SeedsResult, Spread

SIZE = (0.06, 0.08, 0.1)  # m; a diameter of 0.141 m


def frame(number, offsets):
    """One frame with a cup for each of `offsets`, metres that its pose is off; None for a cup without a pose."""
    truths = np.tile(np.eye(4), (len(offsets), 1, 1))
    truths[:, :3, 3] = [(index * 0.5, 0, 1) for index in range(len(offsets))]
    found = [index for index, offset in enumerate(offsets) if offset is not None]
    poses = truths[found].copy()
    poses[:, 0, 3] += [offsets[index] for index in found]
    boxes = np.array([(100 * index, 0, 100 * index + 50, 50) for index in range(len(offsets))], float)
    names, ids = ('cup',) * len(offsets), tuple(str(index) for index in range(len(offsets)))
    ones, sizes = np.ones(len(offsets)), np.tile(SIZE, (len(offsets), 1))
    few = (('cup',) * len(found), np.ones(len(found)), tuple(ids[index] for index in found))
    return FrameRecord(
        number,
        Boxes(boxes, names, ones, ids),
        Poses(truths, sizes, names, ones, ids),
        Boxes(boxes[found], *few),
        Poses(poses, sizes[found], *few),
    )


def result(*offsets):
    return evaluate([frame(number, one) for number, one in enumerate(offsets)])


@pytest.fixture(scope='module')
def seeds():
    """Recalls 1, 1/2 and 3/4; misses 0, 0 and 1."""
    return SeedsResult(
        {
            7: result((0.0, 0.001), (0.002, 0.0)),
            8: result((0.0, 0.05), (0.02, 0.0)),
            9: result((0.0, None), (0.0, 0.0)),
        }
    )


def test_more_is_better_for_recalls_and_worse_for_misses(seeds):
    figures = seeds.figures()
    assert figures['add_0_1d'] == Spread(mean=0.75, worst=0.5, best=1.0, std=0.25, worst_seed=8)
    misses = figures['misses']
    assert (misses.mean, misses.worst, misses.best, misses.worst_seed) == (pytest.approx(1 / 3), 1.0, 0.0, 9)
    assert misses.std == pytest.approx(np.std([0, 0, 1], ddof=1))


def test_every_main_figure_is_one_of_a_single_result(seeds):
    keys = {measure.key for measure in MEASURES}
    assert keys <= set(seeds.by_seed[7].summary())
    assert set(seeds.figures()) == keys


def test_json_has_each_seeds_own_figures_too(seeds):
    summary = json.loads(json.dumps(seeds.summary(), allow_nan=False))
    assert [summary['seeds'][seed]['add_0_1d'] for seed in ('7', '8', '9')] == [1.0, 0.5, 0.75]
    assert summary['figures']['add_0_1d'] == {'mean': 0.75, 'worst': 0.5, 'best': 1.0, 'std': 0.25, 'worst_seed': 8}


def test_a_seed_without_a_figure_is_left_out_of_it():
    nothing_found = result((None,))
    assert nothing_found.summary()['median_rotation_deg'] is None
    figures = SeedsResult({1: nothing_found, 2: result((0.001,))}).figures()
    assert figures['median_translation_rel'].mean == pytest.approx(0.001)
    assert figures['add_0_1d'].mean == 0.5


def test_one_seed_has_no_spread():
    assert SeedsResult({3: result((0.0,))}).figures()['add_0_1d'] == Spread(1.0, 1.0, 1.0, 0.0, 3)
