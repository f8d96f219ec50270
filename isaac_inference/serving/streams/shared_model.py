# SPDX-License-Identifier: Apache-2.0
"""A model that one or several streams share: its engine, what runs together on it, and its turns among other models."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isaac_inference.engines.base import Engine
from isaac_inference.engines.batches import BatchRunner
from isaac_inference.engines.settings import STREAM_PRIORITIES
from isaac_inference.errors import EngineError, FrameError
from isaac_inference.serving.scheduler.scheduler import SCHEDULER, Member, Scheduler, Turn
from isaac_inference.serving.streams.batches import FrameBatcher
from isaac_inference.serving.streams.device_batches import DeviceBatches, Result
from isaac_inference.serving.streams.names import UNNAMED

if TYPE_CHECKING:
    from isaac_inference.cuda.timer import GpuTimer

Feeds = Mapping[str, Any]
_WARM_UP_PATIENCE_S = 5.0  # a model that is being loaded runs a few times before the first frame, in turn if it may


class SharedModel:
    """Not for two threads at once.

    Args:
        engine: open; it is this object's from now on.
        streams: their names; `UNNAMED` alone for one that has none.
        name: for messages.
        priority: class among the process's models, 0 to 3.
        scheduler: who says when it may run.

    Attributes:
        engine: the engine.
        runner: cuts frames of several images into what the engine takes.
        most: how many frames to take at once, one of each stream at most.
        why_one: why that is but one, where several were asked for; ''.
    """

    def __init__(
        self, engine: Engine, streams: Sequence[str], name: str, priority: int = 1, scheduler: Scheduler = SCHEDULER
    ) -> None:
        self.engine, self.runner = engine, BatchRunner(engine)
        self.most, self.why_one = 1, ''
        self._streams, self._priority = tuple(streams), priority
        self._batcher = FrameBatcher(engine, self.runner)
        self._member: Member = scheduler.join(name, priority, cores=engine.cores, gpu=engine.gpu_ordinal)
        self._turn: Turn | None = None
        self._timer: GpuTimer | None = None
        self._on_device: DeviceBatches | None = None

    def prepare(self, asked: int) -> None:
        """Warm up, and find out how many frames run together, of at most `asked`.

        Raises:
            EngineError: the engine cannot run.
        """
        with self._warming():
            self.engine.warm_up()
        self._batcher.try_out(self._batcher.most(asked), self._warming)
        self.most = self._batcher.most(asked)
        if self.most < 2 <= asked:
            self.why_one = self._batcher.failure or 'the model takes one image at a time'
        if self.engine.takes_device_arrays:
            self._timer = _gpu_timer(self.engine.gpu_ordinal)
        if self.engine.takes_rows and self._streams != (UNNAMED,):
            priority = STREAM_PRIORITIES[self._priority]
            self._on_device = DeviceBatches(self.engine, self._batcher, self._streams, priority)

    @property
    def may_be_inline(self) -> bool:
        """Whether a frame can be begun at once, in its sender's thread: on a GPU, where nobody is to be waited for."""
        return self._timer is not None and self._streams == (UNNAMED,) and not self._member.has_classes

    def begin(self, still_wanted: Callable[[], bool]) -> Turn | None:
        """Wait for the model's turn; None once it is not wanted any more. `end` ends it."""
        self._turn = self._member.begin(still_wanted)
        return self._turn

    def end(self) -> None:
        """The turn is over: what is still to do keeps no other model waiting. May be called twice."""
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.end()

    @property
    def is_contended(self) -> bool:
        """Whether models of another class share the place where it runs."""
        return self._member.has_classes

    def starving(self) -> str | None:
        """What to say where the model gets too little; None where it does not. Any thread."""
        return self._member.starving()

    def run(self, frames: Sequence[Feeds], streams: Sequence[str], *, on_device: bool) -> Sequence[Result]:
        """The model's outputs of each frame, or what went wrong with it; one that does not fit fails alone.

        Args:
            frames: taken together, each of another stream; at least one.
            streams: whose they are.
            on_device: leave results on the GPU, without waiting for them, where the engine can.
        """
        timer = self._timer if on_device else None
        if timer is None:
            return self._batcher.run(frames)
        if self._on_device is not None:
            return self._run_on_device(self._on_device, timer, frames, streams)
        if self.runner.fits(frames[0]):
            return self._begun(lambda: [self.engine.enqueue(frames[0], timer)], 1)
        return self._batcher.run(frames)

    def collect_gpu_ms(self) -> list[float]:
        """What the network alone took on the GPU, of runs since the last call that were not waited for."""
        found = self._timer.collect() if self._timer is not None else []
        for one_ms in found:  # which the scheduler sees only where somebody waits for it
            self._member.took(one_ms / 1e3)
        return found

    def close(self) -> None:
        """Free everything, the engine too."""
        self._member.leave()
        on_device, self._on_device = self._on_device, None
        if on_device is not None:
            on_device.close()
        self.engine.close()

    def _run_on_device(
        self, batches: DeviceBatches, timer: GpuTimer, frames: Sequence[Feeds], streams: Sequence[str]
    ) -> Sequence[Result]:
        """What does not fit the engine at once does not bring the others down from the GPU."""
        fits = [self.runner.rows(frame) == 1 and self.runner.fits(frame) for frame in frames]
        chosen = [index for index, fit in enumerate(fits) if fit]
        others = [index for index, fit in enumerate(fits) if not fit]
        found: dict[int, Result] = {}
        if chosen:
            ours, names = [frames[index] for index in chosen], [streams[index] for index in chosen]
            found.update(zip(chosen, self._begun(lambda: batches.enqueue(ours, names, timer), len(ours)), strict=True))
        if others:
            found.update(zip(others, self._batcher.run([frames[index] for index in others]), strict=True))
        return [found[index] for index in range(len(frames))]

    def _begun(self, enqueue: Callable[[], Sequence[Result]], count: int) -> Sequence[Result]:
        """What work on the GPU gives, for so many frames, that is only begun here; the scheduler learns when it is
        done, where it must.
        """
        try:
            found = enqueue()
        except (EngineError, FrameError) as error:
            return [error] * count
        begun = [one for one in found if isinstance(one, Mapping)]
        if begun and self._turn is not None and self._member.has_classes:
            self._turn.until = next(iter(begun[-1].values())).ready
        return found

    @contextlib.contextmanager
    def _warming(self) -> Iterator[None]:
        """A turn for a run before the first frame; after a while without one it is done all the same."""
        end_s = time.monotonic() + _WARM_UP_PATIENCE_S
        with self._member.turn(lambda: time.monotonic() < end_s) as turn:
            if turn is not None:
                turn.is_usual = False  # the first run of all may take a hundred times as long as the others
            yield


def _gpu_timer(ordinal: int) -> GpuTimer:
    from isaac_inference.cuda.device import gpu  # needs PyCUDA
    from isaac_inference.cuda.timer import GpuTimer

    return GpuTimer(gpu(ordinal))
