# SPDX-License-Identifier: Apache-2.0
"""One decoder per file: a model's raw outputs to boxes in input pixels.

To add one, write a file with a `decode` function and a `DECODER`, and list it here.
"""

from __future__ import annotations

from isaac_inference.ops.decoders import (
    boxes_scores_labels,
    detr,
    efficient_nms,
    end_to_end,
    nanodet,
    yolov5,
    yolov8,
    yolov8_pose,
    yolox,
)
from isaac_inference.ops.decoders.base import Decoder

DECODERS: dict[str, Decoder] = {
    module.DECODER.name: module.DECODER
    for module in (yolox, yolov5, yolov8, yolov8_pose, end_to_end, detr, boxes_scores_labels, efficient_nms, nanodet)
}

__all__ = ['DECODERS', 'Decoder']
