# SPDX-License-Identifier: Apache-2.0
"""What each model gets over minutes of a simulated clock: how late a safety model is, and what the others keep."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
import pytest

from isaac_inference.serving.scheduler.scheduler import SAFETY, Scheduler

STEP_S = 0.00025
SECONDS = 40.0


@dataclass
class Model:
    """A model that runs; one without a period always wants to."""

    member: object
    takes_s: float
    period_s: float = 0.0
    due_s: float = 0.05
    turn: object = None
    ends_s: float = 0.0
    asked_s: float = 0.0
    latencies_s: list = field(default_factory=list)

    def step(self, now_s, noise):
        """One step of time."""
        if self.turn is not None:
            if now_s < self.ends_s:
                return
            self.turn.end()
            self.turn = None
            self.latencies_s.append(now_s - self.asked_s)
        if now_s < self.due_s and self.period_s:
            return
        if self.member.since_s is None:
            self.asked_s = now_s
        self.turn = self.member.try_begin()
        if self.turn is not None:
            self.ends_s = now_s + self.takes_s * noise.uniform(0.9, 1.15)
            self.due_s += self.period_s * noise.uniform(0.99, 1.01)


def simulate(takes_s, priorities, threads, factor=1.0, period_s=0.1, seed=1):
    """(latencies of the first model in s, runs a second of the two others) on two cores."""
    now = [0.0]
    scheduler, noise = Scheduler(2, lambda: now[0]), random.Random(seed)
    models = [
        Model(scheduler.join(str(index), priority, cores=threads), takes_s * (factor if index else 1.0))
        for index, priority in enumerate(priorities)
    ]
    models[0].period_s = period_s
    if period_s == 0.0:
        models = models[1:]
    for step in range(int(SECONDS / STEP_S)):
        now[0] = step * STEP_S
        for model in models:
            model.step(now[0], noise)
    rate = sum(len(model.latencies_s) for model in models[-2:]) / SECONDS
    return np.array(models[0].latencies_s), rate


@pytest.mark.parametrize(('takes_s', 'threads'), [(0.008, 2), (0.015, 1)], ids=['all cores', 'one core'])
@pytest.mark.parametrize('factor', [1.0, 2.0])
def test_a_safety_model_beside_two_that_saturate(takes_s, threads, factor):
    """p99 at most 1.5 times alone, and the two others keep far more than 30 % of what they get without it."""
    graded, kept = simulate(takes_s, (SAFETY, 0, 0), threads, factor)
    _, without = simulate(takes_s, (SAFETY, 0, 0), threads, factor, period_s=0.0)
    alone = 1.15 * takes_s
    assert np.percentile(graded, 99) <= 1.5 * alone
    assert len(graded) >= 0.98 * SECONDS / 0.1
    assert graded.max() <= alone + 1.15 * factor * takes_s + 2 * STEP_S, 'never behind more than one that runs'
    assert kept >= 0.6 * without


def test_the_two_others_share_all_that_there_is():
    _, rate = simulate(0.008, (SAFETY, 0, 0), 2, period_s=0.0)
    assert rate == pytest.approx(1 / (1.025 * 0.008 + STEP_S), rel=0.05)
