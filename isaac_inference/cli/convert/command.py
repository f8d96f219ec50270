# SPDX-License-Identifier: Apache-2.0
"""isaac-inference convert: a model in float16 or int8, calibrated on real images and compared with the original."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from isaac_inference.cli.convert.report import Comparison, compare, print_report
from isaac_inference.cli.shared.boxes import need_boxes
from isaac_inference.cli.shared.console import console
from isaac_inference.errors import ConfigError, ModelError
from isaac_inference.evaluation.agreement.calibration import BoxAgreement
from isaac_inference.models import ModelCard, read_card
from isaac_inference.models.card.find_card import card_beside, find_card
from isaac_inference.models.precision import (
    DEFAULT_KEEP,
    CalibrationOptions,
    SweepOptions,
    calibrate,
    prune_2_4,
    quantize,
    quantize_mixed,
    to_float16,
)
from isaac_inference.models.precision.graph import refuse_overwriting
from isaac_inference.models.precision.half.float16 import IO_TYPES
from isaac_inference.models.precision.int8.quantize import DEFAULT_METHOD
from isaac_inference.models.precision.int8.thresholds import METHODS, PERCENTILE
from isaac_inference.models.precision.sparsity import PATTERN
from isaac_inference.ros.recording.calibration_images import CalibrationImages
from isaac_inference.stages.image.calibration import CalibrationSet

MIXED_AGREEMENT = 0.95
_LINE_S = 5.0  # between progress lines in a long sweep


def add_command(commands: Any) -> None:
    """Add `convert` to the command line."""
    command = commands.add_parser('convert', help='write a model in float16 or int8, for any backend')
    command.add_argument('model', help='float32 ONNX file')
    command.add_argument('--precision', required=True, choices=('fp16', 'int8', 'mixed'))
    command.add_argument('--out', default='', metavar='FILE', help='default: MODEL.<precision>.onnx beside the model')
    command.add_argument(
        '--calibration',
        default='',
        metavar='SET',
        help='images of what the camera sees: a folder or a recording',
    )
    command.add_argument('--topic', default='', help='image topic, if the recording has several')
    command.add_argument('--method', default=DEFAULT_METHOD, choices=METHODS, help='how ranges are found')
    command.add_argument(
        '--percentile', type=float, default=PERCENTILE, metavar='P', help='percentile for --method percentile'
    )
    command.add_argument(
        '--max-images', type=int, default=200, metavar='N', help='maximum number of images, evenly spaced; 0: all'
    )
    command.add_argument(
        '--keep', default='', metavar='OPS', help='operators, nodes or node patterns (conv*) that stay float32'
    )
    command.add_argument(
        '--io-types', default='float32', choices=IO_TYPES, help='type of inputs and outputs; fp16 only'
    )
    command.add_argument(
        '--min-agreement',
        type=float,
        default=None,
        metavar='A',
        help=f'minimum share of boxes that match the original (0 to 1); mixed: the target, default {MIXED_AGREEMENT}',
    )
    command.add_argument('--sparsity', default='', choices=('', PATTERN), help='prune weights for SPARSE_WEIGHTS')
    command.add_argument('--card', default='', help='YAML card; default: beside the model')
    command.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Convert, compare, report; a result that is not finite or agrees too little is removed and refused."""
    _check(arguments)
    card = read_card(arguments.model, arguments.card or None)
    need_boxes(card, 'convert: compares the boxes of both precisions')
    out = _out(arguments, card)
    images = CalibrationImages(arguments.calibration, arguments.topic, arguments.max_images)
    feeds = CalibrationSet(card, images)
    screen = console()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f'.{out.stem}-', dir=out.parent) as folder:
        made = Path(folder) / out.name
        start = time.perf_counter()
        facts = _convert(arguments, card, made, feeds)
        facts.append(('time', f'{time.perf_counter() - start:.1f} s'))
        comparison = compare(card, made, feeds, images, BoxAgreement)
        _judge(arguments, card, comparison)
        for item in sorted(Path(folder).iterdir(), key=lambda item: item == made):  # weights first
            item.replace(out.parent / item.name)
    facts += _keep_card(arguments, card, out)
    for name in images.unreadable:
        print(f'warning: {name}', file=sys.stderr)
    print_report(screen, card, out, images, facts, comparison)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    if arguments.precision != 'fp16':
        if not arguments.calibration:
            raise ConfigError(
                f'--calibration: {arguments.precision} needs images of what the camera sees, 50 to 500 of them; give a '
                'folder of pictures or a recording'
            )
        if arguments.io_types != 'float32':
            raise ConfigError(f'--io-types {arguments.io_types}: only for --precision fp16')
    if arguments.max_images < 0:
        raise ConfigError(f'--max-images: got {arguments.max_images}, expected 0 (all) or more')
    if arguments.min_agreement is not None and not 0.0 < arguments.min_agreement <= 1.0:
        raise ConfigError(f'--min-agreement: got {arguments.min_agreement}, expected more than 0 and at most 1')


def _out(arguments: argparse.Namespace, card: ModelCard) -> Path:
    beside = card.path.with_name(f'{card.path.stem}.{arguments.precision}.onnx')
    out = Path(arguments.out).expanduser().absolute() if arguments.out else beside
    if out.is_dir():
        raise ConfigError(f'--out: {out} is a folder; give the path of a file')
    refuse_overwriting(out, card.path)
    return out


def _convert(
    arguments: argparse.Namespace, card: ModelCard, made: Path, feeds: CalibrationSet
) -> list[tuple[str, str]]:
    """Write the converted model to `made`; returns what was done, as table rows."""
    keep = tuple(name.strip() for name in arguments.keep.split(',') if name.strip())
    facts: list[tuple[str, str]] = []
    with _pruned(arguments, card.path, facts) as source:
        if arguments.precision == 'fp16':
            report = to_float16(
                source, made, keep_ops=DEFAULT_KEEP | set(keep), io_types=arguments.io_types, feeds=feeds
            )
            kept = ', '.join(f'{count} {op}' for op, count in sorted(report.float_ops.items()))
            facts.append(('float16', f'{report.half_nodes} nodes, {report.casts} casts'))
            facts.append(('float32', kept or 'none'))
            flushed = sum(loss.flushed for loss in report.losses)
            subnormal = sum(loss.subnormal for loss in report.losses)
            facts.append(('weights', f'{report.clamped} clamped to 65504, {flushed} too small, {subnormal} subnormal'))
            return facts
        options = CalibrationOptions(arguments.method, arguments.percentile)
        how = f'{arguments.method} {arguments.percentile:g}' if arguments.method == 'percentile' else arguments.method
        if arguments.precision == 'int8':
            done = quantize(source, made, feeds, options=options, keep=keep)
            facts.append(('int8', f'{len(done.quantized)} layers, ranges by {how}{_cached(done.from_cache)}'))
            facts.append(('float32', f'{len(done.kept)} layers (depthwise, last, --keep)'))
            return facts
        ready = calibrate(source, feeds, options, keep=keep)
        boxes = BoxAgreement(card)
        wanted = MIXED_AGREEMENT if arguments.min_agreement is None else arguments.min_agreement
        sweep = SweepOptions(wanted, boxes.closeness, boxes.agreement)
        swept = quantize_mixed(ready, made, feeds, sweep, _Lines())
        facts.append(
            ('int8', f'{len(swept.layers) - len(swept.kept)} layers, ranges by {how}{_cached(ready.from_cache)}')
        )
        facts.append(('float32', f'{len(swept.kept)} layers: {", ".join(swept.kept) or "none"}'))
        facts.append(('mixes', ', '.join(f'{kept} kept: {value:.4f}' for kept, value in sorted(swept.tried))))
    return facts


@contextlib.contextmanager
def _pruned(arguments: argparse.Namespace, source: Path, facts: list[tuple[str, str]]) -> Iterator[Path]:
    """The model to convert: the source, or a temporary sparse copy of it."""
    if not arguments.sparsity:
        yield source
        return
    with tempfile.TemporaryDirectory(prefix='isaac_inference-') as folder:
        path = Path(folder) / source.name
        report = prune_2_4(source, path)
        worst = max(report.layers, key=lambda layer: layer.error, default=None)
        told = f', the most changed is {worst.node} by {worst.error:.0%}' if worst else ''
        facts.append(('2:4 sparse', f'{len(report.layers)} layers with {report.sparse_share:.0%} of the weights{told}'))
        yield path


def _judge(arguments: argparse.Namespace, card: ModelCard, comparison: Comparison) -> None:
    if comparison.not_finite:
        raise ModelError(
            f'{card.path}: as {arguments.precision} the outputs {", ".join(comparison.not_finite)} hold NaN or '
            'infinity; nothing was written. Keep sensitive operators in float32 with --keep, such as '
            '--keep Softmax,Div,ReduceMean'
        )
    wanted = arguments.min_agreement
    if wanted is not None and comparison.agreement is not None and comparison.agreement < wanted:
        raise ModelError(
            f'{card.path}: as {arguments.precision} {comparison.agreement:.4f} of the boxes match the original, wanted '
            f'{wanted:g} or more; nothing was written. Use --precision mixed, other images, or another --method'
        )


def _keep_card(arguments: argparse.Namespace, card: ModelCard, out: Path) -> list[tuple[str, str]]:
    """Copy a separate card file beside the converted model; one in the metadata is in it already."""
    source = find_card(arguments.card) if arguments.card else card_beside(card.path)
    if source is not None:
        beside = out.with_suffix('.yaml')
        if not beside.exists():
            beside.write_text(source.read_text(encoding='utf-8'), encoding='utf-8')
    converted = read_card(out)
    if (converted.labels, converted.detection.decoder, converted.image.preprocess) != (
        card.labels,
        card.detection.decoder,
        card.image.preprocess,
    ):
        return [('card', f'differs from the one of {card.path.name}: check {out.with_suffix(".yaml")}')]
    return [('card', str(out.with_suffix('.yaml')))] if source is not None else []


def _cached(from_cache: bool) -> str:
    return ' (from the cache)' if from_cache else ''


class _Lines:
    """Progress on stderr: every mix, and some of the layers."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, line: str) -> None:
        now = time.monotonic()
        if not line.startswith('layer') or now - self._last > _LINE_S:
            self._last = now
            print(line, file=sys.stderr)
