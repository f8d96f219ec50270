# SPDX-License-Identifier: Apache-2.0
"""Which nodes of a graph stay in float32 when the rest becomes float16, and why."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from typing import Any

from isaac_inference.errors import ConfigError
from isaac_inference.models.precision.graph import inner_graphs, opset_of, used_names
from isaac_inference.models.precision.layers import tail_nodes
from isaac_inference.models.precision.qdq import QDQ_OPS, quantized_layers

DEFAULT_KEEP: frozenset[str] = frozenset(
    {
        # sums and powers leave float16's range
        'CumSum', 'Exp', 'LayerNormalization', 'Log', 'LpNormalization', 'MeanVarianceNormalization', 'Pow',
        'InstanceNormalization', 'GroupNormalization', 'ReduceL1', 'ReduceL2', 'ReduceLogSum', 'ReduceLogSumExp',
        'ReduceProd', 'ReduceSum', 'ReduceSumSquare', 'Softplus',
        # positions in an image: float16 tells apart half a pixel at 1000
        'AffineGrid', 'GridSample', 'NonMaxSuppression', 'RoiAlign', 'MaxRoiPool',
        # ties and order
        'ArgMax', 'ArgMin', 'TopK',
        # no float16 in the operator's definition, or in most implementations
        'Bernoulli', 'EyeLike', 'Multinomial', 'RandomNormal', 'RandomNormalLike', 'RandomUniform',
        'RandomUniformLike', 'Range', 'Upsample',
    }
)  # fmt: skip
"""Operators that stay in float32 by default."""
_HALF_QDQ_OPSET = 19  # before, scales are float32
_SHAPE_OPS = ('Shape', 'Size')


def float_nodes(model: Any, keep: Collection[str]) -> frozenset[str]:
    """Names of the nodes that stay in float32: those of `keep` (operators or node names), and

    - the decoding after the last layers with weights, whose boxes are pixels;
    - what does not depend on the image, such as the sizes of a Resize: it is computed once, and exactly;
    - nodes with subgraphs, and nodes of domains other than ONNX's own;
    - layers on int8 values, where the opset has no float16 scales.
    """
    graph = model.graph
    kept = set(tail_nodes(graph)) | _without_image(graph)
    for node in graph.node:
        foreign = node.domain not in ('', 'ai.onnx')
        if node.op_type in keep or node.name in keep or foreign or any(True for _ in inner_graphs(node)):
            kept.add(node.name)
    if opset_of(model) < _HALF_QDQ_OPSET:
        kept.update(node.name for node in graph.node if node.op_type in QDQ_OPS)
        kept.update(quantized_layers(graph))
    return frozenset(kept)


def resolve_keep(graph: Any, names: Iterable[str]) -> frozenset[str]:
    """Operators and node names of the graph that match `names`; a name with `*` means all matching nodes.

    Raises:
        ConfigError: a name that is neither an operator nor a node of the graph.
    """
    ops = {node.op_type for node in graph.node}
    nodes = {node.name for node in graph.node}
    found: set[str] = set()
    for name in names:
        meant = {node for node in nodes if fnmatchcase(node, name)} if '*' in name else {name} & (ops | nodes)
        if not meant:
            close = difflib.get_close_matches(name, sorted(ops | nodes), n=1, cutoff=0.6)
            hint = f'did you mean {close[0]!r}? ' if close else ''
            raise ConfigError(
                f'--keep: the model has no operator or node {name!r}; {hint}its operators are: {", ".join(sorted(ops))}'
            )
        found |= meant
    return frozenset(found)


def _without_image(graph: Any) -> set[str]:
    """Nodes that depend on graph inputs only through their shapes."""
    reached = {item.name for item in graph.input}
    apart = set()
    for node in graph.node:
        if node.op_type not in _SHAPE_OPS and reached.intersection(used_names(node)):
            reached.update(node.output)
        else:
            apart.add(node.name)
    return apart
