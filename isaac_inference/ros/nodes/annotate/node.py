# SPDX-License-Identifier: Apache-2.0
"""AnnotateNode: the picture with boxes, names, poses, tracks and frame rate, for people."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, Detection3DArray, LabelInfo

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.models.card.skeletons.spec import SkeletonSpec
from isaac_inference.models.skeleton_reader import read_skeleton
from isaac_inference.ops.drawing.boxes import draw_caption
from isaac_inference.ops.drawing.classes import draw_classes
from isaac_inference.ops.geometry.calibration import ImageRectified
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ros.messages.camera_info import CameraFeed
from isaac_inference.ros.messages.class_mask import CLASS_MASK, LABEL_INFO, class_mask_array, labels_of
from isaac_inference.ros.messages.detections import SeenBox, read_detections, read_keypoints
from isaac_inference.ros.messages.image import IMAGE, ImageFrame, color_image, image_frame_from_array
from isaac_inference.ros.messages.masks import INSTANCE_MASK
from isaac_inference.ros.messages.tensors import KEYPOINTS_TOPIC, TENSORS, TensorFrame
from isaac_inference.ros.nodes.annotate.drawing import (
    Trails,
    draw_detections,
    draw_keypoints,
    draw_masks,
    draw_poses,
    draw_skeletons,
)
from isaac_inference.ros.nodes.shared.image_input import ImageInput, ImageParameters
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.node import PipelineNode, StageClock
from isaac_inference.ros.runtime.parameters.node_parameters import NodeParameters
from isaac_inference.ros.runtime.parameters.schema import group, param
from isaac_inference.ros.runtime.topics.pairing import Paired, Secondary, StampPairing
from isaac_inference.ros.runtime.topics.qos import LATCHED, RESULTS, QosParameters
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.ros.runtime.transforms import LazyTransforms, TransformLibrary

_DARK = (40, 40, 40)


@dataclass(frozen=True)
class AnnotateParameters(ImageParameters, NodeParameters):
    """Parameters of the annotate node."""

    buffer_size: int = param(
        16, 'Images kept while their detections are being made.', unit='images', minimum=1, maximum=1000
    )
    draw_rate: bool = param(True, 'Write the frame rate into the corner.', live=True)
    draw_detections: bool = param(
        True, 'Draw `detections`; false for a model that finds none: then each `class_mask` asks for a picture.'
    )
    draw_classes: bool = param(False, 'Draw `class_mask` too, waiting for it: for a model with a class for each pixel.')
    draw_poses: bool = param(False, 'Draw the cuboids and axes of `detections_3d` too, waiting for them.')
    draw_keypoints: bool = param(False, 'Draw `keypoints` too, waiting for them: for a model that has them.')
    draw_skeletons: bool = param(
        False,
        'Draw the skeletons of `keypoints`, waiting for them: for a model that finds people; model or model_card says '
        'which points are joined.',
    )
    model: str = param('', 'Path of the ONNX model that finds the keypoints, for draw_skeletons.')
    model_card: str = param('', 'Path of its YAML card; empty looks beside the model. Enough without a model.')
    draw_masks: bool = param(False, 'Fill `instance_mask` too, waiting for it: for a model that has masks.')
    wait_s: float = param(
        0.3, 'How long a picture waits for its poses, keypoints, masks or classes.', unit='s', minimum=0.0, maximum=10.0
    )
    transform_wait_s: float = param(
        0.1,
        "Longest wait for a transform, where poses are in another frame than the image's.",
        unit='s',
        minimum=0.0,
        maximum=10.0,
    )
    transform_source: TransformLibrary = param(
        TransformLibrary.AUTO, 'Library that keeps the transforms; auto takes tf2_ros where it is installed.'
    )
    trail: int = param(
        20, 'Past positions drawn for each tracked object; 0 draws none.', minimum=0, maximum=1000, live=True
    )
    image_rectified: ImageRectified = param(
        ImageRectified.AUTO, "Whether poses are drawn by CameraInfo's P (true) or K and D (false); auto goes by names."
    )
    image_qos: QosParameters = group(QosParameters(), 'Subscription to the images.')
    detections_qos: QosParameters = group(RESULTS, 'Subscription to the detections.')
    debug_image_qos: QosParameters = group(QosParameters(), 'Publisher of the pictures.')


class AnnotateNode(PipelineNode):
    """`image` and `detections`, paired by stamp, to `~/debug_image` (Image, bgr8), only while anyone subscribes.

    Images are raw or compressed, as for the preprocess node.

    With `draw_poses` also `detections_3d` and `camera_info`; poses in another frame than the image's are brought back
    by /tf at the image's stamp, and where that has no transform the picture comes without them. With `draw_keypoints`
    also `keypoints`, one row for each detection, and with `draw_skeletons` their bones, left and right apart; with
    `draw_masks` also `instance_mask`. With `draw_classes` also `class_mask` and, for names, `label_info`; without
    `draw_detections`, the mask takes the place of the detections.

    `detections` are the primary input, not `image`: each of their messages asks for one picture, while images are not
    even taken as long as no one looks. So silence of the detections is STALE, since no picture can come, and a camera
    that fails shows as `image_missing`, the detections of which the picture is not there.
    """

    Parameters = AnnotateParameters
    stage = 'annotate'

    def __init__(self, node_name: str = 'annotate', **kwargs: object) -> None:
        super().__init__(node_name, **kwargs)
        self._pairing = StampPairing('detections', {})
        self._times: deque[float] = deque(maxlen=30)
        self._trails = Trails()
        self._feed = CameraFeed()
        self._transforms = LazyTransforms(self, lambda: self.parameters.transform_source)
        self._names: dict[int, str] = {}
        self._skeleton: SkeletonSpec | None = None
        self._primary_stream = 'detections'

    def on_setup(self) -> None:
        chosen = self.parameters
        depth, qos = chosen.buffer_size, chosen.detections_qos
        if not (chosen.draw_detections or chosen.draw_classes):
            raise ConfigError(
                'parameters draw_detections and draw_classes: got false for both, so that nothing asks for a picture; '
                'set one of them to true'
            )
        has_boxes = chosen.draw_detections
        self._primary_stream = 'detections' if has_boxes else CLASS_MASK
        # without poses a picture goes when its detections come: its image is there by then, or was never taken
        streams = {'image': Secondary(tolerance_s=0.0, wait_s=0.0, depth=depth)}
        if chosen.draw_classes and has_boxes:
            streams[CLASS_MASK] = Secondary(tolerance_s=0.0, wait_s=chosen.wait_s, depth=depth)
        if chosen.draw_poses:
            streams['detections_3d'] = Secondary(tolerance_s=0.0, wait_s=chosen.wait_s, depth=depth)
        self._skeleton = read_skeleton(chosen.model, chosen.model_card).spec if chosen.draw_skeletons else None
        takes_keypoints = chosen.draw_keypoints or self._skeleton is not None
        if takes_keypoints:
            streams['keypoints'] = Secondary(tolerance_s=0.0, wait_s=chosen.wait_s, depth=depth)
        if chosen.draw_masks:
            streams['masks'] = Secondary(tolerance_s=0.0, wait_s=chosen.wait_s, depth=depth)
        self._pairing = StampPairing(self._primary_stream, streams)
        self._pictures = self.advertise(IMAGE, '~/debug_image', chosen.debug_image_qos)
        wanted = lambda: self._pictures.wanted  # noqa: E731
        self._images = ImageInput(self, 'image', chosen)
        self._images.subscribe(chosen.image_qos, self._on_image, depth=depth, wanted=wanted)
        if has_boxes:
            self.subscribe(plain(Detection2DArray), 'detections', qos, self._on_detections, primary=True, depth=depth)
        if chosen.draw_classes:
            self.subscribe(plain(LabelInfo), LABEL_INFO, LATCHED, self._on_label_info)
            on_mask = self._on_mask_beside if has_boxes else self._on_mask
            self.subscribe(IMAGE, CLASS_MASK, qos, on_mask, primary=not has_boxes, depth=depth)
        if chosen.draw_poses:
            self.subscribe(plain(Detection3DArray), 'detections_3d', qos, self._on_poses, depth=depth)
            topics = [self.resolve_topic_name(topic) for topic in ('image', 'camera_info')]
            self._feed = CameraFeed(chosen.image_rectified, topics)
            self.subscribe(plain(CameraInfo), 'camera_info', chosen.image_qos, self._on_camera_info)
        if takes_keypoints:
            self.subscribe(TENSORS, KEYPOINTS_TOPIC, qos, self._on_keypoints, depth=depth)
        if chosen.draw_masks:
            self.subscribe(IMAGE, INSTANCE_MASK, qos, self._on_masks, depth=depth, wanted=wanted)
        if chosen.draw_poses or takes_keypoints or chosen.draw_masks or chosen.draw_classes:
            self.every(max(chosen.wait_s / 3, 0.02), lambda: self._draw(self._pairing.expire()))

    def on_time_jump(self, now_ns: int) -> None:
        self._trails.clear()
        self._transforms.rewind(now_ns)

    def on_stop(self) -> None:
        self._pairing.clear()
        self._trails.clear()

    def on_teardown(self) -> None:
        self._transforms.close()

    def _on_image(self, item: ImageFrame | CompressedImage, clock: StageClock) -> None:
        if self._pictures.wanted:
            self._put('image', item.header, item)  # decoded when it is drawn on: most may never be

    def _on_detections(self, message: Detection2DArray, clock: StageClock) -> None:
        self._times.append(time.monotonic())
        seen = read_detections(message.detections, self.health.skipped)
        self._trails.follow(seen, self.parameters.trail)
        self._ask(message, seen, None, clock)

    def _on_mask(self, mask: ImageFrame, clock: StageClock) -> None:
        self._times.append(time.monotonic())
        self._ask(Detection2DArray(header=mask.header), [], mask, clock)

    def _ask(self, message: Detection2DArray, seen: list[SeenBox], mask: ImageFrame | None, clock: StageClock) -> None:
        """Ask for a picture, where anyone looks; `mask` is the primary's."""
        if self._pictures.wanted:
            released = self._pairing.put(self._primary_stream, stamp_ns(message.header), (message, seen, mask, clock))
            clock.defer()
            self._draw(released)

    def _on_mask_beside(self, mask: ImageFrame, clock: StageClock) -> None:
        if self._pictures.wanted:
            self._put(CLASS_MASK, mask.header, mask)

    def _on_label_info(self, message: LabelInfo, clock: StageClock) -> None:
        self._names = labels_of(message)

    def _on_poses(self, message: Detection3DArray, clock: StageClock) -> None:
        if self._pictures.wanted:
            self._put('detections_3d', message.header, message)

    def _on_keypoints(self, frame: TensorFrame, clock: StageClock) -> None:
        if self._pictures.wanted:
            self._put('keypoints', frame.header, frame)

    def _on_masks(self, frame: ImageFrame, clock: StageClock) -> None:
        if self._pictures.wanted:
            self._put('masks', frame.header, frame)

    def _on_camera_info(self, message: CameraInfo, clock: StageClock) -> None:
        self._feed.put(message)

    def _put(self, stream: str, header: Header, item: object) -> None:
        self._draw(self._pairing.put(stream, stamp_ns(header), item))

    def _draw(self, released: list[Paired]) -> None:
        self._pairing.drop_forgotten(self.health.dropped)
        for pair in released:
            message, seen, mask, clock = pair.item
            with self.work(clock):
                if pair.matches['image'] is not None:
                    self._publish({**pair.matches, **({} if mask is None else {CLASS_MASK: mask})}, message, seen)
                elif self._pictures.wanted:
                    raise FrameError(
                        'image_missing',
                        f'{self._primary_stream} came for which there is no image of the same stamp; is `image` the '
                        'topic that it is made from, and are its images still kept (buffer_size) when it comes?',
                    )

    def _publish(self, matches: Mapping[str, Any], message: Detection2DArray, detections: list[SeenBox]) -> None:
        frame = self._images.read(matches['image'])
        poses: Detection3DArray | None = matches.get('detections_3d')
        keypoints: TensorFrame | None = matches.get('keypoints')
        masks: ImageFrame | None = matches.get('masks')
        mask: ImageFrame | None = matches.get(CLASS_MASK)
        picture = self._picture(frame)
        if mask is not None:
            try:
                self._draw_classes(picture, mask)
            except FrameError as error:
                self.health.skipped(error.reason, f'a picture comes without its classes: {error}')
        if masks is not None:
            try:
                draw_masks(picture, detections, masks, len(message.detections))
            except FrameError as error:
                self.health.skipped(error.reason, f'a picture comes without its masks: {error}')
        draw_detections(picture, detections, self._trails)
        if keypoints is not None:
            try:
                self._draw_keypoints(picture, detections, read_keypoints(message, keypoints))
            except FrameError as error:
                self.health.skipped(error.reason, f'a picture comes without its keypoints: {error}')
        if poses is not None and poses.detections:
            try:
                self._draw_poses(picture, frame, poses)
            except FrameError as error:
                self.health.skipped(error.reason, f'a picture comes without its poses: {error}')
        if self.parameters.draw_rate and len(self._times) > 1:
            rate = (len(self._times) - 1) / max(self._times[-1] - self._times[0], 1e-6)
            draw_caption(picture, f'{rate:.1f} fps', (0, 0), _DARK)
        self._pictures.publish(image_frame_from_array(picture, 'bgr8', frame.header))

    def _draw_keypoints(self, picture: np.ndarray, detections: list[SeenBox], rows: np.ndarray) -> None:
        """Raises FrameError: 'keypoint_count', they are not those of the skeleton."""
        if self._skeleton is None:
            draw_keypoints(picture, detections, rows)
        else:
            draw_skeletons(picture, detections, rows, self._skeleton)

    def _draw_classes(self, picture: np.ndarray, frame: ImageFrame) -> None:
        """Raises FrameError: the mask cannot be used, or is of another size than its picture."""
        mask = class_mask_array(frame)
        if mask.shape != picture.shape[:2]:
            raise FrameError(
                'mask_size',
                f'class mask: got {mask.shape[1]}x{mask.shape[0]} pixels for an image of {picture.shape[1]}x'
                f'{picture.shape[0]}, expected the same; is `image` the topic that it is made from?',
            )
        draw_classes(picture, mask, self._names)

    def _draw_poses(self, picture: np.ndarray, frame: ImageFrame, poses: Detection3DArray) -> None:
        """Raises FrameError: where the objects are in the picture isn't known."""
        self._feed.fit(frame.image.width, frame.image.height)
        camera = self._feed.camera
        if camera is None:
            raise FrameError('no_camera_info', 'no usable CameraInfo yet; remap camera_info to that of the images')
        T_image_poses = Pose(np.eye(3), -self._feed.origin) if self._feed.origin.any() else None
        if poses.header.frame_id != frame.header.frame_id:
            moved = self._transform(frame.header, poses.header.frame_id)
            T_image_poses = moved if T_image_poses is None else T_image_poses @ moved
        draw_poses(picture, poses.detections, camera, T_image_poses, self.health.skipped)

    def _transform(self, header: Header, source: str) -> Pose:
        """T_image_source at the image's stamp.

        Raises:
            TransformError: /tf has none, or none in time.
        """
        wait_s = self.parameters.transform_wait_s
        return self._transforms.pose(header.frame_id, source, stamp_ns(header), wait_s)

    @staticmethod
    def _picture(frame: ImageFrame) -> np.ndarray:
        """A BGR copy to draw on."""
        image, order = color_image(frame, ColorOrder.BGR)
        return np.array(image if order is ColorOrder.BGR else image[..., ::-1], order='C')


main = node_main(AnnotateNode)
