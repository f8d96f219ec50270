# SPDX-License-Identifier: Apache-2.0
"""Cards of models with prototypes, and random outputs of them, to compare the GPU's masks with the CPU's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from isaac_inference.models import (
    DetectionSpec,
    ImageInput,
    KeypointDetectionSpec,
    KeypointSpec,
    ModelCard,
    TensorSpec,
)
from isaac_inference.models.card.tasks import MaskForm, MaskSpec
from isaac_inference.ops.image.letterbox import Letterbox

WH, MAP_WH, CLASSES, CHANNELS, ANCHORS = (128, 96), (32, 24), 3, 6, 40
KINDS = ('yolov8', 'yolov8 rows first', 'yolov5', 'yolov8_pose')
LETTERBOXES = {
    'as large': Letterbox.between(WH, WH),
    'larger, padded': Letterbox.between((150, 60), WH),
    'padding of no whole cells': Letterbox.between((131, 77), WH),
    'much smaller, so that no tile fits': Letterbox.between((13, 9), WH),
    'cropped': Letterbox.between((90, 140), WH, 'crop'),
}


def card_of(kind: str, dtype: str = 'float32', activated: bool = False) -> ModelCard:
    decoder = kind.split()[0]
    points = KeypointSpec(2, 3) if decoder == 'yolov8_pose' else None
    channels = (5 if decoder == 'yolov5' else 4) + CLASSES + (6 if points else 0) + CHANNELS
    is_first = kind in ('yolov8', 'yolov8_pose')
    shape = (1, channels, ANCHORS) if is_first else (1, ANCHORS, channels)
    roles, masks = {'predictions': 'p', 'prototypes': 'm'}, MaskSpec(MaskForm.PROTOTYPES, CHANNELS, activated)
    spec = (
        DetectionSpec(roles, decoder, masks=masks)
        if points is None
        else KeypointDetectionSpec(roles, decoder, keypoints=points, masks=masks)
    )
    return ModelCard(
        name=decoder,
        path=Path('/nowhere.onnx'),
        sha256='0' * 64,
        inputs=(ImageInput(TensorSpec('images', 'float32', (1, 3, WH[1], WH[0])), 'NCHW', WH),),
        outputs=(TensorSpec('p', dtype, shape), TensorSpec('m', dtype, (1, CHANNELS, MAP_WH[1], MAP_WH[0]))),
        spec=spec,
        labels=tuple(f'class {index}' for index in range(CLASSES)),
    )


def outputs_of(card: ModelCard, seed: int, batch: int = 1) -> dict[str, np.ndarray]:
    """Random objects, some of which reach beyond the input, and prototypes."""
    rng, decoder = np.random.default_rng(seed), card.detection.decoder
    rows = np.zeros((batch, ANCHORS, min(card.outputs[0].shape[1:], key=lambda n: (n == ANCHORS, n))), np.float32)
    rows[..., :2] = rng.uniform(0, WH, (batch, ANCHORS, 2))
    rows[..., 2:4] = rng.uniform(2, 90, (batch, ANCHORS, 2))
    first = 5 if decoder == 'yolov5' else 4
    if decoder == 'yolov5':
        rows[..., 4] = 1.0
    rows[..., first : first + CLASSES] = rng.random((batch, ANCHORS, CLASSES)) ** 3
    rows[..., -CHANNELS:] = rng.normal(size=(batch, ANCHORS, CHANNELS))
    prototypes = rng.normal(size=(batch, CHANNELS, MAP_WH[1], MAP_WH[0]))
    predictions = rows if card.outputs[0].shape[1] == ANCHORS else rows.transpose(0, 2, 1)
    dtype = card.outputs[0].dtype
    return {'p': np.ascontiguousarray(predictions.astype(dtype)), 'm': prototypes.astype(dtype)}
