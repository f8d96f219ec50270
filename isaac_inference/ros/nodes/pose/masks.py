# SPDX-License-Identifier: Apache-2.0
"""The masks of a frame's detections, for whoever takes the pixels of objects out of depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from isaac_inference.errors import FrameError
from isaac_inference.models import AnyCard, ModelCard
from isaac_inference.ops.masks.masks import Masks
from isaac_inference.ros.messages.detections import SeenBox, Skip
from isaac_inference.ros.messages.image import ImageFrame
from isaac_inference.ros.messages.masks import read_masks
from isaac_inference.ros.runtime.parameters.schema import AutoSwitch
from isaac_inference.stages.poses import Observed

BUFFER = 8  # masks kept while their detections are made; an image each


def wants_masks(choice: AutoSwitch, card: AnyCard | None) -> bool:
    """Whether detections come with masks: as chosen, or as the card of the model that finds them says."""
    if choice is AutoSwitch.AUTO:
        return isinstance(card, ModelCard) and card.masks is not None
    return choice is AutoSwitch.TRUE


def masks_of(
    frame: ImageFrame | None, seen: Sequence[SeenBox], count: int, image_wh: tuple[int, int], skip: Skip
) -> Masks | None:
    """The masks of these detections; None without any, and for ones that cannot be used, of which `skip` is told.

    Args:
        frame: the message of the same stamp, or None.
        seen, count, image_wh: as of `read_masks`.
        skip: told the reason and a sentence.
    """
    if frame is None:
        return None
    try:
        return read_masks(frame, seen, count, image_wh)
    except FrameError as error:
        skip(error.reason, f'a frame goes on without its masks: {error}')
        return None


def with_mask(item: Observed, masks: Masks | None, index: int, note: Callable[[str, str], None]) -> Observed:
    """The detection with its mask; as it was where nothing of that is seen, of which `note` is told."""
    if masks is None:
        return item
    if not masks.crops[index].any():
        note('mask_empty', f'{item.label}: no pixel of its mask is in its box; the surface in the middle is taken')
        return item
    return replace(item, mask=masks.full(index))
