# SPDX-License-Identifier: Apache-2.0
"""Colour images as a node takes them: raw or compressed, of however many bits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from isaac_inference.ops.image.bit_depth import BitDepth
from isaac_inference.ros.messages.image import IMAGE, ImageFrame, image_frame
from isaac_inference.ros.nodes.shared.image_source import ImageSource, Transport
from isaac_inference.ros.runtime.node import PipelineNode, StageClock
from isaac_inference.ros.runtime.parameters.schema import param
from isaac_inference.ros.runtime.topics.qos import QosParameters


class BitDepthChoice(str, Enum):
    """Significant bits of 16-bit samples; AUTO is `BitDepth`'s rule."""

    AUTO = 'auto'
    BITS_10 = '10'
    BITS_12 = '12'
    BITS_14 = '14'
    BITS_16 = '16'


@dataclass(frozen=True)
class ImageParameters:
    """How the images of a node come."""

    transport: Transport = param(
        Transport.AUTO,
        'How images come: Image on "image", CompressedImage on "image/compressed" or on "image" itself, or the first '
        'of these that is published.',
    )
    bit_depth: BitDepthChoice = param(
        BitDepthChoice.AUTO,
        'Significant bits of 16-bit samples, which cameras of 10 to 14 bits put into the low end; "auto" takes as many '
        'as the largest value so far needs, so a camera of 16 bits in the dark wants "16".',
    )


class ImageInput:
    """The image topic of one node.

    Args:
        node: in its `on_setup`. It says once what is assumed: which topic is taken, and how many bits.
        topic: of the images.
        chosen: the node's parameters.
    """

    def __init__(self, node: PipelineNode, topic: str, chosen: ImageParameters) -> None:
        self._node, self._topic = node, topic
        self._transport = chosen.transport
        self._is_auto = chosen.bit_depth is BitDepthChoice.AUTO
        self._bit_depth = BitDepth(None if self._is_auto else int(chosen.bit_depth.value))

    def subscribe(self, qos: QosParameters, handler: Callable[[Any, StageClock], None], **options: Any) -> None:
        """Declare the subscription; the handler gives what it is called with to `read`.

        Args:
            qos: of the subscription.
            handler: gets ImageFrame or CompressedImage, both with a `header`.
            options: those of `PipelineNode.subscribe`.
        """
        self._node.health.show('bit_depth', None)
        wanted = options.get('wanted')  # only nodes that look at images beside something else want them now and then
        source = ImageSource(
            self._node, self._topic, self._transport, wanted=wanted or (lambda: True), is_logged=wanted is None
        )
        self._node.subscribe(IMAGE, self._topic, qos, handler, source=source, **options)

    def read(self, item: Any) -> ImageFrame:
        """The image in what the handler got, decoded, and with its bit depth.

        Raises:
            FrameError: as `image_frame`.
        """
        frame = image_frame(item)
        before = self._bit_depth.value
        image = self._bit_depth(frame.image)
        if image is frame.image:
            return frame
        if self._bit_depth.value != before:
            self._say(frame.image.encoding)
        elif self._bit_depth.is_exceeded:
            self._node.health.problem('bit_depth', self._excess(frame.image.encoding), log_again=False)
        return dataclasses.replace(frame, image=image)

    def _say(self, encoding: str) -> None:
        found = self._bit_depth
        how = f'auto, largest value so far {found.largest}' if self._is_auto else 'chosen'
        self._node.health.show('bit_depth', f'{found.value} ({how})')
        self._node.health.clear('bit_depth')
        if self._is_auto and found.value is not None and found.value < 16:
            self._node.get_logger().info(
                f'{self._node.resolve_topic_name(self._topic)}: {encoding} with values up to {found.largest} is taken '
                f'for {found.value} bits, so {(1 << found.value) - 1} is white; if the camera has more bits, set '
                'bit_depth'
            )

    def _excess(self, encoding: str) -> str:
        return (
            f'{self._node.resolve_topic_name(self._topic)}: {encoding} has values of {self._bit_depth.largest}, more '
            f'than {self._bit_depth.value} bits hold: they are white; correct bit_depth, or set it to "auto"'
        )
