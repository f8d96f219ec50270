# SPDX-License-Identifier: Apache-2.0
"""SimCameraNode: a simulated RGB-D camera over a moving table top, or in a room with people, with ground truth."""

from __future__ import annotations

import threading
import time

from builtin_interfaces.msg import Time as TimeMessage
from rclpy.time import Time
from std_msgs.msg import Empty, Header
from vision_msgs.msg import Detection2DArray, Detection3DArray

from isaac_inference.ros.nodes.sim_camera.camera_output import CameraOutput
from isaac_inference.ros.nodes.sim_camera.pace import Pace
from isaac_inference.ros.nodes.sim_camera.parameters import SceneKind, SimCameraParameters
from isaac_inference.ros.nodes.sim_camera.truth import TRUTH_3D, truth_in_common
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.node import PipelineNode, StageClock
from isaac_inference.ros.runtime.topics.qos import RELIABLE, RESULTS
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.ros.runtime.transforms.broadcaster import FramePose, TransformBroadcaster
from isaac_inference.sim import Scene, default_camera
from isaac_inference.sim.people import MOST_PEOPLE, PeopleScene
from isaac_inference.sim.placement import calibration_error

SCENE_GAP_S = 5.0  # between the stamps of two scenes, so that they are not mistaken for one
_BASE_POSE = ((-0.6, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))  # of the robot's base in the world: at the table's edge


class SimCameraNode(PipelineNode):
    """Publishes `image` (bgr8), `camera_info`, `depth/image`, `depth/camera_info`, /tf, and the truth.

    The truth is `truth/detections`, `truth/detections_3d` and `truth/poses`, with all objects that are at least
    slightly in view, in the same order; a score there is the visible part of the object, 0..1, an id is the object's
    number. In a room, people are the objects, of class `person`, and their joints are `truth/keypoints` and
    `truth/keypoints_3d`, as the graph's own topics have them: a confidence is 1 where a joint is visible, else 0, and
    the latter has all of them, with a covariance of 0. With `max_ahead` it listens to `detections`, the graph's
    answers. /tf has the camera and `truth/<class>_<id>` as children of the world, /tf_static has the robot's base.

    With `cameras` all of that is below each camera's name, but for /tf, and of one scene at the same moments; what is
    common is `truth/detections_3d`, in the world's frame: all objects that any camera sees, a score is the part that
    is visible to the one that sees most of it. `detections` are those of the first camera.
    """

    Parameters = SimCameraParameters
    stage = 'sim_camera'

    def __init__(self, node_name: str = 'sim_camera', **kwargs: object) -> None:
        self._stop = threading.Event()
        self._steps = threading.Semaphore(0)
        self._pace = Pace(0)
        self._thread: threading.Thread | None = None
        self._transforms: TransformBroadcaster | None = None
        self._outputs: list[CameraOutput] = []
        self._visible: dict[int, dict[int, float]] = {}  # by camera, what it saw last: by object, its visible part
        super().__init__(node_name, **kwargs)

    def has_input(self) -> bool:
        return not self.parameters.step

    def on_setup(self) -> None:
        chosen: SimCameraParameters = self.parameters
        chosen.check_cameras()
        chosen.check_cameras_off()
        self._camera = default_camera(*chosen.image_size, distorted=chosen.distorted)
        sigmas = (chosen.calibration_error_m, chosen.calibration_error_rad)
        self._outputs = [
            CameraOutput(self, chosen, self._camera, name, calibration_error(chosen.seed, view, *sigmas))
            for view, name in enumerate(chosen.cameras or ('',))
        ]
        self._common = self.advertise(plain(Detection3DArray), TRUTH_3D, RELIABLE) if chosen.cameras else None
        self._transforms = TransformBroadcaster(self)
        if chosen.step:
            step = lambda message, clock: self._steps.release()  # noqa: E731
            self.subscribe(plain(Empty), 'step', RELIABLE, step, primary=False, depth=100)
        elif chosen.max_ahead:
            first = f'{chosen.cameras[0]}/detections' if chosen.cameras else 'detections'
            self.subscribe(plain(Detection2DArray), first, RESULTS, self._on_answer, primary=False, depth=10)

    def on_parameters(self, updated: SimCameraParameters) -> None:
        updated.check_cameras_off()

    def on_teardown(self) -> None:
        if self._transforms is not None:
            self._transforms.close()
            self._transforms = None

    def on_start(self) -> None:
        self._stop.clear()
        self._steps = threading.Semaphore(0)
        self._visible.clear()
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
        moments = chosen.by_phase()
        due, index, scenes = time.monotonic(), 0, self._scenes(0)
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
                scenes = self._scenes(number)
            start = time.perf_counter()
            self.health.received()
            for phase, group in moments:
                if not chosen.step and self._stop.wait(max(0.0, due + phase * period - time.monotonic())):
                    return
                steps_ns = round(((index + phase) * period + number * SCENE_GAP_S) * 1e9)
                stamp_ns = begin_ns + steps_ns if chosen.step else None
                self._show([(view, scenes[view]) for view in group], (place + phase) * period, stamp_ns)
            self.health.processed((time.perf_counter() - start) * 1e3)
            index += 1
            due = max(due + period, time.monotonic() - period)
        self.get_logger().info(f'{chosen.frames} images published: done')

    def _scenes(self, number: int) -> list[Scene | PeopleScene]:
        """One scene, as each camera sees it."""
        chosen = self.parameters
        seed, views = chosen.seed * 1000 + number, len(self._outputs)
        if chosen.scene is SceneKind.PEOPLE:
            first = number * MOST_PEOPLE + 1
            return [PeopleScene(self._camera, seed, people=chosen.people, first_instance=first)]
        first, count = number * chosen.objects + 1, chosen.objects
        return [
            Scene(self._camera, seed, objects=count, first_instance=first, view=view, views=views)
            for view in range(views)
        ]

    def _show(self, views: list[tuple[int, Scene | PeopleScene]], time_s: float, stamp_ns: int | None) -> None:
        """What these cameras see at one moment."""
        now = self.get_clock().now() if stamp_ns is None else Time(nanoseconds=stamp_ns)
        stamp = now.to_msg()
        if views[0][0] == 0:  # of the camera whose answers are listened to
            self._pace.sent(now.nanoseconds)
        self._send_transforms(views, time_s, stamp)
        off = self.parameters.cameras_off
        for view, scene in views:
            output = self._outputs[view]
            if output.name in off:
                self._visible.pop(view, None)
                continue
            frame = scene.frame(time_s)
            self._visible[view] = {truth.instance: truth.visibility for truth in frame.truths}
            output.publish(frame, Header(stamp=stamp, frame_id=output.frame_id))
        if self._common is not None and self._common.wanted:
            header = Header(stamp=stamp, frame_id=self.parameters.world_frame)
            self._common.publish(truth_in_common(header, views[0][1].object_poses(time_s), self._visible.values()))

    def _send_base(self) -> None:
        if self._transforms is not None:
            chosen, stamp_ns = self.parameters, self.get_clock().now().nanoseconds
            self._transforms.send_static([FramePose(chosen.world_frame, chosen.base_frame, stamp_ns, *_BASE_POSE)])

    def _send_transforms(self, views: list[tuple[int, Scene | PeopleScene]], time_s: float, stamp: TimeMessage) -> None:
        if self._transforms is None or not self._transforms.wanted:
            return
        world = self.parameters.world_frame
        outputs = [(self._outputs[view], scene) for view, scene in views]
        named = [(output.frame_id, scene.camera_pose(time_s) @ output.calibration) for output, scene in outputs]
        objects = views[0][1].object_poses(time_s)
        named += [(f'truth/{kind.name}_{instance}', pose) for instance, kind, pose in objects]
        self._transforms.send(
            FramePose(world, child, stamp, pose.translation.tolist(), pose.quaternion_numbers())
            for child, pose in named
        )


main = node_main(SimCameraNode)
