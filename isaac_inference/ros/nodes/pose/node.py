# SPDX-License-Identifier: Apache-2.0
"""PoseNode: detections to 6-DoF poses, from keypoints, depth or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseArray
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, Detection3D, Detection3DArray

from isaac_inference.errors import FrameError
from isaac_inference.models import read_card
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose, transform_covariance
from isaac_inference.ros.messages.camera_info import CameraFeed
from isaac_inference.ros.messages.depth import depth_array
from isaac_inference.ros.messages.detections import SeenBox, Skip, check_keypoints, read_detections
from isaac_inference.ros.messages.image import IMAGE, ImageFrame
from isaac_inference.ros.messages.poses import detection_3d, frame_prefix, object_frames, pose_array
from isaac_inference.ros.messages.tensors import KEYPOINTS_TOPIC, SOURCE_SIZE, TENSORS, TensorFrame
from isaac_inference.ros.nodes.pose.cloud import ObjectsCloud
from isaac_inference.ros.nodes.pose.parameters import PoseParameters
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.health.timing import StageTiming
from isaac_inference.ros.runtime.node import PipelineNode, StageClock
from isaac_inference.ros.runtime.topics.pairing import Paired, Secondary, StampPairing
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.ros.runtime.transforms import TransformSource, make_transform_source
from isaac_inference.ros.runtime.transforms.broadcaster import TransformBroadcaster
from isaac_inference.stages.poses import DepthView, ObjectPose, Observed, PoseEstimator

_BUFFER = 30  # frames of depth or keypoints kept while detections are made
_BEYOND = 1.05  # of the image: a box that reaches further was found in a larger one
_SAME_VIEW = 0.05  # relative: intrinsics of depth that differ more from the image's are not those of registered depth


class PoseNode(PipelineNode):
    """`detections`, `keypoints`, `camera_info`, `depth/image` and `depth/camera_info` to poses.

    `~/detections_3d` (Detection3DArray: class, score, id, size and pose with covariance), `~/poses` (PoseArray, in the
    same order), /tf (`<class>_<id>`), and `~/objects_cloud` (PointCloud2) while anyone subscribes. Everything has
    the image's stamp. An object without a pose is left out of all of them and counted under its reason.

    `detections` are the primary input: each message is a frame that gives poses or is dropped; the others only tell
    how. One that waits for its depth or keypoints counts when its poses are out.
    """

    Parameters = PoseParameters
    stage = 'pose'

    def __init__(self, node_name: str = 'pose', **kwargs: object) -> None:
        self._camera, self._depth_camera = CameraFeed(), CameraFeed()
        self._broadcaster: TransformBroadcaster | None = None
        self._transforms: TransformSource | None = None
        self._pairing = StampPairing('detections', {})
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        chosen: PoseParameters = self.parameters
        card = read_card(chosen.model, chosen.model_card or None) if chosen.model else None
        self.model = card.name if card else ''
        self._card_id = card.id if card else None
        self._estimator = PoseEstimator(card, chosen.method, chosen.settings())
        self._objects = self.advertise(plain(Detection3DArray), '~/detections_3d', chosen.poses_qos)
        self._poses = self.advertise(plain(PoseArray), '~/poses', chosen.poses_qos)
        self._cloud = ObjectsCloud(self, card.labels if card else (), self._camera_of_depth)
        self._broadcaster = TransformBroadcaster(self) if chosen.publish_tf else None
        self._frame_prefix = frame_prefix(chosen.tf_prefix, self.get_namespace())
        if chosen.target_frame:
            self._transforms = make_transform_source(self, chosen.transform_source)
        streams = {}
        if self._estimator.uses_keypoints:
            streams['keypoints'] = Secondary(tolerance_s=0.0, wait_s=chosen.wait_s, depth=_BUFFER)
        if self._estimator.uses_depth:
            streams['depth'] = Secondary(tolerance_s=chosen.depth_tolerance_s, wait_s=chosen.wait_s, depth=_BUFFER)
        names = {'detections': 'detections', 'keypoints': KEYPOINTS_TOPIC, 'depth': 'depth/image'}
        topics = {stream: self.resolve_topic_name(name) for stream, name in names.items()}
        self._pairing = StampPairing('detections', streams, topics=topics)
        self._subscribe(chosen)

    def _subscribe(self, chosen: PoseParameters) -> None:
        image_qos, qos = chosen.image_qos, chosen.detections_qos
        self.subscribe(plain(CameraInfo), 'camera_info', image_qos, self._on_camera_info)
        self.subscribe(plain(CameraInfo), 'depth/camera_info', image_qos, self._on_depth_camera_info)
        uses_depth = self._estimator.uses_depth
        self.subscribe(
            IMAGE,
            'depth/image',
            image_qos,
            self._on_depth,
            depth=qos.depth,  # as many as detections may wait: each finds its own
            wanted=lambda: uses_depth or self._cloud.wanted,
        )
        self.subscribe(IMAGE, 'image', image_qos, self._on_image, depth=2, wanted=lambda: self._cloud.wanted)
        if self._estimator.uses_keypoints:
            self.subscribe(TENSORS, KEYPOINTS_TOPIC, qos, self._on_keypoints, depth=qos.depth)
        # the newest frame wins here; what belongs to it waits in the pairing
        self.subscribe(plain(Detection2DArray), 'detections', qos, self._on_detections, primary=True)
        self.every(max(chosen.wait_s / 3, 0.02), self._on_tick)

    def on_stop(self) -> None:
        self._pairing.clear()
        self._cloud.clear()
        self._camera, self._depth_camera = CameraFeed(), CameraFeed()

    def on_teardown(self) -> None:
        for open_one in (self._broadcaster, self._transforms):
            if open_one is not None:
                open_one.close()
        self._broadcaster = self._transforms = None

    # Inputs

    def _on_camera_info(self, message: CameraInfo, clock: StageClock) -> None:
        self._camera.put(message)

    def _on_depth_camera_info(self, message: CameraInfo, clock: StageClock) -> None:
        self._depth_camera.put(message)

    def _on_depth(self, frame: ImageFrame, clock: StageClock) -> None:
        if self._estimator.uses_depth:
            self._put('depth', frame.header, frame)
        self._cloud.put('depth', frame.header, frame)

    def _on_image(self, frame: ImageFrame, clock: StageClock) -> None:
        self._cloud.put('image', frame.header, frame)

    def _on_keypoints(self, frame: TensorFrame, clock: StageClock) -> None:
        if self._card_id is not None:
            frame.check_card(self._card_id)
        self._put('keypoints', frame.header, frame)

    def _on_detections(self, message: Detection2DArray, clock: StageClock) -> None:
        released = self._pairing.put('detections', stamp_ns(message.header), (message, clock))
        clock.defer()
        self._release(released)
        self._cloud.put('detections', message.header, message)

    def _on_tick(self) -> None:
        self._release(self._pairing.expire())
        why = self._pairing.explain()
        if why:
            self.health.problem('unpaired', why)
        else:
            self.health.clear('unpaired')

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
        camera = self._known_camera()
        rows = None if keypoints is None else keypoints.tensors.get(KEYPOINTS_TOPIC)
        boxes, seen = observed_objects(message, rows, self.health.skipped)
        _check_size(camera, boxes, keypoints)
        depth = self._depth_view(matches.get('depth'))
        found: list[tuple[str, ObjectPose]] = []
        for identity, item in seen:
            try:
                found.append((identity, self._estimator.estimate(item, camera, depth)))
            except FrameError as error:
                self.health.skipped(error.reason, str(error))
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

    def _depth_view(self, frame: ImageFrame | None) -> DepthView | None:
        """The depth that belongs to a frame; unusable depth is reported and then as good as none."""
        if frame is None:
            return None
        try:
            scale = self.parameters.depth_unit_scale or None
            image = DepthImage.check(depth_array(frame), frame.image.encoding, scale)
            return DepthView(image, self._camera_of_depth(image))
        except FrameError as error:
            self.health.skipped(error.reason, str(error))
            return None

    def _camera_of_depth(self, image: DepthImage) -> CameraModel:
        """The intrinsics that depth has of its own at this size, else the colour image's, resized.

        Raises:
            FrameError: 'no_camera_info', or 'depth_unregistered' where the two show that the views differ.
        """
        color, own = self._camera.camera, self._depth_camera.camera
        if color is None:
            raise FrameError('no_camera_info', 'no usable CameraInfo has arrived')
        expected = color.resized(image.width, image.height)
        if own is None or (own.width, own.height) != (image.width, image.height):
            return expected
        if abs(own.K - expected.K).max() > _SAME_VIEW * expected.focal:
            raise FrameError(
                'depth_unregistered',
                f'depth/camera_info has K {own.K.ravel().round(1).tolist()}, the colour camera at that size '
                f'{expected.K.ravel().round(1).tolist()}: depth shows another view; use the depth that is registered '
                '(aligned) to colour',
            )
        return own

    def _publish(self, header: Header, found: list[tuple[str, ObjectPose]]) -> None:
        if not found and not self.parameters.publish_empty:
            return
        T_target_camera = self._target(header) if found else None
        if self.parameters.target_frame:
            header = Header(stamp=header.stamp, frame_id=self.parameters.target_frame)
        objects = [_message(header, identity, item, T_target_camera) for identity, item in found]
        array = Detection3DArray(header=header, detections=objects)
        self._objects.publish(array)
        if self._poses.wanted:
            self._poses.publish(pose_array(array))
        if self._broadcaster is not None:
            try:
                self._broadcaster.send(object_frames(header, objects, self._frame_prefix))
            except FrameError as error:  # such as a frame without a name; the poses are out already
                self.health.skipped(error.reason, str(error))

    def _target(self, header: Header) -> Pose | None:
        """T_target_camera at the image's stamp; None where poses stay in the camera's frame."""
        target = self.parameters.target_frame
        if self._transforms is None or target == header.frame_id:
            return None
        matrix = self._transforms.wait(target, header.frame_id, stamp_ns(header), self.parameters.transform_wait_s)
        return Pose.from_matrix(matrix)


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
        camera.check_image(*(int(value) for value in keypoints.auxiliary[SOURCE_SIZE]))
        return
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
    pose, covariance = item.pose, item.covariance
    if T_target_camera is not None:
        pose, covariance = T_target_camera @ pose, transform_covariance(covariance, T_target_camera)
    return detection_3d(header, item.label, item.score, pose, item.size, identity=identity, covariance=covariance)


main = node_main(PoseNode)
