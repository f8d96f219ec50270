# SPDX-License-Identifier: Apache-2.0
"""What an ONNX graph does with its image before the first layer: one that normalises must not be normalised twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from isaac_inference.models.onnx.graph_constants import constant_tensors

_THROUGH = frozenset({'Cast', 'Identity', 'Transpose', 'Pad', 'Squeeze', 'Unsqueeze', 'Resize'})
_AFFINE = frozenset({'Add', 'Div', 'Mul', 'Sub'})
_ASIDE = frozenset({'Shape', 'ReduceMean'})  # they look at the image without changing it
_MOST_STEPS = 24
_PIXEL_STD = 58.0  # of 0..255, over ImageNet
_PIXELS_ALIKE, _CHANNELS_ALIKE = 10.0, 0.93  # px over which correlation falls to 1 / e; between two channels
_BYTES_BELOW, _BYTES_ABOVE = 2.5, 50.0  # measured: 0.6 to 1.2 for networks on 0..255, 60 to 1000 for others
_BYTE_SCALE = 20.0  # a graph whose values would be this large from 0..255 expects 0..1


@dataclass(frozen=True)
class ImageEntry:
    """What the graph does with the image itself.

    Attributes:
        scale, offset: per channel, `x * scale + offset`; all 1 and 0 where it does nothing.
        swaps_channels: it reverses the order of the channels.
        response: how much the first convolution's answer to raw 0..255 of ordinary pictures varies, the median of its
            filters' standard deviations after what the graph does itself; None where its weights are not at hand.
    """

    scale: tuple[float, ...] = (1.0, 1.0, 1.0)
    offset: tuple[float, ...] = (0.0, 0.0, 0.0)
    swaps_channels: bool = False
    response: float | None = None

    @property
    def takes_bytes(self) -> bool | None:
        """Whether the network was trained on raw 0..255, by its first convolution: trained networks answer what they
        are made for with numbers around 1, so that weights for 0..255 are some hundred times smaller. None where the
        answer is in between, as with weights that were not trained.
        """
        if self.response is None or _BYTES_BELOW <= self.response <= _BYTES_ABOVE:
            return None
        return self.response < _BYTES_BELOW

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
    tensors = constant_tensors(graph)
    constants = _small_constants(tensors)
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
    weights = _first_weights(tensors, name, consumers)
    response = None if weights is None else _response(weights, scale)
    return ImageEntry(tuple(scale.tolist()), tuple(offset.tolist()), swaps, response)


def _first_weights(tensors: Mapping[str, Any], name: str, consumers: Mapping[str, list[Any]]) -> np.ndarray | None:
    """The weights (filters, 3, rows, columns) of the first convolution behind a value; None where they are not in the
    file itself. YOLOX and YOLOv5 fold a 2 x 2 neighbourhood into 12 channels first; these are added up.
    """
    from onnx import TensorProto, numpy_helper

    todo, seen = [name], 0
    while todo and seen < _MOST_STEPS:
        seen += 1
        for node in consumers.get(todo.pop(0), []):
            if node.op_type == 'Conv':
                tensor = tensors.get(node.input[1])
                if tensor is None or tensor.data_location == TensorProto.EXTERNAL or len(tensor.dims) != 4:
                    return None
                found = numpy_helper.to_array(tensor).astype(np.float64)
                if found.shape[1] == 12:
                    return found.reshape(len(found), 4, 3, *found.shape[2:]).sum(axis=1)
                return found if found.shape[1] == 3 else None
            if node.op_type in _THROUGH or node.op_type in ('Slice', 'Concat'):
                todo.append(node.output[0])
    return None


def _response(weights: np.ndarray, scale: np.ndarray) -> float:
    """The median over the filters of their answers' standard deviation to pictures of 0..255.

    Neighbouring pixels and channels of pictures are alike: their correlation is modelled as falling exponentially with
    the distance.
    """
    filters, channels, rows, columns = weights.shape
    channel, y, x = (index.ravel() for index in np.indices((channels, rows, columns)))
    distance = np.hypot(y[:, None] - y, x[:, None] - x)
    alike = np.exp(-distance / _PIXELS_ALIKE) * np.where(channel[:, None] == channel, 1.0, _CHANNELS_ALIKE)
    gains = weights.reshape(filters, -1) * (scale[channel] * _PIXEL_STD)
    variances = np.einsum('fi,ij,fj->f', gains, alike, gains)
    used = variances[variances > 1e-12]
    return float(np.sqrt(np.median(used))) if len(used) else 0.0


def _small_constants(tensors: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Constants of a few numbers that the file holds itself, by name."""
    from onnx import TensorProto, numpy_helper

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
    given = np.asarray(constants[other], np.float64).reshape(-1)
    if given.size not in (1, 3):
        return None
    values = np.broadcast_to(given, 3)
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
