# SPDX-License-Identifier: Apache-2.0
"""A validation's figures as tables and one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from isaac_inference.evaluation.agreement.boxes import agreement
from isaac_inference.evaluation.agreement.validation_result import IOUS, ValidationResult
from isaac_inference.evaluation.figure import new_figure, save_figure

_NONE = '-'
_COLORS = ('#3b6ea5', '#e08e45', '#5a9e6f', '#b55d60', '#857aab', '#8d7866')


def print_report(screen: Console, results: Sequence[ValidationResult]) -> None:
    """The headline of each model, how agreement falls with the IoU asked for, and each output's error."""
    first = results[0]
    boxes = sum(image.reference for image in first.images)
    screen.print(
        _headline(results, f'against {first.reference}: {boxes} boxes in {len(first.images)} images'),
        _by_iou(results),
        _outputs(results),
    )
    if first.precision is not None:
        screen.print(_precision_text(results))
    for line in _remarks(results):
        screen.print(line)


def _headline(results: Sequence[ValidationResult], title: str) -> Table:
    settings = results[0].settings
    table = Table(
        title=title,
        caption=f'boxes of score {settings.score_threshold:g} or more, IoU {settings.iou:g}; speed-up: all (blocks)',
    )
    table.add_column('model')
    for name in (
        'agreement',
        'boxes',
        'borderline',
        'lowest IoU',
        'score diff.',
        'max error',
        'AP delta',
        'p50 [ms]',
        'speed-up',
        'size',
        'finite',
    ):
        table.add_column(name, justify='right')
    for result in results:
        boxes, precision, speed = result.summary()['boxes'], result.precision, result.speed
        table.add_row(
            result.candidate,
            f'{result.agreement:.4f}',
            str(boxes['candidate']),
            str(boxes['borderline_pairs']),
            _number(boxes['iou_least'], '.3f'),
            _number(boxes['score_difference_largest'], '.4f'),
            _number(result.max_abs_error, '.4g'),
            _number(None if precision is None else precision.delta, '+.2f'),
            f'{result.times["candidate"].p50:.2f} / {result.times["reference"].p50:.2f}' if result.times else _NONE,
            _NONE if speed is None else f'{speed.value:.2f} ({speed.low:.2f}-{speed.high:.2f})',
            _number(result.size_ratio, '.3f'),
            'yes' if result.finite else 'NO',
            style=None if result.finite else 'red',
        )
    return table


def _by_iou(results: Sequence[ValidationResult]) -> Table:
    table = Table(title='agreement by the IoU that a match needs')
    table.add_column('model')
    for iou in IOUS:
        table.add_column(f'{iou:g}', justify='right')
    for result in results:
        table.add_row(result.candidate, *(f'{agreement(result.images, iou):.4f}' for iou in IOUS))
    return table


def _outputs(results: Sequence[ValidationResult]) -> Table:
    table = Table(title='error of the outputs')
    for place, name in enumerate(
        ('model', 'output', 'max', 'mean', 'relative', 'cosine', 'largest value', 'NaN', 'infinite', 'remark')
    ):
        table.add_column(name, justify='right' if 2 <= place <= 8 else 'left')
    for result in results:
        for tensor in result.tensors:
            table.add_row(
                result.candidate,
                tensor.name,
                _number(tensor.max_abs, '.4g'),
                _number(tensor.mean_abs, '.3g'),
                _number(tensor.relative, '.3g'),
                _number(tensor.cosine, '.6f'),
                _number(tensor.largest, '.4g'),
                str(tensor.nans),
                str(tensor.infinities),
                tensor.note,
                style=None if tensor.finite else 'red',
            )
    return table


def _precision_text(results: Sequence[ValidationResult]) -> str:
    first = results[0].precision
    if first is None:
        return ''
    parts = [f'AP50:95 on {first.images} labelled images: {results[0].reference} {_percent(first.reference)}']
    parts += [f'{result.candidate} {_percent(result.precision.candidate)}' for result in results if result.precision]
    return ', '.join(parts)


def _remarks(results: Sequence[ValidationResult]) -> list[str]:
    """What a reader must know of the images."""
    first = results[0]
    lines = []
    if first.precision is not None and first.precision.unlabelled:
        lines.append(
            f'{first.precision.unlabelled} of {len(first.images)} images have no labels and do not count for AP'
        )
    if first.unreadable:
        lines.append(f'{len(first.unreadable)} images cannot be read: {", ".join(first.unreadable[:5])}')
    for result in results:
        if result.undecoded:
            name, reason = next(iter(result.undecoded.items()))
            lines.append(f'{result.candidate}: no boxes in {len(result.undecoded)} images; {name}: {reason}')
    return lines


def save_plot(results: Sequence[ValidationResult], path: str | Path) -> Path:
    """Writes one picture (IoU and score difference of each pair, agreement by IoU, engine times) and returns its path.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    figure, axes = new_figure(1, 3, (18, 5.5), f'against {results[0].reference}')
    _pairs(axes[0], results)
    _curve(axes[1], results)
    _times(axes[2], results)
    return save_figure(figure, path)


def _pairs(axes: Any, results: Sequence[ValidationResult]) -> None:
    for result, color in zip(results, _cycle(results), strict=True):
        ious = result.pooled('ious')
        axes.scatter(ious, result.pooled('score_differences'), s=14, alpha=0.6, color=color, label=result.candidate)
    axes.axvline(
        results[0].settings.iou, color='grey', linestyle='--', label=f'a match needs {results[0].settings.iou:g}'
    )
    axes.axhline(0.0, color='grey', linewidth=0.8)
    axes.set(xlabel='IoU with the reference', ylabel='score minus the reference', title='pairs of boxes')
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)


def _curve(axes: Any, results: Sequence[ValidationResult]) -> None:
    limits = np.linspace(0.5, 1.0, 101)
    for result, color in zip(results, _cycle(results), strict=True):
        label = f'{result.candidate}: {result.agreement:.3f}'
        axes.plot(limits, [agreement(result.images, limit) for limit in limits], color=color, label=label)
    axes.axvline(results[0].settings.iou, color='grey', linestyle='--')
    axes.set(xlabel='IoU that a match needs', ylabel='share of boxes', title='agreement', ylim=(-0.02, 1.02))
    axes.legend(fontsize=8, loc='lower left')
    axes.grid(alpha=0.3)


def _times(axes: Any, results: Sequence[ValidationResult]) -> None:
    """p50 as bars, p95 as whiskers; the reference beside each model, since they were timed in turn."""
    for place, (result, color) in enumerate(zip(results, _cycle(results), strict=True)):
        for shift, side, shade in ((-0.2, 'reference', 'lightgrey'), (0.2, 'candidate', color)):
            if side in result.times:
                stats = result.times[side]
                spread = [[0.0], [stats.p95 - stats.p50]]
                axes.bar(place + shift, stats.p50, 0.38, color=shade, yerr=spread, capsize=4)
                axes.text(place + shift, stats.p50 / 2, f'{stats.p50:.2f}', ha='center', fontsize=9)
    axes.set_xticks(range(len(results)), [result.candidate for result in results], fontsize=8)
    axes.set(ylabel='ms', title='engine time: p50, whisker to p95; grey: the reference, in turn')
    axes.grid(alpha=0.3, axis='y')


def _cycle(results: Sequence[ValidationResult]) -> list[str]:
    return [_COLORS[place % len(_COLORS)] for place in range(len(results))]


def _number(value: float | None, form: str) -> str:
    return _NONE if value is None else format(value, form)


def _percent(value: float | None) -> str:
    return _NONE if value is None else f'{100 * value:.2f}'
