# SPDX-License-Identifier: Apache-2.0
"""Segmentation networks' outputs as real ones look: smooth areas of one class; and the cards that read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from isaac_inference.models import ImageInput, ModelCard, TensorSpec
from isaac_inference.models.card.tasks import SemanticSegmentationSpec
from isaac_inference.ops.image.options import TensorLayout

OUTPUT = 'scores'
_SMOOTH = 24.0  # areas across a picture


@dataclass(frozen=True)
class Form:
    """One kind of output.

    Attributes:
        name: for people.
        classes: 1 for one class against the rest.
        wh: (width, height) of the input in px.
        stride: px of the input that become one cell of the output.
        layout: 'NCHW' or 'NHWC'.
    """

    name: str
    classes: int
    wh: tuple[int, int]
    stride: int = 1
    layout: str = 'NHWC'


FORMS = (
    Form('21 classes, 257x257, NHWC', 21, (257, 257)),
    Form('4 classes, 896x512, NHWC', 4, (896, 512)),
    Form('19 classes, 2048x1024, stride 8, NCHW', 19, (2048, 1024), 8, 'NCHW'),
    Form('150 classes, 512x512, stride 4, NCHW', 150, (512, 512), 4, 'NCHW'),
    Form('one class, 256x256', 1, (256, 256)),
)


def card_of(form: Form) -> ModelCard:
    """The card of a network of that form."""
    width, height = form.wh
    rows, columns = height // form.stride, width // form.stride
    shape = (1, form.classes, rows, columns) if form.layout == 'NCHW' else (1, rows, columns, form.classes)
    activation = 'softmax' if form.classes > 1 else 'none'
    spec = SemanticSegmentationSpec({OUTPUT: OUTPUT}, layout=TensorLayout(form.layout), activation=activation)
    image = ImageInput(TensorSpec('image', 'float32', (1, 3, height, width)), TensorLayout.NCHW, form.wh)
    labels = tuple(f'class {number}' for number in range(form.classes))
    return ModelCard(
        form.name, Path('/none.onnx'), '0' * 64, (image,), (TensorSpec(OUTPUT, 'float32', shape),), spec, labels
    )


def scores_of(form: Form, seed: int = 0) -> np.ndarray:
    """The output of one picture, with batch axis."""
    random, shape = np.random.default_rng(seed), card_of(form).outputs[0].shape
    rows, columns = (shape[2], shape[3]) if form.layout == 'NCHW' else (shape[1], shape[2])
    sigma = max(rows, columns) / _SMOOTH
    planes = [
        cv2.GaussianBlur(random.normal(0, 1, (rows, columns)).astype(np.float32), (0, 0), sigma)
        for _ in range(form.classes)
    ]
    scores = np.stack(planes) * (6.0 * sigma)
    if form.classes == 1:
        scores = 1.0 / (1.0 + np.exp(-scores))
    scores = scores if form.layout == 'NCHW' else scores.transpose(1, 2, 0)
    return np.ascontiguousarray(scores[None], np.float32)
