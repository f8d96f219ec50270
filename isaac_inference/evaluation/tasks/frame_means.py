# SPDX-License-Identifier: Apache-2.0
"""Tasks whose figures are means over frames, beside which the worst frame stands."""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from isaac_inference.evaluation.depth.errors import mean_and_worst
from isaac_inference.evaluation.measure import Measure
from isaac_inference.evaluation.panels import Histogram
from isaac_inference.evaluation.tasks.base import AnswerT, SampleT, SimTask
from isaac_inference.evaluation.tasks.result import TaskFigures

_WORST = '_worst'


def with_worst(measure: Measure) -> tuple[Measure, Measure]:
    """A measure, and that of its worst frame."""
    worst = dataclasses.replace(measure, key=measure.key + _WORST, title=f'{measure.title}, worst frame')
    return measure, worst


class FrameMeansTask(SimTask[SampleT, AnswerT, Mapping[str, float]]):
    """A score has a number for the key of each figure; NaN where a frame has none, which is left out of the mean."""

    figures: ClassVar[Sequence[Measure]]
    """Of a frame; `measures` are these and, of some, their worst frames."""
    ranked: ClassVar[Measure]
    """One of them, by which frames are ranked; a frame without it is the worst."""

    @abstractmethod
    def score(self, sample: SampleT, answer: AnswerT) -> Mapping[str, float]:
        """Of one frame."""

    def loss(self, score: Mapping[str, float]) -> float:
        value = score[self.ranked.key]
        if not math.isfinite(value):
            return math.inf
        return -value if self.ranked.more_is_better else value

    def result(self, scores: Sequence[Mapping[str, float]]) -> TaskFigures:
        values = {}
        for measure in self.figures:
            of_frames = [score[measure.key] for score in scores]
            mean, worst = mean_and_worst(of_frames, larger_is_worse=not measure.more_is_better)
            values.update({measure.key: mean, measure.key + _WORST: worst})
        panels = [
            Histogram(
                measure.factor * np.array([score[measure.key] for score in scores], float),
                f'{measure.title} [{measure.unit}]' if measure.unit else measure.title,
            )
            for measure in self.figures
        ]
        return TaskFigures(values, panels=panels)
