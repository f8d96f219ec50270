# SPDX-License-Identifier: Apache-2.0
"""Boxes, 6-DoF poses and tracks of the whole graph, from the simulated camera or a recording."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from rich.console import Console

from isaac_inference.cli.evaluate.base import Measured
from isaac_inference.cli.evaluate.measure import SPEED_HZ, measure, session
from isaac_inference.cli.shared.boxes import need_boxes
from isaac_inference.cli.shared.evaluation_report import print_report
from isaac_inference.errors import ConfigError
from isaac_inference.evaluation import EvaluationResult, EvaluationSettings, evaluate
from isaac_inference.evaluation.accuracy.plots import save_plots
from isaac_inference.evaluation.accuracy.worst import worst_frames
from isaac_inference.evaluation.accuracy.worst_pictures import drawn_again
from isaac_inference.models import read_card
from isaac_inference.models.demo import demo_model
from isaac_inference.ros.bringup.evaluation.client import AnswerTopics
from isaac_inference.ros.bringup.evaluation.graph import object_geometries
from isaac_inference.sim import default_camera

_RATE_FRAMES = 150


class PosesTask:
    """Fills in the defaults of its options."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        _check(arguments)
        self._arguments = arguments
        self._settings = EvaluationSettings(arguments.min_visibility, arguments.count_dropped)
        card = read_card(arguments.model, arguments.card or None) if arguments.model else None
        if card is not None:
            need_boxes(card, 'evaluate --task poses: compares boxes and the poses in them')
        self._objects = object_geometries(card, simulated=arguments.sim) if card is not None else {}
        self._topics = AnswerTopics(poses='pose/detections_3d') if arguments.poses == 'pose' else AnswerTopics()
        self._name = card.name if card is not None else Path(arguments.recording).name

    @property
    def title(self) -> str:
        return self._name

    def session(self) -> contextlib.AbstractContextManager[None]:
        return session(self._arguments)

    def measure(self, seed: int, screen: Console) -> Measured:
        arguments = self._arguments
        records, fast = measure(arguments, seed, self._topics, screen)
        result = evaluate(records, self._objects, self._settings, speed_records=fast)
        is_complete = result.frames > 0 and result.frames >= (arguments.frames or len(records))
        if not arguments.worst:
            return Measured(result, is_complete)
        lost = worst_frames(records, self._objects, self._settings, arguments.worst[0])
        shown = {'first': arguments.warmup, 'scene_frames': arguments.scene_frames, 'rate_hz': SPEED_HZ}
        return Measured(result, is_complete, drawn_again(seed, lost, default_camera(), **shown))

    def print_report(self, screen: Console, result: EvaluationResult, title: str) -> None:
        print_report(screen, result, title)

    def save_plots(self, result: EvaluationResult, folder: Path, title: str) -> Path:
        return save_plots(result, folder, title)


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
    if arguments.worst and (not arguments.sim or arguments.rate):
        raise ConfigError(
            '--worst: only with --sim and without --rate; the frames are drawn again from their seed and number'
        )
    if arguments.rate_frames is None:
        arguments.rate_frames = _RATE_FRAMES if arguments.seeds == 1 else 0
    if arguments.sim:
        arguments.frames = arguments.frames or 500
    arguments.scene_frames = 50 if arguments.scene_frames is None else arguments.scene_frames
    arguments.warmup = (10 if arguments.sim else 0) if arguments.warmup is None else arguments.warmup
    arguments.poses = arguments.poses or 'track'
