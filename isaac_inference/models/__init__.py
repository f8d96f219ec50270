# SPDX-License-Identifier: Apache-2.0
"""What a model is: its card, read from the ONNX file and completed by YAML.

card = read_card('yolox_nano.onnx')
card.decoder, card.input_wh, card.labels[0]      # 'yolox', (416, 416), 'person'
"""

from __future__ import annotations

from isaac_inference.models.card.card import KeypointSpec, ModelCard, PreprocessSpec, Task
from isaac_inference.models.card.describe import card_rows
from isaac_inference.models.card.objects import ObjectSpec
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.reader import read_card

__all__ = ['KeypointSpec', 'ModelCard', 'ObjectSpec', 'PreprocessSpec', 'Task', 'TensorSpec', 'card_rows', 'read_card']
