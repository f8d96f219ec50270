# SPDX-License-Identifier: Apache-2.0
"""Decodes what one run of a model gave, every box whatever it scores, to see whether a card makes sense of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.tasks import MASK_ROLES
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.decoders import DECODERS
from isaac_inference.ops.decoders.base import one_image

_KEPT = 100
_ABOVE_NOTHING = 1e-9  # rows that fill up an output score 0


def decode_all(card: ModelCard, outputs: Mapping[str, np.ndarray], kept: int | None = _KEPT) -> Detections:
    """The boxes with the highest scores, in px of the network's input, best first, before any threshold or NMS.

    Args:
        card: how to read them.
        outputs: of one run, by name.
        kept: how many, None for all.

    Raises:
        FrameError: the outputs are not what the card says.
    """
    decoder, spec = DECODERS[card.detection.decoder], replace(card.detection, masks=None)
    by_role = {
        role: one_image(outputs[name], decoder.ranks_of(role), 0)
        for role, name in spec.roles.items()
        if role not in MASK_ROLES
    }
    if card.masks is not None and card.masks.channels:
        by_role['predictions'] = _without_coefficients(card, by_role['predictions'], card.masks.channels)
    found = decoder.decode(
        by_role,
        input_wh=card.image.wh,
        class_count=card.class_count,
        score_threshold=np.float32(_ABOVE_NOTHING),
        **spec.decode_arguments,
    )
    return found.select(np.argsort(-found.scores, kind='stable')[:kept])


def _without_coefficients(card: ModelCard, rows: np.ndarray, channels: int) -> np.ndarray:
    """A table without the mask coefficients at the end of each row, (boxes, columns) or (channels, cells)."""
    values = 0 if card.keypoints is None else card.keypoints.values
    is_grid = card.detection.decoder in ('yolov8', 'yolov8_pose')
    if is_grid and rows.shape[0] == 4 + card.class_count + values + channels:
        return rows[:-channels]
    return rows[:, :-channels]
