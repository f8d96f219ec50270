# SPDX-License-Identifier: Apache-2.0
"""isaac-inference budget: frames through the real node graph, compared with a latency budget, stage by stage."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from isaac_inference.cli.budget.report import Verdict, assumed_stages, print_verdict
from isaac_inference.cli.shared.console import console, progress
from isaac_inference.cli.shared.json_file import write_json
from isaac_inference.errors import ConfigError
from isaac_inference.models import read_card
from isaac_inference.models.recognition.probe import probe_picture
from isaac_inference.pictures import SourceFrame
from isaac_inference.ros.bringup.budget_watch import watched
from isaac_inference.ros.bringup.clients.graph_client import GraphClient
from isaac_inference.ros.bringup.graph import found_by, perception_graph
from isaac_inference.ros.bringup.readouts.choose import readout_of
from isaac_inference.ros.bringup.runner import start_composed, start_processes
from isaac_inference.ros.bringup.session import default_ros
from isaac_inference.ros.messages.image import image_frame_from_array
from isaac_inference.ros.recording.picture_source import picture_source
from isaac_inference.ros.runtime.resources import budgets_folder
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.serving.budgets.budget_file import read_budget
from isaac_inference.serving.budgets.check import BudgetCheck
from isaac_inference.serving.budgets.frame_times import Span, frame_times

_WARM_UP = 10  # frames that are not counted: caches fill, clocks rise


def add_command(commands: Any) -> None:
    """Add `budget` to the command line."""
    command = commands.add_parser('budget', help='measure whether this machine keeps a latency budget with a model')
    command.add_argument('--model', required=True, help='ONNX file')
    command.add_argument('--card', default='', help='YAML card; default: beside the model')
    command.add_argument(
        '--budget', required=True, help='preset of config/budgets, such as manipulation, or a YAML file'
    )
    command.add_argument('--frames', type=int, default=200, metavar='N', help='frames to measure')
    command.add_argument(
        '--rate', type=float, default=30.0, metavar='HZ', help='frames a second that are shown at most'
    )
    command.add_argument(
        '--source', default='', help='folder of images, image, video file or recording; default: a picture of ours'
    )
    command.add_argument('--size', default='1280x720', metavar='WxH', help='size of that picture')
    command.add_argument('--params-file', default='', help='ROS parameter file, like config/perception.yaml')
    command.add_argument('--timeout', type=float, default=20.0, metavar='S', help='maximum wait for one frame [s]')
    command.add_argument('--processes', action='store_true', help='one process per node; default: one container')
    command.add_argument('--json', default='', metavar='OUT', help='write the figures to this file ("-": stdout)')
    command.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Measure; 0 if the budget is kept, 1 if not."""
    budget = read_budget(arguments.budget, budgets_folder())  # what is wrong fails here, before anything starts
    card = read_card(arguments.model, arguments.card or None)
    readout = readout_of(card)
    if arguments.frames < 1 or arguments.rate <= 0:
        raise ConfigError(
            f'--frames {arguments.frames}, --rate {arguments.rate:g}: expected at least one frame, and a rate above 0'
        )
    pictures = _pictures(arguments)
    card_path = str(Path(arguments.card).absolute()) if arguments.card else ''
    specs = perception_graph(model=str(card.path), model_card=card_path, annotate=False, finds=found_by(card))
    measured = watched(spec.name for spec in specs)
    screen = console(stderr=arguments.json == '-')
    start = start_processes if arguments.processes else start_composed
    assumed = assumed_stages(budget, measured)
    check = BudgetCheck(budget, arguments.frames)
    with (
        default_ros(),
        contextlib.closing(start(specs, arguments.params_file)) as graph,
        contextlib.closing(GraphClient.start(graph.namespace, readout, pictures=False)) as client,
    ):
        graph.wait_until_ready(client, arguments.timeout)
        with progress(screen, 'frames', arguments.frames) as advance:
            for number, picture in zip(range(-_WARM_UP, arguments.frames), pictures, strict=False):
                begin = time.monotonic()
                header = client.new_header()
                image = image_frame_from_array(picture, 'bgr8', header)
                answer = client.show(header, {'image': image}, arguments.timeout)
                if number >= 0:
                    if answer is None or not answer.timings:
                        check.missed(time.monotonic_ns())
                        screen.print(f'frame {number}: no result; {client.explain()}', style='yellow')
                    else:
                        spans = [
                            Span(one.stage, one.arrived_ns, one.started_ns, one.finished_ns) for one in answer.timings
                        ]
                        stamp = stamp_ns(header)
                        times = frame_times(stamp, spans, stamp, use_stamp=True)
                        check.take(assumed.added_to(times), time.monotonic_ns())
                    advance()
                time.sleep(max(0.0, 1.0 / arguments.rate - (time.monotonic() - begin)))
    verdict = Verdict(budget, check.report(), assumed)
    print_verdict(screen, verdict, f'{card.name}, {"processes" if arguments.processes else "composed"}')
    write_json(arguments.json, verdict.to_dict())
    return 0 if verdict.is_kept else 1


def _pictures(arguments: argparse.Namespace) -> Iterator[np.ndarray]:
    """Pictures, (H, W, 3) uint8 BGR, again and again."""
    if not arguments.source:
        return itertools.repeat(cv2.resize(probe_picture(), _size(arguments.size)))
    source = picture_source(arguments.source, '')
    found = [frame.image for frame in itertools.islice(source, arguments.frames) if isinstance(frame, SourceFrame)]
    if not found:
        raise ConfigError(f'--source {arguments.source}: no picture in it can be read')
    return itertools.cycle(found)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition('x')
    if not (width.isdigit() and height.isdigit() and 0 < int(width) <= 16384 and 0 < int(height) <= 16384):
        raise ConfigError(f'--size {text}: expected width x height in pixels, such as 1280x720')
    return int(width), int(height)
