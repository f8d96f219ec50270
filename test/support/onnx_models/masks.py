# SPDX-License-Identifier: Apache-2.0
"""A tiny network whose masks are true: the pixels of a known colour in a known box.

It finds a red, a green and a blue object, each only if its colour is in the picture, always in the same box. An
object's logits are 1 in cells of its colour and -1 in others. As prototypes these maps are mixed by a matrix, and the
boxes' coefficients undo that.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from isaac_inference.models import ImageInput, ModelCard, TensorSpec
from isaac_inference.models.card.inputs import PreprocessSpec
from isaac_inference.models.card.tasks import InstanceSegmentationSpec, MaskForm, MaskSpec

WH = (96, 64)
LABELS = ('red', 'green', 'blue')
COLORS = ((230, 26, 26), (26, 230, 26), (26, 26, 230))  # RGB
BOXES = np.array([[8, 8, 40, 40], [32, 16, 64, 48], [60, 24, 92, 56]], np.float32)  # px of the input; they overlap
SCORES = np.array([0.75, 0.875, 0.5], np.float32)
STRIDES = {'prototypes': 4, 'crops': 2, 'full': 2}
KINDS = ('yolov8', 'yolov5', 'end_to_end', 'crops', 'full')
CHANNELS = 4
_MIX = np.linalg.qr(np.random.default_rng(3).normal(size=(CHANNELS, CHANNELS)))[0].astype(np.float32)
_STEEP = 8.0
_COUNT = len(LABELS)


def coefficients() -> np.ndarray:
    """(3, CHANNELS) of the three objects."""
    return _MIX[:_COUNT]


def picture(scale: int = 1) -> np.ndarray:
    """(64 * scale, 96 * scale, 3) uint8 BGR: a red cross, a green ring and a blue triangle of steps, edges at whole
    cells of 4 px of the input; the ring's colour reaches beyond its box.
    """
    image = np.full((WH[1], WH[0], 3), 120, np.uint8)
    for color, parts in zip(
        COLORS,
        (
            ((12, 20, 36, 28), (20, 12, 28, 36)),
            ((36, 20, 60, 28), (36, 28, 44, 44), (52, 28, 60, 52), (36, 40, 60, 44), (56, 16, 72, 20)),
            ((64, 48, 88, 52), (64, 40, 80, 48), (64, 32, 72, 40)),
        ),
        strict=True,
    ):
        for left, top, right, bottom in parts:
            image[top:bottom, left:right] = color[::-1]
    return image.repeat(scale, axis=0).repeat(scale, axis=1)


def true_masks(image: np.ndarray) -> list[np.ndarray]:
    """(H, W) bool of each object in a picture of `WH` times a whole number: its colour in its box."""
    scale = image.shape[1] // WH[0]
    found = []
    for color, box in zip(COLORS, (BOXES * scale).astype(int), strict=True):
        mask = np.zeros(image.shape[:2], np.bool_)
        part = slice(box[1], box[3]), slice(box[0], box[2])
        mask[part] = (image[part] == color[::-1]).all(axis=2)
        found.append(mask)
    return found


def write_mask_model(path: Path, kind: str = 'yolov8') -> ModelCard:
    """Write the network of a kind of `KINDS`, and return its card."""
    form = kind if kind in ('crops', 'full') else 'prototypes'
    nodes: list[Any] = []
    constants: list[Any] = []

    def constant(values: Any, dtype: Any = np.float32) -> str:
        constants.append(numpy_helper.from_array(np.asarray(values, dtype), f'c{len(constants)}'))
        return f'c{len(constants) - 1}'

    def node(op: str, *inputs: str, name: str = '', **attributes: Any) -> str:
        output = name or f'n{len(nodes)}'
        nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output

    stride = STRIDES[form]
    cells = node('AveragePool', 'images', kernel_shape=[stride, stride], strides=[stride, stride])
    matches = []
    for color in COLORS:
        off = node('Abs', node('Sub', cells, constant(np.reshape(color, (1, 3, 1, 1)) / np.float32(255))))
        total = node('Mul', node('ReduceSum', off, constant([1], np.int64), keepdims=1), constant(_STEEP))
        matches.append(node('Sub', constant(1.0), node('Clip', total, constant(0.0), constant(1.0))))
    maps = node('Concat', *matches, axis=1)  # (1, 3, h, w), 1 in cells of the colour, 0 in others
    seen = node('ReduceMax', maps, axes=[2, 3], keepdims=0)  # (1, 3), 1 for a colour that is there
    scores = node('Mul', seen, constant(SCORES))
    logits = node('Sub', node('Mul', maps, constant(2.0)), constant(1.0))
    rows = _COUNT + 5  # the others are empty
    shapes: dict[str, list[int]] = {}
    if form == 'prototypes':
        extra = node('ReduceMean', cells, axes=[1], keepdims=1)  # of which no mask has anything
        stack = node('Concat', logits, extra, axis=1)
        height, width = WH[1] // stride, WH[0] // stride
        flat = node('Reshape', stack, constant([1, CHANNELS, height * width], np.int64))
        mixed = node('MatMul', constant(np.linalg.inv(_MIX)), flat)
        node('Reshape', mixed, constant([1, CHANNELS, height, width], np.int64), name='prototypes')
        shapes['prototypes'] = [1, CHANNELS, height, width]
        centres = np.concatenate(((BOXES[:, :2] + BOXES[:, 2:]) / 2, BOXES[:, 2:] - BOXES[:, :2]), axis=1)
        score_column = 4 if kind != 'yolov5' else 5
        columns = {'yolov8': 4 + _COUNT, 'yolov5': 5 + _COUNT, 'end_to_end': 6}[kind] + CHANNELS
        table = np.zeros((rows, columns), np.float32)
        table[:_COUNT, :4] = BOXES if kind == 'end_to_end' else centres
        table[:_COUNT, -CHANNELS:] = coefficients()
        slope = np.zeros((1, rows, columns, _COUNT), np.float32)  # of each score
        for index in range(_COUNT):
            slope[0, index, 4 if kind == 'end_to_end' else score_column + index, index] = 1.0
        if kind == 'end_to_end':
            table[:_COUNT, 5] = range(_COUNT)
        if kind == 'yolov5':
            table[:_COUNT, 4] = 1.0
        column = node('Reshape', scores, constant([_COUNT, 1], np.int64))
        risen = node('Reshape', node('MatMul', constant(slope), column), constant([1, rows, columns], np.int64))
        whole = node('Add', risen, constant(table[None]))
        if kind == 'yolov8':
            node('Transpose', whole, name='predictions', perm=[0, 2, 1])
            shapes['predictions'] = [1, columns, rows]
        else:
            node('Identity', whole, name='predictions')
            shapes['predictions'] = [1, rows, columns]
    else:
        boxes = np.zeros((1, rows, 4), np.float32)
        boxes[0, 2 : 2 + _COUNT] = BOXES  # the first rows are of no use, so that numbers of rows matter
        zero = node('Mul', node('ReduceMean', cells, axes=[1, 2, 3], keepdims=0), constant(0.0))
        node('Add', constant(boxes), zero, name='boxes')
        node('Pad', scores, constant([0, 2, 0, rows - 2 - _COUNT], np.int64), name='scores')
        labels = np.zeros((1, rows), np.int64)
        labels[0, 2 : 2 + _COUNT] = range(_COUNT)
        node('Identity', constant(labels, np.int64), name='labels')
        shapes |= {'boxes': [1, rows, 4], 'scores': [1, rows], 'labels': [1, rows]}
        if form == 'full':
            height, width = WH[1] // stride, WH[0] // stride
            padded = node('Pad', logits, constant([0, 2, 0, 0, 0, rows - 2 - _COUNT, 0, 0], np.int64))
            node('Identity', padded, name='masks')
            shapes['masks'] = [1, rows, height, width]
        else:
            side = int(BOXES[0, 2] - BOXES[0, 0]) // stride
            empty = node('Add', constant(np.zeros((1, 1, side, side))), zero)
            parts = []
            for match, box in zip(matches, (BOXES / stride).astype(int), strict=True):
                starts, ends, axes = box[[1, 0]], box[[3, 2]], [2, 3]
                given = (constant(values, np.int64) for values in (starts, ends, axes))
                parts.append(node('Slice', match, *given))
            node('Concat', empty, empty, *parts, *[empty] * (rows - 2 - _COUNT), axis=0, name='masks')
            shapes['masks'] = [rows, 1, side, side]
    types = {'labels': TensorProto.INT64}
    outputs = [
        helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT), shape) for name, shape in shapes.items()
    ]
    image = helper.make_tensor_value_info('images', TensorProto.FLOAT, [1, 3, WH[1], WH[0]])
    graph = helper.make_graph(nodes, 'masks', [image], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return _card(path, kind, form, shapes)


def _card(path: Path, kind: str, form: str, shapes: dict[str, list[int]]) -> ModelCard:
    decoder = kind if form == 'prototypes' else 'boxes_scores_labels'
    masks = MaskSpec(MaskForm(form), CHANNELS if form == 'prototypes' else 0, activated=form == 'crops')
    return ModelCard(
        name=path.stem,
        path=path,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        inputs=(
            ImageInput(
                TensorSpec('images', 'float32', (1, 3, WH[1], WH[0])),
                'NCHW',
                WH,
                preprocess=PreprocessSpec(scale=1 / 255),
            ),
        ),
        outputs=tuple(
            TensorSpec(name, 'int64' if name == 'labels' else 'float32', tuple(shape)) for name, shape in shapes.items()
        ),
        spec=InstanceSegmentationSpec({name: name for name in shapes}, decoder, masks=masks),
        labels=LABELS,
    )
