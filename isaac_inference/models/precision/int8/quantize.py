# SPDX-License-Identifier: Apache-2.0
"""A float32 model as int8: symmetric Q/DQ with ranges from real images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from isaac_inference.errors import ModelError
from isaac_inference.models.onnx.reader import read_model_file
from isaac_inference.models.precision.activations import Feeds
from isaac_inference.models.precision.float_regions import resolve_keep
from isaac_inference.models.precision.graph import load_graph, raise_opset, refuse_overwriting, save_graph
from isaac_inference.models.precision.int8.calibrate import tensor_ranges
from isaac_inference.models.precision.int8.calibration_cache import CalibrationCache, CalibrationKey
from isaac_inference.models.precision.int8.thresholds import PERCENTILE, check_method
from isaac_inference.models.precision.layers import Layer, weighted_layers
from isaac_inference.models.precision.qdq import MIN_OPSET, QUANTIZED_OPS, insert_qdq, is_quantized
from isaac_inference.models.precision.record import PrecisionRecord, origin_sha256, read_record, write_record

DEFAULT_METHOD = 'percentile'


@dataclass(frozen=True)
class CalibrationOptions:
    """How ranges are found.

    Attributes:
        method: one of `thresholds.METHODS`.
        percentile: of the method 'percentile'.
        cache: where ranges are kept; None to keep none.
        images_sha256: digest of the feeds; '' is computed from them, in a pass of its own.
    """

    method: str = DEFAULT_METHOD
    percentile: float = PERCENTILE
    cache: CalibrationCache | None = field(default_factory=CalibrationCache)
    images_sha256: str = ''


@dataclass(frozen=True)
class QuantizeReport:
    """What quantising did.

    Attributes:
        quantized: names of the layers that compute in int8.
        kept: names of the layers with weights that stayed float32.
        images: how many images ranges came from.
        from_cache: whether the ranges came from the cache.
    """

    quantized: tuple[str, ...]
    kept: tuple[str, ...]
    images: int
    from_cache: bool


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A float32 model that is ready for Q/DQ.

    Attributes:
        source: its file.
        model: the `onnx.ModelProto`, at an opset with per-channel scales.
        layers: those that can become int8, in the order of the graph.
        ranges: first input of each layer -> the magnitude that becomes 127.
        record: the record for a converted file.
        from_cache: whether the ranges came from the cache.
    """

    source: Path
    model: Any
    layers: tuple[Layer, ...]
    ranges: Mapping[str, float]
    record: PrecisionRecord
    from_cache: bool

    def quantized(self, nodes: Collection[str]) -> Any:
        """A copy of the model in which the layers of `nodes` are int8."""
        inputs = {node.name: node.input[0] for node in self.model.graph.node}
        return insert_qdq(self.model, nodes, {inputs[name]: self.ranges[inputs[name]] for name in nodes})


def quantize(
    source: Path,
    target: Path,
    feeds: Feeds,
    *,
    options: CalibrationOptions | None = None,
    keep: Collection[str] = (),
    step: Callable[[], None] = lambda: None,
) -> QuantizeReport:
    """Write `source` with Q/DQ to `target`.

    Depthwise convolutions and the last layers stay float32: the former have too few weights per channel to gain time
    from int8 and lose the most accuracy, the latter produce the outputs.

    Args:
        source: the float32 ONNX file.
        target: where to; not `source`.
        feeds: model inputs by name, one image each; iterated several times, so not a generator.
        options: calibration.
        keep: operators or node names (with `*` for several) that stay float32 in addition.
        step: called after each image of each pass.

    Raises:
        ConfigError: an unknown name, method or percentile, or an invalid `target`.
        ModelError: `source` can't be read, has Q/DQ already, or no layers for int8; no feeds.
    """
    refuse_overwriting(Path(target), Path(source))
    ready = calibrate(Path(source), feeds, options or CalibrationOptions(), keep=keep, step=step)
    chosen = default_layers(ready.layers)
    if not chosen:
        raise ModelError(
            f'{source}: no layer for int8 is left; it has {len(ready.layers)} candidates, all of them depthwise or '
            'last; use --precision mixed, which tries depthwise ones, too, or fp16'
        )
    write_quantized(ready, Path(target), chosen, 'int8')
    everything = [layer.node for layer in weighted_layers(ready.model.graph)]
    kept = tuple(name for name in everything if name not in set(chosen))
    return QuantizeReport(tuple(chosen), kept, ready.record.calibration_images, ready.from_cache)


def default_layers(layers: Sequence[Layer]) -> list[str]:
    """The layers that `quantize` takes of those that can be int8."""
    return [layer.node for layer in layers if not layer.is_depthwise and not layer.is_last]


def calibrate(
    source: Path,
    feeds: Feeds,
    options: CalibrationOptions,
    *,
    keep: Collection[str] = (),
    step: Callable[[], None] = lambda: None,
) -> Calibrated:
    """Read `source` and find the ranges of all layers that can become int8; arguments and errors as of `quantize`."""
    check_method(options.method, options.percentile)
    file = read_model_file(source)
    model = load_graph(source)
    refuse_quantized(file.path, model.graph)
    model = raise_opset(model, MIN_OPSET, f'{source}: int8 with per-channel scales')
    kept = resolve_keep(model.graph, keep)
    _refuse_batch_norm(file.path, model.graph)
    layers = tuple(
        layer
        for layer in weighted_layers(model.graph)
        if layer.op in QUANTIZED_OPS and layer.op not in kept and layer.node not in kept
    )
    if not layers:
        raise ModelError(
            f'{source}: no layer can become int8; expected one of {", ".join(QUANTIZED_OPS)} with constant weights'
        )
    inputs = {node.name: node.input[0] for node in model.graph.node}
    names = sorted({inputs[layer.node] for layer in layers})
    images_sha256, images = feeds_digest(feeds)
    percentile = options.percentile if options.method == 'percentile' else None
    key = CalibrationKey(file.sha256, options.images_sha256 or images_sha256, options.method, percentile)
    ranges = options.cache.find(key, names) if options.cache is not None else None
    from_cache = ranges is not None
    if ranges is None:
        ranges = tensor_ranges(model, names, feeds, method=options.method, percentile=options.percentile, step=step)
        if options.cache is not None:
            options.cache.store(key, ranges)
    earlier = read_record(file.metadata, file.path.name)
    record = PrecisionRecord(
        'int8',
        origin_sha256(earlier, file.sha256),
        method=options.method,
        percentile=percentile,
        calibration_images=images,
        calibration_sha256=key.images_sha256,
        sparsity=earlier.sparsity if earlier else '',
    )
    return Calibrated(file.path, model, layers, ranges, record, from_cache)


def write_quantized(ready: Calibrated, target: Path, chosen: Collection[str], precision: str) -> None:
    """Write the model with the layers `chosen` in int8, and the record of it, to `target`."""
    model = ready.quantized(chosen)
    kept = tuple(layer.node for layer in weighted_layers(ready.model.graph) if layer.node not in set(chosen))
    write_record(model, replace(ready.record, precision=precision, kept=kept))
    save_graph(model, target, ready.source)


def feeds_digest(feeds: Feeds) -> tuple[str, int]:
    """SHA-256 over names, shapes and values of all feeds in their order, and how many there are.

    Raises:
        ModelError: there are no feeds.
    """
    digest, count = hashlib.sha256(), 0
    for feed in feeds:
        for name in sorted(feed):
            value = np.ascontiguousarray(feed[name])
            digest.update(f'{name} {value.dtype} {value.shape};'.encode())
            digest.update(value.data)
        count += 1
    if not count:
        raise ModelError('calibration: no image arrived; give at least one')
    return digest.hexdigest(), count


def refuse_quantized(path: Path, graph: Any) -> None:
    """Raise ModelError for a model that has Q/DQ already."""
    if is_quantized(graph):
        raise ModelError(
            f'{path}: already has Q/DQ, from training or an earlier conversion; use it as it is, or give the float32 '
            'model to convert'
        )


def _refuse_batch_norm(path: Path, graph: Any) -> None:
    """A batch normalisation that is not part of its convolution's weights would stay between int8 layers."""
    made = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        before = made.get(node.input[0]) if node.op_type == 'BatchNormalization' else None
        if before is not None and before.op_type in QUANTIZED_OPS:
            raise ModelError(
                f'{path}: the node {node.name} (BatchNormalization) is not folded into the convolution before it, '
                'which costs accuracy and speed in int8; export the model in evaluation mode with constant folding'
            )
