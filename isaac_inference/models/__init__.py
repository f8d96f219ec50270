# SPDX-License-Identifier: Apache-2.0
"""What a model is: its card, read from the ONNX file and completed by YAML.

card = read_card('yolox_nano.onnx')
card.detection.decoder, card.image.wh, card.labels[0]      # 'yolox', (416, 416), 'person'
"""

from __future__ import annotations

from isaac_inference.models.card.card import CardId, ModelCard
from isaac_inference.models.card.describe import card_rows
from isaac_inference.models.card.inputs import ImageInput, PreprocessSpec, ValueInput, ValueRole
from isaac_inference.models.card.objects import ObjectSpec
from isaac_inference.models.card.tasks import (
    DetectionSpec,
    KeypointDetectionSpec,
    KeypointSpec,
    Task,
    TaskSpec,
)
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.objects_card import AnyCard, ObjectsCard
from isaac_inference.models.reader import read_card, read_objects

__all__ = [
    'AnyCard',
    'CardId',
    'DetectionSpec',
    'ImageInput',
    'KeypointDetectionSpec',
    'KeypointSpec',
    'ModelCard',
    'ObjectSpec',
    'ObjectsCard',
    'PreprocessSpec',
    'Task',
    'TaskSpec',
    'TensorSpec',
    'ValueInput',
    'ValueRole',
    'card_rows',
    'read_card',
    'read_objects',
]
