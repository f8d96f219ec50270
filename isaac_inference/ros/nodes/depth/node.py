# SPDX-License-Identifier: Apache-2.0
"""DepthNode: the outputs of a network that sees one image to depth."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import Header

from isaac_inference.errors import FrameError
from isaac_inference.models import PreprocessSpec
from isaac_inference.ops.depth.dense.scale_shift import ScaleShift, SmoothScaleShift
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ros.messages.camera_info import CameraFeed
from isaac_inference.ros.messages.image import IMAGE, ImageFrame, image_frame_from_array
from isaac_inference.ros.messages.tensors import TENSORS, TensorFrame
from isaac_inference.ros.nodes.depth.alignment import DepthAlignment, GroundAlignment, smoothed
from isaac_inference.ros.nodes.depth.parameters import Align, DepthParameters
from isaac_inference.ros.nodes.shared.depth_output import DepthOutput
from isaac_inference.ros.nodes.shared.image_source import ImageSource
from isaac_inference.ros.nodes.shared.model_node import ModelNode
from isaac_inference.ros.nodes.shared.released import work_off
from isaac_inference.ros.nodes.shared.source_letterbox import SourceLetterbox
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.node import StageClock
from isaac_inference.ros.runtime.topics.pairing import Paired, Secondary, StampPairing
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.ros.runtime.transforms import LazyTransforms
from isaac_inference.ros.runtime.transforms.base import frame_name
from isaac_inference.stages.depth.flat_watch import FlatWatch
from isaac_inference.stages.depth.mono import MonoDepth

_BUFFER = 30  # frames of depth kept while the network works


class DepthNode(ModelNode):
    """`output_tensors` (TensorList) of a network for depth from one image, at the size of the image.

    What the network gives of a scene up to a scale and a shift is published as such: `depth/relative` (32FC1, no
    metres; larger is nearer where the card says "inverse"). Only what is metres is published as depth: `depth/image`
    (32FC1 m, NaN for unknown) with `depth/camera_info`, and `depth/points` while somebody looks. That is what a metric
    network gives, or what `align` made metric: scale and shift are fitted to a sensor's depth (`align_depth`) or to the
    ground (/tf), robustly, or are the card's. A frame whose fit cannot be trusted has no depth in metres, and the
    reason is counted.
    """

    Parameters = DepthParameters
    stage = 'depth'

    def __init__(self, node_name: str = 'depth', **kwargs: object) -> None:
        self._pairing = StampPairing('tensors', {})
        self._transforms = LazyTransforms(self, lambda: self.parameters.transform_source)
        self._feed = CameraFeed()
        self._watch: FlatWatch | None = None
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        super().on_setup()
        chosen: DepthParameters = self.parameters
        self._mono = MonoDepth(self.card)
        self._fixed = self._mono.rule() if self._mono.is_metric or chosen.align is Align.CARD else None
        self._letterboxes = SourceLetterbox(self.card, chosen.source_size)
        settings = chosen.fit.settings()
        self._by_depth = DepthAlignment(settings, self._mono.inverse)
        self._by_ground = GroundAlignment(
            dataclasses.replace(settings, min_inliers=chosen.ground_share),
            self._mono.inverse,
            chosen.ground_range,
            self._place,
        )
        self._output = DepthOutput(self, chosen.depth_qos)
        self._relative = None if self._mono.is_metric else self.advertise(IMAGE, 'depth/relative', chosen.depth_qos)
        self._forget()
        self._subscribe(chosen)

    def _subscribe(self, chosen: DepthParameters) -> None:
        streams = {}
        if self._uses_depth:
            tolerance_s = chosen.depth_tolerance_s or None
            streams['align_depth'] = Secondary(tolerance_s=tolerance_s, wait_s=chosen.wait_s, depth=_BUFFER)
            source = ImageSource(self, 'align_depth', chosen.depth_transport, 'depth_transport', 'compressedDepth')
            self.subscribe(
                IMAGE, 'align_depth', chosen.image_qos, self._on_depth, primary=False, depth=_BUFFER, source=source
            )
        topics = {'tensors': 'output_tensors', 'align_depth': 'align_depth'}
        self._pairing = StampPairing(
            'tensors', streams, topics={name: self.resolve_topic_name(topic) for name, topic in topics.items()}
        )
        self.subscribe(plain(CameraInfo), 'camera_info', chosen.image_qos, self._on_camera_info, primary=False)
        self.subscribe(TENSORS, 'output_tensors', chosen.tensor_qos, self._on_tensors, primary=True)
        if self._uses_depth:
            self.every(max(chosen.wait_s / 3, 0.02), self._on_tick)

    @property
    def _uses_depth(self) -> bool:
        return self._fixed is None and self.parameters.align is Align.DEPTH

    def on_time_jump(self, now_ns: int) -> None:
        self._mean.clear()
        self._transforms.rewind(now_ns)

    def on_stop(self) -> None:
        self._pairing.clear()
        self._forget()

    def on_teardown(self) -> None:
        self._transforms.close()

    def on_parameters(self, updated: DepthParameters) -> None:
        self._mean = SmoothScaleShift(updated.smoothing)

    def _forget(self) -> None:
        """Know no camera, no fit and no frame yet."""
        chosen: DepthParameters = self.parameters
        names = [self.resolve_topic_name(name) for name in ('image', 'camera_info')]
        self._feed = CameraFeed(chosen.image_rectified, names)
        self._mean = SmoothScaleShift(chosen.smoothing)
        lines = _preprocess_lines(self.card.image.preprocess)
        self._watch = FlatWatch(chosen.flat_frames, lines) if chosen.flat_frames else None

    # Inputs

    def _on_camera_info(self, message: CameraInfo, clock: StageClock) -> None:
        self._feed.put(message)

    def _on_depth(self, item: ImageFrame | CompressedImage, clock: StageClock) -> None:
        self._release(self._pairing.put('align_depth', stamp_ns(item.header), item))

    def _on_tensors(self, frame: TensorFrame, clock: StageClock) -> None:
        released = self._pairing.put('tensors', stamp_ns(frame.header), (frame, clock))
        clock.defer()
        self._release(released)

    def _on_tick(self) -> None:
        self._release(self._pairing.expire())
        self.health.standing('unpaired', self._pairing.explain())

    def _release(self, released: Sequence[Paired]) -> None:
        work_off(self, self._pairing, released, self._read)

    # Frames

    def _read(self, frame: TensorFrame, pair: Paired, clock: StageClock) -> None:
        known: ImageFrame | CompressedImage | None = pair.matches.get('align_depth')
        frame.check_card(self.card.id)
        numbers = self._mono(frame.tensors, self._letterboxes.of(frame.auxiliary))
        self._look_at(numbers)
        if self._relative is not None:
            self._relative.publish(image_frame_from_array(numbers, '32FC1', frame.header))
        if self._fixed is not None or self.parameters.align is not Align.NONE:
            self._publish_metres(frame.header, numbers, known)
        else:
            self._output.show(frame.header, numbers, '', self._mono.inverse)
        self.report_timings(frame.header, (*frame.timings, clock.finish()))

    def _publish_metres(self, header: Header, numbers: np.ndarray, known: ImageFrame | CompressedImage | None) -> None:
        """Raises FrameError where scale and shift cannot be trusted."""
        self._feed.fit(numbers.shape[1], numbers.shape[0])
        rule = self._fixed
        if rule is None:
            try:
                rule = smoothed(self._mean, self._fit(numbers, header, known), numbers)
            except FrameError:
                self.health.show('align', None)
                raise
        self.health.show('align', _in_words(rule))
        depth = rule.depth(numbers)
        farthest = self.parameters.max_depth
        if farthest:
            depth[depth > farthest] = np.nan
        self._output.publish(header, depth, self._feed.camera)

    def _fit(self, numbers: np.ndarray, header: Header, known: ImageFrame | CompressedImage | None) -> ScaleShift:
        if self.parameters.align is Align.DEPTH:
            return self._by_depth(numbers, header, known)
        return self._by_ground(numbers, header, self._feed.camera)

    def _place(self, header: Header) -> Pose:
        """T_ground_camera at the image's stamp.

        Raises:
            TransformError: /tf has none, or none in time.
        """
        chosen: DepthParameters = self.parameters
        names = frame_name(chosen.ground_frame), frame_name(header.frame_id)
        return self._transforms.pose(*names, stamp_ns(header), chosen.transform_wait_s)

    def _look_at(self, numbers: np.ndarray) -> None:
        """Warn of what only many frames show."""
        remark = self._watch.add(numbers) if self._watch is not None else ''
        self.remark('flat_output', remark)


def _preprocess_lines(spec: PreprocessSpec) -> str:
    values = f'color: {spec.color}, scale: {spec.scale:.6g}, mean: {list(spec.mean)}, std: {list(spec.std)}'
    return f'"preprocess: {{{values}}}"'


def _in_words(rule: ScaleShift) -> str:
    of = '1/m' if rule.inverse else 'm'
    fit = f', {100 * rule.inliers:.0f} % agree within {100 * rule.relative:.1f} %' if rule.count else ''
    return f'{of} = {rule.scale:.5g} * number + {rule.shift:.5g}{fit}'


main = node_main(DepthNode)
