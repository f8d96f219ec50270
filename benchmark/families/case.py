# SPDX-License-Identifier: Apache-2.0
"""One detector family: how its ONNX file is made, and what is true of that file whoever reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

Outputs = Mapping[str, np.ndarray]
Decoded = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Boxes [N, 4] float32 as x1, y1, x2, y2 in px of the network's input; scores [N] float32; class ids [N] int64."""
Decode = Callable[[Outputs, tuple[int, int]], Decoded]

IMAGENET = {'mean': (0.485, 0.456, 0.406), 'std': (0.229, 0.224, 0.225)}


class MissingPackageError(Exception):
    """A family whose exporter is not installed; the text says which package is missing."""


@dataclass(frozen=True)
class Preprocess:
    """How a family's own code turns an image into the tensor: `out = (pixel * scale - mean) / std`.

    Attributes:
        color: 'rgb' or 'bgr', the order of the tensor's channels.
        source: the project, and the file or page of it, that this was read from.
        scale: factor on pixels of 0..255.
        mean: per channel in the order of `color`, in units of `pixel * scale`.
        std: the same.
        fit: 'letterbox', 'stretch', or 'any' where the project's own code depends on a setting.
        anchor: 'center' or 'top_left', where a letterboxed image sits.
        pad: pixel value of the padding, 0..255.
        certain: False where the project leaves the values to whoever trains, or where its source was not at hand
            when this was written.
    """

    color: str
    source: str
    scale: float = 1 / 255
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fit: str = 'letterbox'
    anchor: str = 'center'
    pad: int = 114
    certain: bool = True


@dataclass(frozen=True)
class Truth:
    """What is true of a family's file.

    Attributes:
        columns: what the outputs hold, for people.
        preprocess: what the network expects.
        class_count: how many classes can be reported, background not counted.
        needs_nms: True where the boxes still overlap.
        decode: (outputs by name, (width, height) of the input in px) -> one row per candidate with its best class.
            Padding rows of an export of fixed size are left out. Written from the exporter's documentation alone.
        input_wh: (width, height) px of the image tensor; for a dynamic input the size to feed.
        labels: class names that the file itself carries, () where it carries none.
        first_class: number of the first class that means an object: 1 where ids count from 1 or 0 is background.
        feeds: value of each input beside the image: (width, height) of the image tensor -> arrays by name.
        batch: how many images the file is fed.
        layout: 'NCHW', 'NHWC', or 'CHW' for an input without a batch axis.
    """

    columns: str
    preprocess: Preprocess
    class_count: int
    needs_nms: bool
    decode: Decode
    input_wh: tuple[int, int] = (640, 640)
    labels: tuple[str, ...] = ()
    first_class: int = 0
    feeds: Callable[[tuple[int, int]], dict[str, np.ndarray]] | None = None
    batch: int = 1
    layout: str = 'NCHW'


@dataclass(frozen=True)
class FamilyCase:
    """One output layout of one exporter.

    Attributes:
        name: of the case and its file, such as 'yolox_decoded'.
        made_by: 'ultralytics' for a real export, 'handmade after YOLOX' for a file built to the same layout.
        build: folder -> path of the ONNX file written there; raises `MissingPackageError`.
        truth: what is true of the file.
        note: what is unusual, such as a plugin op that is replaced by ops that run.
    """

    name: str
    made_by: str
    build: Callable[[Path], Path]
    truth: Truth
    note: str = field(default='')

    @property
    def real(self) -> bool:
        """True where the project's own exporter wrote the file."""
        return not self.made_by.startswith('handmade')
