# SPDX-License-Identifier: Apache-2.0
"""The truth of a tiny model, and the pieces its graph is put together from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

WH = (96, 64)  # (width, height) in px; multiples of 32, and not square
_HALF_WH = (8, 16)  # half a box in px


@dataclass(frozen=True)
class Known:
    """One box that a model finds on a white image: class, score in [0, 1], corners in px of its input."""

    class_id: int
    score: float
    xyxy: tuple[float, float, float, float]


def known_detections(classes: int = 3, input_wh: tuple[int, int] = WH) -> list[Known]:
    """What every model of so many classes and that input size finds on a white image: at most three boxes in
    a row.
    """
    width, height = input_wh
    count = min(classes, 3)
    found = []
    for index in range(count):
        cx, cy = 8 * round(width * (index + 1) / (count + 1) / 8), 8 * round(height / 2 / 8)
        box = (cx - _HALF_WH[0], cy - _HALF_WH[1], cx + _HALF_WH[0], cy + _HALF_WH[1])
        found.append(Known(index, round(0.9 - 0.1 * index, 1), tuple(map(float, box))))
    return found


def known_keypoints(known: Known, shape: tuple[int, int] = (8, 3)) -> list[tuple[float, ...]]:
    """The keypoints of a known box on any image, `shape` = (count, dims): along two lines from its first corner, half
    of them outside of the box, with falling confidence.
    """
    x0, y0, x1, y1 = known.xyxy
    count, dims = shape
    steps = [2 * index / count for index in range(count)]
    points = [
        (x0 + step * (x1 - x0), y0 + step * (y1 - y0) * (-1) ** index, 1 - step / 4) for index, step in enumerate(steps)
    ]
    return [point[:dims] for point in points]


def known_angle(known: Known) -> float:
    """The angle in rad of a known box of the families with rotated boxes; its corners are those before the turn."""
    return 0.25 * (known.class_id + 1)


@dataclass
class Tiny:
    """A model in the making. An output is `brightness * slope + base`, so that it depends on the image."""

    classes: int
    input_wh: tuple[int, int]
    nodes: list[Any]
    constants: list[Any]
    outputs: dict[str, tuple[str, int, tuple[Any, ...]]]  # role -> name, element type, shape after the batch axis
    keypoint_shape: tuple[int, int] = (8, 3)  # (count, dims), for the families with keypoints

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        """A constant; returns its name."""
        name = f'constant_{len(self.constants)}'
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def node(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """A node with one output; returns that output's name."""
        output = name or f'{kind.lower()}_{len(self.nodes)}'
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def affine(self, slope: np.ndarray, base: np.ndarray, name: str | None = None) -> str:
        """brightness * slope + base, of shape [N, *slope.shape]. One matrix product, as at the end of a raw
        head.
        """
        weights = self.constant(np.stack([slope.ravel(), base.ravel()]))
        flat = self.node('MatMul', 'features', weights)
        return self.node('Reshape', flat, self.constant([-1, *slope.shape], np.int64), name=name)

    def add_output(self, role: str, name: str, shape: tuple[Any, ...], kind: int = TensorProto.FLOAT) -> None:
        """Declare an output of the graph; `shape` without the batch axis."""
        self.outputs[role] = (name, kind, shape)
