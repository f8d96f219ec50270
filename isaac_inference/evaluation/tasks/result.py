# SPDX-License-Identifier: Apache-2.0
"""What an evaluation of a task found, ready for tables and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from isaac_inference.evaluation.accuracy.result import without_nan
from isaac_inference.evaluation.accuracy.throughput import percentiles
from isaac_inference.evaluation.measure import Measure
from isaac_inference.evaluation.panels import Panel


@dataclass(frozen=True)
class Rows:
    """Figures of the parts that a task has, such as its classes or joints.

    Attributes:
        title: what a row is, such as 'class'; 'classes' or the like in JSON is `key`.
        columns: of each row.
        values: by the row's name and the column's key; NaN or a missing key where there is none.
    """

    key: str
    title: str
    columns: Sequence[Measure]
    values: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, eq=False)
class TaskFigures:
    """The figures of some frames.

    Attributes:
        values: by the key of the task's measures; NaN where there is none.
        rows: of parts; None for a task that has none.
        panels: of the plot.
    """

    values: Mapping[str, float]
    rows: Rows | None = None
    panels: Sequence[Panel] = ()


@dataclass(frozen=True, eq=False)
class TaskResult:
    """The result of one seed.

    Attributes:
        frames: that were answered.
        dropped: that were not.
        measures: of the task.
        figures: of the frames.
        stages_ms: work of each stage in each answered frame, ms, by name.
        settings: what was measured, and how.
    """

    frames: int
    dropped: int
    measures: Sequence[Measure]
    figures: TaskFigures
    stages_ms: Mapping[str, Sequence[float]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """One JSON object: the main figures first; null means not measured."""
        rows = self.figures.rows
        return without_nan(  # type: ignore[no-any-return]
            {
                'frames': self.frames,
                **{measure.key: float(self.figures.values[measure.key]) for measure in self.measures},
                'dropped_frames': self.dropped,
                **({} if rows is None else {rows.key: {name: dict(row) for name, row in rows.values.items()}}),
                'stages_ms': {name: percentiles(values) for name, values in self.stages_ms.items()},
                'settings': dict(self.settings),
            }
        )
