# SPDX-License-Identifier: Apache-2.0
"""Reading, preparing and writing the ONNX graphs that are converted."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from isaac_inference.errors import ConfigError, ModelError
from isaac_inference.models.onnx.external_weights import load_weights, read_proto
from isaac_inference.models.onnx.reader import read_model_file

EXTERNAL_FROM = 1_900_000_000  # bytes; protobuf ends at 2 GiB
_IR_WITHOUT_INITIALIZER_INPUTS = 4  # before, each initializer had to be a graph input as well


def load_graph(path: str | Path) -> Any:
    """The `onnx.ModelProto` of a file with its weights, wherever they are stored, ready to be converted.

    Every node has a name of its own, and constant nodes have become initializers, so that all constants are
    stored the same way. The computation is unchanged.

    Raises:
        ModelError: no usable ONNX file, or one that can't be read whole.
    """
    file = read_model_file(path)
    model = read_proto(file.path)
    load_weights(file.path, model)
    prepare(model)
    return model


def prepare(model: Any) -> None:
    """Name the nodes and make initializers of constant nodes, in place."""
    graph = model.graph
    _name_nodes(graph)
    nodes = []
    for node in graph.node:
        tensor = _constant(node)
        if tensor is None:
            nodes.append(node)
        else:
            graph.initializer.append(tensor)
    replace_nodes(graph, nodes)
    sort_nodes(graph)
    if model.ir_version < _IR_WITHOUT_INITIALIZER_INPUTS:
        model.ir_version = _IR_WITHOUT_INITIALIZER_INPUTS
    initializers = {item.name for item in graph.initializer}
    inputs = [item for item in graph.input if item.name not in initializers]
    if len(inputs) < len(graph.input):
        del graph.input[:]
        graph.input.extend(inputs)


def replace_nodes(graph: Any, nodes: Iterable[Any]) -> None:
    """Make `nodes` the nodes of a graph, in that order."""
    kept = [_copy(node) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)


def sort_nodes(graph: Any) -> None:
    """Put the nodes in an order in which each comes after those that it needs; otherwise as they were."""
    made = {name for node in graph.node for name in node.output}
    ready: set[str] = set()
    waiting: dict[str, list[Any]] = {}
    ordered: list[Any] = []
    todo = list(reversed(graph.node))
    while todo:
        node = todo.pop()
        missing = next((name for name in used_names(node) if name in made and name not in ready), None)
        if missing is not None:
            waiting.setdefault(missing, []).append(node)
            continue
        ordered.append(node)
        for name in node.output:
            ready.add(name)
            todo.extend(reversed(waiting.pop(name, [])))
    if len(ordered) == len(graph.node):  # else there is a cycle, which the checker reports
        replace_nodes(graph, ordered)


def drop_unused(graph: Any) -> None:
    """Remove nodes and initializers that no output needs, and the info on removed tensors."""
    needed = {item.name for item in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(used_names(node))
    replace_nodes(graph, reversed(kept))
    for field in (graph.initializer, graph.value_info):
        rest = [_copy(item) for item in field if item.name in needed]
        del field[:]
        field.extend(rest)


def used_names(node: Any) -> Iterator[str]:
    """The tensors that a node reads, including those that its subgraphs capture from outside."""
    yield from (name for name in node.input if name)
    for inner in inner_graphs(node):
        for item in inner.node:
            yield from used_names(item)
        yield from (item.name for item in inner.output)


def inner_graphs(node: Any) -> Iterator[Any]:
    """The graphs in a node's attributes: branches of If, bodies of Loop and Scan."""
    for attribute in node.attribute:
        if attribute.HasField('g'):
            yield attribute.g
        yield from attribute.graphs


def element_types(model: Any) -> dict[str, int]:
    """ONNX element type of every tensor of the main graph for which it is known."""
    import onnx

    inferred = model
    if model.ByteSize() < EXTERNAL_FROM:
        with contextlib.suppress(Exception):  # an operator of another domain: its outputs stay without a type
            inferred = onnx.shape_inference.infer_shapes(model)
    graph = inferred.graph
    types = {
        item.name: item.type.tensor_type.elem_type
        for item in (*graph.value_info, *graph.input, *graph.output)
        if item.type.WhichOneof('value') == 'tensor_type' and item.type.tensor_type.elem_type
    }
    types.update({item.name: item.data_type for item in graph.initializer})
    return types


def opset_of(model: Any) -> int:
    """Version of the default operator set."""
    return max((item.version for item in model.opset_import if item.domain in ('', 'ai.onnx')), default=0)


def raise_opset(model: Any, minimum: int, what: str) -> Any:
    """The model at operator set `minimum` or later.

    Raises:
        ModelError: the ONNX package can't convert it; `what` says what needs it.
    """
    if opset_of(model) >= minimum:
        return model
    import onnx

    metadata = [(item.key, item.value) for item in model.metadata_props]
    try:
        converted = onnx.version_converter.convert_version(model, minimum)
    except Exception as error:
        raise ModelError(
            f'{what} needs ONNX opset {minimum} or later, and the model has {opset_of(model)}, which cannot be '
            f'converted ({" ".join(str(error).split())[:200]}); export it again with opset {minimum} or later'
        ) from error
    del converted.metadata_props[:]
    for key, value in metadata:
        converted.metadata_props.add(key=key, value=value)
    prepare(converted)
    return converted


def save_graph(model: Any, target: Path, source: Path) -> None:
    """Write a converted model whole or not at all; weights beyond protobuf's 2 GiB go to `<target>.data`.

    Raises:
        ConfigError: `target` is `source`, or it can't be written.
        ModelError: the result is not a valid ONNX model.
    """
    import onnx

    target = target.absolute()
    refuse_overwriting(target, source)
    is_large = model.ByteSize() >= EXTERNAL_FROM
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f'.{target.stem}-', dir=target.parent) as folder:
            path = Path(folder) / target.name
            if is_large:
                onnx.save(model, str(path), save_as_external_data=True, location=f'{target.name}.data')
            else:
                onnx.save(model, str(path))
            try:
                onnx.checker.check_model(str(path))
            except onnx.checker.ValidationError as error:
                raise ModelError(
                    f'{source}: the converted model is not valid ONNX ({" ".join(str(error).split())[:300]}); '
                    'keep that operator as it is with --keep'
                ) from error
            for item in sorted(Path(folder).iterdir(), key=lambda item: item == path):  # weights first
                os.replace(item, target.parent / item.name)
    except OSError as error:
        raise ConfigError(f'{target}: cannot be written ({error.strerror or error}); choose another --out') from error


def refuse_overwriting(target: Path, source: Path) -> None:
    """Raise ConfigError if `target` is the file being converted."""
    if target.exists() and source.exists() and target.samefile(source):
        raise ConfigError(f'{target}: is the model being converted, which is not modified; choose another --out')


def _name_nodes(graph: Any) -> None:
    taken: set[str] = set()
    for index, node in enumerate(graph.node):
        name = node.name or f'{node.op_type}_{index}'
        while name in taken:
            name = f'{name}_{index}'
        node.name = name
        taken.add(name)


def _constant(node: Any) -> Any:
    """The initializer that stands for a constant node; None for other nodes and for constants that are not tensors."""
    from onnx import helper, numpy_helper

    if node.op_type != 'Constant' or node.domain not in ('', 'ai.onnx') or len(node.attribute) != 1:
        return None
    import numpy as np

    (attribute,) = node.attribute
    value = helper.get_attribute_value(attribute)
    if attribute.name == 'value':
        tensor = _copy(value)
        tensor.name = node.output[0]
        return tensor
    kinds = {
        'value_float': np.float32,
        'value_floats': np.float32,
        'value_int': np.int64,
        'value_ints': np.int64,
    }
    if attribute.name not in kinds:
        return None
    return numpy_helper.from_array(np.asarray(value, kinds[attribute.name]), node.output[0])


def _copy(proto: Any) -> Any:
    made = type(proto)()
    made.CopyFrom(proto)
    return made
