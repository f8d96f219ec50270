# SPDX-License-Identifier: Apache-2.0
"""Any model's input tensors of one picture: what else it takes is made up from the picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.tasks import Task
from isaac_inference.models.recognition.probe import probe_disparity
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.stages.depth.completion import CompletionNetwork
from isaac_inference.stages.depth.stereo import StereoNetwork
from isaac_inference.stages.image.preprocess import Preprocessor

PictureFeeds = Callable[[np.ndarray], tuple[Mapping[str, np.ndarray], Letterbox]]
"""From (H, W, 3) uint8 BGR to the input tensors by name, and the letterbox of the picture."""


def picture_feeds(card: ModelCard) -> PictureFeeds:
    """What makes a model's input tensors of a picture, with the card's preprocessing.

    The right image of a pair is the same picture from further to the right; a depth image is from 1 m, where the
    picture is dark, to 3.55 m.

    Raises:
        ModelError: an input that nothing here can feed.
    """
    if card.task is Task.STEREO_DEPTH:
        pairs = StereoNetwork(card)
        return lambda picture: pairs.tensors(picture, np.roll(picture, -probe_disparity(picture.shape[1]), axis=1))
    if card.task is Task.DEPTH_COMPLETION:
        frames = CompletionNetwork(card)
        return lambda picture: frames.tensors(picture, np.float32(1.0) + picture[..., 0] / np.float32(100.0))
    return Preprocessor(card)
