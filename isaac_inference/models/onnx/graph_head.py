# SPDX-License-Identifier: Apache-2.0
"""What an ONNX graph does with its image before the first layer: one that normalises must not be normalised twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

_THROUGH = frozenset({'Cast', 'Identity', 'Transpose', 'Pad', 'Squeeze', 'Unsqueeze', 'Resize'})
_AFFINE = frozenset({'Add', 'Div', 'Mul', 'Sub'})
_ASIDE = frozenset({'Shape', 'ReduceMean'})  # they look at the image without changing it
_MOST_STEPS = 24
_BYTE_SCALE = 20.0  # a graph whose values would be this large from 0..255 expects 0..1


@dataclass(frozen=True)
class ImageEntry:
    """What the graph does with the image itself.

    Attributes:
        scale, offset: per channel, `x * scale + offset`; all 1 and 0 where it does nothing.
        swaps_channels: it reverses the order of the channels.
    """

    scale: tuple[float, ...] = (1.0, 1.0, 1.0)
    offset: tuple[float, ...] = (0.0, 0.0, 0.0)
    swaps_channels: bool = False

    @property
    def normalizes(self) -> bool:
        """True when the graph scales or shifts the image."""
        return self.scale != (1.0, 1.0, 1.0) or self.offset != (0.0, 0.0, 0.0)

    @property
    def unit(self) -> float | None:
        """The factor on 0..255 that the graph expects before its own normalisation: 1 where what it makes of 0..255 is
        of the size that networks take, 1 / 255 where it stretches 0..1; None where it does neither, so that nothing
        follows from it.
        """
        pairs = list(zip(self.scale, self.offset, strict=True))
        if not self.normalizes:
            return None
        if max(abs(255 * scale + offset) for scale, offset in pairs) < _BYTE_SCALE:
            return 1.0
        return 1 / 255 if min(abs(scale) for scale, _ in pairs) >= 1.0 else None

    def describe(self) -> str:
        """For people: `(x - [123.7, 116.3, 103.5]) / [58.4, 57.1, 57.4]`, or `x / 255`."""
        if 0.0 in self.scale:
            return 'an unusual function of the image'
        std = [1 / item for item in self.scale]
        mean = [-shift * item for shift, item in zip(self.offset, std, strict=True)]
        image = 'x' if not any(self.offset) else f'(x - {_numbers(mean)})'
        return image if self.scale == (1.0, 1.0, 1.0) else f'{image} / {_numbers(std)}'


def image_entry(graph: Any, name: str) -> ImageEntry:
    """What an `onnx.GraphProto` does with the input `name` before its first layer."""
    constants = _small_constants(graph)
    consumers: dict[str, list[Any]] = {}
    for node in graph.node:
        for item in node.input:
            consumers.setdefault(item, []).append(node)
    scale, offset, swaps = np.ones(3), np.zeros(3), False
    for _ in range(_MOST_STEPS):
        nodes = [node for node in consumers.get(name, []) if node.op_type not in _ASIDE]
        if len(nodes) != 1:
            break
        node = nodes[0]
        if node.op_type in _AFFINE:
            step = _affine(node, name, constants)
            if step is None:
                break
            scale, offset = scale * step[0], offset * step[0] + step[1]
        elif _reverses(node, constants):
            swaps = not swaps
        elif node.op_type not in _THROUGH:
            break
        name = node.output[0]
    return ImageEntry(tuple(scale.tolist()), tuple(offset.tolist()), swaps)


def _small_constants(graph: Any) -> dict[str, np.ndarray]:
    """Constants of a few numbers that the file holds itself, by name."""
    from onnx import TensorProto, numpy_helper

    tensors = {item.name: item for item in graph.initializer}
    for node in graph.node:
        if node.op_type == 'Constant':
            tensors.update((node.output[0], item.t) for item in node.attribute if item.name == 'value')
    found = {}
    for name, tensor in tensors.items():
        if np.prod(tensor.dims, dtype=np.int64) <= 16 and tensor.data_location != TensorProto.EXTERNAL:
            found[name] = numpy_helper.to_array(tensor)
    return found


def _affine(node: Any, image: str, constants: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
    """(scale, offset), (3,) each, of one arithmetic node on the image; None if it is not one by constants."""
    other = next((item for item in node.input if item != image), None)
    if other not in constants or node.input[0] != image and node.op_type in ('Div', 'Sub'):
        return None
    values = np.asarray(constants[other], np.float64).reshape(-1)
    if values.size not in (1, 3):
        return None
    values = np.broadcast_to(values, 3)
    if node.op_type == 'Mul':
        return values, np.zeros(3)
    if node.op_type == 'Div':
        return (1 / values, np.zeros(3)) if values.all() else None
    return np.ones(3), values if node.op_type == 'Add' else -values


def _reverses(node: Any, constants: dict[str, np.ndarray]) -> bool:
    """True for a Gather of 2, 1, 0 or a Slice with step -1: the channels in reverse."""
    if node.op_type == 'Gather' and len(node.input) > 1:
        return np.array_equal(np.ravel(constants.get(node.input[1], ())), (2, 1, 0))
    if node.op_type == 'Slice' and len(node.input) > 4:
        return np.array_equal(np.ravel(constants.get(node.input[4], ())), (-1,))
    return False


def _numbers(values: list[float]) -> str:
    shown = [f'{value:.4g}' for value in values]
    return shown[0] if len(set(shown)) == 1 else f'[{", ".join(shown)}]'
