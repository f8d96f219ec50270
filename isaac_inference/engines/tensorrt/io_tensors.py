# SPDX-License-Identifier: Apache-2.0
"""The inputs and outputs of a deserialized engine, and whether they are the model's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isaac_inference.errors import EngineError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.tensor_spec import TensorSpec, shape_text

_DTYPES = {
    'FLOAT': 'float32',
    'HALF': 'float16',
    'INT8': 'int8',
    'INT32': 'int32',
    'INT64': 'int64',  # from TensorRT 10 on; 8.6 makes INT32 of it
    'BOOL': 'bool',
    'UINT8': 'uint8',
}
_NARROWED = {('int64', 'int32'), ('float64', 'float32')}  # (the file's, the engine's): what a parser may make of it

Shape = tuple[int, ...]


@dataclass(frozen=True)
class PlanTensor:
    """One input or output of an engine.

    Attributes:
        name: the tensor's name.
        is_input: False for an output.
        dtype: numpy's type of what lies in memory; for int64 TensorRT 8.6 has int32.
        shape: None where it depends on the inputs.
        smallest, optimum, largest: an input's shapes in the optimization profile; empty for an output.
    """

    name: str
    is_input: bool
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]
    smallest: Shape = ()
    optimum: Shape = ()
    largest: Shape = ()

    @property
    def is_fixed(self) -> bool:
        """True for an input that takes one shape only."""
        return self.smallest == self.largest

    def takes(self, shape: Shape) -> bool:
        """True when a shape is within the profile."""
        return len(shape) == len(self.smallest) and all(
            low <= size <= high for low, size, high in zip(self.smallest, shape, self.largest, strict=True)
        )

    def nearest(self, shape: Shape) -> Shape:
        """The shape within the profile that is closest to one of the same rank."""
        limits = zip(self.smallest, shape, self.largest, strict=True)
        return tuple(min(max(low, size), high) for low, size, high in limits)


def read_tensors(engine: Any, name: str) -> tuple[PlanTensor, ...]:
    """All inputs and outputs of a trt.ICudaEngine, of its profile 0.

    Args:
        engine: the engine.
        name: the engine's name, for messages.

    Raises:
        EngineError: a type that numpy doesn't have, or a tensor that is wanted in host memory.
    """
    tensors = []
    for index in range(engine.num_io_tensors):
        tensor = engine.get_tensor_name(index)
        kind = engine.get_tensor_dtype(tensor).name
        if kind not in _DTYPES:
            raise EngineError(
                f'{name}: tensor {tensor!r} is of type {kind}, which NumPy does not have; known are '
                f'{", ".join(_DTYPES)}; export the model with float32 inputs and outputs'
            )
        if engine.get_tensor_location(tensor).name == 'HOST':
            raise EngineError(
                f'{name}: the values of tensor {tensor!r} shape the network (a shape tensor), which is not supported; '
                'export the model with that size as a constant, or use backend: onnxruntime'
            )
        is_input = engine.get_tensor_mode(tensor).name == 'INPUT'
        found = tuple(None if size < 0 else int(size) for size in tuple(engine.get_tensor_shape(tensor)))
        triple: Sequence[Shape] = ((), (), ())
        if is_input and None in found:
            triple = [tuple(map(int, tuple(dims))) for dims in engine.get_tensor_profile_shape(tensor, 0)]
        elif is_input:  # 8.6 has no profile for an engine without dynamic inputs
            triple = [tuple(size for size in found if size is not None)] * 3
        tensors.append(PlanTensor(tensor, is_input, np.dtype(_DTYPES[kind]), found, *triple))
    return tuple(tensors)


def check_is_model(tensors: Sequence[PlanTensor], card: ModelCard, name: str) -> None:
    """Raise EngineError unless the tensors are those of the model card: names, types and shapes.

    Outputs that the card gives no role may be missing; where the card leaves a dimension open, any size will do.
    """
    inputs = {tensor.name: tensor for tensor in tensors if tensor.is_input}
    outputs = {tensor.name: tensor for tensor in tensors if not tensor.is_input}
    problems = []
    for what, found, specs in (('input', inputs, card.fed), ('output', outputs, card.used_outputs)):
        expected = {spec.name for spec in specs}
        missing = sorted(expected - found.keys())
        unexpected = sorted(found.keys() - expected) if what == 'input' else []
        problems += [f'{what} {item!r} is missing' for item in missing]
        problems += [f'{what} {item!r} is not in the card' for item in unexpected]
        problems += [
            f'{what} {spec.name!r} is {_text(found[spec.name])}, expected {spec.dtype} {spec.shape_text()}'
            for spec in specs
            if spec.name in found and not _fits(found[spec.name], spec)
        ]
    if problems:
        raise EngineError(
            f'{name}: the engine is not that of the model card: {"; ".join(problems)}; the model file changed after '
            'its card was read, or the engine is another one: configure again, or build it with `isaac-inference build`'
        )


def check_profile(tensor: PlanTensor, shape: Shape, name: str) -> None:
    """Raise EngineError for a feed outside of the engine's profile, with what would take it.

    Args:
        tensor: the input.
        shape: the feed's.
        name: the engine's name, for messages.
    """
    if tensor.takes(shape):
        return
    low, high = shape_text(tensor.smallest), shape_text(tensor.largest)
    range_text = low if tensor.is_fixed else f'{low} to {high}'
    same_rank = len(shape) == len(tensor.smallest)
    wrong = [axis for axis in range(len(shape)) if same_rank and not _within(tensor, axis, shape[axis])]
    what = 'a batch' if wrong == [0] else 'a size' if 0 not in wrong else 'a batch and size'
    option = {'a batch': '--batch', 'a size': '--size'}.get(what, '--batch and --size')
    raise EngineError(
        f'{name}: input {tensor.name!r}: got shape {shape_text(shape)}, the engine was built for {range_text}; feed '
        f'{what} within that, or build another engine with `isaac-inference build` and {option} MIN,OPT,MAX'
    )


def _within(tensor: PlanTensor, axis: int, size: int) -> bool:
    """True when one dimension is within the profile."""
    return tensor.smallest[axis] <= size <= tensor.largest[axis]


def _fits(tensor: PlanTensor, spec: TensorSpec) -> bool:
    """True when an engine's tensor can be what the file says of it."""
    kind = tensor.dtype.name
    if kind != spec.dtype and (spec.dtype, kind) not in _NARROWED:
        return False
    if len(tensor.shape) != len(spec.shape):
        return False
    return all(got is None or want is None or got == want for got, want in zip(tensor.shape, spec.shape, strict=True))


def _text(tensor: PlanTensor) -> str:
    return f'{tensor.dtype} {shape_text(tensor.shape)}'
