# SPDX-License-Identifier: Apache-2.0
"""PreprocessNode: camera images to a model's input tensors."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from isaac_inference.nodes.color_image import color_image
from isaac_inference.nodes.model_node import ModelNode, ModelParameters
from isaac_inference.ops.encodings import ColorOrder
from isaac_inference.ops.preprocess import decode_compressed
from isaac_inference.runtime.image_frame import COMPRESSED_IMAGE, IMAGE, ImageFrame, byte_view
from isaac_inference.runtime.node import StageClock
from isaac_inference.runtime.parameters import group, param
from isaac_inference.runtime.process import node_main
from isaac_inference.runtime.qos import QosParameters
from isaac_inference.runtime.tensor_frame import TENSORS, TensorFrame
from isaac_inference.stages.preprocess import Preprocessor


class Transport(str, Enum):
    """Which topic carries the images: 'image', or 'image/compressed'."""

    RAW = 'raw'
    COMPRESSED = 'compressed'


@dataclass(frozen=True)
class PreprocessParameters(ModelParameters):
    """Parameters of the preprocess node."""

    transport: Transport = param(
        Transport.RAW, 'Subscribe to Image on "image", or CompressedImage on "image/compressed".'
    )
    image_qos: QosParameters = group(QosParameters(), 'Subscription to the images.')
    tensor_qos: QosParameters = group(QosParameters(), 'Publisher of the tensors.')


class PreprocessNode(ModelNode):
    """`image` (Image) or `image/compressed` (CompressedImage) to `input_tensors` (TensorList).

    Letterbox, colour order, normalisation and layout follow the model's card; the letterbox travels with the tensors.
    """

    Parameters = PreprocessParameters
    stage = 'preprocess'

    def __init__(self, node_name: str = 'preprocess', **kwargs: object) -> None:
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        super().on_setup()
        self._preprocessor = Preprocessor(self.card)
        self._preprocessor(np.zeros((480, 640, 3), np.uint8))  # OpenCV's first call takes tens of ms: not on a frame
        self._tensors = self.advertise(TENSORS, 'input_tensors', self.parameters.tensor_qos)
        if self.parameters.transport is Transport.RAW:
            self.subscribe(IMAGE, 'image', self.parameters.image_qos, self._on_image)
        else:
            self.subscribe(COMPRESSED_IMAGE, 'image/compressed', self.parameters.image_qos, self._on_compressed)

    def _on_image(self, frame: ImageFrame, clock: StageClock) -> None:
        image, order = color_image(frame, self._preprocessor.wanted)
        self._publish(frame.header, image, order, clock)

    def _on_compressed(self, message: CompressedImage, clock: StageClock) -> None:
        self._publish(message.header, decode_compressed(byte_view(message.data)), ColorOrder.BGR, clock)

    def _publish(self, header: Header, image: np.ndarray, order: ColorOrder, clock: StageClock) -> None:
        tensors, letterbox = self._preprocessor(image, order)
        timings = (clock.finish(),)
        self._tensors.publish(TensorFrame(header, tensors, {'letterbox': letterbox.to_array()}, timings))
        self.report_timings(header, timings)


main = node_main(PreprocessNode)
