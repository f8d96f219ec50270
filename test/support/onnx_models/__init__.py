# SPDX-License-Identifier: Apache-2.0
"""Tiny ONNX models, one a detector family, whose detections are known and depend on the image.

Every model measures the brightness of its image: the mean, from 0 (black) to 1 (white), after undoing the
family's preprocessing. On a white image it finds the boxes of `known_detections` with their scores, on any
other the same boxes with the scores times the brightness, on a black one nothing. So a test can tell whether
the image arrived, and in the right scale, without any real network. A letterbox's padding counts as image.

Families that need NMS give each box twice: the neighbouring cell's, 0.2 less sure, is to be suppressed.

    path = write_model(tmp_path / 'cups.onnx', 'yolov8', classes=3)
    known_detections(3)      # what it finds on a white image
"""

from __future__ import annotations

from support.onnx_models.families import KINDS, Kind
from support.onnx_models.graph import WH, Known, known_angle, known_detections, known_keypoints
from support.onnx_models.write import (
    build_model,
    save_model,
    ultralytics_metadata,
    write_model,
    write_model_of_links,
)

__all__ = [
    'KINDS',
    'WH',
    'Kind',
    'Known',
    'build_model',
    'known_angle',
    'known_detections',
    'known_keypoints',
    'save_model',
    'ultralytics_metadata',
    'write_model',
    'write_model_of_links',
]
