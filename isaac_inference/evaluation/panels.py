# SPDX-License-Identifier: Apache-2.0
"""The panels that plots of an evaluation are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from isaac_inference.evaluation.figure import new_figure, save_figure

FILE_NAME = 'evaluation.png'
_COLUMNS = 3
_BINS = 40
_BANDS = 6  # groups along x


class Panel(Protocol):
    """One panel."""

    def draw(self, axes: Any) -> None:
        """On matplotlib's axes."""


@dataclass(frozen=True, eq=False)
class Histogram:
    """How values from 0 on are spread; those beyond the 99th percentile are in the last bin.

    Attributes:
        values: of any shape; what is not finite is left out.
        label: of x.
        of: what there are many of.
    """

    values: Sequence[float] | np.ndarray
    label: str
    of: str = 'frames'

    def draw(self, axes: Any) -> None:
        """On matplotlib's axes."""
        values = np.asarray(self.values, float).ravel()
        values = values[np.isfinite(values)]
        axes.set(title=self.label, xlabel=self.label, ylabel=self.of)
        if not len(values):
            return say_nothing(axes)
        p50, p95, p99 = np.percentile(values, (50, 95, 99))
        end = max(float(p99), 1e-6)
        axes.hist(np.minimum(values, end), bins=_BINS, range=(0.0, end), color='tab:blue')
        axes.axvline(p50, color='black', label=f'p50 {p50:.2f}')
        axes.axvline(p95, color='black', linestyle='--', label=f'p95 {p95:.2f}')
        axes.legend(title=f'{values.min():.2f} to {values.max():.2f}', fontsize=9)


@dataclass(frozen=True, eq=False)
class Bars:
    """One value for each name, 0..1."""

    values: Mapping[str, float]
    label: str

    def draw(self, axes: Any) -> None:
        """On matplotlib's axes."""
        axes.set(title=self.label)
        known = {name: value for name, value in self.values.items() if math.isfinite(value)}
        if not known:
            return say_nothing(axes)
        axes.barh(range(len(known)), list(known.values()), color='tab:blue', alpha=0.6)
        axes.set_yticks(range(len(known)), list(known))
        for place, value in enumerate(known.values()):
            axes.annotate(f'{value:.3f}', (0.01, place), va='center', fontsize=9)
        axes.invert_yaxis()
        axes.set_xlim(0, max(1.0, *known.values()))


@dataclass(frozen=True, eq=False)
class Against:
    """Points, and the median and 95th percentile of y in bands of x."""

    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    x_label: str
    y_label: str

    def draw(self, axes: Any) -> None:
        """On matplotlib's axes."""
        x, y = np.asarray(self.x, float), np.asarray(self.y, float)
        known = np.isfinite(x) & np.isfinite(y)
        x, y = x[known], y[known]
        axes.set(title=f'{self.y_label} by {self.x_label}', xlabel=self.x_label, ylabel=self.y_label)
        if not len(x):
            return say_nothing(axes)
        axes.plot(x, y, '.', color='tab:blue', alpha=0.25, markersize=4)
        edges = np.linspace(x.min(), x.max() + 1e-9, _BANDS + 1)
        band = np.clip(np.digitize(x, edges) - 1, 0, _BANDS - 1)
        full = [index for index in range(_BANDS) if (band == index).any()]
        for rank, style in ((50, 'o-'), (95, 's--')):
            axes.plot(
                [(edges[index] + edges[index + 1]) / 2 for index in full],
                [np.percentile(y[band == index], rank) for index in full],
                style,
                color='black',
                label=f'p{rank}',
            )
        axes.set_ylim(0, max(2 * float(np.percentile(y, 95)), 1e-6))  # a few outliers would flatten all others
        axes.legend(fontsize=9)
        axes.grid(alpha=0.3)


@dataclass(frozen=True, eq=False)
class Curves:
    """Lines over a common x."""

    x: Sequence[float] | np.ndarray
    lines: Mapping[str, Sequence[float] | np.ndarray]
    x_label: str
    y_label: str
    title: str

    def draw(self, axes: Any) -> None:
        """On matplotlib's axes."""
        axes.set(title=self.title, xlabel=self.x_label, ylabel=self.y_label)
        if not self.lines:
            return say_nothing(axes)
        for name, line in self.lines.items():
            axes.plot(self.x, line, label=name)
        axes.legend(fontsize=9)
        axes.grid(alpha=0.3)


def save_panels(panels: Sequence[Panel], folder: str | Path, title: str) -> Path:
    """Writes `evaluation.png` into `folder` (created if missing) and returns its path.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    columns = min(_COLUMNS, max(1, len(panels)))
    rows = max(1, math.ceil(len(panels) / columns))
    figure, axes = new_figure(rows, columns, (6 * columns, 4.7 * rows), title, fontsize=15)
    places = np.atleast_1d(axes).ravel()
    for panel, place in zip(panels, places, strict=False):
        panel.draw(place)
    for place in places[len(panels) :]:
        place.axis('off')
    return save_figure(figure, Path(folder) / FILE_NAME, dpi=80)


def say_nothing(axes: Any) -> None:
    """Write that a panel has no data."""
    axes.text(0.5, 0.5, 'no data', transform=axes.transAxes, ha='center', va='center', color='grey')
