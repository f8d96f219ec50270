# SPDX-License-Identifier: Apache-2.0
"""Statistics of timings, and the order in which several things are timed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.agreement.interleaved import time_in_turn
from isaac_inference.evaluation.timing_stats import TimingStats, ratio_of_blocks


def test_statistics_of_known_numbers():
    stats = TimingStats.of(np.arange(1001.0))
    assert (stats.count, stats.mean, stats.min, stats.max) == (1001, 500.0, 0.0, 1000.0)
    assert (stats.p50, stats.p90, stats.p95, stats.p99) == (500.0, 900.0, 950.0, 990.0)
    assert stats.p99_9 == pytest.approx(999.0) and stats.std == pytest.approx(np.arange(1001.0).std())
    assert TimingStats.of([]) is None


def test_the_ratio_is_of_the_medians_and_its_spread_of_the_blocks():
    reference = [np.array([2.0, 2.0]), np.array([4.0, 4.0])]
    candidate = [np.array([1.0, 1.0]), np.array([1.0, 1.0])]
    ratio = ratio_of_blocks(reference, candidate)
    assert (ratio.value, ratio.low, ratio.high, ratio.blocks) == (3.0, 2.0, 4.0, 2)
    assert ratio_of_blocks([], []) is None


def test_they_take_turns_and_neither_always_comes_first():
    order = []
    blocks = time_in_turn({name: lambda name=name: order.append(name) for name in 'AB'}, runs=6, block=2)
    assert [name for name, _ in itertools.groupby(order)] == ['A', 'B', 'A', 'B']  # A B, B A, A B
    assert len(order) == 2 * 3 * (2 + 1)  # one call of each block is not timed
    assert [len(block) for block in blocks['A']] == [2, 2, 2] == [len(block) for block in blocks['B']]


def test_times_are_those_of_the_clock_in_ms():
    now = itertools.count(0.0, 0.5)
    blocks = time_in_turn({'A': lambda: None}, runs=3, block=3, clock=lambda: next(now))
    assert blocks['A'][0].tolist() == [500.0] * 3


def test_no_further_round_is_begun_after_the_time():
    now = itertools.count()
    blocks = time_in_turn({'A': int, 'B': int}, runs=1000, block=1, seconds=9, clock=lambda: float(next(now)))
    assert len(blocks['A']) == len(blocks['B']) == 2


@pytest.mark.parametrize('wrong', [{'runs': 0}, {'runs': 1, 'block': 0}])
def test_nothing_to_time_is_refused(wrong):
    with pytest.raises(ConfigError, match='expected 1 or more'):
        time_in_turn({'A': int}, **wrong)
