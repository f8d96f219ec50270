# SPDX-License-Identifier: Apache-2.0
"""Frames of several streams through a model on a GPU, without leaving it and without waiting for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isaac_inference.engines.base import Engine
from isaac_inference.errors import EngineError, FrameError
from isaac_inference.serving.streams.batches import FrameBatcher

Result = Mapping[str, Any] | EngineError | FrameError


class DeviceBatches:
    """Runs frames that were taken together, each of one image; images are brought together on the device, and each
    stream's results lie in memory of its own there.

    Args:
        engine: open; its `takes_rows` is true.
        batcher: says which frames run together.
        streams: their names.
        priority: of the copies of results, as of `cuda.stream.Stream`.

    Raises:
        DeviceMemoryError: too little GPU memory for the results.
        EngineError: the engine cannot run.
    """

    def __init__(self, engine: Engine, batcher: FrameBatcher, streams: Sequence[str], priority: str) -> None:
        from isaac_inference.cuda.device import gpu  # needs PyCUDA
        from isaac_inference.cuda.scatter import RowScatter

        self._engine, self._batcher = engine, batcher
        one = engine.enqueue(engine.zero_feeds(1))
        specs = {name: ((1, *array.shape[1:]), array.dtype) for name, array in one.items()}
        self._scatter = RowScatter(gpu(engine.gpu_ordinal), streams, specs, priority, engine.name)

    def enqueue(self, frames: Sequence[Mapping[str, Any]], streams: Sequence[str], timer: Any = None) -> list[Result]:
        """The outputs of each frame on the device, or what went wrong with it; one that does not fit fails alone."""
        found: dict[int, Result] = {}
        for group in self._batcher.groups(frames):
            found.update(self._together(group, frames, streams, timer))
        return [found[index] for index in range(len(frames))]

    def _together(
        self, group: Sequence[int], frames: Sequence[Mapping[str, Any]], streams: Sequence[str], timer: Any
    ) -> dict[int, Result]:
        feeds = frames[group[0]] if len(group) == 1 else self._batcher.joined([frames[index] for index in group])
        try:
            outputs = self._engine.enqueue(feeds, timer)
        except (EngineError, FrameError) as error:
            if len(group) == 1:
                return {group[0]: error}
            found: dict[int, Result] = {}
            for index in group:  # of which frame it is, each says by itself
                found.update(self._together([index], frames, streams, timer))
            return found
        return dict(zip(group, self._scatter(outputs, [streams[index] for index in group]), strict=True))

    def close(self) -> None:
        """Free the memory of the results, now or when the last that is in use is gone."""
        self._scatter.close()
