# SPDX-License-Identifier: Apache-2.0
"""A model card bound to the ops: image to tensors, outputs to detections. No ROS, no engine; usable from a notebook.

from isaac_inference.engines import create_engine
from isaac_inference.models import read_card
from isaac_inference.stages import Postprocessor, Preprocessor

card = read_card('model.onnx')
tensors, letterbox = Preprocessor(card)(bgr_image)
with create_engine(card) as engine:
    outputs = engine.infer(tensors)
detections = Postprocessor(card)(outputs, letterbox)
"""

from isaac_inference.stages.detection.postprocess import DetectionSettings, Postprocessor, detection_settings
from isaac_inference.stages.image.preprocess import Preprocessor

__all__ = ['DetectionSettings', 'Postprocessor', 'Preprocessor', 'detection_settings']
