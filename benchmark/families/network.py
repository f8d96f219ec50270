# SPDX-License-Identifier: Apache-2.0
"""Writes an ONNX file operator by operator: a few strided convolutions, and whatever tail an exporter makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_CHANNELS = 8
_DTYPES = {'float32': TensorProto.FLOAT, 'int32': TensorProto.INT32, 'int64': TensorProto.INT64}
_DTYPES |= {'uint8': TensorProto.UINT8, 'float16': TensorProto.FLOAT16}
Axis = int | str


class Network:
    """A graph in the making.

    Args:
        seed: of the random weights.
        style: 'torch' names tensors like torch's exporter (/model/Conv_output_0), 'plain' numbers them.
    """

    def __init__(self, seed: int = 0, style: str = 'torch') -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self._style = style
        self._counts: dict[str, int] = {}

    def input(self, name: str, shape: Sequence[Axis], dtype: str = 'float32') -> str:
        """A graph input; a text in the shape names a dynamic axis."""
        self.inputs.append(helper.make_tensor_value_info(name, _DTYPES[dtype], list(shape)))
        return name

    def output(self, name: str, shape: Sequence[Axis], dtype: str = 'float32') -> str:
        """A graph output; a node must write a tensor of this name."""
        self.outputs.append(helper.make_tensor_value_info(name, _DTYPES[dtype], list(shape)))
        return name

    def constant(self, values: Any, dtype: str = 'float32') -> str:
        """An initializer's name."""
        name = self._name('constant')
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def op(self, kind: str, *inputs: str, name: str = '', **attributes: Any) -> str:
        """One operator with one output, which is called `name` if given."""
        return self.ops(kind, inputs, [name or self._name(kind)], **attributes)[0]

    def ops(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> list[str]:
        """One operator with several outputs of these names."""
        label = f'{kind}_{len(self.nodes)}'
        self.nodes.append(helper.make_node(kind, list(inputs), list(outputs), name=label, **attributes))
        return list(outputs)

    def split(self, tensor: str, sizes: Sequence[int], axis: int) -> list[str]:
        """Parts of a tensor."""
        names = [self._name('Split') for _ in sizes]
        return self.ops('Split', [tensor, self.constant(sizes, 'int64')], names, axis=axis)

    def cut(self, tensor: str, begin: int, end: int, axis: int) -> str:
        """The entries `begin` to before `end` of an axis, as Slice writes it."""
        bounds = [self.constant([value], 'int64') for value in (begin, end, axis)]
        return self.op('Slice', tensor, *bounds)

    def reshape(self, tensor: str, shape: Sequence[int], name: str = '') -> str:
        """Reshape to constants; 0 keeps an axis, -1 fills."""
        return self.op('Reshape', tensor, self.constant(shape, 'int64'), name=name)

    def transpose(self, tensor: str, order: Sequence[int], name: str = '') -> str:
        """Axes in another order."""
        return self.op('Transpose', tensor, name=name, perm=list(order))

    def concat(self, tensors: Sequence[str], axis: int, name: str = '') -> str:
        """Tensors side by side."""
        return self.op('Concat', *tensors, name=name, axis=axis)

    def conv(
        self, tensor: str, into: int, out: int, size: int = 1, stride: int = 1, bias: float = 0.0, spread: float = 1.0
    ) -> str:
        """A convolution whose outputs differ per place and channel, around `bias`."""
        weight = self.random.normal(0, 1.6 * spread / np.sqrt(into * size * size), (out, into, size, size))
        weight, shift = self.constant(weight), self.constant(self.random.normal(bias, spread, out))
        return self.op(
            'Conv', tensor, weight, shift, kernel_shape=[size] * 2, strides=[stride] * 2, pads=[size // 2] * 4
        )

    def features(self, image: str, strides: Sequence[int], scale: float = 1.0) -> list[str]:
        """Feature maps of 8 channels at these strides. `scale` brings pixels to about 0..1."""
        if scale != 1.0:
            image = self.op('Mul', image, self.constant(scale))
        tensor, found, stride, into = image, [], 1, 3
        while stride < max(strides):
            tensor = self.op('Relu', self.conv(tensor, into, _CHANNELS, 3, 2))
            into, stride = _CHANNELS, stride * 2
            if stride in strides:
                found.append(tensor)
        return found

    def head(self, feature: str, channels: int, bias: float = 0.0, name: str = '', spread: float = 1.0) -> str:
        """A 1 x 1 convolution on a feature map."""
        made = self.conv(feature, _CHANNELS, channels, bias=bias, spread=spread)
        if name:
            self.nodes[-1].output[0] = name
        return name or made

    def save(
        self,
        path: Path,
        producer: tuple[str, str] = ('pytorch', '1.13.1'),
        opset: int = 13,
        metadata: Mapping[str, str] | None = None,
        graph_name: str = 'main_graph',
    ) -> Path:
        """Check and write the file."""
        graph = helper.make_graph(self.nodes, graph_name, self.inputs, self.outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset)], ir_version=8)
        model.producer_name, model.producer_version = producer
        helper.set_model_props(model, dict(metadata or {}))
        onnx.checker.check_model(model, full_check=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, path)
        return path

    def _name(self, kind: str) -> str:
        index = self._counts[kind] = self._counts.get(kind, -1) + 1
        if self._style == 'torch':
            return f'/{kind}{f"_{index}" if index else ""}_output_0'
        return f'{kind.lower()}_{index}.tmp_0'


def level_sizes(input_wh: tuple[int, int], strides: Sequence[int]) -> list[tuple[int, int]]:
    """(width, height) in cells of every stride."""
    width, height = input_wh
    return [(-(-width // stride), -(-height // stride)) for stride in strides]


def cell_total(input_wh: tuple[int, int], strides: Sequence[int]) -> int:
    """Cells of all strides."""
    return sum(width * height for width, height in level_sizes(input_wh, strides))
