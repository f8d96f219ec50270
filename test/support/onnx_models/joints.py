# SPDX-License-Identifier: Apache-2.0
"""Networks that really find keypoints: those of a picture with a red, a green and a blue spot, one of each colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_OPSET = 13


def spots_picture(size_wh: tuple[int, int], places: np.ndarray, sigma: float) -> np.ndarray:
    """(H, W, 3) uint8 RGB, black but for a Gaussian spot of each colour.

    Args:
        size_wh: (width, height) in px.
        places: (3, 2) x, y of the red, green and blue spot in px, measured from the picture's edges.
        sigma: of the spots, px.
    """
    rows, columns = np.mgrid[: size_wh[1], : size_wh[0]] + 0.5
    squared = (columns[..., None] - places[:, 0]) ** 2 + (rows[..., None] - places[:, 1]) ** 2
    return np.round(255 * np.exp(-squared / (2 * sigma**2))).astype(np.uint8)


def write_heatmaps(path: Path, input_wh: tuple[int, int], cells_wh: tuple[int, int], grid: str) -> Path:
    """A network [batch, 3, H, W] of 0..1 whose heatmaps are its colours, sampled where a grid has its cells.

    Args:
        path: where to.
        input_wh, cells_wh: (width, height) of its input in px and of its maps.
        grid: 'scaled', 'corners' or 'cells', as of `HeatmapGrid`.
    """
    mode = {'scaled': 'asymmetric', 'corners': 'align_corners', 'cells': 'half_pixel'}[grid]
    sizes = numpy_helper.from_array(np.array([cells_wh[1] / input_wh[1], cells_wh[0] / input_wh[0]], np.float32), 's')
    ones = numpy_helper.from_array(np.ones(2, np.float32), 'ones')
    empty = numpy_helper.from_array(np.zeros(0, np.float32), 'empty')
    nodes = [
        helper.make_node('Concat', ['ones', 's'], ['scales'], axis=0),
        helper.make_node(
            'Resize', ['images', 'empty', 'scales'], ['heatmaps'], mode='linear', coordinate_transformation_mode=mode
        ),
    ]
    return _write(path, nodes, [sizes, ones, empty], input_wh, {'heatmaps': [3, cells_wh[1], cells_wh[0]]})


def write_simcc(path: Path, input_wh: tuple[int, int], ratio: int) -> Path:
    """A network [batch, 3, H, W] of 0..1 whose histograms are the brightest of each column and each row of a colour.

    Args:
        path: where to.
        input_wh: (width, height) of its input in px.
        ratio: bins for each px, of which the first is the middle of the px.
    """
    sizes, nodes = {}, []
    for name, axis, size in (('simcc_x', 2, input_wh[0]), ('simcc_y', 3, input_wh[1])):
        nodes.append(helper.make_node('ReduceMax', ['images'], [f'{name}_px'], axes=[axis], keepdims=0))
        nodes.append(
            helper.make_node(
                'Resize',
                [f'{name}_px', 'empty', 'scales'],
                [name],
                mode='linear',
                coordinate_transformation_mode='asymmetric',
            )
        )
        sizes[name] = [3, size * ratio]
    empty = numpy_helper.from_array(np.zeros(0, np.float32), 'empty')
    scales = numpy_helper.from_array(np.array([1, 1, ratio], np.float32), 'scales')
    return _write(path, nodes, [empty, scales], input_wh, sizes)


def _write(
    path: Path,
    nodes: list[onnx.NodeProto],
    constants: list[onnx.TensorProto],
    input_wh: tuple[int, int],
    outputs: dict[str, list[int]],
) -> Path:
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ['batch', *shape]) for name, shape in outputs.items()
    ]
    image = helper.make_tensor_value_info('images', TensorProto.FLOAT, ['batch', 3, input_wh[1], input_wh[0]])
    graph = helper.make_graph(nodes, 'joints', [image], infos, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', _OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
