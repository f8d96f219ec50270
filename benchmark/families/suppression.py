# SPDX-License-Identifier: Apache-2.0
"""NMS inside a graph, as exporters write it with the standard operator, and in place of TensorRT's plugins."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.families.network import Network


@dataclass(frozen=True)
class Kept:
    """What NonMaxSuppression kept, in the order of the operator.

    Attributes:
        batch: [K, 1] int64.
        ids: [K, 1] int64 class.
        boxes: [K, 4].
        scores: [K, 1].
    """

    batch: str
    ids: str
    boxes: str
    scores: str


def suppress(net: Network, boxes: str, scores: str, top: int = 20, iou: float = 0.5, floor: float = 0.05) -> Kept:
    """Suppress boxes [1, N, 4] with scores [1, classes, N]; `top` boxes per class at most."""
    kept = net.op(
        'NonMaxSuppression',
        boxes,
        scores,
        net.constant([top], 'int64'),
        net.constant([iou]),
        net.constant([floor]),
    )
    batch, ids, rows = (net.op('Gather', kept, net.constant([i], 'int64'), axis=1) for i in range(3))
    flat = net.op('Squeeze', rows, net.constant([1], 'int64'))
    found = net.op('Gather', net.op('Squeeze', boxes, net.constant([0], 'int64')), flat, axis=0)
    found_scores = net.reshape(net.op('GatherND', scores, kept), [-1, 1])
    return Kept(batch, ids, found, found_scores)


@dataclass(frozen=True)
class PluginNames:
    """Output names of a TensorRT NMS plugin, with the dtypes that it writes."""

    count: str
    boxes: str
    scores: str
    ids: str
    ids_dtype: str = 'int32'
    count_shape: tuple[int, ...] = (1, 1)


EFFICIENT_NMS = PluginNames('num_detections', 'detection_boxes', 'detection_scores', 'detection_classes')
SHORT_NAMES = PluginNames('num_dets', 'det_boxes', 'det_scores', 'det_classes')


def fixed_outputs(net: Network, kept: Kept, names: PluginNames, rows: int = 100, empty_id: int = 0) -> None:
    """The plugin's four outputs from standard operators: the `rows` best, padded with 0."""
    one = net.constant([0], 'int64')
    total = net.op('Shape', kept.scores)
    total = net.op('Slice', total, one, net.constant([1], 'int64'))
    amount = net.op('Min', total, net.constant([rows], 'int64'))
    scores = net.op('Squeeze', kept.scores, net.constant([1], 'int64'))
    best, order = net.ops('TopK', [scores, amount], ['best', 'order'], axis=0)
    missing = net.op('Sub', net.constant([rows], 'int64'), amount)
    tail = net.concat([one, missing], 0)
    zero = net.constant(0.0)
    padded = net.op('Pad', best, tail, zero)
    net.reshape(padded, [1, rows], name=names.scores)
    tail2 = net.concat([one, one, missing, one], 0)
    boxes = net.op('Pad', net.op('Gather', kept.boxes, order, axis=0), tail2, zero)
    net.reshape(boxes, [1, rows, 4], name=names.boxes)
    ids = net.op('Cast', net.op('Gather', net.op('Squeeze', kept.ids, net.constant([1], 'int64')), order), to=1)
    ids = net.reshape(net.op('Pad', ids, tail, net.constant(float(empty_id))), [1, rows])
    net.op('Cast', ids, to={'int32': 6, 'int64': 7, 'float32': 1}[names.ids_dtype], name=names.ids)
    count = net.op('Cast', amount, to=6)
    net.reshape(count, list(names.count_shape), name=names.count)
    net.output(names.count, names.count_shape, 'int32')
    net.output(names.boxes, (1, rows, 4))
    net.output(names.scores, (1, rows))
    net.output(names.ids, (1, rows), names.ids_dtype)
