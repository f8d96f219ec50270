# SPDX-License-Identifier: Apache-2.0
"""The contract of what is read out of a graph's answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from isaac_inference.ros.messages.detections import Skip
from isaac_inference.ros.messages.image import ImageFrame
from isaac_inference.ros.runtime.topics.type_adapter import TypeAdapter


class Readout(ABC):
    """Topics whose messages are waited for, and what JSON says of them.

    Attributes:
        key: of the finding in a row of JSON.
        stages: the graph's last node, which reports everybody's timings; of two models the last of each.
        picture_topic: where pictures for people are.
        answers: topics with a message for each picture; without the first there is no answer.
        latched: topics with one message for all.
    """

    key: ClassVar[str]
    stages: tuple[str, ...]
    picture_topic: ClassVar[str] = 'annotate/debug_image'
    answers: Mapping[str, TypeAdapter[Any]]
    latched: Mapping[str, TypeAdapter[Any]]

    @abstractmethod
    def read(self, messages: Mapping[str, Any], source_wh: tuple[int, int], skip: Skip) -> Any:
        """The finding, ready for JSON.

        Args:
            messages: by topic; but for the first of the answers, some may not have come.
            source_wh: (width, height) of the picture.
            skip: told of each part that cannot be used and is left out.

        Raises:
            FrameError: the messages cannot be used.
        """

    def picture(self, source: np.ndarray, frame: ImageFrame) -> np.ndarray:
        """(H, W, 3) uint8 BGR: what people see of a picture, (H, W, 3) uint8 BGR, and of the graph's own of it."""
        image = frame.image
        return image.data.reshape(image.height, image.width, 3)
