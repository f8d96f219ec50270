# SPDX-License-Identifier: Apache-2.0
"""A SkeletonsNode and everything around it: a probe that plays camera, depth camera and keypoint network over DDS."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from isaac_ros_tensor_list_interfaces.msg import TensorList
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray
from visualization_msgs.msg import MarkerArray

from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ros.messages.camera_info import camera_info
from isaac_inference.ros.messages.depth import DepthEncoding, depth_frame
from isaac_inference.ros.messages.detections import detection_array
from isaac_inference.ros.messages.image import to_image_message
from isaac_inference.ros.messages.people.joints import JointRows, read_joints
from isaac_inference.ros.messages.tensors import SOURCE_SIZE, TensorFrame, to_tensor_list
from isaac_inference.sim import default_camera
from isaac_inference.sim.people import PeopleFrame, PeopleScene
from isaac_inference.sim.sensor import SensorSettings
from support.ros.node_graph import PATIENT, RELIABLE_IMAGES
from support.ros.probe import RELIABLE

_numbers = itertools.count(1)
CLEAN = SensorSettings(blur=0.0, noise=0.0, depth_noise=0.0, depth_hole_edges=False)
STEP_NS = 100_000_000


@functools.lru_cache(maxsize=8)
def people(
    seed: int = 1003, count: int = 1, time_s: float = 0.0, distorted: bool = False, clean: bool = True
) -> PeopleFrame:
    """What a simulated camera of 640x480 sees."""
    camera = default_camera(distorted=distorted)
    return PeopleScene(camera, seed, people=count, sensor=CLEAN if clean else None).frame(time_s)


def exact_rows(frame: PeopleFrame) -> np.ndarray:
    """(N, 17, 3) float32: the true keypoints; confidence 0.9 where they are visible, 0.1 where they are not."""
    confidences = [np.where(truth.visible, 0.9, 0.1) for truth in frame.truths]
    pixels = [truth.pixels for truth in frame.truths]
    return np.concatenate((np.stack(pixels), np.stack(confidences)[..., None]), axis=2).astype(np.float32)


class SkeletonBench:
    """Sends frames to one SkeletonsNode in a namespace of its own, and finds its answers by stamp.

    For the node's pairing time stands still, so that no wait is ever too short; `let_time_pass` ends its waits.
    """

    def __init__(self, graph: Any, model: str = '', *, active: bool = True, **parameters: Any) -> None:
        number = next(_numbers)
        self.graph, self.probe, self.name = graph, graph.probe, f'people_{number}/skeletons'
        self.frame_id = f'eye_{number}'
        self.last_ns = 1_800_000_000_000_000_000
        values = {
            **PATIENT,
            **RELIABLE_IMAGES,
            'model': model,
            'bodies_topic': f'{graph.namespace}/people_{number}/bodies',
            **parameters,
        }
        self._space = f'people_{number}'
        self.joints: list[PointCloud2] = self.probe.listen(f'{self._space}/keypoints_3d', PointCloud2)
        component = graph.container.load(
            'isaac_inference',
            'SkeletonsNode',
            node_name='skeletons',
            namespace=f'{graph.namespace}/{self._space}',
            parameters=[Parameter(key.replace('__', '.'), value=value) for key, value in values.items()],
        )
        self.node, self._component = component.spin.node, component.unique_id
        self._now_s = 0.0
        kinds = {
            'camera_info': CameraInfo,
            'depth/camera_info': CameraInfo,
            'depth/image': Image,
            'keypoints': TensorList,
            'detections': Detection2DArray,
        }
        self._writers = {
            topic: self.probe.node.create_publisher(kind, f'{self._space}/{topic}', RELIABLE)
            for topic, kind in kinds.items()
        }
        if active:
            self.probe.wait_active(self.name)

    def close(self) -> None:
        """Unload the node and leave its topics."""
        self.graph.container.unload(self._component)
        for topic in [topic for topic in self.probe.received if topic.startswith(f'{self._space}/')]:
            self.probe.ignore(topic)
        for writer in self._writers.values():
            self.probe.node.destroy_publisher(writer)

    def look_at_markers(self) -> list[MarkerArray]:
        """Subscribe to the markers."""
        return self.listen('skeletons/markers', MarkerArray)

    def listen(self, topic: str, kind: type, *qos: Any) -> list[Any]:
        """Subscribe to another topic of the node."""
        heard: list[Any] = self.probe.listen(f'{self._space}/{topic}', kind, *qos)
        return heard

    def forget_publisher(self, topic: str) -> None:
        """Nobody publishes a topic any more."""
        self.probe.node.destroy_publisher(self._writers.pop(topic))

    def let_time_pass(self, seconds: float) -> None:
        """The clock of the node's pairings moves on."""
        self._now_s += seconds

    def stamp(self) -> Header:
        """A header later than all others."""
        self.last_ns += STEP_NS
        header = Header(frame_id=self.frame_id)
        header.stamp.sec, header.stamp.nanosec = divmod(self.last_ns, 1_000_000_000)
        return header

    def put(self, topic: str, message: Any) -> None:
        """Publish one message, once it will be heard."""
        for pairing in (self.node._with_keypoints, self.node._with_depth):
            pairing._now = lambda: self._now_s
        self.probe.send(message, self._writers[topic])

    def put_camera(self, camera: CameraModel, header: Header | None = None, topic: str = 'camera_info') -> None:
        """CameraInfo, and wait until the node has read it."""
        self.put(topic, camera_info(header or self.stamp(), camera))
        feed = '_camera' if topic == 'camera_info' else '_depth_camera'
        self.probe.wait_until(
            lambda: (known := getattr(self.node, feed).camera) is not None and np.array_equal(known.K, camera.K),
            f'the node has read {topic}',
        )

    def put_depth(self, header: Header, depth: np.ndarray, wh: tuple[int, int] | None = None) -> None:
        """A depth image of (H, W) m."""
        size = wh or (depth.shape[1], depth.shape[0])
        self.put('depth/image', to_image_message(depth_frame(depth, DepthEncoding.METRES, header, size)))

    def put_keypoints(self, header: Header, rows: np.ndarray, source_wh: tuple[int, int] | None) -> None:
        """The keypoints of all people of a frame, (N, K, 3)."""
        size = {} if source_wh is None else {SOURCE_SIZE: np.array(source_wh, np.int32)}
        self.put('keypoints', to_tensor_list(TensorFrame(header, {'keypoints': rows}, size)))

    def put_people(
        self, header: Header, boxes: np.ndarray, ids: Sequence[str] = (), scores: Sequence[float] = ()
    ) -> None:
        """The boxes."""
        scored = np.array(scores or [0.9] * len(boxes), np.float32)
        found = Detections(boxes.astype(np.float32).reshape(-1, 4), scored, np.zeros(len(boxes), np.int32))
        message = detection_array(header, found, ['person'])
        for detection, identity in zip(message.detections, ids, strict=False):
            detection.id = identity
        self.put('detections', message)

    def send(
        self,
        frame: PeopleFrame,
        *,
        rows: np.ndarray | None = None,
        boxes: np.ndarray | None = None,
        ids: Sequence[str] = (),
        scores: Sequence[float] = (),
        camera: CameraModel | None = None,
        depth: np.ndarray | None = None,
        with_depth: bool = True,
    ) -> Header:
        """A frame as a camera and a keypoint network send it."""
        header = self.stamp()
        rows = exact_rows(frame) if rows is None else rows
        boxes = np.array([truth.box for truth in frame.truths]) if boxes is None else boxes
        self.put_camera(camera or default_camera(), header)
        if with_depth:
            self.put_depth(header, frame.depth if depth is None else depth)
        self.put_keypoints(header, rows, (640, 480))
        self.put_people(header, boxes, ids, scores)
        return header

    def answer(self, header: Header) -> JointRows:
        """The joints of that stamp."""
        self.probe.wait_until(lambda: self.has_answered(header), f'{self.name} answers {header.stamp}')
        return read_joints(next(cloud for cloud in list(self.joints) if cloud.header.stamp == header.stamp))

    def has_answered(self, header: Header) -> bool:
        """Whether joints were published for that stamp."""
        return any(cloud.header.stamp == header.stamp for cloud in list(self.joints))

    def ask(self, frame: PeopleFrame, **how: Any) -> JointRows:
        """Send a frame; its joints."""
        return self.answer(self.send(frame, **how))

    def count(self, kind: str, reason: str) -> int:
        """'dropped' or 'skipped' of a reason, from the last diagnostics."""
        return int(self.probe.value(self.name, f'{kind}.{reason}') or 0)

    def wait_counted(self, kind: str, reason: str, count: int = 1) -> None:
        """Wait until diagnostics say that so many, or more, were 'dropped' or 'skipped' for that reason."""
        self.probe.wait_until(lambda: self.count(kind, reason) >= count, f'{kind}.{reason} is {count}')
