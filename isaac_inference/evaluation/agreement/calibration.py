# SPDX-License-Identifier: Apache-2.0
"""How well a converted model finds the objects that the original finds, while it is being converted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.evaluation.agreement.boxes import ImageAgreement, agreement, match_boxes
from isaac_inference.models import ModelCard
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.stages import Postprocessor, detection_settings

Outputs = Mapping[str, np.ndarray]
Pair = tuple[Detections, Detections]
_SCORE, _MARGIN = 0.25, 0.05
IOU = 0.75  # int8 moves boxes by a few pixels; finer differences are for `validate`


class BoxAgreement:
    """Compares raw outputs by the boxes that they decode to, in pixels of the model's input.

    Args:
        card: of the model; the converted one has the same outputs.
    """

    def __init__(self, card: ModelCard) -> None:
        self._find = Postprocessor(card, detection_settings(card, score_threshold=_SCORE - _MARGIN, max_detections=300))
        self._letterbox = Letterbox.between(card.image.wh, card.image.wh)

    def agreement(self, reference: Sequence[Outputs], other: Sequence[Outputs]) -> float:
        """Share of the boxes of both that have a partner of the same class at IoU 0.75, in [0, 1]."""
        return self.share(self._pairs(reference, other), IOU)

    def closeness(self, reference: Sequence[Outputs], other: Sequence[Outputs]) -> float:
        """`mean_closeness` of the boxes that the outputs decode to."""
        return self.mean_closeness(self._pairs(reference, other))

    @staticmethod
    def share(pairs: Sequence[Pair], iou: float) -> float:
        """Share of the boxes of both that have a partner of the same class at `iou`, in [0, 1]."""
        return agreement([ImageAgreement.of('', *pair, score_threshold=_SCORE) for pair in pairs], iou)

    @staticmethod
    def mean_closeness(pairs: Sequence[Pair]) -> float:
        """Mean over the boxes of both of IoU x (1 - difference of scores) with the partner; 0 for a box without one.

        Unlike a count of matches, it changes with any difference, so layers can be ranked by it. In [0, 1].
        """
        total, count = 0.0, 0
        for wanted, got in pairs:
            matches = match_boxes(wanted, got)
            total += 2.0 * float(np.sum(matches.ious * (1.0 - np.abs(matches.score_differences))))
            count += len(wanted) + len(got)
        return total / count if count else 1.0

    def boxes(self, outputs: Outputs) -> Detections:
        """What one image's outputs decode to; none if they are not finite."""
        floats = {
            name: value.astype(np.float32) if value.dtype == np.float16 else value for name, value in outputs.items()
        }
        try:
            return self._find(floats, self._letterbox)
        except FrameError:
            return Detections.empty()

    def _pairs(self, reference: Sequence[Outputs], other: Sequence[Outputs]) -> list[Pair]:
        return [(self.boxes(wanted), self.boxes(got)) for wanted, got in zip(reference, other, strict=True)]
