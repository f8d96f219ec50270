# SPDX-License-Identifier: Apache-2.0
"""Checks on what goes into an engine and what comes out; cheap enough for every frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from isaac_inference.cuda.array import DeviceArray
from isaac_inference.engines.rows import Rows
from isaac_inference.errors import EngineError
from isaac_inference.models.card.tensor_spec import TensorSpec, shape_text


class FeedCheck:
    """Checks the feeds of one engine: names, dtypes, shapes, memory layout.

    Args:
        name: the engine's name, for messages.
        inputs: what the model takes.
        needs_contiguous: True when the backend hands the array's address on, so that it must be C-contiguous.
        takes_device_arrays: True when arrays in the GPU's memory will do too; these are always C-contiguous.
        takes_rows: True when `Rows` will do too.
    """

    def __init__(
        self,
        name: str,
        inputs: Sequence[TensorSpec],
        needs_contiguous: bool,
        takes_device_arrays: bool = False,
        takes_rows: bool = False,
    ) -> None:
        self._name = name
        self._inputs = tuple((spec.name, np.dtype(spec.dtype), spec.shape, spec) for spec in inputs)
        self._names = frozenset(spec.name for spec in inputs)
        self._batched = tuple(spec.name for spec in inputs if spec.shape and spec.shape[0] is None)
        self._needs_contiguous = needs_contiguous
        self._takes_device_arrays = takes_device_arrays
        self._takes_rows = takes_rows

    def __call__(self, feeds: Mapping[str, Any]) -> None:
        """Raise EngineError unless every input of the model has one array that fits it; nothing is copied."""
        if feeds.keys() != self._names:
            raise EngineError(self._names_text(feeds))
        for name, dtype, shape, spec in self._inputs:
            array = feeds[name]
            on_host = isinstance(array, np.ndarray)
            if not on_host and not self._takes(array):
                hint = '; bring it to the host with numpy.asarray' if isinstance(array, DeviceArray) else ''
                raise EngineError(
                    f'{self._name}: input {name!r}: got {type(array).__name__}, expected a numpy array of '
                    f'{spec.dtype} {spec.shape_text()}{hint}'
                )
            if array.dtype != dtype:
                how = f'convert it with .astype(numpy.{dtype})' if on_host else 'make it of that dtype on the device'
                raise EngineError(f'{self._name}: input {name!r}: got dtype {array.dtype}, expected {dtype}; {how}')
            if array.shape != shape and not spec.accepts_shape(array.shape):
                raise EngineError(self._shape_text(array, spec))
            if self._needs_contiguous and on_host and not array.flags.c_contiguous:
                raise EngineError(
                    f'{self._name}: input {name!r}: got an array that is not C-contiguous '
                    f'(strides {array.strides}); pass it through numpy.ascontiguousarray first'
                )
        if len(self._batched) > 1:
            self._check_batch(feeds)

    def _takes(self, array: Any) -> bool:
        """Whether an array that is not NumPy's is of a kind that will do."""
        if isinstance(array, Rows):
            return self._takes_rows and all(isinstance(one, np.ndarray) or self._takes(one) for one in array.parts)
        return self._takes_device_arrays and isinstance(array, DeviceArray)

    def _names_text(self, feeds: Mapping[str, Any]) -> str:
        """Which inputs are missing or not the model's."""
        missing, unexpected = sorted(self._names - feeds.keys()), sorted(feeds.keys() - self._names)
        parts = [f'missing {missing}'] * bool(missing) + [f'unexpected {unexpected}'] * bool(unexpected)
        wanted = '; '.join(spec.describe() for *_, spec in self._inputs)
        return f'{self._name}: inputs: {" and ".join(parts)}; the model takes exactly: {wanted}'

    def _shape_text(self, array: Any, spec: TensorSpec) -> str:
        """How an array's shape differs from what the model takes."""
        got, rank = shape_text(array.shape), len(array.shape)
        if rank != len(spec.shape):
            hint = f'it has {rank} dimensions instead of {len(spec.shape)}'
            if rank == len(spec.shape) - 1:
                hint += '; add the batch axis with array[None]'
        else:
            pairs = zip(array.shape, spec.shape, strict=True)
            wrong = [axis for axis, (size, want) in enumerate(pairs) if (size < 1 if want is None else size != want)]
            hint = f'axis {", ".join(map(str, wrong))} differs'
            hint += '; feed one image at a time, or export the model with a dynamic batch' if wrong == [0] else ''
        expected = f'{spec.shape_text()} (? is any size)' if spec.is_dynamic else spec.shape_text()
        return f'{self._name}: input {spec.name!r}: got shape {got}, expected {expected}; {hint}'

    def _check_batch(self, feeds: Mapping[str, Any]) -> None:
        """All inputs with a dynamic batch must agree on it."""
        sizes = {name: feeds[name].shape[0] for name in self._batched}
        if len(set(sizes.values())) > 1:
            raise EngineError(f'{self._name}: inputs: different batch sizes {sizes}; expected one size for all')


def non_finite(outputs: Mapping[str, np.ndarray]) -> list[str]:
    """Names of the outputs that hold NaN or infinity; whole numbers never do.

    One pass without a copy: NaN and infinity survive a sum. A sum that is not finite is only a suspicion, since large
    numbers can overflow it, so then each number is looked at.
    """
    bad = []
    with np.errstate(all='ignore'):
        for name, array in outputs.items():
            if array.dtype.kind != 'f':
                continue
            total = array.sum(dtype=np.float32 if array.dtype.itemsize < 4 else None)
            if not np.isfinite(total) and not np.isfinite(array).all():
                bad.append(name)
    return bad
