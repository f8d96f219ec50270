# SPDX-License-Identifier: Apache-2.0
"""Frames through the real graph, from the simulator or a recording, and what it answered."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console

from isaac_inference.cli.shared.console import progress
from isaac_inference.evaluation import FrameRecord
from isaac_inference.ros.bringup.evaluation.client import AnswerTopics, EvaluationClient
from isaac_inference.ros.bringup.evaluation.drive import drive_freely, drive_recording, drive_steps
from isaac_inference.ros.bringup.evaluation.graph import evaluation_graph
from isaac_inference.ros.bringup.evaluation.recording import RecordedFrames
from isaac_inference.ros.bringup.graph import NodeSpec
from isaac_inference.ros.bringup.networks.paths import absolute
from isaac_inference.ros.bringup.runner import RunningGraph, start_composed, start_processes
from isaac_inference.ros.bringup.session import default_ros
from isaac_inference.ros.runtime.health.health import Health

SPEED_HZ = 30.0
"""Rate at which frames are shown for speed, and of the simulator's time."""
START_S = 60.0
"""Maximum wait for all nodes to be active."""


def session(arguments: argparse.Namespace) -> contextlib.AbstractContextManager[None]:
    """ROS for all seeds; none where nothing runs."""
    return contextlib.nullcontext() if arguments.from_recorded_outputs else default_ros()


def start_graph(specs: Sequence[NodeSpec], arguments: argparse.Namespace) -> RunningGraph:
    """The nodes in one container, or as processes where that is asked for."""
    start = start_processes if arguments.processes else start_composed
    return start(specs, arguments.params_file)


def measure(
    arguments: argparse.Namespace, seed: int, topics: AnswerTopics, screen: Console
) -> tuple[list[FrameRecord], list[FrameRecord]]:
    """Records for accuracy, and those of frames shown at a rate; within a `session`."""
    if arguments.from_recorded_outputs:
        skip = Health(lambda is_error, text: screen.print(text, markup=False)).skipped  # throttled, as a node's is
        records = RecordedFrames(arguments.recording, topics).records(skip, arguments.frames, arguments.warmup)
        return records, records
    if arguments.recording:
        return _from_recording(arguments, topics, screen), []
    if arguments.rate:
        records = _from_simulator(arguments, seed, topics, screen, arguments.frames, rate_hz=arguments.rate)
        return records, records
    records = _from_simulator(arguments, seed, topics, screen, arguments.frames)
    if not arguments.rate_frames:
        return records, []
    return records, _from_simulator(arguments, seed, topics, screen, arguments.rate_frames, rate_hz=SPEED_HZ)


def _from_simulator(
    arguments: argparse.Namespace,
    seed: int,
    topics: AnswerTopics,
    screen: Console,
    frames: int,
    rate_hz: float = 0.0,
) -> list[FrameRecord]:
    """At `rate_hz`, or with 0 each frame once the one before is answered.

    Each seed gets a graph of its own, so that its figures are those that it has alone: nothing is tracked from one to
    the next.
    """
    simulator = {
        'seed': seed,
        'step': not rate_hz,
        'rate_hz': rate_hz or SPEED_HZ,
        'scene_frames': arguments.scene_frames,
    }
    drive = drive_freely if rate_hz else drive_steps
    label = f'frames at {rate_hz:g} Hz' if rate_hz else 'frames'
    with _graph(arguments, topics, simulator) as client, progress(screen, label, arguments.warmup + frames) as advance:
        return drive(client, frames, warmup=arguments.warmup, timeout_s=arguments.timeout, advance=advance)


def _from_recording(arguments: argparse.Namespace, topics: AnswerTopics, screen: Console) -> list[FrameRecord]:
    source = RecordedFrames(arguments.recording, topics)
    total = min(arguments.frames + arguments.warmup if arguments.frames else sys.maxsize, source.frames)
    with _graph(arguments, topics, None) as client, progress(screen, 'frames', total) as advance:
        return drive_recording(
            client,
            source.replayed(),
            arguments.frames,
            warmup=arguments.warmup,
            timeout_s=arguments.timeout,
            advance=advance,
        )


@contextlib.contextmanager
def _graph(
    arguments: argparse.Namespace, topics: AnswerTopics, simulator: dict[str, Any] | None
) -> Iterator[EvaluationClient]:
    """The running graph's client; both are stopped at the end."""
    specs = evaluation_graph(
        model=absolute(arguments.model),
        model_card=absolute(arguments.card),
        registration=arguments.registration,
        simulator=simulator,
    )
    with (
        contextlib.closing(start_graph(specs, arguments)) as graph,
        contextlib.closing(EvaluationClient.start(graph.namespace, topics, feeds=simulator is None)) as client,
    ):
        graph.wait_until_ready(client, START_S)
        yield client
