# SPDX-License-Identifier: Apache-2.0
"""A tiny segmentation model that tells colours apart, and its card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from isaac_inference.models import ModelCard
from support.cards import known_to_nodes
from support.segmentation.cards import segmentation_card

LABELS = ['dark', 'red', 'green', 'blue']
SURE = 8.0  # logit of a fully coloured pixel


def write_color_classes(path: Path, wh: tuple[int, int] = (64, 64), stride: int = 1) -> ModelCard:
    """A model for RGB images in 0..1, NCHW, with one score for each of `LABELS`, and its card, which nodes find.

    A colour's logit is 8 times the channel; that of 'dark' is 4 everywhere.

    Args:
        stride: px of the input that become one cell of the output.
    """
    weight = np.zeros((4, 3, 1, 1), np.float32)
    weight[1, 0] = weight[2, 1] = weight[3, 2] = SURE
    constants = [
        numpy_helper.from_array(weight, 'weight'),
        numpy_helper.from_array(np.array([SURE / 2, 0, 0, 0], np.float32), 'bias'),
    ]
    nodes = [helper.make_node('Conv', ['images', 'weight', 'bias'], ['scores'], strides=[stride, stride])]
    width, height = wh
    graph = helper.make_graph(
        nodes,
        'color_classes',
        [helper.make_tensor_value_info('images', TensorProto.FLOAT, [1, 3, height, width])],
        [helper.make_tensor_value_info('scores', TensorProto.FLOAT, [1, 4, height // stride, width // stride])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return known_to_nodes(segmentation_card(path, LABELS))


def colored(ids: np.ndarray, scale: int = 1) -> np.ndarray:
    """A BGR picture, (H, W, 3) uint8, in which the model sees these classes; each becomes `scale` squared pixels."""
    palette = np.array([(0, 0, 0), (0, 0, 255), (0, 255, 0), (255, 0, 0)], np.uint8)
    return np.ascontiguousarray(palette[ids].repeat(scale, axis=0).repeat(scale, axis=1))


def write_class_colors(path: Path, labels: Sequence[str], wh: tuple[int, int]) -> Path:
    """The same kind of model for any class names, with its card beside it: the second class is what is red, the third
    green, the fourth blue, the first all else, and there is none of the others.
    """
    weight = np.zeros((len(labels), 3, 1, 1), np.float32)
    weight[1, 0] = weight[2, 1] = weight[3, 2] = SURE
    bias = np.full(len(labels), -SURE, np.float32)
    bias[:4] = (SURE / 2, 0, 0, 0)
    shapes = [[1, channels, wh[1], wh[0]] for channels in (3, len(labels))]
    graph = helper.make_graph(
        [helper.make_node('Conv', ['images', 'weight', 'bias'], ['scores'])],
        'class_colors',
        [helper.make_tensor_value_info('images', TensorProto.FLOAT, shapes[0])],
        [helper.make_tensor_value_info('scores', TensorProto.FLOAT, shapes[1])],
        [numpy_helper.from_array(weight, 'weight'), numpy_helper.from_array(bias, 'bias')],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8), str(path))
    card = f'task: semantic_segmentation\nlabels: [{", ".join(labels)}]\npreprocess: {{convention: unit}}\n'
    path.with_suffix('.yaml').write_text(card, encoding='utf-8')
    return path
