# SPDX-License-Identifier: Apache-2.0
"""CompletionNode: a sensor's depth with its holes filled, guided by the image."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.dense.complete import CompletionSettings, complete_depth
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.geometry.calibration import ImageRectified
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ros.messages.camera_info import CameraFeed
from isaac_inference.ros.messages.compressed_depth import depth_frame_of
from isaac_inference.ros.messages.depth import depth_array, depth_encoding
from isaac_inference.ros.messages.image import IMAGE, ImageFrame, color_image
from isaac_inference.ros.nodes.shared.depth_output import DepthOutput
from isaac_inference.ros.nodes.shared.image_input import ImageInput, ImageParameters
from isaac_inference.ros.nodes.shared.image_source import DepthTransport, ImageSource
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.node import PipelineNode, StageClock
from isaac_inference.ros.runtime.parameters.node_parameters import NodeParameters
from isaac_inference.ros.runtime.parameters.schema import group, param
from isaac_inference.ros.runtime.topics.pairing import Paired, Secondary, StampPairing
from isaac_inference.ros.runtime.topics.qos import RESULTS, QosParameters
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.ros.runtime.transforms.base import frame_name

_FILL = CompletionSettings()
_BUFFER = 8  # images kept while depth is filled
_SAME_ASPECT = 0.02


@dataclass(frozen=True)
class FillParameters:
    """What is filled."""

    max_reach: int = param(
        _FILL.max_reach,
        'Pixels that are farther from any reading stay unknown: holes are filled that are up to twice as wide.',
        unit='px',
        minimum=1,
        maximum=1000,
    )
    edge: float = param(
        _FILL.edge,
        'Step of colour that is an edge, grey levels: depth hardly spreads across.',
        minimum=0.1,
        maximum=255.0,
    )
    min_support: float = param(
        _FILL.min_support,
        'How alike the colours must be along the way from a reading, or the pixel stays unknown.',
        minimum=0.0,
        maximum=1.0,
    )
    max_spread: float = param(
        _FILL.max_spread,
        'Relative spread of the readings around a pixel, above which it stays unknown: it may be on a near or on a far '
        'surface.',
        minimum=0.0,
        maximum=10.0,
    )
    refill_edges: bool = param(
        _FILL.refill_edges, 'Fill anew what was read at steps of depth, which often lies between both surfaces.'
    )

    def settings(self) -> CompletionSettings:
        """What the op takes."""
        return CompletionSettings(**{field.name: getattr(self, field.name) for field in dataclasses.fields(self)})


@dataclass(frozen=True)
class CompletionParameters(ImageParameters, NodeParameters):
    """Parameters of the completion node."""

    fill: FillParameters = group(FillParameters(), '')
    depth_unit_scale: float = param(
        0.0, 'Metres per unit of depth; 0 goes by the encoding: mm in 16 bit, m in float.', unit='m', minimum=0.0
    )
    depth_tolerance_s: float = param(
        0.0,
        "Largest difference of the stamps of depth and image; 0 is half of the image's own period.",
        unit='s',
        minimum=0.0,
        maximum=1.0,
    )
    wait_s: float = param(0.2, 'How long depth waits for its image.', unit='s', minimum=0.0, maximum=10.0)
    depth_transport: DepthTransport = param(
        DepthTransport.AUTO,
        'How depth comes: Image on "sensor_depth/image", CompressedImage on "sensor_depth/image/compressedDepth" or on '
        '"sensor_depth/image" itself, or the first of these that is published.',
    )
    image_rectified: ImageRectified = param(
        ImageRectified.AUTO,
        "Whether the image follows CameraInfo's P (true) or K and D (false); auto goes by CameraInfo and names.",
    )
    image_qos: QosParameters = group(QosParameters(), 'Subscriptions to depth, image and CameraInfo.')
    depth_qos: QosParameters = group(RESULTS, 'Publishers of depth.')


class CompletionNode(PipelineNode):
    """`sensor_depth/image`, registered to `image`, to `depth/image` without its holes (32FC1 m, NaN for unknown).

    With `depth/camera_info`, by the image's `camera_info`, and `depth/points` while somebody looks; at the resolution
    of depth, with its header. Depth spreads into holes as far as the image shows one surface there; what nothing
    supports stays unknown. Depth is the primary input: each is a frame.
    """

    Parameters = CompletionParameters
    stage = 'completion'

    def __init__(self, node_name: str = 'completion', **kwargs: object) -> None:
        self._pairing = StampPairing('depth', {})
        self._feed = CameraFeed()
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        chosen: CompletionParameters = self.parameters
        self._settings = chosen.fill.settings()
        self._output = DepthOutput(self, chosen.depth_qos)
        self._open_camera()
        image = Secondary(tolerance_s=chosen.depth_tolerance_s or None, wait_s=chosen.wait_s, depth=_BUFFER)
        topics = {'depth': 'sensor_depth/image', 'image': 'image'}
        self._pairing = StampPairing(
            'depth', {'image': image}, topics={name: self.resolve_topic_name(topic) for name, topic in topics.items()}
        )
        self.subscribe(plain(CameraInfo), 'camera_info', chosen.image_qos, self._on_camera_info, primary=False)
        self._images = ImageInput(self, 'image', chosen)
        self._images.subscribe(chosen.image_qos, self._on_image, primary=False, depth=_BUFFER)
        source = ImageSource(self, 'sensor_depth/image', chosen.depth_transport, 'depth_transport', 'compressedDepth')
        self.subscribe(IMAGE, 'sensor_depth/image', chosen.image_qos, self._on_depth, primary=True, source=source)
        self.every(max(chosen.wait_s / 3, 0.02), self._on_tick)

    def on_stop(self) -> None:
        self._pairing.clear()
        self._open_camera()

    def _open_camera(self) -> None:
        names = [self.resolve_topic_name(name) for name in ('image', 'camera_info')]
        self._feed = CameraFeed(self.parameters.image_rectified, names)

    def _on_camera_info(self, message: CameraInfo, clock: StageClock) -> None:
        self._feed.put(message)

    def _on_image(self, item: ImageFrame | CompressedImage, clock: StageClock) -> None:
        self._release(self._pairing.put('image', stamp_ns(item.header), item))

    def _on_depth(self, item: ImageFrame | CompressedImage, clock: StageClock) -> None:
        released = self._pairing.put('depth', stamp_ns(item.header), (item, clock))
        clock.defer()
        self._release(released)

    def _on_tick(self) -> None:
        self._release(self._pairing.expire())
        self.health.standing('unpaired', self._pairing.explain())

    def _release(self, released: Sequence[Paired]) -> None:
        self._pairing.drop_forgotten(self.health.dropped)
        for pair in released:
            depth, clock = pair.item
            with self.work(clock):
                if pair.missing:
                    raise FrameError(
                        'unpaired_image',
                        'no image belongs to a depth image; is it published, and with the clock of depth?',
                    )
                self._fill(depth, pair.matches['image'], clock)

    def _fill(self, item: ImageFrame | CompressedImage, image: ImageFrame | CompressedImage, clock: StageClock) -> None:
        frame = depth_frame_of(item)
        read = DepthImage.check(depth_array(frame), depth_encoding(frame), self.parameters.depth_unit_scale or None)
        color, order = color_image(self._images.read(image), ColorOrder.BGR)
        size = (read.width, read.height)
        own, other = frame_name(item.header.frame_id), frame_name(image.header.frame_id)
        aspect = read.width * color.shape[0] / (read.height * color.shape[1])
        if (own and other and own != other) or abs(aspect - 1.0) > _SAME_ASPECT:
            raise FrameError(
                'depth_unregistered',
                f'depth is of {size[0]}x{size[1]} px in frame {own!r}, the image of '
                f'{color.shape[1]}x{color.shape[0]} in {other!r}: it shows another view; use the depth that is '
                'registered (aligned) to the image',
            )
        self._feed.fit(color.shape[1], color.shape[0])
        camera = None if self._feed.camera is None else self._feed.camera.resized(*size)
        guide = color if size == color.shape[1::-1] else cv2.resize(color, size, interpolation=cv2.INTER_AREA)
        depth = read.metres()
        filled = complete_depth(depth, guide, self._settings)
        known, added = (np.count_nonzero(np.isfinite(part)) / part.size for part in (depth, filled))
        self.health.show('known', f'{100 * known:.1f} % read, {100 * added:.1f} % filled or read')
        bgr = guide if order is ColorOrder.BGR else guide[..., ::-1]
        self._output.publish(item.header, filled, camera, lambda: bgr)
        self.report_timings(item.header, (clock.finish(),))


main = node_main(CompletionNode)
