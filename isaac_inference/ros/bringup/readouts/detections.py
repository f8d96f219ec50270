# SPDX-License-Identifier: Apache-2.0
"""Boxes, and what comes with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from vision_msgs.msg import Detection2DArray

from isaac_inference.ops.masks.masks import Masks
from isaac_inference.ops.masks.polygons import polygons
from isaac_inference.ros.bringup.readouts.base import Readout
from isaac_inference.ros.messages.detections import SeenBox, Skip, read_detections, read_keypoints
from isaac_inference.ros.messages.image import IMAGE
from isaac_inference.ros.messages.masks import INSTANCE_MASK, read_masks
from isaac_inference.ros.messages.tensors import KEYPOINTS_TOPIC, TENSORS
from isaac_inference.ros.runtime.topics.type_adapter import TypeAdapter, plain

DETECTIONS = 'detections'
_OUTLINE_PX = 0.5  # by which an outline may be off


class DetectionReadout(Readout):
    """For each detection 'class_id', 'score', 'bbox' (center x and y, width, height in source pixels), 'id' and, of a
    model that has them, 'keypoints': [x, y, confidence] of each, in source pixels, under its name where they
    have names, and None instead where they are unknown; and 'mask': its 'area' in pixels and
    'polygons', an outline [[x, y], ...] for each of its pieces.

    Args:
        keypoints: whether the model has some.
        masks: whether it has some.
        keypoint_names: of the keypoints, in the model's order; () where nothing says it.
        stages: see `Readout`.
    """

    key = 'detections'

    def __init__(
        self,
        *,
        keypoints: bool = False,
        masks: bool = False,
        keypoint_names: Sequence[str] = (),
        stages: tuple[str, ...] = ('detection',),
    ) -> None:
        self._names, self.stages = tuple(keypoint_names), stages
        answers: dict[str, TypeAdapter[Any]] = {DETECTIONS: plain(Detection2DArray)}
        if keypoints:
            answers[KEYPOINTS_TOPIC] = TENSORS
        if masks:
            answers[INSTANCE_MASK] = IMAGE
        self.answers, self.latched = answers, {}

    def read(self, messages: Mapping[str, Any], source_wh: tuple[int, int], skip: Skip) -> list[dict[str, Any]]:
        message = messages[DETECTIONS]
        points, instances = messages.get(KEYPOINTS_TOPIC), messages.get(INSTANCE_MASK)
        keypoints = None if points is None else read_keypoints(message, points)
        seen = read_detections(message.detections, skip)
        masks = None if instances is None else read_masks(instances, seen, len(message.detections), source_wh)
        return [
            {**_as_json(item, keypoints, self._names), **({} if masks is None else _mask_as_json(masks, index))}
            for index, item in enumerate(seen)
        ]


def _as_json(seen: SeenBox, keypoints: np.ndarray | None, names: Sequence[str]) -> dict[str, Any]:
    """One detection; `keypoints` are those of all, (N, K, 3), or None, and `names` what they are called, or ()."""
    bbox = seen.item.bbox
    line = {
        'class_id': seen.label,
        'score': seen.score,
        'bbox': [bbox.center.position.x, bbox.center.position.y, bbox.size_x, bbox.size_y],
        'id': seen.identity,
        **({'theta': seen.theta} if seen.theta else {}),
    }
    if keypoints is None:
        return line
    points = keypoints[seen.index]
    if not np.isfinite(points).all():  # JSON has no NaN
        return {**line, 'keypoints': None}
    named = len(names) == len(points)
    return {**line, 'keypoints': dict(zip(names, points.tolist(), strict=True)) if named else points.tolist()}


def _mask_as_json(masks: Masks, index: int) -> dict[str, Any]:
    """One detection's mask: pixels in it, and the outline of each of its pieces, [[x, y], ...] in px."""
    outlines = polygons(masks, index, tolerance_px=_OUTLINE_PX)
    return {'mask': {'area': int(masks.areas[index]), 'polygons': [outline.tolist() for outline in outlines]}}
