# SPDX-License-Identifier: Apache-2.0
"""A class for each pixel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from vision_msgs.msg import LabelInfo

from isaac_inference.ops.segmentation.unlabelled import unlabelled
from isaac_inference.ros.bringup.readouts.base import Readout
from isaac_inference.ros.messages.class_mask import CLASS_MASK, LABEL_INFO, class_mask_array, labels_of
from isaac_inference.ros.messages.detections import Skip
from isaac_inference.ros.messages.image import IMAGE
from isaac_inference.ros.runtime.topics.type_adapter import plain


class ClassReadout(Readout):
    """The share of the picture that each class has, the largest first; pixels without a class are in none."""

    key, stages = 'classes', ('segmentation',)

    def __init__(self) -> None:
        self.answers, self.latched = {CLASS_MASK: IMAGE}, {LABEL_INFO: plain(LabelInfo)}

    def read(self, messages: Mapping[str, Any], source_wh: tuple[int, int], skip: Skip) -> dict[str, float]:
        mask, labels = class_mask_array(messages[CLASS_MASK]), messages.get(LABEL_INFO)
        names = {} if labels is None else labels_of(labels)
        counts = np.bincount(mask.reshape(-1), minlength=unlabelled(mask.dtype) + 1)[:-1]
        present = sorted(np.flatnonzero(counts).tolist(), key=lambda number: -counts[number])
        return {names.get(number, str(number)): round(int(counts[number]) / mask.size, 6) for number in present}
