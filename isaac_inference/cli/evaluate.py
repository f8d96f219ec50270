# SPDX-License-Identifier: Apache-2.0
"""isaac-inference evaluate: the real node graph against a known truth, from the simulator or a recording."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from isaac_inference.cli.shared.console import console, progress
from isaac_inference.cli.shared.evaluation_report import print_report
from isaac_inference.cli.shared.json_file import write_json
from isaac_inference.errors import ConfigError
from isaac_inference.evaluation import EvaluationSettings, FrameRecord, evaluate
from isaac_inference.evaluation.accuracy.plots import save_plots
from isaac_inference.models import read_card
from isaac_inference.models.demo import demo_model
from isaac_inference.ros.bringup.evaluation.client import AnswerTopics, EvaluationClient
from isaac_inference.ros.bringup.evaluation.drive import drive_freely, drive_recording, drive_steps
from isaac_inference.ros.bringup.evaluation.graph import evaluation_graph, object_geometries
from isaac_inference.ros.bringup.evaluation.recording import RecordedFrames
from isaac_inference.ros.bringup.runner import start_composed, start_processes
from isaac_inference.ros.bringup.session import default_ros
from isaac_inference.ros.runtime.health.health import Health

_START_S = 60.0  # maximum wait for all nodes to be active
_SPEED_HZ = 30.0


def add_command(commands: Any) -> None:
    """Add `evaluate` to the command line."""
    command = commands.add_parser('evaluate', help='measure the accuracy of the node graph against a known truth')
    source = command.add_mutually_exclusive_group(required=True)
    source.add_argument('--sim', action='store_true', help='images and truth from the simulated camera')
    source.add_argument('--recording', default='', metavar='FILE', help='images and truth from a recording')
    command.add_argument('--model', default='', help='ONNX file; default with --sim: the demo model')
    command.add_argument('--card', default='', help='YAML card; default: beside the model')
    command.add_argument('--frames', type=int, default=0, metavar='N', help='default: 500, or the whole recording')
    command.add_argument('--seed', type=int, default=1, metavar='S', help="the simulator's seed")
    command.add_argument('--scene-frames', type=int, default=50, metavar='N', help='frames per scene; 0: one scene')
    command.add_argument(
        '--warmup', type=int, default=None, metavar='N', help='frames before measuring; default: 10 with --sim'
    )
    command.add_argument('--registration', action='store_true', help='refine poses on depth by registration')
    command.add_argument('--rate', type=float, default=0.0, metavar='HZ', help='show all frames at this rate [Hz]')
    command.add_argument(
        '--rate-frames', type=int, default=150, metavar='N', help='frames at 30 Hz for rate and latency; 0: none'
    )
    command.add_argument(
        '--from-recorded-outputs', action='store_true', help='evaluate the outputs stored in the recording'
    )
    command.add_argument(
        '--poses',
        choices=('track', 'pose'),
        default='track',
        help='smoothed poses (default), or those of single images',
    )
    command.add_argument(
        '--min-visibility', type=float, default=0.25, metavar='F', help='less visible objects do not count'
    )
    command.add_argument('--count-dropped', action='store_true', help='objects of unanswered frames count as missed')
    command.add_argument('--json', default='', metavar='OUT', help='write the figures to this file ("-": stdout)')
    command.add_argument('--plots', default='', metavar='DIR', help='write a picture of the figures to this folder')
    command.add_argument('--params-file', default='', help='ROS parameter file, like config/perception.yaml')
    command.add_argument('--timeout', type=float, default=20.0, metavar='S', help='maximum wait for one frame [s]')
    command.add_argument('--processes', action='store_true', help='one process per node instead of one container')
    command.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Evaluate; 0 if every requested frame was evaluated, 1 if not."""
    _check(arguments)
    settings = EvaluationSettings(arguments.min_visibility, arguments.count_dropped)
    card = read_card(arguments.model, arguments.card or None) if arguments.model else None
    objects = object_geometries(card, simulated=arguments.sim) if card is not None else {}
    screen = console(stderr=arguments.json == '-')
    topics = AnswerTopics() if arguments.poses == 'track' else AnswerTopics(poses='pose/detections_3d')
    records, fast = _measure(arguments, topics, screen)
    wanted = len(records) if not arguments.frames else arguments.frames
    result = evaluate(records, objects, settings, speed_records=fast)
    name = card.name if card is not None else Path(arguments.recording).name
    title = f'{name}, {f"seed {arguments.seed}" if arguments.sim else arguments.recording}'
    print_report(screen, result, title)
    write_json(arguments.json, result.summary())
    if arguments.plots:
        screen.print(f'plots: {save_plots(result, arguments.plots, title)}')
    return 0 if result.frames and result.frames >= wanted else 1


def _check(arguments: argparse.Namespace) -> None:
    if arguments.from_recorded_outputs and not arguments.recording:
        raise ConfigError('--from-recorded-outputs: needs --recording FILE, the recording that holds the outputs')
    if arguments.sim and not arguments.model:
        arguments.model = str(demo_model())
    if not arguments.from_recorded_outputs and not arguments.model:
        raise ConfigError('--model: missing, expected an ONNX file; only --from-recorded-outputs works without')
    if arguments.recording and arguments.rate:
        raise ConfigError('--rate: only with --sim; a recording is shown frame by frame')
    for name in ('frames', 'scene_frames', 'rate_frames', 'warmup'):
        if (getattr(arguments, name) or 0) < 0:
            raise ConfigError(f'--{name.replace("_", "-")}: got {getattr(arguments, name)}, expected 0 or more')
    if arguments.sim:
        arguments.frames = arguments.frames or 500
    arguments.warmup = (10 if arguments.sim else 0) if arguments.warmup is None else arguments.warmup


def _measure(
    arguments: argparse.Namespace, topics: AnswerTopics, screen: Console
) -> tuple[list[FrameRecord], list[FrameRecord]]:
    """Records for accuracy, and those of frames shown at a rate."""
    if arguments.from_recorded_outputs:
        skip = Health(lambda is_error, text: screen.print(text, markup=False)).skipped  # throttled, as a node's is
        records = RecordedFrames(arguments.recording, topics).records(skip, arguments.frames, arguments.warmup)
        return records, records
    with default_ros():
        if arguments.recording:
            return _from_recording(arguments, topics, screen), []
        if arguments.rate:
            records = _from_simulator(arguments, topics, screen, arguments.frames, rate_hz=arguments.rate)
            return records, records
        records = _from_simulator(arguments, topics, screen, arguments.frames)
        if not arguments.rate_frames:
            return records, []
        return records, _from_simulator(arguments, topics, screen, arguments.rate_frames, rate_hz=_SPEED_HZ)


def _from_simulator(
    arguments: argparse.Namespace, topics: AnswerTopics, screen: Console, frames: int, rate_hz: float = 0.0
) -> list[FrameRecord]:
    """At `rate_hz`, or with 0 each frame once the one before is answered."""
    simulator = {
        'seed': arguments.seed,
        'step': not rate_hz,
        'rate_hz': rate_hz or _SPEED_HZ,
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
        model=_absolute(arguments.model),
        model_card=_absolute(arguments.card),
        registration=arguments.registration,
        simulator=simulator,
    )
    start = start_processes if arguments.processes else start_composed
    with (
        contextlib.closing(start(specs, arguments.params_file)) as graph,
        contextlib.closing(EvaluationClient.start(graph.namespace, topics, feeds=simulator is None)) as client,
    ):
        graph.wait_until_ready(client, _START_S)
        yield client


def _absolute(path: str) -> str:
    return str(Path(path).absolute()) if path else ''
