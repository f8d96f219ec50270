# SPDX-License-Identifier: Apache-2.0
"""Decodes what one run of a model gave, every box whatever it scores, to see whether a card makes sense of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.models.card.card import ModelCard
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
    decoder = DECODERS[card.detection.decoder]
    by_role = {role: one_image(outputs[name], decoder.ranks_of(role), 0) for role, name in card.spec.roles.items()}
    found = decoder.decode(
        by_role,
        input_wh=card.image.wh,
        class_count=card.class_count,
        score_threshold=np.float32(_ABOVE_NOTHING),
        **card.detection.decode_arguments,
    )
    return found.select(np.argsort(-found.scores, kind='stable')[:kept])
