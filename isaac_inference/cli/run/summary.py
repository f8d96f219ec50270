# SPDX-License-Identifier: Apache-2.0
"""Summary of a run, as a table."""

from __future__ import annotations

import time
from collections import Counter, defaultdict

import numpy as np
from rich.table import Table

from isaac_inference.ros.bringup.client import FrameResult


class RunSummary:
    """Collects results; `table()` is for people."""

    def __init__(self, model: str, mode: str) -> None:
        self.frames, self.failed = 0, 0
        self._model, self._mode = model, mode
        self._classes: Counter[str] = Counter()
        self._shares: Counter[str] | None = None  # of all pictures, of a model with a class for each pixel
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
        self._classes.update(item['class_id'] for item in result.detections)
        if result.classes is not None:
            self._shares = self._shares or Counter()
            self._shares.update(result.classes)
        for stage, value in result.latency_ms.items():
            self._latency_ms[stage].append(value)

    def table(self) -> Table:
        """Frames, detections by class or each class's share of the pictures, and percentiles of each stage's time."""
        table = Table(title=f'{self._model}, {self._mode}', show_header=False)
        table.add_row('frames', f'{self.frames}' + (f', {self.failed} without a result' if self.failed else ''))
        table.add_row(*self._found())
        for stage, values in self._latency_ms.items():
            p50, p95, p99 = np.percentile(values, (50, 95, 99))
            table.add_row(f'{stage} [ms]', f'p50 {p50:.2f}   p95 {p95:.2f}   p99 {p99:.2f}')
        if self.frames > 1:
            rate = (self.frames - 1) / max(self._last - self._first, 1e-9)
            table.add_row('frames per second', f'{rate:.1f} (one frame at a time, including reading and writing files)')
        return table

    def _found(self) -> tuple[str, str]:
        if self._shares is not None:
            pictures = max(self.frames - self.failed, 1)
            shares = [f'{name} {100 * share / pictures:.1f} %' for name, share in self._shares.most_common(12)]
            return 'classes, mean share', ', '.join(shares)
        found = ', '.join(f'{name} {count}' for name, count in self._classes.most_common(12))
        return 'detections', f'{sum(self._classes.values())}: {found}' if found else '0'
