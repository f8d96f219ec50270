# SPDX-License-Identifier: Apache-2.0
"""PoseNode: detections to 6-DoF poses, from keypoints, depth or both."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseArray
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, Detection3D, Detection3DArray

from isaac_inference.errors import FrameError
from isaac_inference.models import ObjectsCard, read_objects
from isaac_inference.ops.geometry.calibration import ImageRectified
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose, transform_covariance
from isaac_inference.ops.pose.second_pose import moved
from isaac_inference.ros.messages.camera_info import CameraFeed
from isaac_inference.ros.messages.compressed_depth import depth_frame_of
from isaac_inference.ros.messages.detections import SeenBox, Skip, check_keypoints, read_detections, read_keypoints
from isaac_inference.ros.messages.image import IMAGE, ImageFrame
from isaac_inference.ros.messages.left_out import LeftOut, left_out_array
from isaac_inference.ros.messages.masks import INSTANCE_MASK
from isaac_inference.ros.messages.poses import detection_3d, frame_prefix, object_frames, objects_message, pose_array
from isaac_inference.ros.messages.tensors import KEYPOINTS_TOPIC, RECTIFIED, SOURCE_SIZE, TENSORS, TensorFrame
from isaac_inference.ros.nodes.pose.cloud import ObjectsCloud
from isaac_inference.ros.nodes.pose.masks import BUFFER, masks_of, wants_masks, with_mask
from isaac_inference.ros.nodes.pose.parameters import PoseParameters
from isaac_inference.ros.nodes.shared.depth_source import DepthSource
from isaac_inference.ros.nodes.shared.image_input import ImageInput
from isaac_inference.ros.nodes.shared.image_source import ImageSource
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.health.timing import StageTiming
from isaac_inference.ros.runtime.node import PipelineNode, StageClock
from isaac_inference.ros.runtime.topics.pairing import Paired, Secondary, StampPairing
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.ros.runtime.transforms import TransformSource, make_transform_source
from isaac_inference.ros.runtime.transforms.base import frame_name
from isaac_inference.ros.runtime.transforms.broadcaster import TransformBroadcaster
from isaac_inference.stages.poses import DepthView, ObjectPose, Observed, PoseEstimator
from isaac_inference.stages.poses.by_keypoints import model_points
from isaac_inference.stages.poses.straightness import Straightness

_BUFFER = 30  # frames of depth or keypoints kept while detections are made
_BEYOND = 1.05  # of the image: a box that reaches further was found in a larger one


class PoseNode(PipelineNode):
    """`detections`, `keypoints`, `instance_mask`, `camera_info`, `depth/image` and `depth/camera_info` to poses.

    `~/detections_3d` (Detection3DArray: class, score, id, size and pose with covariance), `~/poses` (PoseArray, in the
    same order), /tf (`<class>_<id>`), and `~/objects_cloud` (PointCloud2) while anyone subscribes. Everything has
    the image's stamp. An object without a pose is left out of all of them and counted under its reason, which
    `~/left_out` (DiagnosticArray, of `messages/left_out.py`) says of each; one whose pose something speaks against is
    published and counted as noted.

    `detections` are the primary input: each message is a frame that gives poses or is dropped; the others only tell
    how. One that waits for its depth, keypoints or masks counts when its poses are out.
    """

    Parameters = PoseParameters
    stage = 'pose'

    def __init__(self, node_name: str = 'pose', **kwargs: object) -> None:
        self._camera, self._depth_camera = CameraFeed(), CameraFeed()
        self._said: dict[str, str] = {}  # by parameter: what the log has of what was found for it
        self._straightness: Straightness | None = None
        self._broadcaster: TransformBroadcaster | None = None
        self._transforms: TransformSource | None = None
        self._pairing = StampPairing('detections', {})
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        chosen: PoseParameters = self.parameters
        card = read_objects(chosen.model, chosen.model_card)
        self.model = card.name if card else ''
        self._card_id = card.id if card else None
        self._estimator = PoseEstimator(card, chosen.method, chosen.settings())
        for doubt in (*(card.notes if isinstance(card, ObjectsCard) else ()), *self._estimator.doubts):
            self.get_logger().warning(doubt)
        for remark in self._estimator.remarks:
            self.get_logger().info(remark)
        self._objects = self.advertise(plain(Detection3DArray), '~/detections_3d', chosen.poses_qos)
        self._poses = self.advertise(plain(PoseArray), '~/poses', chosen.poses_qos)
        self._without = self.advertise(plain(DiagnosticArray), '~/left_out', chosen.poses_qos)
        self._points = model_points(card) if card and self._estimator.uses_keypoints else {}
        self._open_cameras()
        self._has_masks = wants_masks(chosen.use_masks, card)
        self._cloud = ObjectsCloud(
            self,
            card.labels if card else (),
            lambda *depth: self._depth.view(*depth),
            lambda: self._camera.origin,
            self._has_masks,
        )
        self._broadcaster = TransformBroadcaster(self) if chosen.publish_tf else None
        self._frame_prefix = frame_prefix(chosen.tf_prefix, self.get_namespace())
        self._target_frame = frame_name(chosen.target_frame)
        if self._target_frame != chosen.target_frame:
            text = f"got {chosen.target_frame!r}, taken for {self._target_frame!r}: names in tf2 do not begin with '/'"
            self.health.warn('target_frame', f'parameter target_frame: {text}')
        if self._target_frame:
            self._transforms = make_transform_source(self, chosen.transform_source)
        streams = {}
        if self._estimator.uses_keypoints:
            streams['keypoints'] = Secondary(tolerance_s=0.0, wait_s=chosen.wait_s, depth=_BUFFER)
        if self._estimator.uses_depth:
            streams['depth'] = Secondary(tolerance_s=chosen.depth_tolerance, wait_s=chosen.wait_s, depth=_BUFFER)
        if self._estimator.uses_depth and self._has_masks:
            streams['masks'] = Secondary(tolerance_s=0.0, wait_s=chosen.wait_s, depth=BUFFER)
        names = {
            'detections': 'detections',
            'keypoints': KEYPOINTS_TOPIC,
            'depth': 'depth/image',
            'masks': INSTANCE_MASK,
        }
        topics = {stream: self.resolve_topic_name(name) for stream, name in names.items()}
        self._pairing = StampPairing('detections', streams, topics=topics)
        self._subscribe(chosen)

    def _subscribe(self, chosen: PoseParameters) -> None:
        image_qos, qos = chosen.image_qos, chosen.detections_qos
        infos = plain(CameraInfo)  # each frame has one, and mostly it says what the one before said
        self.subscribe(infos, 'camera_info', image_qos, self._on_camera_info, inline=lambda message: True)
        self.subscribe(infos, 'depth/camera_info', image_qos, self._on_depth_camera_info, inline=lambda message: True)
        uses_depth = self._estimator.uses_depth

        def wants_depth() -> bool:
            return uses_depth or self._cloud.wanted

        transport = chosen.depth_transport
        self.subscribe(
            IMAGE,
            'depth/image',
            image_qos,
            self._on_depth,
            depth=qos.depth,  # as many as detections may wait: each finds its own
            wanted=wants_depth,
            source=ImageSource(self, 'depth/image', transport, 'depth_transport', 'compressedDepth', wants_depth),
        )
        self._images = ImageInput(self, 'image', chosen)
        self._images.subscribe(image_qos, self._on_image, depth=2, wanted=lambda: self._cloud.wanted)
        if self._estimator.uses_keypoints:
            self.subscribe(TENSORS, KEYPOINTS_TOPIC, qos, self._on_keypoints, depth=qos.depth, inline=self._only_keeps)
        if self._has_masks:
            self.subscribe(IMAGE, INSTANCE_MASK, qos, self._on_masks, depth=qos.depth, wanted=wants_depth)
        # the newest frame wins here; what belongs to it waits in the pairing
        self.subscribe(plain(Detection2DArray), 'detections', qos, self._on_detections, primary=True)
        self.every(max(chosen.wait_s / 3, 0.02), self._on_tick, inline=self._only_keeps)

    def on_time_jump(self, now_ns: int) -> None:
        if self._transforms is not None:
            self._transforms.rewind(now_ns)

    def on_stop(self) -> None:
        self._pairing.clear()
        self._cloud.clear()
        self._open_cameras()

    def on_teardown(self) -> None:
        for open_one in (self._broadcaster, self._transforms):
            if open_one is not None:
                open_one.close()
        self._broadcaster = self._transforms = None

    def _open_cameras(self) -> None:
        """Know no camera yet."""
        chosen: PoseParameters = self.parameters
        names = [self.resolve_topic_name(name) for name in ('image', 'camera_info', 'depth/image', 'depth/camera_info')]
        self._camera = CameraFeed(chosen.image_rectified, names[:2], chosen.stereo_frame)
        self._depth_camera = CameraFeed(chosen.depth_rectified, names[2:], chosen.stereo_frame)
        self._depth = DepthSource(
            self._camera,
            self._depth_camera,
            self._transform,
            chosen.depth_unit_scale,
            is_raw=chosen.depth_rectified is ImageRectified.FALSE,
        )
        self._straightness = None
        self._said.clear()

    # Inputs

    def _on_camera_info(self, message: CameraInfo, clock: StageClock) -> None:
        before = self._camera.calibration
        try:
            self._camera.put(message)
        finally:
            known = self._camera.calibration
            if known is not before:
                self._straightness = None
                self.health.standing('camera_info_roi', known.doubt() if known else None, log_again=False)
            self._say_what_is_assumed(self._camera.assumed)

    def _on_depth_camera_info(self, message: CameraInfo, clock: StageClock) -> None:
        self._depth_camera.put(message)

    def _on_depth(self, item: ImageFrame | CompressedImage, clock: StageClock) -> None:
        if self._estimator.uses_depth:
            self._put('depth', item.header, item)  # decoded when it is used
        self._cloud.put('depth', item.header, item)

    def _on_image(self, item: ImageFrame | CompressedImage, clock: StageClock) -> None:
        self._cloud.put('image', item.header, self._images.read(item))

    def _on_keypoints(self, frame: TensorFrame, clock: StageClock) -> None:
        if self._card_id is not None:
            frame.check_card(self._card_id)
        self._put('keypoints', frame.header, frame)

    def _on_masks(self, frame: ImageFrame, clock: StageClock) -> None:
        if self._estimator.uses_depth:
            self._put('masks', frame.header, frame)
        self._cloud.put('masks', frame.header, frame)

    def _on_detections(self, message: Detection2DArray, clock: StageClock) -> None:
        released = self._pairing.put('detections', stamp_ns(message.header), (message, clock))
        clock.defer()
        self._release(released)
        self._cloud.put('detections', message.header, message)

    def _only_keeps(self, item: object = None) -> bool:
        """Whether what comes now only has to be put aside, as no detections wait for it."""
        return not self._pairing.is_waiting

    def _on_tick(self) -> None:
        self._release(self._pairing.expire())
        if self._estimator.uses_depth:
            self._say_depth_tolerance()
        self.health.standing('unpaired', self._pairing.explain())

    def _say_what_is_assumed(self, assumed: Mapping[str, str]) -> None:
        """Each assumption once in the log, and in diagnostics as long as it holds."""
        for name in ('image_rectified', 'stereo_frame'):
            text = assumed.get(name, '')
            self.health.show(f'assumed.{name}', text or None)
            if text and self._said.get(name) != text:
                line = f'assumed: {name} is {text}; set {name} if it is not so'
                if self._camera.undecided:
                    self.get_logger().warning(line)
                else:
                    self.get_logger().info(line)
            self._said[name] = text

    def _say_what_depth_is_taken_for(self, text: str) -> None:
        self.health.show('assumed.depth', text or None)
        if text and self._said.get('depth') != text:
            self.get_logger().warning(f'assumed: depth is {text}; have its driver fill in header.frame_id')
        self._said['depth'] = text

    def _say_depth_tolerance(self) -> None:
        """In diagnostics, and once in the log where it is measured."""
        tolerance_s, period_s = self._pairing.tolerance_s('depth'), self._pairing.period_s('depth')
        self.health.show('depth_tolerance_ms', tolerance_s * 1e3)
        if period_s is None or self.parameters.depth_tolerance is not None or 'depth_tolerance_s' in self._said:
            return
        self._said['depth_tolerance_s'] = f'{tolerance_s:.3f}'
        self.get_logger().info(
            f'depth comes every {period_s * 1e3:.0f} ms, so it may be {tolerance_s * 1e3:.0f} ms off the image; '
            'depth_tolerance_s sets another limit'
        )

    def _put(self, stream: str, header: Header, item: object) -> None:
        self._release(self._pairing.put(stream, stamp_ns(header), item))

    def _release(self, released: Sequence[Paired]) -> None:
        self._pairing.drop_forgotten(self.health.dropped)
        for pair in released:
            for stream in pair.missing:
                self.health.skipped(f'unpaired_{stream}', f'detections without {stream} of their stamp')
            message, clock = pair.item
            with self.work(clock):
                self._estimate(message, clock, pair.matches)

    # Frames

    def _estimate(self, message: Detection2DArray, clock: StageClock, matches: Mapping[str, Any]) -> None:
        keypoints: TensorFrame | None = matches.get('keypoints')
        self._known_camera()
        rows = None if keypoints is None else read_keypoints(message, keypoints)
        boxes, seen = observed_objects(message, rows, self.health.skipped)
        if keypoints is not None:
            self._follow_image(keypoints.auxiliary)
        mask: ImageFrame | None = matches.get('masks')
        if mask is not None:
            self._follow_mask(mask)
        self._look_for_distortion([item for _, item in seen])
        camera = self._known_camera()
        self._check_frame(message.header)
        _check_size(camera, boxes, keypoints)
        depth = self._depth_view(matches.get('depth'), message.header, boxes) if boxes else None
        image_wh = (camera.width, camera.height)
        masks = masks_of(mask, boxes, len(message.detections), image_wh, self.health.skipped)
        found: list[tuple[str, ObjectPose]] = []
        left_out: list[LeftOut] = []
        for index, (identity, item) in enumerate(seen):
            item = with_mask(item, masks, index, self.health.noted)
            try:
                found.append((identity, self._estimator.estimate(item, camera, depth)))
            except FrameError as error:
                self.health.skipped(error.reason, str(error))
                left_out.append(LeftOut(boxes[index].index, identity, item.label, error.reason, str(error)))
        for _, pose in found:
            for reason, text in pose.notes:
                self.health.noted(reason, text)
        if boxes:
            self.health.kept(len(found))
        if left_out and self._without.wanted:
            self._without.publish(left_out_array(message.header, left_out))
        self._publish(message.header, found)
        timings: tuple[StageTiming, ...] = () if keypoints is None else keypoints.timings
        self.report_timings(message.header, (*timings, clock.finish()))

    def _known_camera(self) -> CameraModel:
        camera = self._camera.camera
        if camera is None:
            raise FrameError(
                'no_camera_info',
                'detections arrived, but no usable CameraInfo yet: poses need the intrinsics; remap camera_info to the '
                "camera's, and check that its K is not zero",
            )
        return camera

    def _follow_image(self, said: Mapping[str, np.ndarray]) -> None:
        """What travels with the keypoints says which image they were found in: of which size, and whether rectified."""
        if SOURCE_SIZE in said:
            self._camera.fit(*(int(value) for value in said[SOURCE_SIZE]))
        self._camera.follow(said.get(RECTIFIED))
        self._say_what_is_assumed(self._camera.assumed)

    def _follow_mask(self, mask: ImageFrame) -> None:
        """A mask is of its image's size; one that is not of any image of this camera is refused where it is used."""
        with contextlib.suppress(FrameError):
            self._camera.fit(mask.image.width, mask.image.height)

    def _check_frame(self, header: Header) -> None:
        """Warn where CameraInfo names another frame than the image's."""
        image, info = frame_name(header.frame_id), frame_name(self._camera.frame_id)
        differ = bool(image and info and image != info)
        self.health.standing(
            'camera_info_frame',
            f'the image is in frame {image}, its CameraInfo in {info}: do they belong to one camera? Poses are given '
            f'in {image}; remap camera_info, or have the driver name one frame in both'
            if differ
            else None,
            log_again=False,
        )

    def _look_for_distortion(self, objects: Sequence[Observed]) -> None:
        """Where neither the user nor a name says whether the image is rectified, see whether keypoints do."""
        feed = self._camera
        if not (feed.undecided and self._points and feed.calibration):
            return
        if self._straightness is None:
            try:
                raw, rectified = (feed.calibration.camera(rectified) for rectified in (False, True))
            except FrameError:  # it can only be one of them
                return
            self._straightness = Straightness(self._points, raw, rectified, self.parameters.pnp.min_confidence)
        shown = self._straightness.put(objects)
        if shown is not None and (shown != feed.rectified or not feed.is_shown):
            feed.show(shown)
            self._say_what_is_assumed(feed.assumed)

    def _depth_view(
        self, item: ImageFrame | CompressedImage | None, header: Header, boxes: Sequence[SeenBox]
    ) -> DepthView | None:
        """The depth that belongs to a frame; unusable depth is reported and then as good as none."""
        if item is None:
            self.health.clear('depth_unregistered')
            return None
        try:
            view = self._depth.view(depth_frame_of(item), header, np.array([box.box for box in boxes]))
        except FrameError as error:
            self.health.skipped(error.reason, str(error))
            is_view = error.reason == 'depth_unregistered'
            self.health.standing('depth_unregistered', str(error) if is_view else None, log_again=False)
            return None
        self.health.clear('depth_unregistered')
        self._say_what_depth_is_taken_for(self._depth.assumed)
        return view

    def _transform(self, target: str, source: str, stamp_ns: int, patient: bool) -> Pose:
        """T_target_source.

        Raises:
            TransformError: there is none, or none in time.
        """
        chosen: PoseParameters = self.parameters
        if self._transforms is None:  # most graphs need none, and listening to /tf isn't free
            self._transforms = make_transform_source(self, chosen.transform_source)
        wait_s = chosen.transform_wait_s if patient else 0.0
        return Pose.from_matrix(self._transforms.wait(target, source, stamp_ns, wait_s))

    def _publish(self, header: Header, found: list[tuple[str, ObjectPose]]) -> None:
        if not found and not self.parameters.publish_empty:
            return
        T_target_camera = self._target(header) if found else None
        if self._target_frame:
            header = Header(stamp=header.stamp, frame_id=self._target_frame)
        objects = [_message(header, identity, item, T_target_camera) for identity, item in found]
        array = objects_message(header, objects)
        self._objects.publish(array)
        if self._poses.wanted:
            self._poses.publish(pose_array(array))
        if self._broadcaster is not None and (self._broadcaster.wanted or not stamp_ns(header)):
            try:
                self._broadcaster.send(object_frames(header, objects, self._frame_prefix))
            except FrameError as error:  # such as a frame without a name; the poses are out already
                self.health.skipped(error.reason, str(error))

    def _target(self, header: Header) -> Pose | None:
        """T_target_camera at the image's stamp, of the camera's centre; None where poses need not be moved."""
        target, origin = self._target_frame, self._camera.origin
        T_frame_camera = Pose(np.eye(3), origin) if origin.any() else None
        if not target or target == frame_name(header.frame_id):
            return T_frame_camera
        T_target_frame = self._transform(target, header.frame_id, stamp_ns(header), True)
        return T_target_frame if T_frame_camera is None else T_target_frame @ T_frame_camera


def observed_objects(
    message: Detection2DArray, keypoints: np.ndarray | None, skip: Skip
) -> tuple[list[SeenBox], list[tuple[str, Observed]]]:
    """Those detections of a message that can be used, and (id, what the estimator takes) of each.

    Args:
        message: the detections.
        keypoints: (N, K, 3), row i belongs to detection i; None where there are none.
        skip: told of each detection that cannot be used.

    Raises:
        FrameError: 'keypoint_count', when there are more or fewer keypoint rows than detections.
    """
    if keypoints is not None:
        check_keypoints(message, keypoints)
    seen = read_detections(message.detections, skip)
    rows = [None if keypoints is None else keypoints[item.index] for item in seen]
    return seen, [
        (item.identity, Observed(item.label, item.score, np.array(item.box), row))
        for item, row in zip(seen, rows, strict=True)
    ]


def _check_size(camera: CameraModel, boxes: Sequence[SeenBox], keypoints: TensorFrame | None) -> None:
    """Raises FrameError: 'camera_info_size', the camera's images are of another size than that detected in."""
    if keypoints is not None and SOURCE_SIZE in keypoints.auxiliary:
        return  # the camera has been fitted to that size
    for item in boxes:
        _, _, right, bottom = item.box
        if item.theta:  # a rotated box is not cut at the image's edges, but its centre is in the image
            right, bottom = item.item.bbox.center.position.x, item.item.bbox.center.position.y
        if right > camera.width * _BEYOND or bottom > camera.height * _BEYOND:
            raise FrameError(
                'camera_info_size',
                f'a box reaches to ({right:.0f}, {bottom:.0f}) px, but CameraInfo is for '
                f'{camera.width}x{camera.height}: they belong to images of different size; publish the '
                'CameraInfo of the image that the boxes were found in',
            )


def _message(header: Header, identity: str, item: ObjectPose, T_target_camera: Pose | None) -> Detection3D:
    pose, covariance, second = item.pose, item.covariance, item.other
    if T_target_camera is not None:
        pose, covariance = T_target_camera @ pose, transform_covariance(covariance, T_target_camera)
        second = second and moved(second, T_target_camera)
    return detection_3d(
        header,
        item.label,
        item.score,
        pose,
        item.size,
        identity=identity,
        covariance=covariance,
        box_center=item.box_center,
        second=second,
    )


main = node_main(PoseNode)
