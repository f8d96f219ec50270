# SPDX-License-Identifier: Apache-2.0
"""isaac-inference evaluate: the real node graph against a known truth, from the simulator or a recording."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from isaac_inference.cli.evaluate.measure import SPEED_HZ, measure, session
from isaac_inference.cli.shared.console import console
from isaac_inference.cli.shared.evaluation_report import print_report, print_seeds
from isaac_inference.cli.shared.json_file import write_json
from isaac_inference.errors import ConfigError
from isaac_inference.evaluation import EvaluationResult, EvaluationSettings, evaluate
from isaac_inference.evaluation.accuracy.plots import save_plots
from isaac_inference.evaluation.accuracy.seeds import SeedsResult
from isaac_inference.evaluation.accuracy.worst import LostFrame, worst_frames
from isaac_inference.evaluation.accuracy.worst_pictures import save_worst
from isaac_inference.models import read_card
from isaac_inference.models.demo import demo_model
from isaac_inference.ros.bringup.evaluation.client import AnswerTopics
from isaac_inference.ros.bringup.evaluation.graph import object_geometries
from isaac_inference.sim import default_camera

_RATE_FRAMES = 150


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
    command.add_argument(
        '--seeds', type=int, default=1, metavar='N', help='measure N seeds from --seed on: mean, worst and spread'
    )
    command.add_argument('--scene-frames', type=int, default=50, metavar='N', help='frames per scene; 0: one scene')
    command.add_argument(
        '--warmup', type=int, default=None, metavar='N', help='frames before measuring; default: 10 with --sim'
    )
    command.add_argument('--registration', action='store_true', help='refine poses on depth by registration')
    command.add_argument('--rate', type=float, default=0.0, metavar='HZ', help='show all frames at this rate [Hz]')
    command.add_argument(
        '--rate-frames',
        type=int,
        default=None,
        metavar='N',
        help='frames at 30 Hz for rate and latency; 0: none; default: 150, with --seeds 0',
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
    command.add_argument(
        '--worst',
        nargs=2,
        default=None,
        metavar=('K', 'DIR'),
        help='write pictures of the K frames in which most is lost to this folder; with --sim',
    )
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
    name = card.name if card is not None else Path(arguments.recording).name
    results: dict[int, EvaluationResult] = {}
    lost: dict[int, list[LostFrame]] = {}
    is_complete = True
    with session(arguments):
        for seed in range(arguments.seed, arguments.seed + arguments.seeds):
            records, fast = measure(arguments, seed, topics, screen)
            result = results[seed] = evaluate(records, objects, settings, speed_records=fast)
            is_complete &= result.frames > 0 and result.frames >= (arguments.frames or len(records))
            title = f'{name}, {f"seed {seed}" if arguments.sim else arguments.recording}'
            print_report(screen, result, title)
            if arguments.plots:
                screen.print(f'plots: {save_plots(result, _plots_folder(arguments, seed), title)}')
            if arguments.worst:
                lost[seed] = worst_frames(records, objects, settings, arguments.worst[0])
    if arguments.seeds > 1:
        print_seeds(screen, SeedsResult(results), name)
    write_json(arguments.json, SeedsResult(results).summary() if arguments.seeds > 1 else result.summary())
    if arguments.worst:
        _save_worst(arguments, lost, screen)
    return 0 if is_complete else 1


def _plots_folder(arguments: argparse.Namespace, seed: int) -> Path:
    return Path(arguments.plots) / f'seed_{seed}' if arguments.seeds > 1 else Path(arguments.plots)


def _save_worst(arguments: argparse.Namespace, lost: dict[int, list[LostFrame]], screen: Console) -> None:
    count, folder = arguments.worst
    shown = {'first': arguments.warmup, 'scene_frames': arguments.scene_frames, 'rate_hz': SPEED_HZ}
    made = save_worst(lost, folder, count, default_camera(), **shown)
    screen.print(f'worst: {len(made)} pictures in {folder}' if made else 'worst: no object is lost')


def _check(arguments: argparse.Namespace) -> None:
    if arguments.from_recorded_outputs and not arguments.recording:
        raise ConfigError('--from-recorded-outputs: needs --recording FILE, the recording that holds the outputs')
    if arguments.sim and not arguments.model:
        arguments.model = str(demo_model())
    if not arguments.from_recorded_outputs and not arguments.model:
        raise ConfigError('--model: missing, expected an ONNX file; only --from-recorded-outputs works without')
    if arguments.recording and arguments.rate:
        raise ConfigError('--rate: only with --sim; a recording is shown frame by frame')
    if arguments.recording and arguments.seeds != 1:
        raise ConfigError('--seeds: only with --sim; a recording has no seed')
    if arguments.seeds < 1:
        raise ConfigError(f'--seeds: got {arguments.seeds}, expected 1 or more')
    if arguments.rate_frames is None:
        arguments.rate_frames = _RATE_FRAMES if arguments.seeds == 1 else 0
    if arguments.worst:
        _check_worst(arguments)
    for name in ('frames', 'scene_frames', 'rate_frames', 'warmup'):
        if (getattr(arguments, name) or 0) < 0:
            raise ConfigError(f'--{name.replace("_", "-")}: got {getattr(arguments, name)}, expected 0 or more')
    if arguments.sim:
        arguments.frames = arguments.frames or 500
    arguments.warmup = (10 if arguments.sim else 0) if arguments.warmup is None else arguments.warmup


def _check_worst(arguments: argparse.Namespace) -> None:
    """Turns the count into a number."""
    count, folder = arguments.worst
    if not arguments.sim or arguments.rate:
        raise ConfigError(
            '--worst: only with --sim and without --rate; the frames are drawn again from their seed and number'
        )
    if not count.isdigit() or not int(count):
        raise ConfigError(f'--worst: got {count!r} {folder!r}, expected a number of pictures and a folder')
    arguments.worst = (int(count), folder)
