# SPDX-License-Identifier: Apache-2.0
"""SimCameraNode: a simulated RGB-D camera over a moving table top, or in a room with people, with ground truth."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from geometry_msgs.msg import PoseArray
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, PointCloud2
from std_msgs.msg import Empty, Header
from vision_msgs.msg import Detection2DArray, Detection3DArray

from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ros.messages.camera_info import camera_info, with_header
from isaac_inference.ros.messages.depth import DepthEncoding, depth_frame
from isaac_inference.ros.messages.image import IMAGE, image_frame_from_array
from isaac_inference.ros.messages.people.joints import KEYPOINTS_3D
from isaac_inference.ros.messages.poses import pose_array
from isaac_inference.ros.messages.tensors import KEYPOINTS_TOPIC, TENSORS
from isaac_inference.ros.nodes.sim_camera.pace import Pace
from isaac_inference.ros.nodes.sim_camera.people_truth import people_2d, people_3d, true_joints, true_keypoints
from isaac_inference.ros.nodes.sim_camera.truth import truth_2d, truth_3d
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.node import PipelineNode, StageClock
from isaac_inference.ros.runtime.parameters.node_parameters import NodeParameters
from isaac_inference.ros.runtime.parameters.schema import group, param
from isaac_inference.ros.runtime.topics.qos import RELIABLE, RESULTS, QosParameters
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.ros.runtime.transforms.broadcaster import FramePose, TransformBroadcaster
from isaac_inference.sim import Scene, SimFrame, default_camera
from isaac_inference.sim.people import MOST_PEOPLE, PeopleFrame, PeopleScene

SCENE_GAP_S = 5.0  # between the stamps of two scenes, so that they are not mistaken for one
_BASE_POSE = ((-0.6, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))  # of the robot's base in the world: at the table's edge


class SceneKind(str, Enum):
    """What the camera looks at."""

    TABLETOP = 'tabletop'
    PEOPLE = 'people'


@dataclass(frozen=True)
class SimCameraParameters(NodeParameters):
    """Parameters of the simulated camera."""

    seed: int = param(1, 'Random seed.', minimum=0)
    scene: SceneKind = param(
        SceneKind.TABLETOP, 'What is looked at: objects on a table, or people who walk about a room.'
    )
    people: int = param(0, 'People in the room; 0 draws one to three from the seed.', minimum=0, maximum=3)
    objects: int = param(6, 'Objects on the table; up to six there is one of each kind.', minimum=1, maximum=9)
    rate_hz: float = param(30.0, 'Images per second.', unit='Hz', minimum=0.01, maximum=1000.0)
    max_ahead: int = param(
        0,
        'Make no image while so many are not answered on `detections`, since who drops them would only lack the time '
        'that they took; 0 makes them at rate_hz whatever becomes of them, as a real camera does.',
        unit='images',
        minimum=0,
        maximum=1000,
    )
    step: bool = param(False, 'Publish one image per message on `step` only, with stamps 1 / rate_hz apart.')
    frames: int = param(0, 'Stop after this many images; 0 never stops.', minimum=0)
    scene_frames: int = param(0, 'Start another scene after this many images; 0 keeps the first.', minimum=0)
    image_size: tuple[int, ...] = param((640, 480), 'Width and height of the images.', unit='px', minimum=16)
    distorted: bool = param(False, 'Give the lens a barrel distortion.')
    depth_encoding: DepthEncoding = param(DepthEncoding.METRES, 'Depth encoding: metres as float, or mm in 16 bits.')
    depth_size: tuple[int, ...] = param(
        (0, 0), 'Width and height of depth images; 0, 0: same as the colour images.', unit='px', minimum=0
    )
    frame_id: str = param('camera_optical_frame', 'frame_id of the images: the optical frame, z forward.')
    world_frame: str = param('world', 'Frame of the table, z up.')
    base_frame: str = param('base_link', "The robot's base, fixed to the table's edge.")
    image_qos: QosParameters = group(QosParameters(), 'QoS of the image and CameraInfo publishers.')


class SimCameraNode(PipelineNode):
    """Publishes `image` (bgr8), `camera_info`, `depth/image`, `depth/camera_info`, /tf, and the truth.

    The truth is `truth/detections`, `truth/detections_3d` and `truth/poses`, with all objects that are at least
    slightly in view, in the same order; a score there is the visible part of the object, 0..1, an id is the object's
    number. In a room, people are the objects, of class `person`, and their joints are `truth/keypoints` and
    `truth/keypoints_3d`, as the graph's own topics have them: a confidence is 1 where a joint is visible, else 0, and
    the latter has all of them, with a covariance of 0. With `max_ahead` it listens to `detections`, the graph's
    answers. /tf has the camera and `truth/<class>_<id>` as children of the world, /tf_static has the robot's base.
    """

    Parameters = SimCameraParameters
    stage = 'sim_camera'

    def __init__(self, node_name: str = 'sim_camera', **kwargs: object) -> None:
        self._stop = threading.Event()
        self._steps = threading.Semaphore(0)
        self._pace = Pace(0)
        self._thread: threading.Thread | None = None
        self._transforms: TransformBroadcaster | None = None
        super().__init__(node_name, **kwargs)

    def has_input(self) -> bool:
        return not self.parameters.step

    def on_setup(self) -> None:
        chosen = self.parameters
        self._camera = default_camera(*chosen.image_size, distorted=chosen.distorted)
        depth_size = chosen.depth_size if any(chosen.depth_size) else chosen.image_size
        self._depth_camera = self._camera.resized(*depth_size)
        self._info, self._depth_info = (camera_info(Header(), one) for one in (self._camera, self._depth_camera))
        qos = chosen.image_qos
        self._images = self.advertise(IMAGE, 'image', qos)
        self._infos = self.advertise(plain(CameraInfo), 'camera_info', qos)
        self._depths = self.advertise(IMAGE, 'depth/image', qos)
        self._depth_infos = self.advertise(plain(CameraInfo), 'depth/camera_info', qos)
        self._truths = self.advertise(plain(Detection2DArray), 'truth/detections', RELIABLE)
        self._truths_3d = self.advertise(plain(Detection3DArray), 'truth/detections_3d', RELIABLE)
        self._truth_poses = self.advertise(plain(PoseArray), 'truth/poses', RELIABLE)
        has_people = chosen.scene is SceneKind.PEOPLE
        self._in_image: Callable[[Header, Any], Detection2DArray] = people_2d if has_people else truth_2d
        self._in_space: Callable[[Header, Any], Detection3DArray] = people_3d if has_people else truth_3d
        if has_people:
            self._truth_keypoints = self.advertise(TENSORS, f'truth/{KEYPOINTS_TOPIC}', RELIABLE)
            self._truth_joints = self.advertise(plain(PointCloud2), f'truth/{KEYPOINTS_3D}', RELIABLE)
        self._transforms = TransformBroadcaster(self)
        if chosen.step:
            step = lambda message, clock: self._steps.release()  # noqa: E731
            self.subscribe(plain(Empty), 'step', RELIABLE, step, primary=False, depth=100)
        elif chosen.max_ahead:
            self.subscribe(plain(Detection2DArray), 'detections', RESULTS, self._on_answer, primary=False, depth=10)

    def on_teardown(self) -> None:
        if self._transforms is not None:
            self._transforms.close()
            self._transforms = None

    def on_start(self) -> None:
        self._stop.clear()
        self._steps = threading.Semaphore(0)
        self._pace = Pace(0 if self.parameters.step else self.parameters.max_ahead)
        self._thread = threading.Thread(target=self._run, name='sim_camera', daemon=True)
        self._thread.start()

    def on_stop(self) -> None:
        self._stop.set()
        self._steps.release()
        self._pace.close()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _on_answer(self, message: Detection2DArray, clock: StageClock) -> None:
        self._pace.answered(stamp_ns(message.header))

    def _run(self) -> None:
        chosen = self.parameters
        if not self.time_watch.wait(self._stop):  # before that no image has a stamp
            return
        period, begin_ns = 1.0 / chosen.rate_hz, self.get_clock().now().nanoseconds
        self._send_base()
        due, index, scene = time.monotonic(), 0, self._scene(0)
        while not chosen.frames or index < chosen.frames:
            if chosen.step:
                self._steps.acquire()
            elif self._stop.wait(max(0.0, due - time.monotonic())):
                return
            self._pace.wait()
            if self._stop.is_set():
                return
            number, place = divmod(index, chosen.scene_frames) if chosen.scene_frames else (0, index)
            if place == 0 and number:
                scene = self._scene(number)
            start = time.perf_counter()
            self.health.received()
            frame = scene.frame(place * period)
            stamp_ns = begin_ns + round((index * period + number * SCENE_GAP_S) * 1e9) if chosen.step else None
            self._publish(frame, scene, place * period, stamp_ns)
            self.health.processed((time.perf_counter() - start) * 1e3)
            index += 1
            due = max(due + period, time.monotonic() - period)
        self.get_logger().info(f'{chosen.frames} images published: done')

    def _scene(self, number: int) -> Scene | PeopleScene:
        chosen = self.parameters
        if chosen.scene is SceneKind.PEOPLE:
            first = number * MOST_PEOPLE + 1
            return PeopleScene(self._camera, chosen.seed * 1000 + number, people=chosen.people, first_instance=first)
        first = number * chosen.objects + 1
        return Scene(self._camera, chosen.seed * 1000 + number, objects=chosen.objects, first_instance=first)

    def _publish(
        self, frame: SimFrame | PeopleFrame, scene: Scene | PeopleScene, time_s: float, stamp_ns: int | None
    ) -> None:
        now = self.get_clock().now() if stamp_ns is None else Time(nanoseconds=stamp_ns)
        header = Header(stamp=now.to_msg(), frame_id=self.parameters.frame_id)
        self._pace.sent(now.nanoseconds)
        if self._transforms is not None and self._transforms.wanted:
            self._send_transforms(self._transforms, frame.T_world_camera, scene.object_poses(time_s), header)
        if self._infos.wanted:
            self._infos.publish(with_header(self._info, header))
        if self._depth_infos.wanted:
            self._depth_infos.publish(with_header(self._depth_info, header))
        if self._depths.wanted:
            size = (self._depth_camera.width, self._depth_camera.height)
            self._depths.publish(depth_frame(frame.depth, self.parameters.depth_encoding, header, size))
        if isinstance(frame, PeopleFrame):
            self._publish_people(frame, header)
        if self._truths.wanted:
            self._truths.publish(self._in_image(header, frame.truths))
        if self._truths_3d.wanted or self._truth_poses.wanted:
            placed = self._in_space(header, frame.truths)
            self._truths_3d.publish(placed)
            self._truth_poses.publish(pose_array(placed))
        self._images.publish(image_frame_from_array(frame.color, 'bgr8', header))

    def _publish_people(self, frame: PeopleFrame, header: Header) -> None:
        if self._truth_keypoints.wanted:
            self._truth_keypoints.publish(true_keypoints(header, frame.truths, self._camera))
        if self._truth_joints.wanted:
            self._truth_joints.publish(true_joints(header, frame.truths))

    def _send_base(self) -> None:
        if self._transforms is not None:
            chosen, stamp_ns = self.parameters, self.get_clock().now().nanoseconds
            self._transforms.send_static([FramePose(chosen.world_frame, chosen.base_frame, stamp_ns, *_BASE_POSE)])

    def _send_transforms(
        self, transforms: TransformBroadcaster, T_world_camera: Pose, objects: list, header: Header
    ) -> None:
        world = self.parameters.world_frame
        named = [(header.frame_id, T_world_camera)]
        named += [(f'truth/{kind.name}_{instance}', pose) for instance, kind, pose in objects]
        stamp = stamp_ns(header)
        transforms.send(
            FramePose(world, child, stamp, pose.translation.tolist(), pose.quaternion_numbers())
            for child, pose in named
        )


main = node_main(SimCameraNode)
