# SPDX-License-Identifier: Apache-2.0
"""Depth networks for tests: a tiny one whose depth is the brightness of the picture, a real one, and their cards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from isaac_inference.models import ImageInput, ModelCard, PreprocessSpec
from isaac_inference.models.card.tasks import DepthKind, MonoDepthSpec
from isaac_inference.models.onnx.reader import read_model_file
from isaac_inference.ops.image.options import TensorLayout
from support.paths import DATA

TCMONODEPTH = DATA / 'models' / 'tcmonodepth_small_192x320.onnx'


def write_brightness(path: Path, wh: tuple[int, int] = (64, 48), stride: int = 1) -> Path:
    """A model for RGB images in 0..1, NCHW: the mean of the channels, (1, 1, H / stride, W / stride)."""
    width, height = wh
    nodes = [helper.make_node('ReduceMean', ['images'], ['mean'], axes=[1], keepdims=1)]
    nodes.append(helper.make_node('AveragePool', ['mean'], ['depth'], kernel_shape=[stride] * 2, strides=[stride] * 2))
    graph = helper.make_graph(
        nodes,
        'brightness',
        [helper.make_tensor_value_info('images', TensorProto.FLOAT, [1, 3, height, width])],
        [helper.make_tensor_value_info('depth', TensorProto.FLOAT, [1, 1, height // stride, width // stride])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def depth_card(
    path: Path,
    kind: DepthKind = DepthKind.INVERSE,
    rule: tuple[float | None, float | None] = (None, None),
    **preprocess: Any,
) -> ModelCard:
    """The card of a model with one NCHW image input, its first output being depth.

    Args:
        rule: scale and shift of the numbers.
        preprocess: of `PreprocessSpec`, whose scale is another one.
    """
    file = read_model_file(path)
    tensor = file.inputs[0]
    image = ImageInput(tensor, TensorLayout.NCHW, (tensor.shape[3], tensor.shape[2]), PreprocessSpec(**preprocess))
    spec = MonoDepthSpec({'depth': file.outputs[0].name}, kind, *rule)
    return ModelCard(path.stem, path, file.sha256, (image,), file.outputs, spec)
