# SPDX-License-Identifier: Apache-2.0
"""SkeletonsNode: keypoints of people to skeletons: in space where there is depth, for RViz, and as REP 155 has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo
from visualization_msgs.msg import MarkerArray

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.models.skeleton_reader import NamedSkeleton, read_skeleton
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.keypoints.body import Body, body_of
from isaac_inference.ops.keypoints.hidden import on_others
from isaac_inference.ops.keypoints.joints import UNSURE, PersonJoints, check_points, joints_in_space
from isaac_inference.ops.keypoints.similarity import ALIKE, same_as
from isaac_inference.ros.messages.camera_info import CameraFeed
from isaac_inference.ros.messages.compressed_depth import depth_frame_of
from isaac_inference.ros.messages.detections import SeenBox, read_detections, read_keypoints
from isaac_inference.ros.messages.image import IMAGE, ImageFrame
from isaac_inference.ros.messages.people.hri_bodies import PACKAGE, has_body_points, hri_msgs
from isaac_inference.ros.messages.people.joints import KEYPOINTS_3D, JointRows, joint_cloud, joint_names, person_number
from isaac_inference.ros.messages.people.skeleton_markers import SkeletonMarkers
from isaac_inference.ros.messages.tensors import KEYPOINTS_TOPIC, RECTIFIED, SOURCE_SIZE, TENSORS, TensorFrame
from isaac_inference.ros.nodes.shared.depth_source import DepthSource
from isaac_inference.ros.nodes.shared.image_source import ImageSource
from isaac_inference.ros.nodes.skeletons.bodies import Bodies, SeenPerson
from isaac_inference.ros.nodes.skeletons.parameters import SkeletonsParameters
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.health.health import SUPERSEDED
from isaac_inference.ros.runtime.node import PipelineNode, StageClock
from isaac_inference.ros.runtime.parameters.schema import AutoSwitch
from isaac_inference.ros.runtime.topics.pairing import Paired, Secondary, StampPairing
from isaac_inference.ros.runtime.topics.qos import LATCHED
from isaac_inference.ros.runtime.topics.stamp import JUMP_NS, stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.ros.runtime.transforms import LazyTransforms
from isaac_inference.stages.poses import DepthView

_BUFFER = 30  # frames of depth or keypoints kept while detections are made


class SkeletonsNode(PipelineNode):
    """`detections` and `keypoints` of one stamp, `camera_info` and `depth/image` to joints in space and skeletons.

    `keypoints_3d` (PointCloud2, organised: row i is detection i of that stamp, column j is point j of the skeleton;
    fields as in `ros/messages/people/joints.py`) and, latched, `keypoints_3d/label_info` (LabelInfo: what the columns
    are called), while somebody publishes depth; `skeletons/markers` (MarkerArray) while anyone subscribes too. Where
    hri_msgs is installed, people who have an id are published as REP 155 says, depth or not: `/humans/bodies/tracked`,
    and `/humans/bodies/<id>/skeleton2d` and `roi`. Everything has the image's stamp.

    A joint that depth does not show, or shows where this body cannot have it, is NaN: it is counted as skipped under
    its reason, and never filled in. So are all joints of people who cannot be.

    `detections` are the primary input: each message is a frame. One that waits for keypoints or depth counts when
    its skeletons are out.
    """

    Parameters = SkeletonsParameters
    stage = 'skeletons'

    def __init__(self, node_name: str = 'skeletons', **kwargs: object) -> None:
        self._camera, self._depth_camera = CameraFeed(), CameraFeed()
        self._transforms = LazyTransforms(self, lambda: self.parameters.transform_source)
        self._with_keypoints, self._with_depth = StampPairing('detections', {}), StampPairing('detections', {})
        self._newest_keypoints_ns = 0
        self._bodies: Bodies | None = None
        self._drawn: SkeletonMarkers | None = None
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        chosen: SkeletonsParameters = self.parameters
        self._skeleton: NamedSkeleton = read_skeleton(chosen.model, chosen.model_card)
        self.model = self._skeleton.name
        self._body = _body(self._skeleton, chosen.depths())
        self._settings = chosen.settings()
        qos = chosen.skeletons_qos
        self._joints = self.advertise(plain(PointCloud2), KEYPOINTS_3D, qos)
        self._names = self.advertise(plain(LabelInfo), f'{KEYPOINTS_3D}/label_info', LATCHED)
        self._markers = self.advertise(plain(MarkerArray), 'skeletons/markers', qos)
        self._drawn = SkeletonMarkers(self._skeleton.spec)
        self._bodies = self._make_bodies(chosen)
        self._open_cameras()
        streams = ('detections', 'keypoints', 'depth')
        topics = dict(
            zip(streams, map(self.resolve_topic_name, ('detections', 'keypoints', 'depth/image')), strict=True)
        )
        self._depth_topic = topics['depth']
        keypoints = Secondary(tolerance_s=0.0, wait_s=chosen.wait_s, depth=_BUFFER)
        depth = Secondary(tolerance_s=chosen.depth_tolerance_s or None, wait_s=chosen.wait_s, depth=_BUFFER)
        self._with_keypoints = StampPairing('detections', {'keypoints': keypoints}, topics=topics)
        self._with_depth = StampPairing('detections', {'depth': depth}, topics=topics)
        self._subscribe(chosen)

    def _make_bodies(self, chosen: SkeletonsParameters) -> Bodies | None:
        """Raises ConfigError: REP 155 is asked for and cannot be had."""
        names = self._skeleton.spec.names
        if chosen.hri is AutoSwitch.FALSE:
            return None
        if not has_body_points(names):
            if chosen.hri is AutoSwitch.TRUE:
                raise ConfigError(
                    f'parameter hri: got "true", but of the points of hri_msgs/Skeleton2D the skeleton of '
                    f'{self._skeleton.name} has none: {", ".join(names)}; set it to "false"'
                )
            return None
        if hri_msgs() is None:
            what = f'the package {PACKAGE} is not installed; sudo apt install ros-$ROS_DISTRO-hri-msgs'
            if chosen.hri is AutoSwitch.TRUE:
                raise ConfigError(f'parameter hri: got "true", but {what}, or set it to "auto"')
            self.get_logger().info(f'nothing is published as REP 155 says (/humans/bodies): {what}')
            return None
        return Bodies(self, chosen.bodies_topic, names, chosen.joints.min_confidence, chosen.skeletons_qos)

    def _subscribe(self, chosen: SkeletonsParameters) -> None:
        image_qos, qos = chosen.image_qos, chosen.detections_qos
        infos = plain(CameraInfo)
        self.subscribe(infos, 'camera_info', image_qos, self._on_camera_info)
        self.subscribe(infos, 'depth/camera_info', image_qos, self._on_depth_camera_info)
        takes_depth = chosen.use_depth is not AutoSwitch.FALSE
        transport = chosen.depth_transport
        self.subscribe(
            IMAGE,
            'depth/image',
            image_qos,
            self._on_depth,
            depth=qos.depth,
            wanted=lambda: takes_depth,
            source=ImageSource(
                self,
                'depth/image',
                transport,
                'depth_transport',
                'compressedDepth',
                lambda: chosen.use_depth is AutoSwitch.TRUE,
            ),
        )
        self.subscribe(TENSORS, KEYPOINTS_TOPIC, qos, self._on_keypoints, depth=qos.depth)
        self.subscribe(plain(Detection2DArray), 'detections', qos, self._on_detections, primary=True)
        self.every(max(chosen.wait_s / 3, 0.02), self._on_tick)

    def on_start(self) -> None:
        header = Header(stamp=self.get_clock().now().to_msg())
        self._names.publish(joint_names(header, self._skeleton.spec.names, self._settings.min_confidence))

    def on_time_jump(self, now_ns: int) -> None:
        if self._newest_keypoints_ns > now_ns + JUMP_NS:  # of the time before: they overtake nothing
            self._newest_keypoints_ns = 0
        self._transforms.rewind(now_ns)

    def on_stop(self) -> None:
        self._with_keypoints.clear()
        self._with_depth.clear()
        self._newest_keypoints_ns = 0
        if self._bodies is not None:
            self._bodies.clear()
        if self._drawn is not None and self._drawn.is_showing:
            self._markers.publish(self._drawn.clear(Header(stamp=self.get_clock().now().to_msg())))
        self._open_cameras()

    def on_teardown(self) -> None:
        self._bodies = None
        self._transforms.close()

    def _open_cameras(self) -> None:
        """Know no camera yet."""
        chosen: SkeletonsParameters = self.parameters
        names = [self.resolve_topic_name(name) for name in ('image', 'camera_info', 'depth/image', 'depth/camera_info')]
        self._camera = CameraFeed(chosen.image_rectified, names[:2])
        self._depth_camera = CameraFeed(chosen.depth_rectified, names[2:])
        is_raw = chosen.depth_rectified.value == 'false'
        self._depth = DepthSource(self._camera, self._depth_camera, self._transform, chosen.depth_unit_scale, is_raw)

    # Inputs

    def _on_camera_info(self, message: CameraInfo, clock: StageClock) -> None:
        self._camera.put(message)
        self.health.show('assumed.image_rectified', self._camera.assumed.get('image_rectified'))

    def _on_depth_camera_info(self, message: CameraInfo, clock: StageClock) -> None:
        self._depth_camera.put(message)

    def _on_depth(self, item: ImageFrame | CompressedImage, clock: StageClock) -> None:
        self._with_depth_done(self._with_depth.put('depth', stamp_ns(item.header), item))  # decoded when it is used

    def _on_keypoints(self, frame: TensorFrame, clock: StageClock) -> None:
        if self._skeleton.card is not None:
            frame.check_card(self._skeleton.card)
        self._newest_keypoints_ns = stamp_ns(frame.header)
        self._with_keypoints_done(self._with_keypoints.put('keypoints', stamp_ns(frame.header), frame))

    def _on_detections(self, message: Detection2DArray, clock: StageClock) -> None:
        released = self._with_keypoints.put('detections', stamp_ns(message.header), (message, clock))
        clock.defer()
        self._with_keypoints_done(released)

    def _on_tick(self) -> None:
        self._with_keypoints_done(self._with_keypoints.expire())
        self._with_depth_done(self._with_depth.expire())
        unpaired = [self._with_keypoints.explain(), self._with_depth.explain() if self._uses_depth() else None]
        self.health.standing('unpaired', ' '.join(text for text in unpaired if text) or None)

    def _uses_depth(self) -> bool:
        use = self.parameters.use_depth
        if use is not AutoSwitch.AUTO:
            return use is AutoSwitch.TRUE
        return any(
            self.count_publishers(topic) > 0 for topic in (self._depth_topic, f'{self._depth_topic}/compressedDepth')
        )

    def _with_keypoints_done(self, released: Sequence[Paired]) -> None:
        """Frames that have their keypoints go on to wait for depth; one without them is dropped.

        One that newer keypoints have overtaken is no fault: a network on crops of people is slower than their detector,
        and takes the newest frame, too. Keypoints that never belong to a frame are told by the pairing.
        """
        self._with_keypoints.drop_forgotten(self.health.dropped)
        for pair in released:
            message, clock = pair.item
            waiting: Sequence[Paired] = ()
            with self.work(clock):
                keypoints: TensorFrame | None = pair.matches['keypoints']
                if keypoints is None and self._newest_keypoints_ns > pair.stamp_ns > 0:
                    raise FrameError(SUPERSEDED, '')
                if keypoints is None:
                    raise FrameError(
                        'keypoints_missing',
                        'detections came for which there are no keypoints of the same stamp; is `keypoints` the topic '
                        'of the node that finds them in the same images?',
                    )
                if self._uses_depth():
                    waiting = self._with_depth.put('detections', pair.stamp_ns, (message, keypoints, clock))
                    clock.defer()
                else:
                    self._skeletons(message, keypoints, None, False, clock)
            self._with_depth_done(waiting)

    def _with_depth_done(self, released: Sequence[Paired]) -> None:
        self._with_depth.drop_forgotten(self.health.dropped)
        for pair in released:
            message, keypoints, clock = pair.item
            with self.work(clock):
                if pair.missing:
                    self.health.skipped('unpaired_depth', 'keypoints without depth of their stamp')
                self._skeletons(message, keypoints, pair.matches['depth'], True, clock)

    # Frames

    def _skeletons(
        self,
        message: Detection2DArray,
        keypoints: TensorFrame,
        depth: ImageFrame | CompressedImage | None,
        in_space: bool,
        clock: StageClock,
    ) -> None:
        """One frame; with `in_space` its joints are published, depth or not."""
        rows = read_keypoints(message, keypoints)
        check_points(rows, self._body)
        image_wh = self._follow_image(keypoints.auxiliary)
        classes = self.parameters.classes
        seen = read_detections(message.detections, self.health.skipped)
        seen = [item for item in seen if not classes or item.label in classes]
        people = self._people(seen, rows)
        if self._bodies is not None and image_wh is not None:
            given = {item.identity: SeenPerson(rows[item.index], np.array(item.box), item.score) for item in people}
            self._bodies.publish(message.header, given, image_wh)
        if in_space:
            self._in_space(message, people, rows, depth)
        self.report_timings(message.header, (*keypoints.timings, clock.finish()))

    def _people(self, seen: Sequence[SeenBox], rows: np.ndarray) -> list[SeenBox]:
        """Those of whom anything is sure; of two detections of one person the one with the higher score."""
        found: list[SeenBox] = []
        for item in seen:
            row = rows[item.index]
            if not row[:, 2].any():  # as the network itself says
                continue
            is_told = row[:, 2] != 0.0  # a keypoint that a network does not give may be NaN; NaN is none that it gives
            if not np.isfinite(row[is_told]).all():
                self.health.skipped('keypoints_not_finite', f'detection {item.index}: keypoints that are not finite')
                continue
            found.append(item)
        if len(found) < 2:
            return found
        boxes = np.array([item.box for item in found])
        areas, scores = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1), np.array([item.score for item in found])
        points = rows[[item.index for item in found]]
        twins = same_as(points, areas, scores, self._settings.min_confidence, ALIKE)
        for place, other in twins.items():
            self.health.skipped(
                'person_twice',
                f'detections {found[other].index} and {found[place].index} have the same keypoints, by a similarity '
                f'(OKS) of {ALIKE:g} or more: they are one person, or of two people in one box the network sees one; '
                'the higher score is taken',
            )
        return [item for place, item in enumerate(found) if place not in twins]

    def _follow_image(self, said: Mapping[str, np.ndarray]) -> tuple[int, int] | None:
        """(width, height) of the image that keypoints were found in; None where nothing says it."""
        if SOURCE_SIZE in said:
            width, height = (int(value) for value in said[SOURCE_SIZE])
            self._camera.fit(width, height)
            self._camera.follow(said.get(RECTIFIED))
            return width, height
        self._camera.follow(said.get(RECTIFIED))
        camera = self._camera.camera
        return None if camera is None else (camera.width, camera.height)

    def _in_space(
        self,
        message: Detection2DArray,
        people: Sequence[SeenBox],
        rows: np.ndarray,
        item: ImageFrame | CompressedImage | None,
    ) -> None:
        count, points = rows.shape[:2]
        positions = np.full((count, points, 3), np.nan)
        covariances = np.full((count, points, 3, 3), np.nan)
        view = self._view(item, message.header, people) if people and item is not None else None
        seen = [(person, self._person(person, rows[person.index], view)) for person in people if view is not None]
        known = [(person, joints) for person, joints in seen if joints is not None]
        for person, joints in self._own(known):
            positions[person.index] = joints.positions + self._camera.origin
            covariances[person.index] = joints.covariances
        found = np.isfinite(positions[..., 2]).any(axis=1)
        if people:
            self.health.kept(int(found.sum()))
        numbers = [person_number(str(detection.id)) for detection in message.detections]
        self._joints.publish(joint_cloud(message.header, JointRows(positions, covariances, rows[..., 2], numbers)))
        drawn = self._drawn
        if drawn is not None and (self._markers.wanted or drawn.is_showing):
            marked = {numbers[row] or -1 - row: positions[row] for row in np.flatnonzero(found).tolist()}
            self._markers.publish(drawn.array(message.header, marked))

    def _person(self, person: SeenBox, row: np.ndarray, view: DepthView | None) -> PersonJoints | None:
        """None where this cannot be a person, which is counted."""
        camera = self._camera.camera
        if view is None or camera is None:
            return None
        try:
            joints = joints_in_space(row, np.array(person.box), camera, view.image, self._body, self._settings)
        except FrameError as error:
            self.health.skipped(error.reason, f'detection {person.index}: {error}')
            return None
        return joints

    def _own(self, people: Sequence[tuple[SeenBox, PersonJoints]]) -> list[tuple[SeenBox, PersonJoints]]:
        """People without joints that lie on somebody else; what is left out is counted, and who has none of them."""
        kept = []
        others = on_others([joints.positions for _, joints in people], self._body)
        for (person, joints), own in zip(people, others, strict=True):
            if own.whole >= 0:
                self.health.skipped(
                    'person_hidden',
                    f'detection {person.index}: most of its joints lie on the body of detection '
                    f'{people[own.whole][0].index}, who hides it, probably',
                )
                continue
            joints = joints.without(own.joints)
            for name, reason in zip(self._body.names, joints.left_out, strict=True):
                if reason and reason != UNSURE:
                    self.health.skipped(reason, f'detection {person.index}: its {name}')
            kept.append((person, joints))
        return kept

    def _view(self, item: ImageFrame | CompressedImage, header: Header, people: Sequence[SeenBox]) -> DepthView | None:
        """The depth that belongs to a frame; unusable depth is reported and then as good as none."""
        camera = self._known_camera()
        boxes = np.array([person.box for person in people])
        try:
            view = self._depth.view(depth_frame_of(item), header, boxes)
        except FrameError as error:
            self.health.skipped(error.reason, str(error))
            is_view = error.reason == 'depth_unregistered'
            self.health.standing('depth_unregistered', str(error) if is_view else None, log_again=False)
            return None
        self.health.clear('depth_unregistered')
        self.health.show('assumed.depth', self._depth.assumed or None)
        if (boxes[:, 2:] > np.array((camera.width, camera.height)) * 1.05).any():
            raise FrameError(
                'camera_info_size',
                f'a box reaches beyond {camera.width}x{camera.height} px, for which CameraInfo is; publish the '
                'CameraInfo of the image that the people were found in',
            )
        return view

    def _known_camera(self) -> CameraModel:
        camera = self._camera.camera
        if camera is None:
            raise FrameError(
                'no_camera_info',
                'keypoints and depth arrived, but no usable CameraInfo yet: joints in space need the intrinsics; remap '
                "camera_info to the camera's, and check that its K is not zero",
            )
        return camera

    def _transform(self, target: str, source: str, stamp_ns: int, patient: bool) -> Pose:
        """T_target_source; raises TransformError."""
        return self._transforms.pose(target, source, stamp_ns, self.parameters.transform_wait_s if patient else 0.0)


def _body(skeleton: NamedSkeleton, depths: Mapping[str, float]) -> Body:
    """The body of a skeleton, with the parameter's depths; "all" is every joint's.

    Raises:
        ConfigError: a joint that there is not.
    """
    spec = skeleton.spec
    every: dict[str, Any] = dict.fromkeys(spec.names, depths['all']) if 'all' in depths else {}
    named = {name: metres for name, metres in depths.items() if name != 'all'}
    try:
        return body_of(spec.names, spec.edges, {**every, **named})
    except ValueError as error:
        raise ConfigError(f'parameter joint_depths: {error} of {skeleton.name}') from error


main = node_main(SkeletonsNode)
