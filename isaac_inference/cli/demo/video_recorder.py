# SPDX-License-Identifier: Apache-2.0
"""A node that writes an image topic to a video file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.ros.bringup.clients.command_node import CommandNode
from isaac_inference.ros.messages.image import IMAGE, ImageFrame
from isaac_inference.ros.runtime.node import StageClock
from isaac_inference.ros.runtime.topics.qos import QosParameters, Reliability

_QOS = QosParameters(reliability=Reliability.RELIABLE, depth=30)
_CODEC = 'mp4v'  # what every build of OpenCV can write


class VideoRecorder(CommandNode):
    """Writes bgr8 images of `topic` as they come, at a nominal rate; `close` finishes the file.

    `frames` counts what was written; `last` is the latest picture.
    """

    def __init__(self, node_name: str = 'video_recorder', **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        self.frames = 0
        self.last: np.ndarray | None = None
        self._writer: cv2.VideoWriter | None = None
        self._topic, self._path, self._rate_hz = '', Path(), 30.0

    @classmethod
    def start(cls, namespace: str, topic: str, path: Path, rate_hz: float) -> VideoRecorder:
        """Record `topic` of `namespace` to `path` (.mp4) from now on."""
        recorder = cls(namespace=namespace)
        recorder._topic, recorder._path, recorder._rate_hz = topic, path, rate_hz
        recorder.run()
        return recorder

    def on_setup(self) -> None:
        self.subscribe(IMAGE, self._topic, _QOS, self._on_image, depth=_QOS.depth)

    def close(self) -> None:
        """Stop, and finish the file."""
        super().close()
        if self._writer is not None:
            self._writer.release()

    def _on_image(self, frame: ImageFrame, clock: StageClock) -> None:
        image = frame.image
        picture = image.data.reshape(image.height, image.width, 3)
        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            code = cv2.VideoWriter.fourcc(*_CODEC)
            self._writer = cv2.VideoWriter(str(self._path), code, self._rate_hz, (image.width, image.height))
            if not self._writer.isOpened():
                raise ConfigError(f'{self._path}: OpenCV cannot write this video; check permissions and free space')
        self._writer.write(picture)
        self.frames, self.last = self.frames + 1, picture
