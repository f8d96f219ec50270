# SPDX-License-Identifier: Apache-2.0
"""An evaluation's figures as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from isaac_inference.evaluation import EvaluationResult
from isaac_inference.evaluation.accuracy.seeds import SeedsResult
from isaac_inference.evaluation.measure import Measure
from isaac_inference.evaluation.tasks.result import TaskResult

_NONE = '-'
_CLASS_COLUMNS = (
    'class',
    'boxes',
    'AP50',
    'AP50:95',
    'poses',
    'ADD(-S) < 0.1 d',
    'missed',
    'false',
    'translation p50 / p95 [%]',
    'rotation p50 / p95 [deg]',
)


def print_report(screen: Console, result: EvaluationResult, title: str) -> None:
    """Headline figures, one row per class, and the stages' times."""
    summary = result.summary()
    screen.print(_headline(summary, title))
    screen.print(_classes(summary['classes']))
    if summary['speed'] is not None:
        screen.print(_speed(summary['speed']))


def print_task(screen: Console, result: TaskResult, title: str) -> None:
    """The main figures of a task, one row per class or the like, and the stages' times."""
    table = Table(title=title, show_header=False)
    dropped = result.dropped
    table.add_row('frames', f'{result.frames}' + (f', {dropped} more were not answered' if dropped else ''))
    for measure in result.measures:
        table.add_row(measure.title, measure.text(result.figures.values[measure.key]))
    screen.print(table)
    rows = result.figures.rows
    if rows is not None and rows.values:
        screen.print(_columns(Table(), rows.title, rows.columns, rows.values))
    if result.stages_ms:
        times = Table()
        for place, name in enumerate(('time [ms]', 'p50', 'p95')):
            times.add_column(name, justify='right' if place else 'left')
        for name, values in result.summary()['stages_ms'].items():
            times.add_row(name, number(values['p50']), number(values['p95']))
        screen.print(times)


def print_seeds(screen: Console, result: SeedsResult, name: str) -> None:
    """One row per seed, and the mean, worst, best and spread of each figure."""
    summary = result.summary()
    table = _columns(Table(title=f'{name}, {len(result.by_seed)} seeds'), 'seed', result.measures, summary['seeds'])
    table.add_section()
    for kind in ('mean', 'worst', 'best', 'std'):
        cells = (
            measure.text(summary['figures'].get(measure.key, {}).get(kind), max(measure.digits, 2))
            for measure in result.measures
        )
        table.add_row(kind, *cells)
    screen.print(table)


def _columns(
    table: Table, title: str, measures: Sequence[Measure], rows: Mapping[str, Mapping[str, float | None]]
) -> Table:
    """The table with a row for each name and a column for each measure."""
    for place, column in enumerate((title, *(measure.title for measure in measures))):
        table.add_column(column, justify='right' if place else 'left')
    for name, row in rows.items():
        table.add_row(name, *(measure.text(row.get(measure.key)) for measure in measures))
    return table


def _headline(summary: Mapping[str, Any], title: str) -> Table:
    table = Table(title=title, show_header=False)
    dropped = summary['dropped_frames']
    table.add_row('frames', f'{summary["frames"]}' + (f', {dropped} more were not answered' if dropped else ''))
    table.add_row('mAP@50', number(summary['map50'], 4))
    table.add_row('mAP@50:95', number(summary['map50_95'], 4))
    table.add_row('ADD(-S) < 0.1 d', percent(summary['add_0_1d']))
    table.add_row('median translation error', f'{percent(summary["median_translation_rel"])} of the distance')
    table.add_row('median rotation error', f'{number(summary["median_rotation_deg"])} deg')
    table.add_row('objects missed, false poses', f'{summary["misses"]}, {summary["false_poses"]}')
    tracking = ('id_switches', 'fragmentations', 'tracked_objects', 'track_ids')
    switches, fragments, objects, ids = (number(summary[name], 0) for name in tracking)
    table.add_row('id switches', f'{switches}; {fragments} fragmentations; {objects} objects, {ids} ids')
    table.add_row('frames per second', number(summary['fps'], 1))
    table.add_row('total latency p50', f'{number(summary["total_ms_p50"])} ms')
    return table


def _classes(classes: Mapping[str, Any]) -> Table:
    table = Table()
    for place, name in enumerate(_CLASS_COLUMNS):
        table.add_column(name, justify='right' if place else 'left')
    for name, row in classes.items():
        boxes, poses = row['detection'] or {}, row['poses'] or {}
        table.add_row(
            name,
            number(boxes.get('truths'), 0),
            number(boxes.get('ap50'), 3),
            number(boxes.get('ap50_95'), 3),
            number(poses.get('truths'), 0),
            percent(poses.get('add_0_1d')),
            number(poses.get('misses'), 0),
            number(poses.get('false_poses'), 0),
            _pair(poses.get('translation_rel'), 100.0),
            _pair(poses.get('rotation_deg'), 1.0),
        )
    return table


def _speed(speed: Mapping[str, Any]) -> Table:
    table = Table(title=f'{speed["frames"]} frames, {speed["dropped"]} not answered')
    for place, name in enumerate(('time [ms]', 'p50', 'p95')):
        table.add_column(name, justify='right' if place else 'left')
    rows = {**speed['stages_ms'], 'first stage to output': speed['pipeline_ms'], 'image to output': speed['total_ms']}
    for name, values in rows.items():
        table.add_row(name, number(values['p50']), number(values['p95']))
    return table


def number(value: float | None, digits: int = 2) -> str:
    """Rounded, '-' for None."""
    return _NONE if value is None else f'{value:.{digits}f}'


def percent(fraction: float | None) -> str:
    """'95.00 %', '-' for None."""
    return _NONE if fraction is None else f'{100 * fraction:.2f} %'


def _pair(values: Mapping[str, float | None] | None, factor: float) -> str:
    texts = [number(None if value is None else factor * value) for value in (values or {}).values()]
    return ' / '.join(texts) or _NONE
