# SPDX-License-Identifier: Apache-2.0
"""AnnotateNode: the picture with boxes, names, scores and frame rate, for people."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from dataclasses import dataclass

import numpy as np
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray

from isaac_inference.nodes.color_image import color_image
from isaac_inference.ops.draw import draw_boxes, draw_caption
from isaac_inference.ops.encodings import ColorOrder
from isaac_inference.runtime.image_frame import IMAGE, ImageFrame, image_frame_from_array
from isaac_inference.runtime.node import PipelineNode, StageClock
from isaac_inference.runtime.node_parameters import NodeParameters
from isaac_inference.runtime.parameters import group, param
from isaac_inference.runtime.process import node_main
from isaac_inference.runtime.qos import QosParameters, Reliability
from isaac_inference.runtime.type_adapter import plain

_DARK = (40, 40, 40)


@dataclass(frozen=True)
class AnnotateParameters(NodeParameters):
    """Parameters of the annotate node."""

    buffer_size: int = param(
        16, 'Images kept while their detections are being made.', unit='images', minimum=1, maximum=1000
    )
    draw_rate: bool = param(True, 'Write the frame rate into the corner.', live=True)
    image_qos: QosParameters = group(QosParameters(), 'Subscription to the images.')
    detections_qos: QosParameters = group(
        QosParameters(reliability=Reliability.RELIABLE, depth=10), 'Subscription to the detections.'
    )
    debug_image_qos: QosParameters = group(
        QosParameters(reliability=Reliability.RELIABLE), 'Publisher of the pictures.'
    )


class AnnotateNode(PipelineNode):
    """`image` and `detections`, paired by stamp, to `~/debug_image` (Image, bgr8), only while somebody subscribes."""

    Parameters = AnnotateParameters
    stage = 'annotate'

    def __init__(self, node_name: str = 'annotate', **kwargs: object) -> None:
        super().__init__(node_name, **kwargs)
        self._images: OrderedDict[tuple[int, int], ImageFrame] = OrderedDict()
        self._times: deque[float] = deque(maxlen=30)

    def on_setup(self) -> None:
        chosen = self.parameters
        self._pictures = self.advertise(IMAGE, '~/debug_image', chosen.debug_image_qos)
        self.subscribe(IMAGE, 'image', chosen.image_qos, self._on_image, depth=chosen.buffer_size)
        self.subscribe(
            plain(Detection2DArray), 'detections', chosen.detections_qos, self._on_detections, depth=chosen.buffer_size
        )

    def on_stop(self) -> None:
        self._images.clear()

    def _on_image(self, frame: ImageFrame, clock: StageClock) -> None:
        if not self._pictures.wanted:
            self._images.clear()
            return
        self._images[_stamp(frame.header)] = frame
        while len(self._images) > self.parameters.buffer_size:
            self._images.popitem(last=False)

    def _on_detections(self, message: Detection2DArray, clock: StageClock) -> None:
        self._times.append(time.monotonic())
        frame = self._images.pop(_stamp(message.header), None)
        if frame is None:
            if self._pictures.wanted and self._images:
                self.health.dropped('image_missing')
            return
        picture = self._picture(frame)
        _draw(picture, message.detections)
        if self.parameters.draw_rate and len(self._times) > 1:
            rate = (len(self._times) - 1) / max(self._times[-1] - self._times[0], 1e-6)
            draw_caption(picture, f'{rate:.1f} fps', (0, 0), _DARK)
        self._pictures.publish(image_frame_from_array(picture, 'bgr8', frame.header))

    @staticmethod
    def _picture(frame: ImageFrame) -> np.ndarray:
        """A BGR copy to draw on."""
        image, order = color_image(frame, ColorOrder.BGR)
        return np.array(image if order is ColorOrder.BGR else image[..., ::-1], order='C')


def _stamp(header: Header) -> tuple[int, int]:
    return header.stamp.sec, header.stamp.nanosec


def _draw(picture: np.ndarray, detections: list[Detection2D]) -> None:
    boxes = np.array([_corners(item) for item in detections], np.float32).reshape(-1, 4)
    best = [item.results[0].hypothesis for item in detections if item.results]
    named = [index for index, item in enumerate(detections) if item.results]
    ids = [f' #{detections[index].id}' if detections[index].id else '' for index in named]
    draw_boxes(
        picture,
        boxes[named],
        [hypothesis.class_id for hypothesis in best],
        [f'{hypothesis.class_id} {hypothesis.score:.2f}{suffix}' for hypothesis, suffix in zip(best, ids, strict=True)],
    )


def _corners(item: Detection2D) -> tuple[float, float, float, float]:
    center, width, height = item.bbox.center.position, item.bbox.size_x, item.bbox.size_y
    return center.x - width / 2, center.y - height / 2, center.x + width / 2, center.y + height / 2


main = node_main(AnnotateNode)
