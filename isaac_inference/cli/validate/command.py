# SPDX-License-Identifier: Apache-2.0
"""isaac-inference validate: does a converted or built model still find what the original finds."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from rich.console import Console

from isaac_inference.cli.shared.boxes import need_boxes
from isaac_inference.cli.shared.console import console, progress
from isaac_inference.cli.shared.engine_choice import add_engine_arguments, card_of, engine_choices
from isaac_inference.cli.shared.json_file import write_json
from isaac_inference.cli.shared.model_remarks import print_assumptions, print_probe
from isaac_inference.cli.validate.report import print_report, save_plot
from isaac_inference.engines import Engine
from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.accuracy.yolo_labels import LabelFolder
from isaac_inference.evaluation.agreement.compare import agreement_of, check_comparable
from isaac_inference.evaluation.agreement.validation_result import ValidationResult, ValidationSettings
from isaac_inference.models import ModelCard
from isaac_inference.pictures import FrameSource
from isaac_inference.ros.recording.picture_source import picture_source

_DEFAULTS = ValidationSettings()
_EPILOG = """JSON: agreement (share of both models' boxes that have a partner of the same class at --iou;
2 x pairs / all boxes), max_abs_error (largest difference of any output), ap_delta (AP50:95 of MODEL minus OTHER's in
points, 0 to 100; null without --labels), speedup (p50 of OTHER over p50 of MODEL, the engines alone, in turn),
size_ratio (bytes of MODEL over those of OTHER) and finite, then the details. With several models these are the first
one's, and `models` holds each one's."""


def add_command(commands: Any) -> None:
    """Add `validate` to the command line."""
    command = commands.add_parser(
        'validate', help='compare a converted or built model with its original on images', epilog=_EPILOG
    )
    command.add_argument('models', nargs='+', metavar='MODEL', help='ONNX file that is judged; several: one by one')
    command.add_argument('--against', required=True, metavar='OTHER', help='ONNX file that is the reference')
    command.add_argument(
        '--images', required=True, metavar='DIR', help='folder of pictures, a picture, a video, or a recording'
    )
    command.add_argument('--image-topic', default='', metavar='NAME', help='image topic, if the recording has several')
    command.add_argument('--labels', default='', metavar='DIR', help='YOLO text files of the true boxes, for the AP')
    add_engine_arguments(command)
    command.add_argument(
        '--score-threshold', type=float, default=_DEFAULTS.score_threshold, metavar='S', help='minimum score of a box'
    )
    command.add_argument('--iou', type=float, default=_DEFAULTS.iou, metavar='F', help='minimum IoU of a match')
    command.add_argument(
        '--score-margin',
        type=float,
        default=_DEFAULTS.score_margin,
        metavar='S',
        help='a partner may score less than --score-threshold by this, so that rounding loses no box',
    )
    command.add_argument('--max-images', type=int, default=0, metavar='N', help='the first N pictures; default: all')
    command.add_argument('--runs', type=int, default=_DEFAULTS.runs, metavar='N', help='timings of each; 0: none')
    command.add_argument(
        '--min-agreement',
        type=float,
        default=None,
        metavar='A',
        help='exit with 1 when the agreement is lower (0 to 1)',
    )
    command.add_argument('--json', default='', metavar='OUT', help='write the figures to this file ("-": stdout)')
    command.add_argument('--plot', default='', metavar='OUT.png', help='write a picture of the figures')
    command.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Compare; 0 when all models are finite and agree well enough, 1 when one does not (one line says which)."""
    settings, reference, candidates = _check(arguments)
    source = picture_source(arguments.images, arguments.image_topic)
    if source.is_live:
        raise ConfigError('--images: got a camera, expected a folder, picture or video that shows both models the same')
    labels = LabelFolder(arguments.labels, reference.labels) if arguments.labels else None
    screen = console(stderr=arguments.json == '-')
    print_assumptions(screen, reference, *candidates)
    choice, against = engine_choices(arguments)
    results = []
    with against.engine(reference, screen) as reference_engine:
        print_probe(screen, reference, reference_engine)
        for card in candidates:
            with choice.engine(card, screen) as engine:
                print_probe(screen, card, engine)
                results.append(_compare(screen, engine, reference_engine, source, settings, labels))
    print_report(screen, results)
    if arguments.plot:
        screen.print(f'plot: {save_plot(results, arguments.plot)}')
    write_json(arguments.json, _summary(results))
    failures = [text for result in results if (text := result.failure(arguments.min_agreement))]
    for text in failures:
        print(f'error: {text}', file=sys.stderr)
    return 1 if failures else 0


def _check(arguments: argparse.Namespace) -> tuple[ValidationSettings, ModelCard, list[ModelCard]]:
    """What was asked for, before anything slow begins."""
    least = arguments.min_agreement
    if least is not None and not 0.0 <= least <= 1.0:
        raise ConfigError(f'--min-agreement: got {least}, expected a number from 0 to 1')
    if arguments.card and len(arguments.models) > 1:
        raise ConfigError('--card: only with one MODEL; put a card beside each of several')
    settings = ValidationSettings(
        arguments.score_threshold,
        arguments.iou,
        arguments.score_margin,
        arguments.max_images,
        arguments.runs,
    )
    reference = card_of(arguments.against, arguments.against_card)
    candidates = [card_of(model, arguments.card) for model in arguments.models]
    for card in (reference, *candidates):
        need_boxes(card, 'validate: compares the boxes of two models')
    for card in candidates:
        check_comparable(card, reference)
    return settings, reference, candidates


def _compare(
    screen: Console,
    engine: Engine,
    reference: Engine,
    source: FrameSource,
    settings: ValidationSettings,
    labels: LabelFolder | None,
) -> ValidationResult:
    total = min(len(source), settings.max_images or len(source)) or None
    with progress(screen, engine.card.name, total) as advance:
        return agreement_of(engine, reference, source, settings, labels=labels, advance=advance)


def _summary(results: list[ValidationResult]) -> dict[str, Any]:
    """The first result's figures; where there are several, all of them too."""
    figures = results[0].summary()
    if len(results) > 1:
        figures['models'] = [result.summary() for result in results]
    return figures
