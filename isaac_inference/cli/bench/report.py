# SPDX-License-Identifier: Apache-2.0
"""A benchmark's figures as tables and one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from isaac_inference.cli.bench.measure import BenchSettings, Measurement
from isaac_inference.evaluation.figure import new_figure, save_figure
from isaac_inference.evaluation.timing_stats import Ratio, TimingStats

_NONE = '-'
_COLORS = {'model': '#3b6ea5', 'against': '#e08e45'}
_LAYERS = 15  # of the slowest, in the table and in the picture
_STATS = ('mean', 'std', 'min', 'max', 'p50', 'p90', 'p95', 'p99', 'p99_9')


@dataclass(frozen=True, eq=False)
class BenchRow:
    """One batch size: 'model' and perhaps 'against' -> what was measured; and how they compare."""

    measured: Mapping[str, Measurement]
    ratio: Ratio | None

    @property
    def batch(self) -> int:
        """Images at once."""
        return self.measured['model'].batch


@dataclass(frozen=True, eq=False)
class BenchReport:
    """All batch sizes.

    Attributes:
        settings: how it was measured.
        rows: one a batch size, rising.
        layers: 'model' and 'against' -> (layer and ms, in the model's order; why there are none); empty unless asked.
        facts: versions, devices, sizes.
    """

    settings: BenchSettings
    rows: tuple[BenchRow, ...]
    layers: Mapping[str, tuple[Sequence[tuple[str, float]], str]]
    facts: Mapping[str, Any]

    def summary(self) -> dict[str, Any]:
        """For JSON: the smallest batch at the top level, then all."""
        return {
            **self.rows[0].measured['model'].to_dict(),
            'speedup': None if self.rows[0].ratio is None else self.rows[0].ratio.value,
            'settings': asdict(self.settings),
            'sweep': [
                {
                    'batch': row.batch,
                    **{name: item.to_dict() for name, item in row.measured.items()},
                    'speedup': None if row.ratio is None else row.ratio.to_dict(),
                }
                for row in self.rows
            ],
            'layers': {
                name: {'ms': [list(pair) for pair in pairs], 'reason': reason}
                for name, (pairs, reason) in self.layers.items()
            },
            'facts': dict(self.facts),
        }


def print_report(screen: Console, report: BenchReport) -> None:
    """Times, then throughput, memory and power, then the comparison and the slowest layers."""
    screen.print(_times(report), _costs(report))
    for row in report.rows:
        if row.ratio is not None:
            ratio, model, other = row.ratio, row.measured['model'].engine, row.measured['against'].engine
            screen.print(
                f'batch {row.batch}: {model} is {ratio.value:.3f} times as fast as {other} (p50; {ratio.blocks} blocks '
                f'in turn: {ratio.low:.3f} to {ratio.high:.3f}, middle half {ratio.p25:.3f} to {ratio.p75:.3f})'
            )
    for item in report.rows[-1].measured.values():
        if item.device_memory:
            memory = ', '.join(f'{purpose} {size / 2**20:.1f}' for purpose, size in item.device_memory.items())
            screen.print(f'{item.engine}: GPU memory [MiB]: {memory}')
    reason = report.rows[0].measured['model'].power.reason
    if reason:
        screen.print(f'power: {reason}')
    for name, (pairs, why) in report.layers.items():
        screen.print(_layers(pairs, report.rows[0].measured[name].engine) if pairs else why)


def _times(report: BenchReport) -> Table:
    table = Table(title='time of an inference [ms]', caption='wall: with host arrays, copies included')
    for place, name in enumerate(('engine', 'batch', 'clock', 'runs', *(name.replace('_', '.') for name in _STATS))):
        table.add_column(name, justify='left' if place in (0, 2) else 'right')
    for row in report.rows:
        for item in row.measured.values():
            for clock, stats in (('wall', item.wall), ('GPU', item.gpu), ('enqueue', item.enqueue)):
                if stats is not None:
                    table.add_row(item.engine, str(item.batch), clock, str(stats.count), *_cells(stats))
    return table


def _cells(stats: TimingStats) -> list[str]:
    return [f'{getattr(stats, name):.3f}' for name in _STATS]


def _costs(report: BenchReport) -> Table:
    table = Table(title='throughput, memory and power', caption='images/s: one inference after the other')
    columns = (
        'engine',
        'batch',
        'images/s',
        'two in flight',
        'host memory [MiB]',
        'GPU memory [MiB]',
        'mean power [W]',
        'mJ / inference',
    )
    for place, name in enumerate(columns):
        table.add_column(name, justify='right' if place else 'left')
    for row in report.rows:
        for item in row.measured.values():
            table.add_row(
                item.engine,
                str(item.batch),
                f'{item.throughput:.1f}',
                _number(item.in_flight, '.1f'),
                f'{item.host_bytes / 2**20:.0f}' if item.host_bytes else _NONE,
                f'{item.device_memory["pool used"] / 2**20:.1f}' if item.device_memory else _NONE,
                _number(item.power.watts, '.1f'),
                _number(item.power.millijoules, '.2f'),
            )
    return table


def _layers(pairs: Sequence[tuple[str, float]], engine: str) -> Table:
    total = sum(ms for _, ms in pairs)
    table = Table(title=f'{engine}: the slowest of {len(pairs)} layers, {total:.3f} ms in all')
    table.add_column('layer')
    table.add_column('ms', justify='right')
    table.add_column('share', justify='right')
    for name, ms in slowest(pairs):
        table.add_row(name, f'{ms:.4f}', f'{100 * ms / total:.1f} %' if total else _NONE)
    return table


def slowest(pairs: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """The slowest layers, slowest first."""
    return sorted(pairs, key=lambda pair: -pair[1])[:_LAYERS]


def save_plot(report: BenchReport, path: str | Path) -> Path:
    """Writes one picture and returns its path: how the times are spread at the smallest batch, throughput and p50 over
    the batch (with one batch size: the times in their order), and the slowest layers where they are known.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    layers = {name: pairs for name, (pairs, _) in report.layers.items() if pairs}
    panels = 2 + len(layers)
    figure, axes = new_figure(1, panels, (6.5 * panels, 5.5))
    _histogram(axes[0], report.rows[0])
    if len(report.rows) > 1:
        _sweep(axes[1], report.rows)
    else:
        _sequence(axes[1], report.rows[0])
    for place, (name, pairs) in enumerate(layers.items(), 2):
        _layer_bars(axes[place], pairs, report.rows[0].measured[name].engine, _COLORS[name])
    return save_figure(figure, path)


def _histogram(axes: Any, row: BenchRow) -> None:
    samples = np.concatenate([item.samples for item in row.measured.values()])
    low, high = float(samples.min()), float(np.percentile(samples, 99.5))
    bins = np.linspace(low, max(high, low * 1.01), 60)
    for name, item in row.measured.items():
        label = f'{item.engine}: p50 {item.wall.p50:.4g}, p99 {item.wall.p99:.4g} ms'
        axes.hist(np.minimum(item.samples, bins[-1]), bins, alpha=0.6, color=_COLORS[name], label=label)
        axes.axvline(item.wall.p50, color=_COLORS[name])
        axes.axvline(item.wall.p99, color=_COLORS[name], linestyle=':')
    axes.set(
        xlabel='ms (the slowest 0.5 % in the last bar)', ylabel='inferences', title=f'wall time, batch {row.batch}'
    )
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)


def _sweep(axes: Any, rows: Sequence[BenchRow]) -> None:
    batches = [row.batch for row in rows]
    second = axes.twinx()
    for name, item in rows[0].measured.items():
        items = [row.measured[name] for row in rows]
        axes.plot(batches, [each.throughput for each in items], 'o-', color=_COLORS[name], label=item.engine)
        second.plot(batches, [each.wall.p50 for each in items], 's:', color=_COLORS[name], alpha=0.6)
    axes.set_xticks(batches)
    axes.set(xlabel='images at once', ylabel='images/s (solid)', title='throughput over the batch')
    axes.set_ylim(bottom=0)
    second.set(ylabel='p50 of one inference, ms (dotted)')
    second.set_ylim(bottom=0)
    axes.legend(fontsize=8, loc='lower right')
    axes.grid(alpha=0.3)


def _sequence(axes: Any, row: BenchRow) -> None:
    for name, item in row.measured.items():
        axes.plot(item.samples, '.', markersize=3, alpha=0.7, color=_COLORS[name], label=item.engine)
    axes.set(xlabel='inference', ylabel='ms', title='wall time in the order measured')
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)


def _layer_bars(axes: Any, pairs: Sequence[tuple[str, float]], engine: str, color: str) -> None:
    chosen = slowest(pairs)[::-1]
    axes.barh([f'{name[:40]}' for name, _ in chosen], [ms for _, ms in chosen], color=color)
    axes.tick_params(axis='y', labelsize=7)
    axes.set(xlabel='ms', title=f'slowest layers of {engine}')
    axes.grid(alpha=0.3, axis='x')


def _number(value: float | None, form: str) -> str:
    return _NONE if value is None else format(value, form)
