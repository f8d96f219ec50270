# SPDX-License-Identifier: Apache-2.0
"""2:4 structured sparsity: of every four consecutive input channels of a weight, two are zero.

That is what TensorRT's SPARSE_WEIGHTS asks for, at each output channel and each place of a kernel. The two of smaller
magnitude are zeroed. Without fine-tuning, accuracy suffers; the report says how far each weight moved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from isaac_inference.models.onnx.reader import read_model_file
from isaac_inference.models.precision.graph import load_graph, refuse_overwriting, save_graph
from isaac_inference.models.precision.layers import Layer, weighted_layers
from isaac_inference.models.precision.record import PrecisionRecord, read_record, write_record

PATTERN = '2:4'
_GROUP, _KEPT = 4, 2


@dataclass(frozen=True)
class PrunedLayer:
    """One weight that became sparse.

    Attributes:
        node: the layer's name.
        shape: of the weight.
        error: norm of what was removed over the norm of the whole.
    """

    node: str
    shape: tuple[int, ...]
    error: float


@dataclass(frozen=True)
class SparsityReport:
    """What pruning did.

    Attributes:
        layers: the sparse ones.
        left: layers that stayed dense: first, last, grouped, or with channels that don't come in fours.
        sparse_share: part of all values of layer weights that lie in sparse ones.
    """

    layers: tuple[PrunedLayer, ...]
    left: tuple[str, ...]
    sparse_share: float


def prune_2_4(source: Path, target: Path) -> SparsityReport:
    """Write `source` with 2:4 sparse weights to `target`; first and last layers and depthwise ones stay dense.

    Raises:
        ConfigError: `target` is `source` or can't be written.
        ModelError: `source` can't be read.
    """
    refuse_overwriting(Path(target), Path(source))
    model, file = load_graph(source), read_model_file(source)
    report = prune_graph(model)
    record = read_record(file.metadata, file.path.name) or PrecisionRecord('sparse', file.sha256)
    write_record(model, replace(record, sparsity=PATTERN))
    save_graph(model, Path(target), Path(source))
    return report


def prune_graph(model: Any) -> SparsityReport:
    """Prune a model from `graph.load_graph`, in place."""
    from onnx import numpy_helper

    weights = {item.name: item for item in model.graph.initializer}
    layers = weighted_layers(model.graph)
    dense = {layer.weight for layer in layers if not _can_be_sparse(layer)}
    pruned: dict[str, PrunedLayer] = {}
    for layer in layers:
        if layer.weight in dense or layer.weight in pruned:
            continue
        tensor = weights[layer.weight]
        values = numpy_helper.to_array(tensor)
        sparse = prune(values, _input_axis(layer))
        norm = float(np.linalg.norm(values.astype(np.float64)))
        moved = float(np.linalg.norm((values - sparse).astype(np.float64)))
        tensor.CopyFrom(numpy_helper.from_array(sparse, layer.weight))
        pruned[layer.weight] = PrunedLayer(layer.node, layer.shape, moved / norm if norm else 0.0)
    total = sum(int(np.prod(layer.shape)) for layer in layers)
    inside = sum(int(np.prod(item.shape)) for item in pruned.values())
    left = tuple(layer.node for layer in layers if layer.weight not in pruned)
    return SparsityReport(tuple(pruned.values()), left, inside / total if total else 0.0)


def prune(weight: np.ndarray, axis: int) -> np.ndarray:
    """The weight with the two smaller of every four consecutive values along `axis` set to 0; of equal ones the earlier
    stay. The size of `axis` must be a multiple of four.
    """
    rows = np.moveaxis(weight, axis, -1)
    fours = rows.reshape(*rows.shape[:-1], -1, _GROUP)
    order = np.argsort(-np.abs(fours), axis=-1, kind='stable')
    keep = np.zeros(fours.shape, bool)
    np.put_along_axis(keep, order[..., :_KEPT], True, axis=-1)
    return np.ascontiguousarray(np.moveaxis(np.where(keep, fours, 0).reshape(rows.shape), -1, axis)).astype(
        weight.dtype
    )


def is_2_4(weight: np.ndarray, axis: int) -> bool:
    """True if every four consecutive values along `axis` have two zeros or more, and there are fours."""
    rows = np.moveaxis(weight, axis, -1)
    if rows.shape[-1] % _GROUP:
        return False
    fours = rows.reshape(*rows.shape[:-1], -1, _GROUP)
    return bool((np.count_nonzero(fours, axis=-1) <= _KEPT).all())


def sparse_layers(graph: Any) -> tuple[str, ...]:
    """Names of the layers whose weights have the 2:4 pattern."""
    from onnx import numpy_helper

    weights = {item.name: item for item in graph.initializer}
    return tuple(
        layer.node
        for layer in weighted_layers(graph)
        if layer.groups == 1 and is_2_4(numpy_helper.to_array(weights[layer.weight]), _input_axis(layer))
    )


def _can_be_sparse(layer: Layer) -> bool:
    if layer.is_first or layer.is_last or layer.groups > 1 or layer.op == 'ConvTranspose':
        return False
    return layer.shape[_input_axis(layer)] % _GROUP == 0


def _input_axis(layer: Layer) -> int:
    """The axis of the input channels: for convolutions beside the output's, for matrices the other one."""
    if layer.op == 'MatMul':
        return len(layer.shape) - 2
    return 1 - layer.output_axis
