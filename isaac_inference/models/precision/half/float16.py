# SPDX-License-Identifier: Apache-2.0
"""A float32 model as float16: weights and activations, with casts where a float32 part begins or ends.

The element type of each tensor is known, so a cast is inserted exactly where two neighbours differ, once per tensor, in
graph order. IR version, opset, names and metadata are the source's.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isaac_inference.errors import ConfigError, ModelError
from isaac_inference.models.onnx.reader import read_model_file
from isaac_inference.models.precision.activations import Feeds
from isaac_inference.models.precision.float_regions import DEFAULT_KEEP, float_nodes, resolve_keep
from isaac_inference.models.precision.graph import (
    drop_unused,
    element_types,
    inner_graphs,
    load_graph,
    refuse_overwriting,
    replace_nodes,
    save_graph,
)
from isaac_inference.models.precision.half.half_range import check_half_range
from isaac_inference.models.precision.half.half_weights import WeightLoss, to_half
from isaac_inference.models.precision.record import PrecisionRecord, origin_sha256, read_record, write_record

IO_TYPES = ('float32', 'float16')
_HALF, _FLOAT = '__float16', '__float32'
_FLOAT_INPUTS = {'Resize': range(1, 4)}  # region and scales are float32 whatever the image is


@dataclass(frozen=True)
class Float16Report:
    """What a cast did.

    Attributes:
        half_nodes: how many nodes compute in float16.
        float_ops: operator -> how many of its nodes stayed in float32.
        casts: how many casts were added.
        losses: the weights with values that float16 can't hold or holds with less than 11 bits.
        half_tensors: the source's tensors that are float16 now.
    """

    half_nodes: int
    float_ops: dict[str, int]
    casts: int
    losses: tuple[WeightLoss, ...]
    half_tensors: tuple[str, ...]

    @property
    def clamped(self) -> int:
        """Weight values beyond float16's range, over all weights."""
        return sum(loss.clamped for loss in self.losses)


def to_float16(
    source: Path,
    target: Path,
    *,
    keep_ops: Collection[str] = DEFAULT_KEEP,
    io_types: str = 'float32',
    feeds: Feeds | None = None,
) -> Float16Report:
    """Write `source` as float16 to `target`.

    Args:
        source: the float32 ONNX file.
        target: where to; not `source`.
        keep_ops: operators and nodes (with `*` for several) that stay in float32; those that `DEFAULT_KEEP` lacks must
            be in the model.
        io_types: element type of the float inputs and outputs, 'float32' or 'float16'.
        feeds: model inputs to check the range of float16 with; None for no check.

    Raises:
        ConfigError: an unknown name in `keep_ops`, an unknown `io_types`, or a `target` that can't be.
        ModelError: `source` can't be read or converted, or leaves float16's range on `feeds`; the message names the
            outputs that would be NaN or infinite, and what to keep.
    """
    if io_types not in IO_TYPES:
        raise ConfigError(f'--io-types: got {io_types!r}, expected one of {", ".join(IO_TYPES)}')
    source, target = Path(source), Path(target)
    refuse_overwriting(target, source)
    model = load_graph(source)
    file = read_model_file(source)
    keep = (DEFAULT_KEEP & set(keep_ops)) | resolve_keep(model.graph, sorted(set(keep_ops) - DEFAULT_KEEP))
    if not any(item.data_type == 1 for item in model.graph.initializer):
        raise ModelError(f'{source}: has no float32 weights to convert; it is already float16, or has none')
    float_model = type(model)()
    if feeds is not None:
        float_model.CopyFrom(model)
    report = cast_graph(model, keep, io_types)
    if feeds is not None:
        check_half_range(source, float_model, report.half_tensors, feeds)
    earlier = read_record(file.metadata, file.path.name)
    write_record(
        model,
        PrecisionRecord(
            'fp16',
            origin_sha256(earlier, file.sha256),
            kept_ops=tuple(sorted(report.float_ops)),
            sparsity=earlier.sparsity if earlier else '',
            io_types=io_types,
        ),
    )
    save_graph(model, target, source)
    return report


def cast_graph(model: Any, keep_ops: Collection[str] = DEFAULT_KEEP, io_types: str = 'float32') -> Float16Report:
    """Cast a model from `graph.load_graph`, in place."""
    return _Caster(model, float_nodes(model, keep_ops), io_types).run()


class _Caster:
    """One walk over the graph, in its order: `_kind` is what each tensor has become so far."""

    def __init__(self, model: Any, kept: Collection[str], io_types: str) -> None:
        from onnx import TensorProto

        self._float, self._half_type = TensorProto.FLOAT, TensorProto.FLOAT16
        self._graph, self._kept = model.graph, kept
        self._floats = {name for name, kind in element_types(model).items() if kind == self._float}
        self._io = self._half_type if io_types == 'float16' else self._float
        self._weights = {item.name: item for item in self._graph.initializer if item.data_type == self._float}
        self._maker = {name: node for node in self._graph.node for name in node.output}
        self._kind = dict.fromkeys(self._weights, self._float)
        self._nodes: list[Any] = []
        self._other: dict[str, str] = {}  # tensor -> the same in the other type
        self._losses: dict[str, WeightLoss] = {}
        self._casts = 0

    def run(self) -> Float16Report:
        graph = self._graph
        self._declare(graph.input)
        half_nodes = 0
        float_ops: dict[str, int] = {}
        for node in graph.node:
            is_kept = node.name in self._kept
            self._convert(node, is_kept)
            if any(name in self._floats for name in (*node.input, *node.output)) and node.op_type != 'Cast':
                if is_kept:
                    float_ops[node.op_type] = float_ops.get(node.op_type, 0) + 1
                else:
                    half_nodes += 1
        half = tuple(name for name, kind in self._kind.items() if kind == self._half_type and name not in self._weights)
        self._finish_outputs()
        replace_nodes(graph, self._nodes)
        del graph.value_info[:]  # they have the old types
        drop_unused(graph)
        self._restore_names()
        losses = tuple(loss for loss in self._losses.values() if loss.clamped or loss.flushed or loss.subnormal)
        return Float16Report(half_nodes, float_ops, self._casts, losses, half)

    def _declare(self, items: Any) -> None:
        for item in items:
            if item.type.tensor_type.elem_type == self._float:
                item.type.tensor_type.elem_type = self._io
                self._kind[item.name] = self._io

    def _convert(self, node: Any, is_kept: bool) -> None:
        """Give a node its inputs in the type it computes in, and record the types of its outputs."""
        wanted = self._float if is_kept else self._half_type
        has_float_input = False
        if node.op_type != 'Cast':  # accepts any type, and defines its output type itself
            always_float = _FLOAT_INPUTS.get(node.op_type, ())
            for place, name in enumerate(node.input):
                if name in self._kind:
                    has_float_input = True
                    node.input[place] = self._as(name, self._float if place in always_float else wanted)
            for inner in inner_graphs(node):
                self._convert_captured(inner)
        made = wanted if has_float_input else self._float  # without inputs: an attribute gives the type
        for name in node.output:
            if name in self._floats:
                self._kind[name] = made
        self._nodes.append(node)

    def _convert_captured(self, inner: Any) -> None:
        """A subgraph stays float32, and so must what it captures from outside."""
        for node in inner.node:
            for place, name in enumerate(node.input):
                if name in self._kind:
                    node.input[place] = self._as(name, self._float)
            for deeper in inner_graphs(node):
                self._convert_captured(deeper)

    def _as(self, name: str, kind: int) -> str:
        """A tensor in the type `kind`; the cast comes before the node that is being converted."""
        from onnx import helper, numpy_helper

        if self._kind[name] == kind:
            return name
        if name in self._other:
            return self._other[name]
        made = name + (_HALF if kind == self._half_type else _FLOAT)
        if name in self._weights:
            values, self._losses[name] = to_half(numpy_helper.to_array(self._weights[name]), name)
            self._graph.initializer.append(numpy_helper.from_array(values, made))
        else:
            maker = self._maker.get(name)
            from_whole = maker is not None and maker.op_type == 'Cast' and maker.input[0] not in self._kind
            given = maker.input[0] if maker is not None and from_whole else name
            self._nodes.append(helper.make_node('Cast', [given], [made], name=f'{made}_cast', to=kind))
            self._casts += 1
        self._other[name] = made
        return made

    def _finish_outputs(self) -> None:
        """Outputs keep their names; one of the wrong type is computed under another name, then cast."""
        from onnx import helper

        for item in self._graph.output:
            kind = self._kind.get(item.name)
            if kind is None:
                continue
            item.type.tensor_type.elem_type = self._io
            if kind == self._io or item.name in self._weights or item.name not in self._maker:
                continue
            inside = item.name + (_HALF if kind == self._half_type else _FLOAT)
            if inside == self._other.get(item.name):
                inside += '_inside'
            for node in self._nodes:
                _rename(node, item.name, inside)
            self._nodes.append(
                helper.make_node('Cast', [inside], [item.name], name=f'{item.name}_output_cast', to=self._io)
            )
            self._casts += 1

    def _restore_names(self) -> None:
        """A weight that is needed only in float16 gets its own name back."""
        present = {item.name for item in self._graph.initializer}
        for item in self._graph.initializer:
            original = item.name.removesuffix(_HALF)
            if original != item.name and original in self._weights and original not in present:
                for node in self._graph.node:
                    _rename(node, item.name, original)
                item.name = original


def _rename(node: Any, old: str, new: str) -> None:
    for field in (node.input, node.output):
        for place, name in enumerate(field):
            if name == old:
                field[place] = new
    for inner in inner_graphs(node):
        for item in inner.node:
            _rename(item, old, new)
