# SPDX-License-Identifier: Apache-2.0
"""A tiny top-down network whose keypoints are true: the centres of a red, a green and a blue dot in its image.

Gray, whatever its brightness, is no colour, and neither is padding. So a person is three dots, and where the network
puts them must be where they were drawn, whatever box the picture was cropped to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from isaac_inference.models import ImageInput, KeypointSpec, ModelCard, PreprocessSpec
from isaac_inference.models.card.skeletons.spec import SkeletonSpec
from isaac_inference.models.card.tasks import KeypointForm, TopDownKeypointsSpec
from isaac_inference.models.onnx.reader import read_model_file
from isaac_inference.ops.image.options import TensorLayout
from support.cards import known_to_nodes

WH = (48, 64)
NAMES = ('red', 'green', 'blue')
PLACES = ((0.5, 0.15), (0.25, 0.55), (0.7, 0.85))  # of the dots, as shares of a person's box


def dots_of(box: Sequence[float], places: Sequence[Sequence[float]] = PLACES) -> np.ndarray:
    """(3, 2) px: where the dots of a person with that box are."""
    x0, y0, x1, y1 = box
    return np.array([(x0 + u * (x1 - x0), y0 + v * (y1 - y0)) for u, v in places])


def scene(
    size_wh: tuple[int, int], boxes: Iterable[Sequence[float]], gray: int = 255, spread: float = 0.05
) -> np.ndarray:
    """(H, W, 3) uint8 BGR: a person in each box; `spread` is a dot's sigma as a share of the box's height."""
    picture = np.full((size_wh[1], size_wh[0], 3), gray, np.float64)
    for box in boxes:
        for channel, place in enumerate(dots_of(box)):
            paint(picture, place, channel, max(0.4, spread * (box[3] - box[1])))
    return picture.round().clip(0, 255).astype(np.uint8)


def paint(picture: np.ndarray, place: np.ndarray, channel: int, sigma: float) -> None:
    """A dot, in place: red, green or blue by `channel`."""
    height, width = picture.shape[:2]
    x, y = (np.arange(size) + 0.5 - at for size, at in zip((width, height), place, strict=True))
    near_x, near_y = np.abs(x) <= 4 * sigma, np.abs(y) <= 4 * sigma
    part = picture[np.ix_(near_y, near_x)]
    share = np.exp(-(x[None, near_x] ** 2 + y[near_y, None] ** 2) / (2 * sigma**2))[..., None]
    color = np.zeros(3)
    color[2 - channel] = 255.0
    picture[np.ix_(near_y, near_x)] = part * (1 - share) + color * share


def write_dots(
    path: Path,
    wh: tuple[int, int] = WH,
    batch: int | None = None,
    *,
    promises: int | None | str = 'batch',
    layout: str = 'NCHW',
    batched: bool = True,
    **preprocess: object,
) -> ModelCard:
    """The network, and its card, which nodes of this process find.

    Args:
        path: of the file.
        wh: the input's (width, height).
        batch: images at once; None for any number.
        promises: what the file says of that; 'batch' says the truth.
        layout: of the input.
        batched: False for an input without a batch axis.
        preprocess: of `PreprocessSpec`.
    """
    width, height = wh
    weight = np.full((3, 3, 1, 1), -0.5, np.float32)
    weight[range(3), range(3)] = 1.0
    arrays = {
        'weight': weight,
        'bias': np.full(3, -0.05, np.float32),
        'columns': (np.arange(width, dtype=np.float32) + 0.5).reshape(1, 1, 1, width),
        'rows': (np.arange(height, dtype=np.float32) + 0.5).reshape(1, 1, height, 1),
        'small': np.float32(1e-6),
        'one': np.float32(1.0),
        'two': np.float32(2.0),
        'zero_axis': np.array([0], np.int64),
        'last': np.array([2], np.int64),
        'shape': np.array([-1 if batch is None else batch, 3, 1], np.int64),
    }
    make = helper.make_node
    nodes = []
    image = 'image'
    if not batched:
        nodes.append(make('Unsqueeze', [image, 'zero_axis'], ['batched']))
        image = 'batched'
    if layout == 'NHWC':
        nodes.append(make('Transpose', [image], ['planes'], perm=[0, 3, 1, 2]))
        image = 'planes'
    nodes += [
        make('Conv', [image, 'weight', 'bias'], ['colors']),
        make('Relu', ['colors'], ['dots']),
        make('ReduceSum', ['dots', 'axes'], ['sums'], keepdims=1),
        make('Add', ['sums', 'small'], ['masses']),
    ]
    arrays['axes'] = np.array([2, 3], np.int64)
    for name, places in (('x', 'columns'), ('y', 'rows')):
        nodes += [
            make('Mul', ['dots', places], [f'{name}_moments']),
            make('ReduceSum', [f'{name}_moments', 'axes'], [f'{name}_sums'], keepdims=1),
            make('Div', [f'{name}_sums', 'masses'], [f'{name}_centres']),
            make('Reshape', [f'{name}_centres', 'shape'], [f'{name}_flat']),
        ]
    nodes += [
        make('ReduceMax', ['dots'], ['peaks'], axes=[2, 3], keepdims=1),
        make('Mul', ['peaks', 'two'], ['doubled']),
        make('Min', ['doubled', 'one'], ['confidence']),
        make('Reshape', ['confidence', 'shape'], ['confidence_flat']),
        make('Concat', ['x_flat', 'y_flat', 'confidence_flat'], ['keypoints'], axis=2),
    ]
    first = batch if promises == 'batch' else promises
    axis = 'n' if first is None else first
    size = [3, height, width] if layout == 'NCHW' else [height, width, 3]
    graph = helper.make_graph(
        nodes,
        'dots',
        [helper.make_tensor_value_info('image', TensorProto.FLOAT, [axis, *size] if batched else size)],
        [helper.make_tensor_value_info('keypoints', TensorProto.FLOAT, [axis if batched else 1, 3, 3])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return known_to_nodes(dots_card(path, wh, layout, **preprocess))


def dots_card(path: Path, wh: tuple[int, int], layout: str = 'NCHW', **preprocess: object) -> ModelCard:
    """The card of a file that `write_dots` has written."""
    file = read_model_file(path)
    image = ImageInput(file.inputs[0], TensorLayout(layout), wh, PreprocessSpec(**preprocess))
    spec = TopDownKeypointsSpec(
        {'keypoints': 'keypoints'},
        form=KeypointForm.POINTS,
        keypoints=KeypointSpec(3, skeleton=SkeletonSpec(NAMES, ((0, 1), (1, 2)))),
    )
    return ModelCard(path.stem, path, file.sha256, (image,), file.outputs, spec)
