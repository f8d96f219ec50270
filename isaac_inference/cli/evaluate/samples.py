# SPDX-License-Identifier: Apache-2.0
"""A task of single simulated frames, each shown to its graph once the one before is answered."""

from __future__ import annotations

import argparse
import contextlib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from isaac_inference.cli.evaluate.base import Measured
from isaac_inference.cli.evaluate.measure import START_S, session, start_graph
from isaac_inference.cli.shared.chosen_models import choose_models
from isaac_inference.cli.shared.console import progress
from isaac_inference.cli.shared.evaluation_report import print_task
from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.evaluation.panels import save_panels
from isaac_inference.evaluation.tasks.result import TaskResult
from isaac_inference.evaluation.worst_frames import WorstFrame, worst_of
from isaac_inference.models.demo import demo_model
from isaac_inference.ros.bringup.evaluation.sample_client import SampleClient
from isaac_inference.ros.bringup.evaluation.tasks.base import TaskOptions
from isaac_inference.ros.bringup.evaluation.tasks.registry import TASK_GRAPHS
from isaac_inference.ros.bringup.networks.paths import absolute

_MOST_SILENT = 5  # frames in a row without an answer: the graph is broken, not slow
_POSES_ONLY = ('from_recorded_outputs', 'registration', 'rate', 'rate_frames', 'poses')
_DEMO = ('masks',)  # tasks that the demo model is for


class SamplesTask:
    """Fills in the defaults of its options."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        _check(arguments)
        self._arguments, self._name = arguments, arguments.task
        options = TaskOptions(min_visibility=arguments.min_visibility)
        self._model = ''
        if arguments.model or arguments.models:
            chosen = choose_models(arguments)
            path, self._model = absolute(str(chosen.card.path)), chosen.name
            options = replace(options, model=path, model_card=chosen.model_card, card=chosen.card)
            options = replace(options, behind=chosen.behind, crops=chosen.crops)
        self._graph = TASK_GRAPHS[self._name](options)
        self._task = self._graph.task()

    @property
    def title(self) -> str:
        return f'{self._name} by {self._model}' if self._model else f'{self._name} without a model'

    def session(self) -> contextlib.AbstractContextManager[None]:
        return session(self._arguments)

    def measure(self, seed: int, screen: Console) -> Measured:
        arguments, task, asked = self._arguments, self._task, self._arguments.frames
        seen = _Seen()
        shown = task.samples(seed, arguments.warmup + asked, scene_frames=arguments.scene_frames)
        with self._client() as client, progress(screen, 'frames', arguments.warmup + asked) as advance:
            for index, sample in enumerate(shown):
                is_counted = index >= arguments.warmup
                frame = self._ask(client, sample, screen)
                if frame is None:
                    seen.lose(is_counted)
                    if seen.silent == _MOST_SILENT:
                        raise ConfigError(
                            f'the last {_MOST_SILENT} frames were not answered within {arguments.timeout:g} s; '
                            f'{client.explain()}'
                        )
                    if is_counted and arguments.count_dropped:
                        nothing = task.nothing(sample)
                        self._add(seen, seed, index, sample, nothing, task.score(sample, nothing))
                else:
                    seen.silent = 0
                    if is_counted:
                        self._add(seen, seed, index, sample, frame.found, frame.score)
                        seen.spend(frame.stages_ms)
                advance()
            faults = client.faults
        for fault in faults:
            screen.print(fault, style='yellow')
        figures = task.result(seen.scores)
        settings = {'task': self._name, 'seed': seed, 'scene_frames': arguments.scene_frames, **self._counted}
        result = TaskResult(asked - seen.dropped, seen.dropped, task.measures, figures, seen.stages_ms, settings)
        return Measured(result, not seen.dropped, seen.worst)

    def print_report(self, screen: Console, result: TaskResult, title: str) -> None:
        print_task(screen, result, title)

    def save_plots(self, result: TaskResult, folder: Path, title: str) -> Path:
        return save_panels(result.figures.panels, folder, title)

    @property
    def _counted(self) -> dict[str, Any]:
        arguments = self._arguments
        return {'min_visibility': arguments.min_visibility, 'count_dropped': arguments.count_dropped}

    @contextlib.contextmanager
    def _client(self) -> Iterator[SampleClient]:
        with (
            contextlib.closing(start_graph(self._graph.nodes(), self._arguments)) as graph,
            contextlib.closing(SampleClient.start(graph.namespace, self._graph.topics)) as client,
        ):
            graph.wait_until_ready(client, START_S)
            yield client

    def _ask(self, client: SampleClient, sample: Any, screen: Console) -> _Frame | None:
        """What was found in a sample; None where there is no answer that can be used."""
        header = client.new_header()
        answer = client.show(header, self._graph.messages(sample, header), self._arguments.timeout)
        if answer is None or not answer.is_complete:
            return None
        try:
            found = self._graph.read(answer.messages, sample)
            return _Frame(found, self._task.score(sample, found), answer.stages_ms)
        except FrameError as error:
            screen.print(f'{error.reason}: {error}', style='yellow')
            return None

    def _add(self, seen: _Seen, seed: int, index: int, sample: Any, found: Any, score: Any) -> None:
        """A frame that counts; of what is drawn no more is kept than is asked for."""
        seen.scores.append(score)
        loss = self._task.loss(score)
        if self._arguments.worst and loss > 0.0:
            frame = WorstFrame(loss, seed, index, functools.partial(self._task.picture, sample, found, score))
            seen.worst = worst_of([*seen.worst, frame], self._arguments.worst[0])


@dataclass(frozen=True, eq=False)
class _Frame:
    """An answered sample."""

    found: Any
    score: Any
    stages_ms: Mapping[str, float]


@dataclass(eq=False)
class _Seen:
    """What is known of a seed so far; `silent` counts frames in a row without an answer, `dropped` those that count."""

    scores: list[Any] = field(default_factory=list)
    worst: list[WorstFrame] = field(default_factory=list)
    stages_ms: dict[str, list[float]] = field(default_factory=dict)
    dropped: int = 0
    silent: int = 0

    def lose(self, is_counted: bool) -> None:
        """A frame was not answered."""
        self.silent += 1
        self.dropped += is_counted

    def spend(self, stages_ms: Mapping[str, float]) -> None:
        """Note the stages' work."""
        for stage, spent in stages_ms.items():
            self.stages_ms.setdefault(stage, []).append(spent)


def _check(arguments: argparse.Namespace) -> None:
    task = arguments.task
    if not arguments.sim:
        raise ConfigError(f'--task {task}: only with --sim; of recordings poses are evaluated')
    for name in _POSES_ONLY:
        if getattr(arguments, name):
            raise ConfigError(f'--{name.replace("_", "-")}: only with --task poses, not with {task}')
    if not arguments.model and task in _DEMO:
        arguments.model = str(demo_model())
    arguments.frames = arguments.frames or 500
    arguments.scene_frames = 1 if arguments.scene_frames is None else arguments.scene_frames
    arguments.warmup = 2 if arguments.warmup is None else arguments.warmup
