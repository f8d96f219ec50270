# SPDX-License-Identifier: Apache-2.0
"""Summary of a run, as a table."""

from __future__ import annotations

import time
from collections import defaultdict

import numpy as np
from rich.table import Table

from isaac_inference.cli.run.tallies import DetectionTally, Tally
from isaac_inference.ros.bringup.clients.graph_client import FrameResult


class RunSummary:
    """Collects results; `table()` is for people. `tally` counts what is found; default: detections."""

    def __init__(self, model: str, mode: str, tally: Tally | None = None) -> None:
        self.frames, self.failed = 0, 0
        self._model, self._mode = model, mode
        self._tally = tally or DetectionTally()
        self._latency_ms: defaultdict[str, list[float]] = defaultdict(list)
        self._first = self._last = 0.0

    def add(self, result: FrameResult) -> None:
        """Count one frame."""
        self._last = time.monotonic()
        self._first = self._first or self._last
        self.frames += 1
        if result.error:
            self.failed += 1
            return
        self._tally.add(result.found)
        for stage, value in result.latency_ms.items():
            self._latency_ms[stage].append(value)

    def table(self) -> Table:
        """Frames, what was found in them, and percentiles of each stage's time."""
        table = Table(title=f'{self._model}, {self._mode}', show_header=False)
        table.add_row('frames', f'{self.frames}' + (f', {self.failed} without a result' if self.failed else ''))
        table.add_row(*self._tally.row())
        for stage, values in self._latency_ms.items():
            p50, p95, p99 = np.percentile(values, (50, 95, 99))
            table.add_row(f'{stage} [ms]', f'p50 {p50:.2f}   p95 {p95:.2f}   p99 {p99:.2f}')
        if self.frames > 1:
            rate = (self.frames - 1) / max(self._last - self._first, 1e-9)
            table.add_row('frames per second', f'{rate:.1f} (one frame at a time, including reading and writing files)')
        return table
