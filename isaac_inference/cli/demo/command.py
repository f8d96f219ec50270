# SPDX-License-Identifier: Apache-2.0
"""isaac-inference demo: the whole graph on a simulated camera, a video of it, and its accuracy."""

from __future__ import annotations

import argparse
import contextlib
import time
from pathlib import Path
from typing import Any

import cv2

from isaac_inference.cli.demo.several import demo_of_several
from isaac_inference.cli.demo.video_recorder import VideoRecorder
from isaac_inference.cli.shared.boxes import need_boxes
from isaac_inference.cli.shared.console import console, progress
from isaac_inference.cli.shared.evaluation_report import print_report
from isaac_inference.cli.shared.json_file import write_json
from isaac_inference.evaluation import EvaluationSettings, FrameRecord, evaluate
from isaac_inference.evaluation.accuracy.plots import save_plots
from isaac_inference.models import read_card
from isaac_inference.models.demo import demo_model
from isaac_inference.ros.bringup.evaluation.client import AnswerTopics, EvaluationClient
from isaac_inference.ros.bringup.evaluation.drive import drive_freely
from isaac_inference.ros.bringup.evaluation.graph import object_geometries
from isaac_inference.ros.bringup.graph import DEMO_CAMERA, found_by, perception_graph
from isaac_inference.ros.bringup.runner import start_composed
from isaac_inference.ros.bringup.session import default_ros

RATE_HZ = 30.0
_START_S = 60.0
_FRAME_S = 20.0


def add_command(commands: Any) -> None:
    """Add `demo` to the command line."""
    command = commands.add_parser('demo', help='detection, 6-DoF poses and tracks of a simulated scene, on video')
    command.add_argument('--model', default='', help='ONNX file; default: the demo model')
    command.add_argument('--frames', type=int, default=300, metavar='N', help='length of the demo; 30 per second')
    command.add_argument('--seed', type=int, default=2, metavar='S', help='which scene')
    command.add_argument('--registration', action='store_true', help='refine poses on depth by registration')
    command.add_argument(
        '--cameras', type=int, default=1, metavar='N', help='so many cameras around the table, whose poses are fused'
    )
    command.add_argument(
        '--out', default='build/demo', metavar='DIR', help='folder for video, picture, plots and figures'
    )
    command.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Run; 0 when objects were found and their poses were measured."""
    begin = time.monotonic()
    model, folder = arguments.model or str(demo_model()), Path(arguments.out)
    card = read_card(model)
    need_boxes(card, 'demo: shows boxes of simulated objects and the poses in them')
    if arguments.cameras != 1:
        return demo_of_several(arguments, model, folder)
    screen = console()
    records, first_s, frames = _run(arguments, model, folder, begin)
    result = evaluate(records, object_geometries(card, simulated=True), EvaluationSettings(), speed_records=records)
    print_report(screen, result, f'{card.name} on simulated scene {arguments.seed}')
    summary = result.summary()
    write_json(folder / 'figures.json', summary)
    plots = save_plots(result, str(folder), f'{card.name}, scene {arguments.seed}')
    screen.print(f'first detection {first_s:.1f} s after the start')
    screen.print(f'video: {folder / "demo.mp4"} ({frames} frames)   picture: {folder / "demo.png"}   plots: {plots}')
    return 0 if frames and summary['add_0_1d'] else 1


def _run(arguments: argparse.Namespace, model: str, folder: Path, begin: float) -> tuple[list[FrameRecord], float, int]:
    """The measured frames, seconds from `begin` to the first detection, and how many frames the video has."""
    specs = perception_graph(
        model=str(Path(model).absolute()),
        simulator={'seed': arguments.seed, 'rate_hz': RATE_HZ, **DEMO_CAMERA},
        poses=True,
        track=True,
        finds=found_by(read_card(model)),
        pose_parameters={'method': 'registration'} if arguments.registration else None,
    )
    with (
        default_ros(),
        contextlib.closing(start_composed(specs)) as graph,
        contextlib.closing(EvaluationClient.start(graph.namespace, AnswerTopics())) as client,
        contextlib.closing(
            VideoRecorder.start(graph.namespace, 'annotate/debug_image', folder / 'demo.mp4', RATE_HZ)
        ) as video,
    ):
        graph.wait_until_ready(client, _START_S)
        client.collector.wait(client.collector.has_objects, _FRAME_S)
        first_s = time.monotonic() - begin
        with progress(console(), 'frames', arguments.frames) as advance:
            records = drive_freely(client, arguments.frames, warmup=0, timeout_s=_FRAME_S, advance=advance)
        if video.last is not None:
            cv2.imwrite(str(folder / 'demo.png'), video.last)
        return records, first_s, video.frames
