# SPDX-License-Identifier: Apache-2.0
"""How fast the pipeline was: frames per second and latencies of a run of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isaac_inference.evaluation.accuracy.frame_record import FrameRecord

PERCENTILES = (50, 95)


@dataclass(frozen=True, eq=False)
class Throughput:
    """A run of frames.

    Attributes:
        frames, dropped: frames that were shown to the pipeline, and those of them that it never answered.
        fps: answered frames per second, from the first frame's last output to that of the last frame; None below two.
        total_ms: (n,) from image stamp to last output, of the frames where it is known.
        pipeline_ms: (n,) from the first stage's mailbox to the last output.
        stages_ms: work of each stage, (n,) by name.
    """

    frames: int
    dropped: int
    fps: float | None
    total_ms: np.ndarray
    pipeline_ms: np.ndarray
    stages_ms: dict[str, np.ndarray]

    @classmethod
    def of(cls, records: Sequence[FrameRecord]) -> Throughput:
        """From the records of frames that were shown at some rate."""
        answered = [record for record in records if record.answered]
        ends = np.sort([record.finished_ns for record in answered if record.finished_ns])
        seconds = float(ends[-1] - ends[0]) / 1e9 if len(ends) > 1 else 0.0
        stages = sorted({name for record in answered for name in record.stages_ms})
        return cls(
            len(records),
            len(records) - len(answered),
            (len(ends) - 1) / seconds if seconds > 0 else None,
            np.array([record.total_ms for record in answered if record.total_ms is not None]),
            np.array([record.pipeline_ms for record in answered if record.pipeline_ms is not None]),
            {
                name: np.array([record.stages_ms[name] for record in answered if name in record.stages_ms])
                for name in stages
            },
        )

    def summary(self) -> dict[str, Any]:
        """For JSON."""
        return {
            'frames': self.frames,
            'dropped': self.dropped,
            'fps': self.fps,
            'total_ms': percentiles(self.total_ms),
            'pipeline_ms': percentiles(self.pipeline_ms),
            'stages_ms': {name: percentiles(values) for name, values in self.stages_ms.items()},
        }


def percentiles(values: Sequence[float] | np.ndarray) -> dict[str, float | None]:
    """p50 and p95; None without values."""
    if not len(values):
        return {f'p{rank}': None for rank in PERCENTILES}
    return {f'p{rank}': float(np.percentile(values, rank)) for rank in PERCENTILES}
