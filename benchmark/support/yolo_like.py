# SPDX-License-Identifier: Apache-2.0
"""A detector of the size of YOLOv8n, made here: for timing, where no real one may be shipped.

3.1 million parameters and 8.7 GFLOP at 640x640: a backbone of split-and-concatenate blocks (widths 16 to 256), pyramid
pooling, a top-down and bottom-up neck, a decoupled head over strides 8, 16 and 32 with distributed box sides, and the
exported layout (N, 84, 8400): boxes in pixels, class scores. Weights are seeded noise, so what it finds means nothing,
but it takes the time that a trained one takes, and finds about as many boxes in a photo: five on average.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

SIDE, CLASSES, BINS = 640, 80, 16
STRIDES = (8, 16, 32)
OPSET = 13
_LOGIT_MEAN, _LOGIT_SPREAD = -6.4, 1.3  # of the class logits on noise


class _Network:
    """Collects nodes and weights; every method adds something and returns the name of its output."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.channels: dict[str, int] = {}
        self.logits: list[str] = []

    def add(self, kind: str, inputs: list[str], **attributes: object) -> str:
        name = f'{kind.lower()}_{len(self.nodes)}'
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, array: np.ndarray) -> str:
        name = f'weight_{len(self.weights)}'
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def convolve(self, x: str, width: int, size: int = 1, stride: int = 1, gain: float = 2.8) -> str:
        """A plain convolution, without activation."""
        fan_in = self.channels[x] * size * size
        weight = self._random.normal(0.0, np.sqrt(gain / fan_in), (width, self.channels[x], size, size))
        inputs = [x, self.constant(weight.astype(np.float32)), self.constant(np.zeros(width, np.float32))]
        pads = [size // 2] * 4
        y = self.add('Conv', inputs, kernel_shape=[size, size], strides=[stride] * 2, pads=pads)
        self.channels[y] = width
        return y

    def unit(self, x: str, width: int, size: int = 1, stride: int = 1) -> str:
        """Convolution and SiLU."""
        y = self.convolve(x, width, size, stride)
        return self._named(self.add('Mul', [y, self.add('Sigmoid', [y])]), width)

    def block(self, x: str, width: int, depth: int, *, residual: bool) -> str:
        """Splits in two, sends one half through `depth` bottlenecks and concatenates every step."""
        half = width // 2
        both = self.unit(x, width)
        sizes = self.constant(np.array([half, half], np.int64))
        left, right = f'{both}_left', f'{both}_right'
        self.nodes.append(helper.make_node('Split', [both, sizes], [left, right], name=f'{both}_split', axis=1))
        steps = [self._named(left, half), self._named(right, half)]
        for _ in range(depth):
            y = self.unit(self.unit(steps[-1], half, 3), half, 3)
            steps.append(self._named(self.add('Add', [steps[-1], y]), half) if residual else y)
        return self.unit(self.join(*steps), width)

    def join(self, *parts: str) -> str:
        return self._named(self.add('Concat', list(parts), axis=1), sum(self.channels[part] for part in parts))

    def pool(self, x: str) -> str:
        """Three max poolings in a row, all concatenated."""
        width = self.channels[x]
        parts = [self.unit(x, width // 2)]
        for _ in range(3):
            pooled = self.add('MaxPool', [parts[-1]], kernel_shape=[5, 5], strides=[1, 1], pads=[2] * 4)
            parts.append(self._named(pooled, width // 2))
        return self.unit(self.join(*parts), width)

    def enlarge(self, x: str) -> str:
        scales = self.constant(np.array([1, 1, 2, 2], np.float32))
        y = self.add('Resize', [x, '', scales], mode='nearest', coordinate_transformation_mode='asymmetric')
        return self._named(y, self.channels[x])

    def reshape(self, x: str, *shape: int) -> str:
        return self.add('Reshape', [x, self.constant(np.array(shape, np.int64))])

    def _named(self, name: str, width: int) -> str:
        self.channels[name] = width
        return name


def make_model(path: Path, *, batch: int | None = 1, seed: int = 7) -> Path:
    """Writes the model; `batch` None leaves the batch open. Returns `path`."""
    net = _Network(seed)
    net.channels['images'] = 3
    boxes, scores = _head(net, _neck(net, *_backbone(net)))
    net.nodes.append(helper.make_node('Concat', [boxes, scores], ['output0'], name='output', axis=1))
    size = 'batch' if batch is None else batch
    anchors = sum((SIDE // stride) ** 2 for stride in STRIDES)
    graph = helper.make_graph(
        net.nodes,
        'yolo_like',
        [helper.make_tensor_value_info('images', TensorProto.FLOAT, [size, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info('output0', TensorProto.FLOAT, [size, 4 + CLASSES, anchors])],
        net.weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', OPSET)], ir_version=8)
    card = {'decoder': 'yolov8', 'labels': [f'class {index}' for index in range(CLASSES)]}
    helper.set_model_props(model, {'isaac_inference.card': json.dumps(card)})
    _spread_scores(model, net.logits)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def _spread_scores(model: onnx.ModelProto, logits: list[str]) -> None:
    """Scales and shifts the last class convolutions so that their logits have the wanted mean and spread on noise."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in logits)
    noise = np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32)
    found = ort.InferenceSession(probe.SerializeToString()).run(logits, {'images': noise})
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    inputs = {node.output[0]: node.input for node in model.graph.node}
    for name, values in zip(logits, found, strict=True):
        _, weight, bias = inputs[name]
        scale = _LOGIT_SPREAD / values.std()
        old = numpy_helper.to_array(weights[weight])
        weights[weight].CopyFrom(numpy_helper.from_array((old * scale).astype(np.float32), weight))
        shift = np.full(CLASSES, _LOGIT_MEAN - values.mean() * scale, np.float32)
        weights[bias].CopyFrom(numpy_helper.from_array(shift, bias))


def _backbone(net: _Network) -> tuple[str, str, str]:
    x = net.unit(net.unit('images', 16, 3, 2), 32, 3, 2)
    x = net.block(x, 32, 1, residual=True)
    levels = []
    for width, depth in ((64, 2), (128, 2), (256, 1)):
        x = net.block(net.unit(x, width, 3, 2), width, depth, residual=True)
        levels.append(x)
    return levels[0], levels[1], net.pool(levels[2])


def _neck(net: _Network, fine: str, middle: str, coarse: str) -> list[str]:
    down = net.block(net.join(net.enlarge(coarse), middle), 128, 1, residual=False)
    first = net.block(net.join(net.enlarge(down), fine), 64, 1, residual=False)
    second = net.block(net.join(net.unit(first, 64, 3, 2), down), 128, 1, residual=False)
    third = net.block(net.join(net.unit(second, 128, 3, 2), coarse), 256, 1, residual=False)
    return [first, second, third]


def _head(net: _Network, levels: list[str]) -> tuple[str, str]:
    """(boxes, scores), (N, 4, 8400) and (N, 80, 8400)."""
    sides, classes = [], []
    for level in levels:
        box = net.convolve(net.unit(net.unit(level, 64, 3), 64, 3), 4 * BINS)
        logits = net.convolve(net.unit(net.unit(level, CLASSES, 3), CLASSES, 3), CLASSES)
        net.logits.append(logits)
        sides.append(net.reshape(box, 0, 4 * BINS, -1))
        classes.append(net.reshape(logits, 0, CLASSES, -1))
    scores = net.add('Sigmoid', [net.add('Concat', classes, axis=2)])
    bins = net.reshape(net.add('Concat', sides, axis=2), 0, 4, BINS, -1)
    share = net.add('Softmax', [bins], axis=2)
    steps = net.constant(np.arange(BINS, dtype=np.float32)[None, None, :, None])
    distance = net.add('ReduceSum', [net.add('Mul', [share, steps]), net.constant(np.array([2], np.int64))], keepdims=0)
    return _boxes(net, distance), scores


def _boxes(net: _Network, distance: str) -> str:
    """Distances to the four sides, in cells, to (x, y, w, h) in pixels."""
    centres, strides = [], []
    for stride in STRIDES:
        count = SIDE // stride
        rows, columns = np.meshgrid(np.arange(count), np.arange(count), indexing='ij')
        centres.append(np.stack((columns.ravel() + 0.5, rows.ravel() + 0.5)))
        strides.append(np.full(count * count, stride))
    centre = net.constant(np.concatenate(centres, axis=1)[None].astype(np.float32))
    stride_px = net.constant(np.concatenate(strides)[None, None].astype(np.float32))
    halves = net.constant(np.array([2, 2], np.int64))
    net.nodes.append(helper.make_node('Split', [distance, halves], ['low', 'high'], name='sides', axis=1))
    low, high = net.add('Sub', [centre, 'low']), net.add('Add', [centre, 'high'])
    middle = net.add('Mul', [net.add('Add', [low, high]), net.constant(np.array([0.5], np.float32))])
    size = net.add('Sub', [high, low])
    return net.add('Mul', [net.add('Concat', [middle, size], axis=1), stride_px])
