# SPDX-License-Identifier: Apache-2.0
"""The demo with several cameras around one table: what each finds, what they find together, and a picture of it."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.table import Table

from isaac_inference.cli.demo.video_recorder import VideoRecorder
from isaac_inference.cli.shared.console import console, progress
from isaac_inference.cli.shared.json_file import write_json
from isaac_inference.evaluation import EvaluationResult, EvaluationSettings, FrameRecord, evaluate
from isaac_inference.models import AnyCard, read_card
from isaac_inference.ros.bringup.evaluation.client import AnswerTopics, EvaluationClient
from isaac_inference.ros.bringup.evaluation.drive import drive_steps
from isaac_inference.ros.bringup.evaluation.fused_client import TOPICS, FusedClient
from isaac_inference.ros.bringup.evaluation.graph import object_geometries
from isaac_inference.ros.bringup.multi_camera_plan import (
    CALIBRATION_ERROR,
    RATE_HZ,
    camera_names,
    multi_camera_graph,
)
from isaac_inference.ros.bringup.runner import start_composed
from isaac_inference.ros.bringup.session import default_ros

TOGETHER = 'fused'
_OF_CAMERA = AnswerTopics(poses='pose/detections_3d', timings=())  # what is fused: measured, not smoothed
_START_S, _FRAME_S, _WAIT_S = 60.0, 20.0, 10.0
_ACROSS = 3  # pictures side by side
_CAPTION_PX = 28


def demo_of_several(arguments: argparse.Namespace, model: str, folder: Path) -> int:
    """Run; 0 when objects were found by several cameras together and their poses were measured."""
    cameras = camera_names(str(arguments.cameras))
    records, pictures = _run(arguments, cameras, model, folder)
    card = read_card(model)
    results = {name: _judged(found, card) for name, found in records.items()}
    summaries = {name: result.summary() for name, result in results.items()}
    console().print(_table(summaries, f'{card.name} on simulated scene {arguments.seed}, {arguments.frames} moments'))
    console().print(
        f"{TOGETHER} is measured in the table's frame, and so has the error of the cameras' calibration in it "
        f"({1e3 * CALIBRATION_ERROR:g} mm and mrad, standard deviation on each axis); each camera's poses are measured "
        "in that camera's own frame, and have none of it"
    )
    write_json(folder / 'figures.json', summaries)
    if pictures:
        cv2.imwrite(str(folder / 'cameras.png'), _side_by_side(pictures))
        console().print(f'picture: {folder / "cameras.png"}   videos: {", ".join(f"{name}.mp4" for name in pictures)}')
    return 0 if summaries[TOGETHER]['add_0_1d'] else 1


def _run(
    arguments: argparse.Namespace, cameras: Sequence[str], model: str, folder: Path
) -> tuple[dict[str, list[FrameRecord]], dict[str, np.ndarray]]:
    """By camera, and for all together, the measured moments; and each camera's last picture."""
    specs = multi_camera_graph(
        cameras,
        model=str(Path(model).absolute()),
        simulator={'seed': arguments.seed, 'rate_hz': RATE_HZ, 'step': True},
        calibration_error=CALIBRATION_ERROR,
        pose_parameters={'method': 'registration'} if arguments.registration else None,
        fusion={'wait_s': _WAIT_S},  # a slow machine changes no figure
    )
    with default_ros('--log-level', 'warn'), contextlib.ExitStack() as stack:
        graph = stack.enter_context(contextlib.closing(start_composed(specs)))
        together = stack.enter_context(contextlib.closing(FusedClient.start(graph.namespace, TOPICS)))
        alone, videos = {}, {}
        for name in cameras:
            space = f'{graph.namespace}/{name}'
            alone[name] = stack.enter_context(contextlib.closing(EvaluationClient.start(space, _OF_CAMERA)))
            video = VideoRecorder.start(space, 'annotate/debug_image', folder / f'{name}.mp4', RATE_HZ)
            videos[name] = stack.enter_context(contextlib.closing(video))
        graph.wait_until_ready(together, _START_S)
        with progress(console(), 'moments', arguments.frames) as advance:
            found = drive_steps(together, arguments.frames, warmup=0, timeout_s=_FRAME_S, advance=advance)
        stamps = [record.stamp_ns for record in found]
        records = {name: client.collector.records(stamps) for name, client in alone.items()}
        records[TOGETHER] = found
        return records, {name: video.last for name, video in videos.items() if video.last is not None}


def _judged(records: Sequence[FrameRecord], card: AnyCard) -> EvaluationResult:
    return evaluate(records, object_geometries(card, simulated=True), EvaluationSettings(), speed_records=records)


def _table(summaries: Mapping[str, Any], title: str) -> Table:
    table = Table(title=title)
    for place, name in enumerate(('camera', 'poses', 'ADD(-S) < 0.1 d', 'missed', 'false', 'translation p50 [mm]')):
        table.add_column(name, justify='right' if place else 'left')
    for name, summary in summaries.items():
        poses, share = summary['poses'], summary['add_0_1d']
        off = poses['translation_m']['p50']
        table.add_row(
            name,
            str(poses['truths']),
            '-' if share is None else f'{share:.1%}',
            str(poses['misses']),
            str(poses['false_poses']),
            '-' if off is None else f'{1e3 * off:.1f}',
        )
    return table


def _side_by_side(pictures: Mapping[str, np.ndarray]) -> np.ndarray:
    """Each with its name above it, a few in a row."""
    titled = []
    for name, picture in pictures.items():
        strip = np.full((_CAPTION_PX, picture.shape[1], 3), 40, np.uint8)
        cv2.putText(strip, name, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1, cv2.LINE_AA)
        titled.append(np.vstack((strip, picture)))
    blank = np.zeros_like(titled[0])
    rows = [titled[start : start + _ACROSS] for start in range(0, len(titled), _ACROSS)]
    width = len(rows[0])
    return np.vstack([np.hstack([*row, *[blank] * (width - len(row))]) for row in rows])
