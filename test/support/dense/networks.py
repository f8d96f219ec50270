# SPDX-License-Identifier: Apache-2.0
"""Tiny networks for stereo and for completion, whose answers are known exactly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CARD_KEY = 'isaac_inference.card'
PREPARED = 'preprocess: {color: rgb, scale: 1/255, mean: [0, 0, 0], std: [1, 1, 1], fit: letterbox, pad_value: 0}'
_F = TensorProto.FLOAT


def write_filler(
    path: Path,
    wh: tuple[int, int] | None = (64, 48),
    *,
    fill: float = 2.0,
    confidence: bool = False,
    card: str = '',
) -> Path:
    """A completion network: depth where there is a reading, else `fill`.

    Args:
        wh: of its input in px; None leaves the size open.
        fill: in the network's own unit.
        confidence: whether it says how sure it is: the brightness of the image.
        card: further lines of the card in the file.
    """
    size: list[Any] = ['height', 'width'] if wh is None else [wh[1], wh[0]]
    nodes = [
        helper.make_node('Greater', ['depth', 'zero'], ['there']),
        helper.make_node('ReduceMean', ['image'], ['grey'], axes=[1], keepdims=1),
        helper.make_node('Mul', ['grey', 'zero'], ['nothing']),
        helper.make_node('Add', ['nothing', 'fill'], ['filled']),
        helper.make_node('Where', ['there', 'depth', 'filled'], ['dense_depth']),
    ]
    outputs = ['dense_depth']
    if confidence:
        nodes.append(helper.make_node('Identity', ['grey'], ['confidence']))
        outputs.append('confidence')
    return _write(
        path,
        nodes,
        {'image': [1, 3, *size], 'depth': [1, 1, *size]},
        {name: [1, 1, *size] for name in outputs},
        {'zero': np.float32(0), 'fill': np.float32(fill)},
        f'task: depth_completion\n{PREPARED}\n{card or "depth: {unit: m}"}\n',
    )


def write_matcher(
    path: Path,
    wh: tuple[int, int] = (96, 64),
    count: int = 12,
    *,
    scale: float = 1.0,
    six: bool = False,
    confidence: bool = False,
    card: str = '',
) -> Path:
    """A stereo network: costs of `count` whole shifts of the right image, summed over 5 x 5 px, and their soft argmin.

    It is so sharp that a shift by whole px of its input is found to within 1e-3 px.

    Args:
        wh: of its input in px.
        scale: what disparities are divided by.
        six: both images are one input of six channels.
        confidence: whether it says how sure it is: the brightness of the left image.
        card: further lines of the card in the file.
    """
    width, height = wh
    shape = [1, 3, height, width]
    nodes, constants = [], {'sharp': np.float32(-3e3), 'shifts': np.arange(count, dtype=np.float32) / np.float32(scale)}
    constants['shifts'] = constants['shifts'].reshape(1, count, 1, 1)
    if six:
        nodes.append(helper.make_node('Split', ['pair'], ['left', 'right'], axis=1))
    for shift in range(count):
        constants |= {
            f'pad{shift}': np.int64([0, 0, 0, shift, 0, 0, 0, 0]),
            f'ends{shift}': np.int64([width]),
        }
        nodes += [
            helper.make_node('Pad', ['right', f'pad{shift}'], [f'padded{shift}'], mode='edge'),
            helper.make_node('Slice', [f'padded{shift}', 'begin', f'ends{shift}', 'axis'], [f'moved{shift}']),
            helper.make_node('Sub', ['left', f'moved{shift}'], [f'off{shift}']),
            helper.make_node('Abs', [f'off{shift}'], [f'cost{shift}']),
            helper.make_node('ReduceMean', [f'cost{shift}'], [f'mean{shift}'], axes=[1], keepdims=1),
        ]
    constants |= {'begin': np.int64([0]), 'axis': np.int64([3])}
    nodes += [
        helper.make_node('Concat', [f'mean{shift}' for shift in range(count)], ['costs'], axis=1),
        helper.make_node('AveragePool', ['costs'], ['smooth'], kernel_shape=[5, 5], pads=[2, 2, 2, 2]),
        helper.make_node('Mul', ['smooth', 'sharp'], ['scores']),
        helper.make_node('Softmax', ['scores'], ['shares'], axis=1),
        helper.make_node('Mul', ['shares', 'shifts'], ['weighted']),
        helper.make_node('ReduceSum', ['weighted', 'channels'], ['disparity'], keepdims=1),
    ]
    constants['channels'] = np.int64([1])
    outputs = ['disparity']
    if confidence:
        nodes.append(helper.make_node('ReduceMean', ['left'], ['confidence'], axes=[1], keepdims=1))
        outputs.append('confidence')
    inputs = {'pair': [1, 6, height, width]} if six else {'left': shape, 'right': shape}
    return _write(
        path,
        nodes,
        inputs,
        {name: [1, 1, height, width] for name in outputs},
        constants,
        f'task: stereo_depth\n{PREPARED}\n{card or f"disparity: {{scale: {scale:g}}}"}\n',
    )


def _write(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, list[Any]],
    outputs: dict[str, list[Any]],
    constants: dict[str, Any],
    card: str,
) -> Path:
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info(name, _F, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, _F, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    helper.set_model_props(model, {CARD_KEY: card})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
