# SPDX-License-Identifier: Apache-2.0
"""isaac-inference evaluate: the real node graph against a known truth, from the simulator or a recording."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from isaac_inference.cli.evaluate.base import EvaluatedTask
from isaac_inference.cli.evaluate.poses import PosesTask
from isaac_inference.cli.evaluate.samples import SamplesTask
from isaac_inference.cli.shared.console import console
from isaac_inference.cli.shared.evaluation_report import print_seeds
from isaac_inference.cli.shared.json_file import write_json
from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.accuracy.seeds import SeedResult, SeedsResult
from isaac_inference.evaluation.worst_frames import WorstFrame, save_worst
from isaac_inference.ros.bringup.evaluation.tasks.registry import TASK_GRAPHS

TASKS: Mapping[str, Callable[[argparse.Namespace], EvaluatedTask]] = {
    'poses': PosesTask,
    **dict.fromkeys(TASK_GRAPHS, SamplesTask),
}

_CHAIN = ('keypoints',)  # tasks that two models in a row are for


def add_command(commands: Any) -> None:
    """Add `evaluate` to the command line."""
    command = commands.add_parser('evaluate', help='measure the accuracy of the node graph against a known truth')
    source = command.add_mutually_exclusive_group(required=True)
    source.add_argument('--sim', action='store_true', help='images and truth from the simulated camera')
    source.add_argument('--recording', default='', metavar='FILE', help='images and truth from a recording')
    command.add_argument(
        '--task',
        choices=tuple(TASKS),
        default='poses',
        help='what is measured; default: boxes, poses and tracks. Others than poses: with --sim, frame by frame',
    )
    models = command.add_mutually_exclusive_group()
    models.add_argument(
        '--model',
        default='',
        help='ONNX file; default with --sim: the demo model for poses and masks, none for stereo and completion',
    )
    models.add_argument(
        '--models',
        default='',
        metavar='PERSON.onnx,POSE.onnx',
        help='with --task keypoints: a person detector, and the model that finds the keypoints of each person',
    )
    command.add_argument('--card', default='', help='YAML card, or both with a comma; default: beside the model')
    command.add_argument('--frames', type=int, default=0, metavar='N', help='default: 500, or the whole recording')
    command.add_argument('--seed', type=int, default=1, metavar='S', help="the simulator's seed")
    command.add_argument(
        '--seeds', type=int, default=1, metavar='N', help='measure N seeds from --seed on: mean, worst and spread'
    )
    command.add_argument(
        '--scene-frames',
        type=int,
        default=None,
        metavar='N',
        help='frames per scene; 0: one scene; default: 50 for poses, 1 for other tasks',
    )
    command.add_argument(
        '--warmup',
        type=int,
        default=None,
        metavar='N',
        help='frames before measuring; default with --sim: 10 for poses, 2 for other tasks',
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
        default='',
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
        help='write pictures of the K worst frames of all seeds to this folder; with --sim',
    )
    command.add_argument('--params-file', default='', help='ROS parameter file, like config/perception.yaml')
    command.add_argument('--timeout', type=float, default=20.0, metavar='S', help='maximum wait for one frame [s]')
    command.add_argument('--processes', action='store_true', help='one process per node instead of one container')
    command.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Evaluate; 0 if every requested frame was evaluated, 1 if not."""
    _check(arguments)
    task = TASKS[arguments.task](arguments)
    screen = console(stderr=arguments.json == '-')
    results: dict[int, SeedResult] = {}
    worst: list[WorstFrame] = []
    is_complete = True
    with task.session():
        for seed in range(arguments.seed, arguments.seed + arguments.seeds):
            measured = task.measure(seed, screen)
            results[seed] = measured.result
            worst += measured.worst
            is_complete &= measured.is_complete
            title = f'{task.title}, {f"seed {seed}" if arguments.sim else arguments.recording}'
            task.print_report(screen, measured.result, title)
            if arguments.plots:
                screen.print(f'plots: {task.save_plots(measured.result, _plots_folder(arguments, seed), title)}')
    if arguments.seeds > 1:
        print_seeds(screen, SeedsResult(results), task.title)
    write_json(arguments.json, SeedsResult(results).summary() if arguments.seeds > 1 else measured.result.summary())
    if arguments.worst:
        count, folder = arguments.worst
        made = save_worst(worst, folder, count)
        screen.print(f'worst: {len(made)} pictures in {folder}' if made else 'worst: no frame is without fault')
    return 0 if is_complete else 1


def _plots_folder(arguments: argparse.Namespace, seed: int) -> Path:
    return Path(arguments.plots) / f'seed_{seed}' if arguments.seeds > 1 else Path(arguments.plots)


def _check(arguments: argparse.Namespace) -> None:
    """What all tasks have in common; turns the count of pictures into a number."""
    if arguments.models and arguments.task not in _CHAIN:
        raise ConfigError(
            f'--models: got --task {arguments.task}, expected --task {" or ".join(_CHAIN)}, which a detector and a '
            'top-down model in a row are for; give one --model'
        )
    if arguments.seeds < 1:
        raise ConfigError(f'--seeds: got {arguments.seeds}, expected 1 or more')
    if arguments.worst:
        count, folder = arguments.worst
        if not count.isdigit() or not int(count):
            raise ConfigError(f'--worst: got {count!r} {folder!r}, expected a number of pictures and a folder')
        arguments.worst = (int(count), folder)
    for name in ('frames', 'scene_frames', 'rate_frames', 'warmup'):
        if (getattr(arguments, name) or 0) < 0:
            raise ConfigError(f'--{name.replace("_", "-")}: got {getattr(arguments, name)}, expected 0 or more')
