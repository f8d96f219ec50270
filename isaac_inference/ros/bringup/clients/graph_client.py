# SPDX-License-Identifier: Apache-2.0
"""A node that sends pictures into a running graph and waits for what comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.pictures import SourceFrame
from isaac_inference.ros.bringup.clients.feeder import FRAME_ID, Feeder, FeedTopics
from isaac_inference.ros.bringup.readouts.base import Readout
from isaac_inference.ros.bringup.readouts.detections import DetectionReadout
from isaac_inference.ros.messages.image import IMAGE, image_frame_from_array
from isaac_inference.ros.runtime.health.timing import total_ms
from isaac_inference.ros.runtime.topics.stamp import stamp_ns

_IMAGE = 'image'


@dataclass
class FrameResult:
    """What the graph said of one picture; `error` says why there is nothing.

    `found` is what the model's `Readout` read, `key` its name in JSON.
    """

    image: str | int
    stamp_ns: int = 0
    frame_id: str = ''
    width: int = 0
    height: int = 0
    found: Any = None
    latency_ms: dict[str, float] = field(default_factory=dict)
    picture: np.ndarray | None = None
    error: str = ''
    key: str = DetectionReadout.key

    @classmethod
    def failure(cls, image: str | int, error: str, key: str = DetectionReadout.key) -> FrameResult:
        """A frame without a result."""
        return cls(image, error=error, key=key)

    def as_json(self) -> dict[str, Any]:
        """The documented JSON object; a frame without a result has null for what was to be found, and an 'error'."""
        line: dict[str, Any] = {
            'image': self.image,
            'stamp_ns': self.stamp_ns,
            'frame_id': self.frame_id,
            'width': self.width,
            'height': self.height,
            self.key: None if self.error else self.found,
            'latency_ms': self.latency_ms,
        }
        return {**line, 'error': self.error} if self.error else line


class GraphClient(Feeder):
    """Feeds `image`, collects what the readout asks for, stage timings and, when asked to, pictures."""

    def __init__(self, node_name: str = 'run_client', **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        self._readout: Readout = DetectionReadout()

    @classmethod
    def start(cls, namespace: str, readout: Readout | None = None, *, pictures: bool) -> GraphClient:
        """Make the client in `namespace`, spin it in its own thread, and activate it.

        Args:
            namespace: the graph's.
            readout: what is waited for and read; default: boxes.
            pictures: wait for each frame's picture too.
        """
        client = cls(namespace=namespace)
        chosen = client._readout = readout or client._readout
        drawn = {chosen.picture_topic: IMAGE} if pictures else {}
        timings = tuple(f'{stage}/timings' for stage in chosen.stages)
        client.run_with(FeedTopics({_IMAGE: IMAGE}, {**chosen.answers, **drawn}, timings, chosen.latched))
        return client

    def ask(self, frame: SourceFrame, timeout_s: float) -> FrameResult:
        """Send one picture and wait for everything that belongs to it."""
        header, readout = self.new_header(), self._readout
        height, width = frame.image.shape[:2]
        result = FrameResult(frame.name, stamp_ns(header), FRAME_ID, width, height, key=readout.key)
        image = image_frame_from_array(frame.image, 'bgr8', header)
        answer = self.show(header, {_IMAGE: image}, timeout_s)
        if answer is None:
            result.error = f'no {next(iter(readout.answers))} within {timeout_s:g} s; {self.explain()}'
            return result
        if not answer.is_complete:  # what came would pass for all that there is
            result.error = f'no {", ".join(answer.missing)} within {timeout_s:g} s; {self.explain()}'
            return result
        try:
            result.found = readout.read(answer.messages, (width, height), self.health.skipped)
        except FrameError as error:
            result.error = str(error)
            return result
        result.latency_ms = {**answer.stages_ms, 'total': total_ms(answer.timings)}
        picture = answer.messages.get(readout.picture_topic)
        if picture is not None:
            result.picture = readout.picture(frame.image, picture)
        return result
