# SPDX-License-Identifier: Apache-2.0
"""What every engine is: the state, the checks and the contract, once for all backends."""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, ClassVar

import numpy as np

from isaac_inference.engines.checks import FeedCheck
from isaac_inference.engines.gate import Gate
from isaac_inference.errors import EngineError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.inputs import ValueRole
from isaac_inference.models.card.tensor_spec import TensorSpec


class Engine(ABC):
    """Runs one model on one device.

        with create_engine(read_card('model.onnx')) as engine:
            outputs = engine.infer({'images': images})

    A backend writes `_open`, `_infer` and `_close` and sets `device` in `_open`; state and inputs are checked
    here. An engine may be opened again after it was closed, and after an open that failed.

    Threads: `open`, `infer`, `warm_up` and `close` may be called from any thread. As many `infer` run at once as
    `concurrency` says, one unless the backend says more; further ones wait. `open` and `close` run alone. Where
    `reuses_outputs` is true, the calls of two threads must not overlap with the use of what the first got.

    Attributes:
        backend: the backend's name, as in `create_engine`.
        needs_contiguous: True when feeds must be C-contiguous; if not, the backend copies those that aren't.
        reuses_outputs: True when the arrays that `infer` returns are the engine's own memory, overwritten by
            the next `infer` and gone after `close`; copy what is to be kept. False when the caller owns them.
        takes_device_arrays: True when feeds may be arrays in the GPU's memory (`isaac_inference.cuda.array`).
        takes_rows: True when a feed may be `rows.Rows`: images that lie apart, brought together on the device.
        gpu_ordinal: the number of the GPU that these arrays are on.
        notes: what runs otherwise than it was asked for, such as a smaller batch; each a sentence for a log.
    """

    backend: ClassVar[str]
    needs_contiguous: ClassVar[bool] = False
    reuses_outputs: ClassVar[bool] = True
    takes_device_arrays: ClassVar[bool] = False
    takes_rows: ClassVar[bool] = False

    def __init__(self, card: ModelCard, *, concurrency: int = 1) -> None:
        self.card = card
        self._inputs = card.fed
        self._outputs = card.used_outputs
        self._device = 'not opened'
        self._is_open = False
        self.gpu_ordinal = 0
        self.notes: tuple[str, ...] = ()
        self._concurrency = concurrency
        self._gate = Gate(concurrency)
        self._check_feeds = FeedCheck(
            self.name, self._inputs, self.needs_contiguous, self.takes_device_arrays, self.takes_rows
        )

    @property
    def name(self) -> str:
        """The model and the backend that runs it, for messages: 'yolox_nano (onnxruntime)'."""
        return f'{self.card.name} ({self.backend})'

    @property
    def device(self) -> str:
        """What the model runs on, for people: 'CPU (2 threads)'. The actual device, known once the engine is
        open.
        """
        return self._device

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The tensors to feed; open dimensions are None."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The tensors that `infer` returns: those of the file that the model card gives a role."""
        return self._outputs

    @property
    def batch_sizes(self) -> tuple[int, int | None]:
        """Fewest and most images that one `infer` takes; None where any number will do."""
        images = self.card.images
        if not images or not all(image.has_batch for image in images):
            return 1, 1
        size = images[0].tensor.shape[0]
        return (1, None) if size is None else (size, size)

    @property
    def is_open(self) -> bool:
        """True between `open` and `close`."""
        return self._is_open

    @property
    def cores(self) -> int:
        """CPU cores that one inference uses; 0 where it runs on the GPU `gpu_ordinal`. Of an open engine."""
        return 0 if self.takes_device_arrays else 1

    @property
    def concurrency(self) -> int:
        """How many `infer` may run at once."""
        return self._concurrency

    def open(self) -> None:
        """Load the model onto its device; raises EngineError where that fails, and stays closed then."""
        with self._gate.alone():
            if self._is_open:
                raise EngineError(f'{self.name}: open() on an engine that is open; close() it first')
            try:
                self._open()
            except BaseException:
                self._close()
                self._device = 'not opened'
                raise
            self._is_open = True

    def close(self) -> None:
        """Give back everything that `open` took, once a running `infer` is done; may be called twice."""
        with self._gate.alone():
            if self._is_open:
                self._is_open = False
                self._close()
                self._device = 'not opened'

    def infer(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the model once.

        Args:
            feeds: input name -> array with the dtype and shape of `inputs`; any size where a dimension is
                open. They are only read, and only until this returns.

        Returns:
            Output name -> array, as in `outputs`. Valid until the next `infer` or `close`, unless
            `reuses_outputs` is false: then they are the caller's.

        Raises:
            EngineError: the engine is not open, the feeds don't fit, or the backend failed.
        """
        with self._running('infer', feeds):
            return self._infer(feeds)

    def enqueue(self, feeds: Mapping[str, Any], timer: Any = None) -> Mapping[str, Any]:
        """Start the model on a GPU and return before it is done; for engines with `takes_device_arrays`.

        Args:
            feeds: as for `infer`, on the host or on the device.
            timer: a `cuda.timer.GpuTimer` that measures the model, or None.

        Returns:
            Output name -> array on the device.

        Raises:
            EngineError: this backend does not work on device arrays.
        """
        raise EngineError(f'{self.name}: enqueue() is for backends that leave their results on a GPU; use infer()')

    @contextlib.contextmanager
    def _running(self, call: str, feeds: Mapping[str, Any]) -> Iterator[None]:
        """The engine is open and stays so, and the feeds fit: for every public method that runs the model."""
        with self._gate.use():
            if not self._is_open:
                raise EngineError(
                    f'{self.name}: {call}() on an engine that is not open; '
                    'call open() first, or use it in a "with" block'
                )
            self._check_feeds(feeds)
            yield

    def warm_up(self, runs: int = 1) -> float:
        """Run the model on zeros, one image of the card's input size, so that the first frame is no slower
        than others.

        Args:
            runs: how often.

        Returns:
            Seconds that the last run took.
        """
        feeds = self.zero_feeds()
        elapsed = 0.0
        for _ in range(runs):
            start = time.perf_counter()
            self.infer(feeds)
            elapsed = time.perf_counter() - start
        return elapsed

    def zero_feeds(self, batch: int = 1) -> dict[str, np.ndarray]:
        """Feeds full of zeros: `batch` images of the card's input size; other open dimensions are 1."""
        feeds = {}
        images = {image.tensor.name: image for image in self.card.images}
        depths = {item.tensor.name: item for item in self.card.value_inputs if item.role is ValueRole.DEPTH}
        for spec in self._inputs:
            if spec.name in images:
                shape: tuple[int, ...] = images[spec.name].shape(batch)
            elif spec.name in depths:
                shape = depths[spec.name].shape(self.card.input_wh, batch)
            else:
                shape = tuple(1 if size is None else size for size in spec.shape)
                shape = (batch, *shape[1:]) if spec.shape[:1] == (None,) else shape
            feeds[spec.name] = np.zeros(shape, spec.dtype)
        return feeds

    def __enter__(self) -> Engine:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _open(self) -> None:
        """Load the model and set `_device`; raise EngineError with the reason and what to do."""

    @abstractmethod
    def _infer(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the model on feeds that were checked; raise EngineError where the backend fails."""

    @abstractmethod
    def _close(self) -> None:
        """Free everything; also called after an `_open` that failed half-way, so take nothing for granted."""
