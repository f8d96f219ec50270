# SPDX-License-Identifier: Apache-2.0
"""A tiny detector that finds squares of given colours, if its image is prepared as one convention says.

It undoes the preparation that it was "trained" with and compares the mean colour of each cell of 16 px with those of
its classes. In a wrong scale, or with red and blue swapped, no cell has such a colour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from isaac_inference.models.card.inputs import PreprocessSpec
from isaac_inference.ops.image.options import ColorOrder

WH = (96, 64)
CELL = 16
ORANGE, RED, BLUE = (230, 128, 26), (230, 26, 26), (26, 26, 230)  # RGB
CARD = 'decoder: boxes_scores\nlabels: [{}]  # by colour\n'
_STEEPNESS = (
    8.0  # a sum of differences of 0.125 (of 0..1) leaves nothing of the score; BGR of CenterNet and RTMDet are near
)


def write_color_detector(
    path: Path, trained: PreprocessSpec, colors: Sequence[tuple[int, int, int]] = (ORANGE,), *, dynamic: bool = False
) -> Path:
    """Write the model, and its card without a preprocessing beside it; return the model's path.

    Args:
        path: of the ONNX file.
        trained: how images must be prepared.
        colors: RGB of each class.
        dynamic: leave height and width open.
    """
    nodes, constants = [], []

    def constant(values: object) -> str:
        name = f'c{len(constants)}'
        constants.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    def node(kind: str, *inputs: str, name: str | None = None, **attributes: object) -> str:
        output = name or f'n{len(nodes)}'
        nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    channel = (1, 3, 1, 1)
    scale = trained.scale * 255.0
    # the first layer averages: a graph that began with Mul and Add would be taken for one that normalises its image
    pooled = node('AveragePool', 'images', kernel_shape=[CELL, CELL], strides=[CELL, CELL])
    pooled = node('Mul', pooled, constant(np.reshape(trained.std, channel) / scale))
    cells = node('Add', pooled, constant(np.reshape(trained.mean, channel) / scale))
    scores = []
    for color in colors:
        wanted = np.array(color if trained.color is ColorOrder.RGB else color[::-1], np.float32) / 255
        off = node('Abs', node('Sub', cells, constant(wanted.reshape(channel))))
        total = node('Mul', node('ReduceSum', off, axes=[1], keepdims=1), constant(-_STEEPNESS))
        scores.append(node('Clip', node('Add', total, constant(1.0)), constant(0.0), constant(1.0)))
    maps = node('Concat', *scores, axis=1) if len(scores) > 1 else scores[0]
    constants.append(numpy_helper.from_array(np.array([1, len(colors), -1], np.int64), 'flat'))
    node('Transpose', node('Reshape', maps, 'flat'), name='scores', perm=[0, 2, 1])
    mean = node('ReduceMean', node('Mul', cells, constant(0.0)), axes=[1, 2, 3], keepdims=0)
    node('Add', mean, constant(_cells()), name='boxes')
    count = len(_cells()[0])
    width, height = ('width', 'height') if dynamic else WH
    graph = helper.make_graph(
        nodes,
        'colors',
        [helper.make_tensor_value_info('images', TensorProto.FLOAT, [1, 3, height, width])],
        [
            helper.make_tensor_value_info('boxes', TensorProto.FLOAT, [1, count, 4]),
            helper.make_tensor_value_info('scores', TensorProto.FLOAT, [1, count, len(colors)]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 11)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    path.with_suffix('.yaml').write_text(CARD.format(', '.join(f'color{index}' for index in range(len(colors)))))
    return path


def write_pictures(
    folder: Path, count: int = 8, colors: Sequence[tuple[int, int, int]] = (ORANGE,), wh: tuple[int, int] = WH
) -> Path:
    """Write pictures of grey noise with a square of each colour somewhere, and label files beside them."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(7)
    columns, rows = wh[0] // CELL, wh[1] // CELL
    for number in range(count):
        image = random.integers(90, 150, (wh[1], wh[0], 1), np.uint8).repeat(3, axis=2)
        lines = []
        places = random.choice(columns * rows, len(colors), replace=False)
        for label, (color, place) in enumerate(zip(colors, places, strict=True)):
            x, y = CELL * int(place % columns), CELL * int(place // columns)
            image[y : y + CELL, x : x + CELL] = color[::-1]
            half = CELL / 2
            box: Mapping[str, float] = {
                'x': (x + half) / wh[0],
                'y': (y + half) / wh[1],
                'w': CELL / wh[0],
                'h': CELL / wh[1],
            }
            lines.append(' '.join(map(str, (label, *box.values()))))
        cv2.imwrite(str(folder / f'{number:02}.png'), image)
        (folder / f'{number:02}.txt').write_text('\n'.join(lines) + '\n')
    return folder


def _cells() -> np.ndarray:
    """(1, cells, 4) the corners of each cell in px, row by row."""
    y, x = np.mgrid[0 : WH[1] // CELL, 0 : WH[0] // CELL] * CELL
    return np.stack([x, y, x + CELL, y + CELL], axis=-1).reshape(1, -1, 4).astype(np.float32)
