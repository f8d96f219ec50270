# SPDX-License-Identifier: Apache-2.0
"""One decoder per file: a model's raw outputs to boxes in input pixels.

`heads` holds those that read the network's own maps, before an export has put them together; `keypoints` those of
boxes with keypoints. To add a decoder, write a
file with a `decode` function and a `DECODER`, and list it here.
"""

from __future__ import annotations

from isaac_inference.ops.decoders import (
    boxes_scores,
    boxes_scores_labels,
    detr,
    efficient_nms,
    end_to_end,
    nanodet,
    yolov5,
    yolov8,
    yolov8_obb,
    yolox,
)
from isaac_inference.ops.decoders.base import Decoder
from isaac_inference.ops.decoders.heads import anchor_free_heads, anchor_heads, centernet, detectnet
from isaac_inference.ops.decoders.keypoints import end_to_end_pose, movenet_multipose, yolov8_pose

DECODERS: dict[str, Decoder] = {
    decoder.name: decoder
    for decoder in (
        yolox.DECODER,
        yolov5.DECODER,
        yolov8.DECODER,
        yolov8_pose.DECODER,
        yolov8_obb.DECODER,
        end_to_end.DECODER,
        end_to_end_pose.DECODER,
        movenet_multipose.DECODER,
        detr.DECODER,
        boxes_scores.DECODER,
        boxes_scores_labels.DECODER,
        efficient_nms.DECODER,
        nanodet.DECODER,
        anchor_free_heads.DECODER,
        anchor_heads.DECODER,
        detectnet.DECODER,
        centernet.DECODER,
    )
}

__all__ = ['DECODERS', 'Decoder']
