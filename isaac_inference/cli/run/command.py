# SPDX-License-Identifier: Apache-2.0
"""isaac-inference run: pictures through the real node graph over real topics, one JSON line per frame."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import cv2
from rich.console import Console

from isaac_inference.cli.run.summary import RunSummary
from isaac_inference.cli.run.tallies import TALLIES
from isaac_inference.cli.shared.chosen_models import ChosenModels, choose_models
from isaac_inference.cli.shared.console import console, progress
from isaac_inference.errors import ConfigError
from isaac_inference.pictures import DamagedPictureError, FrameSource, SourceFrame
from isaac_inference.ros.bringup.clients.graph_client import FrameResult, GraphClient
from isaac_inference.ros.bringup.graph import found_by, perception_graph
from isaac_inference.ros.bringup.readouts.base import Readout
from isaac_inference.ros.bringup.readouts.choose import readout_of
from isaac_inference.ros.bringup.runner import RunningGraph, start_composed, start_processes
from isaac_inference.ros.bringup.session import default_ros
from isaac_inference.ros.recording.picture_source import picture_source


def add_command(commands: Any) -> None:
    """Add `run` to the command line."""
    command = commands.add_parser('run', help='run a model on pictures through the node graph')
    models = command.add_mutually_exclusive_group(required=True)
    models.add_argument('--model', default='', help='ONNX file')
    models.add_argument(
        '--models',
        default='',
        metavar='PERSON.onnx,POSE.onnx',
        help='a person detector, and the model that finds the keypoints of each person in its boxes',
    )
    command.add_argument('--card', default='', help='YAML card, or both with a comma; default: beside the model')
    command.add_argument(
        '--source', required=True, help='folder of images, image, video file, recording, or camera index'
    )
    command.add_argument('--image-topic', default='', metavar='NAME', help='image topic, if the recording has several')
    command.add_argument(
        '--json', default='', metavar='OUT', help='write one JSON line per frame to this file ("-": stdout)'
    )
    command.add_argument('--save-images', default='', metavar='DIR', help='write the annotated pictures to this folder')
    command.add_argument('--frames', type=int, default=0, metavar='N', help='stop after N frames; 0: all')
    command.add_argument('--params-file', default='', help='ROS parameter file, like config/perception.yaml')
    command.add_argument('--timeout', type=float, default=20.0, metavar='S', help='maximum wait for one frame [s]')
    mode = command.add_mutually_exclusive_group()
    mode.add_argument(
        '--composed', dest='composed', action='store_true', default=True, help='all nodes in one container (default)'
    )
    mode.add_argument('--processes', dest='composed', action='store_false', help='one process per node')
    command.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Run; 0 if every frame was answered, 1 if not."""
    chosen = choose_models(arguments)  # a bad model fails here, before anything starts
    readout = readout_of(chosen.card, chosen.behind)
    source = picture_source(arguments.source, arguments.image_topic)
    screen = console(stderr=arguments.json == '-')
    summary = RunSummary(chosen.name, 'composed' if arguments.composed else 'processes', TALLIES[readout.key]())
    with _output(arguments.json) as out, _graph(arguments, chosen, readout) as (graph, client):
        graph.wait_until_ready(client, arguments.timeout)
        for result in _results(source, client, readout, arguments, screen):
            summary.add(result)
            _save(result, arguments.save_images)
            if out is not None:
                out.write(json.dumps(result.as_json()) + '\n')
                out.flush()
    screen.print(summary.table())
    return 1 if summary.failed or not summary.frames else 0


@contextlib.contextmanager
def _graph(
    arguments: argparse.Namespace, chosen: ChosenModels, readout: Readout
) -> Iterator[tuple[RunningGraph, GraphClient]]:
    """The running graph and a client that feeds it, both stopped at the end."""
    specs = perception_graph(
        model=str(chosen.card.path),
        model_card=chosen.model_card,
        annotate=bool(arguments.save_images),
        crops=chosen.crops,
        finds=found_by(chosen.card),
    )
    start = start_composed if arguments.composed else start_processes
    with (
        default_ros(),
        contextlib.closing(start(specs, arguments.params_file)) as graph,
        contextlib.closing(GraphClient.start(graph.namespace, readout, pictures=bool(arguments.save_images))) as client,
    ):
        yield graph, client


def _results(
    source: FrameSource, client: GraphClient, readout: Readout, arguments: argparse.Namespace, screen: Console
) -> Iterator[FrameResult]:
    total = min(arguments.frames or sys.maxsize, len(source) or sys.maxsize)
    with progress(screen, 'frames', total if total < sys.maxsize else None) as advance:
        for index, frame in enumerate(source):
            if isinstance(frame, DamagedPictureError):
                screen.print(f'skipped: {frame}', style='yellow')
                yield FrameResult.failure(frame.name, str(frame), readout.key)
            else:
                yield _ask(client, frame, arguments.timeout, screen)
            advance()
            if index + 1 == arguments.frames:
                return


def _ask(client: GraphClient, frame: SourceFrame, timeout_s: float, screen: Console) -> FrameResult:
    result = client.ask(frame, timeout_s)
    if result.error:
        screen.print(f'{frame.name}: {result.error}', style='yellow')
    return result


def _save(result: FrameResult, folder: str) -> None:
    if not folder or result.picture is None:
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    name = result.image if isinstance(result.image, str) else f'{result.image:06d}.jpg'
    path = Path(folder) / name
    if not cv2.imwrite(str(path), result.picture):
        raise ConfigError(f'--save-images {folder}: OpenCV could not write {path}; check permissions and free space')


@contextlib.contextmanager
def _output(path: str) -> Iterator[IO[str] | None]:
    if not path:
        yield None
    elif path == '-':
        yield sys.stdout
    else:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            yield file
