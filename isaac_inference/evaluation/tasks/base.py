# SPDX-License-Identifier: Apache-2.0
"""The contract of a task that is measured on single simulated frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, Generic, TypeVar

import numpy as np

from isaac_inference.evaluation.measure import Measure
from isaac_inference.evaluation.tasks.result import TaskFigures
from isaac_inference.sim.shown import scene_seed_and_time

SampleT = TypeVar('SampleT')
AnswerT = TypeVar('AnswerT')
ScoreT = TypeVar('ScoreT')


class SimTask(ABC, Generic[SampleT, AnswerT, ScoreT]):
    """What there is to be found in a simulated frame, and how right an answer is.

    A sample has the images and their exact truth, an answer what the graph made of the images, as arrays; a score is
    all that is kept of a frame.
    """

    name: ClassVar[str]
    measures: ClassVar[Sequence[Measure]]
    """The main figures, the most important one first; of each `result` has a value."""

    @abstractmethod
    def sample(self, scene: int, time_s: float) -> SampleT:
        """One frame of a scene; equal arguments make equal samples."""

    @abstractmethod
    def nothing(self, sample: SampleT) -> AnswerT:
        """The answer that finds nothing, for frames that are not answered."""

    @abstractmethod
    def score(self, sample: SampleT, answer: AnswerT) -> ScoreT:
        """An answer against the truth.

        Raises:
            FrameError: the answer does not belong to the sample, as of another size.
        """

    @abstractmethod
    def loss(self, score: ScoreT) -> float:
        """How bad a frame is, for ranking; 0 for one without fault."""

    @abstractmethod
    def result(self, scores: Sequence[ScoreT]) -> TaskFigures:
        """The figures of all frames; of none, too."""

    @abstractmethod
    def picture(self, sample: SampleT, answer: AnswerT, score: ScoreT) -> np.ndarray:
        """(H, W, 3) uint8 BGR: the input beside the truth, the answer and what is wrong."""

    def samples(self, seed: int, count: int, first: int = 0, scene_frames: int = 1) -> Iterator[SampleT]:
        """The frames that are shown for a seed, as the simulated camera shows them (`sim.shown`).

        Args:
            seed: as of the simulated camera.
            count: how many.
            first: index of the first one.
            scene_frames: frames of one scene, 1/30 s apart; 0: there is one scene.
        """
        for index in range(first, first + count):
            yield self.sample(*scene_seed_and_time(seed, index, scene_frames=scene_frames, rate_hz=_RATE_HZ))


_RATE_HZ = 30.0  # of the simulator's time
