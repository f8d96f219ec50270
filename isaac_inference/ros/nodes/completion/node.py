# SPDX-License-Identifier: Apache-2.0
"""CompletionNode: a sensor's depth with its holes filled, guided by the image, with a model or without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import Header

from isaac_inference.errors import FrameError
from isaac_inference.models import read_card
from isaac_inference.ops.depth.dense.complete import complete_depth
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ros.messages.camera_info import CameraFeed
from isaac_inference.ros.messages.compressed_depth import depth_frame_of
from isaac_inference.ros.messages.depth import depth_array, depth_encoding
from isaac_inference.ros.messages.image import IMAGE, ImageFrame, color_image, image_frame_from_array
from isaac_inference.ros.nodes.completion.parameters import CompletionParameters
from isaac_inference.ros.nodes.shared.depth_output import DepthOutput
from isaac_inference.ros.nodes.shared.depth_source import DepthSource
from isaac_inference.ros.nodes.shared.image_input import ImageInput
from isaac_inference.ros.nodes.shared.image_source import ImageSource
from isaac_inference.ros.nodes.shared.network_link import Answer, NetworkLink
from isaac_inference.ros.nodes.shared.released import work_off
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.node import PipelineNode, StageClock
from isaac_inference.ros.runtime.topics.pairing import Paired, Secondary, StampPairing
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.ros.runtime.transforms.base import frame_name
from isaac_inference.stages.depth.completion import CompletionNetwork

_BUFFER = 8  # images kept while depth is filled
_SAME_ASPECT = 0.02


@dataclass(frozen=True, eq=False)
class _Frame:
    """Depth and its image, of one view and size.

    Attributes:
        header: of depth.
        measured: (H, W) float32 m, NaN for unknown.
        view: (H, W, 3) uint8 BGR.
        camera: of both; None where it is not known.
    """

    header: Header
    measured: np.ndarray
    view: np.ndarray
    camera: CameraModel | None


class CompletionNode(PipelineNode):
    """`sensor_depth/image`, registered to `image`, to `depth/image` without its holes (32FC1 m, NaN for unknown).

    With `depth/camera_info`, by the image's `camera_info`, and `depth/points` while somebody looks; at the resolution
    of depth, with its header. Depth spreads into holes as far as the image shows one surface there; what nothing
    supports stays unknown. Depth is the primary input: each is a frame. Where `sensor_depth/camera_info` is published,
    depth that shows another view than the image is refused by it, such as that of the whole sensor beside a part.

    With a model, image and depth go to the inference node as `input_tensors`, and its `output_tensors` are read, and
    held against the readings. There is a `depth/confidence` (mono8, 0 for unknown) of a network that gives one.
    """

    Parameters = CompletionParameters
    stage = 'completion'

    def __init__(self, node_name: str = 'completion', **kwargs: object) -> None:
        self._pairing = StampPairing('depth', {})
        self._feed, self._own = CameraFeed(), CameraFeed()
        self._network: CompletionNetwork | None = None
        self._link: NetworkLink[_Frame] | None = None
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        chosen: CompletionParameters = self.parameters
        self._settings = chosen.fill.settings()
        self._open_network(chosen)
        self._output = DepthOutput(self, chosen.depth_qos)
        has_confidence = self._network is not None and self._network.has_confidence
        self._confidences = self.advertise(IMAGE, 'depth/confidence', chosen.depth_qos) if has_confidence else None
        self._open_camera()
        image = Secondary(tolerance_s=chosen.depth_tolerance_s or None, wait_s=chosen.wait_s, depth=_BUFFER)
        topics = {'depth': 'sensor_depth/image', 'image': 'image'}
        self._pairing = StampPairing(
            'depth', {'image': image}, topics={name: self.resolve_topic_name(topic) for name, topic in topics.items()}
        )
        infos = plain(CameraInfo)
        self.subscribe(infos, 'camera_info', chosen.image_qos, self._on_camera_info, primary=False)
        self.subscribe(infos, 'sensor_depth/camera_info', chosen.image_qos, self._on_depth_camera_info, primary=False)
        self._images = ImageInput(self, 'image', chosen)
        self._images.subscribe(chosen.image_qos, self._on_image, primary=False, depth=_BUFFER)
        source = ImageSource(self, 'sensor_depth/image', chosen.depth_transport, 'depth_transport', 'compressedDepth')
        self.subscribe(IMAGE, 'sensor_depth/image', chosen.image_qos, self._on_depth, primary=True, source=source)
        self.every(max(chosen.wait_s / 3, 0.02), self._on_tick)

    def _open_network(self, chosen: CompletionParameters) -> None:
        """Raises ModelError for a model that completes no depth."""
        self._network = self._link = None
        self.model = ''
        if chosen.model:
            card = read_card(chosen.model, chosen.model_card or None)
            self._network = CompletionNetwork(card, chosen.network.settings())
            self._link = NetworkLink(self, card, chosen.tensor_qos, chosen.network.wait_s, self._on_answer)
            self.model = card.name

    def on_stop(self) -> None:
        self._pairing.clear()
        if self._link is not None:
            self._link.clear()
        self._open_camera()

    def _open_camera(self) -> None:
        names = [self.resolve_topic_name(name) for name in ('image', 'camera_info')]
        self._feed = CameraFeed(self.parameters.image_rectified, names)
        own = [self.resolve_topic_name(f'sensor_depth/{name}') for name in ('image', 'camera_info')]
        self._own = CameraFeed(topics=own)
        self._source = DepthSource(self._feed, self._own, _no_transform, self.parameters.depth_unit_scale)

    def _on_camera_info(self, message: CameraInfo, clock: StageClock) -> None:
        self._feed.put(message)

    def _on_depth_camera_info(self, message: CameraInfo, clock: StageClock) -> None:
        self._own.put(message)

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
        work_off(self, self._pairing, released, self._fill)

    def _fill(self, item: ImageFrame | CompressedImage, pair: Paired, clock: StageClock) -> None:
        if pair.missing:
            raise FrameError(
                'unpaired_image', 'no image belongs to a depth image; is it published, and with the clock of depth?'
            )
        image: ImageFrame | CompressedImage = pair.matches['image']
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
        self._source.check_registered(read)
        camera = None if self._feed.camera is None else self._feed.camera.resized(*size)
        guide = color if size == color.shape[1::-1] else cv2.resize(color, size, interpolation=cv2.INTER_AREA)
        bgr = guide if order is ColorOrder.BGR else guide[..., ::-1]
        made = _Frame(item.header, read.metres(), np.ascontiguousarray(bgr), camera)
        if self._network is not None and self._link is not None:
            tensors, letterbox = self._network.tensors(made.view, made.measured, ColorOrder.BGR)
            self._link.ask(item.header, tensors, letterbox, made, clock)
            return
        self._publish(made, complete_depth(made.measured, guide, self._settings))
        self.report_timings(item.header, (clock.finish(),))

    def _on_answer(self, answer: Answer[_Frame]) -> None:
        if self._network is None:
            raise FrameError('not_configured', 'an answer arrived while the network was being left')
        frame = answer.item
        filled, confidence = self._network.read(answer.outputs, answer.letterbox, frame.measured)
        if confidence is not None and self._confidences is not None and self._confidences.wanted:
            self._confidences.publish(image_frame_from_array(confidence, 'mono8', frame.header))
        self._publish(frame, filled)
        self.report_timings(frame.header, answer.timings)

    def _publish(self, frame: _Frame, filled: np.ndarray) -> None:
        known, added = (np.count_nonzero(np.isfinite(part)) / part.size for part in (frame.measured, filled))
        self.health.show('known', f'{100 * known:.1f} % read, {100 * added:.1f} % filled or read')
        self._output.publish(frame.header, filled, frame.camera, lambda: frame.view)


def _no_transform(target: str, source: str, stamp_ns: int, patient: bool) -> Pose:
    raise FrameError('depth_unregistered', 'depth that is to be filled has to be in the frame of the image')


main = node_main(CompletionNode)
