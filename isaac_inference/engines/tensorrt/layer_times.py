# SPDX-License-Identifier: Apache-2.0
"""How long each layer of an engine takes, by TensorRT's own profiler."""

from __future__ import annotations

from typing import Any


def make_profiler(trt: Any) -> Any:
    """A trt.IProfiler whose `times` maps layer name -> list of ms, one a run, in the order of the layers."""

    class Profiler(trt.IProfiler):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self.times: dict[str, list[float]] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.times.setdefault(layer_name, []).append(float(ms))

    return Profiler()


def mean_times(times: dict[str, list[float]], runs: int) -> list[tuple[str, float]]:
    """(layer name, mean ms of a run) in the order of the layers; a name that several layers share counts them all."""
    return [(name, sum(values) / runs) for name, values in times.items()]
