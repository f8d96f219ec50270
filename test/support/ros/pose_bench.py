# SPDX-License-Identifier: Apache-2.0
"""A PoseNode and everything around it: a probe that plays camera, depth camera and detector over real DDS."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseArray
from isaac_ros_tensor_list_interfaces.msg import TensorList
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection2DArray, Detection3D, Detection3DArray

from isaac_inference.errors import FrameError
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ros.messages.camera_info import CameraFeed, camera_info
from isaac_inference.ros.messages.depth import DepthEncoding, depth_frame
from isaac_inference.ros.messages.detections import detection_array
from isaac_inference.ros.messages.image import image_frame_from_array, to_image_message
from isaac_inference.ros.messages.masks import instance_frame
from isaac_inference.ros.messages.poses import pose_from_message
from isaac_inference.ros.messages.tensors import SOURCE_SIZE, TensorFrame, to_tensor_list
from isaac_inference.sim import LABELS
from support.ros.node_graph import PATIENT, RELIABLE_IMAGES
from support.ros.pose_views import Item, View
from support.ros.probe import RELIABLE

_numbers = itertools.count(1)
SCORE = 0.75
STEP_NS = 100_000_000


class PoseBench:
    """Sends frames to one PoseNode, in a namespace of its own below the graph's, and finds its answers by stamp.

    `topics` gives some of the node's topics other names. `frame` is the frame_id of what is sent, of this bench alone:
    /tf is everybody's. For the node's pairing time stands still, so that no wait is ever too short; `let_time_pass`
    ends its waits.
    """

    def __init__(
        self, graph: Any, *, active: bool = True, topics: Mapping[str, str] | None = None, **parameters: Any
    ) -> None:
        number = next(_numbers)
        self.graph, self.probe, self.name = graph, graph.probe, f'bench_{number}/pose'
        self.frame = f'lens_{number}'
        self.last_ns = 1_800_000_000_000_000_000
        values = {**PATIENT, **RELIABLE_IMAGES, **parameters}
        component = graph.container.load(
            'isaac_inference',
            'PoseNode',
            node_name='pose',
            namespace=f'{graph.namespace}/bench_{number}',
            remappings=[f'{topic}:={name}' for topic, name in (topics or {}).items()],
            parameters=[Parameter(key.replace('__', '.'), value=value) for key, value in values.items()],
        )
        self.node, self._component = component.spin.node, component.unique_id
        self.objects = self.probe.listen(f'{self.name}/detections_3d', Detection3DArray)
        self.poses = self.probe.listen(f'{self.name}/poses', PoseArray)
        self.transforms = self.probe.listen('/tf', TFMessage)
        self._now_s = 0.0
        kinds = {
            'camera_info': CameraInfo,
            'depth/camera_info': CameraInfo,
            'depth/image': Image,
            'image': Image,
            'keypoints': TensorList,
            'instance_mask': Image,
            'detections': Detection2DArray,
        }
        self._writers = {
            topic: self.probe.node.create_publisher(
                kind, f'bench_{number}/{(topics or {}).get(topic, topic)}', RELIABLE
            )
            for topic, kind in kinds.items()
        }
        if active:
            self.probe.wait_active(self.name)

    def close(self) -> None:
        """Unload the node and leave its topics; /tf is the whole graph's."""
        self.graph.container.unload(self._component)
        for topic in (f'{self.name}/detections_3d', f'{self.name}/poses'):
            self.probe.ignore(topic)
        for writer in self._writers.values():
            self.probe.node.destroy_publisher(writer)

    def wait_until(self, predicate: Callable[[], object], what: str = '') -> None:
        """As the probe's."""
        self.probe.wait_until(predicate, what)

    def let_time_pass(self, seconds: float) -> None:
        """The clock of the node's pairing moves on."""
        self._now_s += seconds

    def let_wait_end(self, header: Header) -> None:
        """The detections with that header have arrived, and now their wait is over."""
        stamp = header.stamp.sec * 1_000_000_000 + header.stamp.nanosec
        pending = self.node._pairing._pending
        self.wait_until(lambda: any(one.stamp_ns == stamp for one in list(pending)), 'the detections wait')
        self.let_time_pass(self.node.parameters.wait_s + 0.001)  # more than rounding takes away

    def stamp(self, step_ns: int = STEP_NS) -> Header:
        """A header later than all others by `step_ns`."""
        self.last_ns += step_ns
        return self.header(self.last_ns)

    def header(self, stamp_ns: int) -> Header:
        """A header of that stamp."""
        header = Header(frame_id=self.frame)
        header.stamp.sec, header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
        return header

    def put(self, topic: str, message: Any) -> None:
        """Publish one message, once it and the answer to it will be heard."""
        for pairing in (self.node._pairing, self.node._cloud._pairing):
            pairing._now = lambda: self._now_s
        self.probe.send(message, self._writers[topic])

    def put_camera(
        self, camera: CameraModel, header: Header | None = None, topic: str = 'camera_info', **fields: Any
    ) -> None:
        """CameraInfo, and wait until the node has read it; `fields` replace the message's."""
        message = camera_info(header or self.header(self.last_ns), camera)
        for name, value in fields.items():
            setattr(message, name, value)
        self.put(topic, message)
        feed = '_camera' if topic == 'camera_info' else '_depth_camera'
        self.wait_until(lambda: _has_read(getattr(self.node, feed), message), f'the node has read {topic}')

    def put_keypoints(self, header: Header, keypoints: np.ndarray, source_wh: Sequence[int]) -> None:
        """The keypoints of all detections of a frame, (N, K, 3)."""
        size = {SOURCE_SIZE: np.array(source_wh, np.int32)} if len(source_wh) else {}
        self.put('keypoints', to_tensor_list(TensorFrame(header, {'keypoints': keypoints}, size)))

    def put_depth(
        self,
        header: Header,
        depth: np.ndarray,
        written: str = '32FC1',
        wh: tuple[int, int] | None = None,
        **fields: Any,
    ) -> None:
        """A depth image of (H, W) m, written in that encoding; `fields` replace the message's."""
        size = wh or (depth.shape[1], depth.shape[0])
        message = to_image_message(depth_frame(depth, DepthEncoding(written), header, size))
        for name, value in fields.items():
            setattr(message, name, value)
        self.put('depth/image', message)

    def put_masks(self, header: Header, instances: np.ndarray) -> None:
        """The masks of all detections of a frame, (H, W) uint16 of their places in the array plus 1."""
        self.put('instance_mask', to_image_message(instance_frame(header, instances)))

    def put_image(self, header: Header, color: np.ndarray) -> None:
        """The colour image."""
        self.put('image', to_image_message(image_frame_from_array(color, 'bgr8', header)))

    def put_detections(self, header: Header, items: Sequence[Item], ids: bool = True) -> None:
        """The boxes."""
        message = detection_array(
            header,
            Detections(
                np.array([item.box for item in items], np.float32).reshape(-1, 4),
                np.full(len(items), SCORE, np.float32),
                np.array([LABELS.index(item.label) for item in items], np.int32),
            ),
            LABELS,
        )
        for detection, item in zip(message.detections, items, strict=True):
            detection.id = item.identity if ids else ''
        self.put('detections', message)

    def send(
        self,
        view: View,
        *,
        header: Header | None = None,
        items: Sequence[Item] | None = None,
        ids: bool = True,
        info: bool = True,
        depth: str = '',
        depth_wh: tuple[int, int] | None = None,
        keypoints: bool = True,
    ) -> Header:
        """A frame as a camera and a detector send it; `depth` is its encoding, '' for none."""
        header, items = header or self.stamp(), view.items if items is None else items
        if info:
            self.put_camera(view.camera, header)
        if depth:
            self.put_depth(header, view.depth, depth, depth_wh)
        if keypoints and self.node._estimator.uses_keypoints:
            rows = np.array([item.keypoints for item in items], np.float32).reshape(-1, 8, 3)
            self.put_keypoints(header, rows, (view.camera.width, view.camera.height))
        self.put_detections(header, items, ids)
        return header

    def answer(self, header: Header) -> Detection3DArray:
        """The objects of that stamp."""
        self.wait_until(lambda: self.has_answered(header), f'{self.name} answers {header.stamp}')
        return next(array for array in list(self.objects) if array.header.stamp == header.stamp)

    def poses_of(self, array: Detection3DArray) -> PoseArray:
        """The poses that were published with these objects."""
        self.wait_until(lambda: any(poses.header == array.header for poses in list(self.poses)), 'the poses come too')
        return next(poses for poses in list(self.poses) if poses.header == array.header)

    def has_answered(self, header: Header) -> bool:
        """Whether anything was published for that stamp."""
        return any(array.header.stamp == header.stamp for array in list(self.objects))

    def ask(self, view: View, count: int | None = None, **how: Any) -> Detection3DArray:
        """Send a frame; its `count` objects (default: all of the view)."""
        expected = len(how.get('items') or view.items) if count is None else count
        array = self.answer(self.send(view, **how))
        assert len(array.detections) == expected, self.probe.wait_report(self.name)
        return array

    def count(self, kind: str, reason: str) -> int:
        """'dropped' or 'skipped' of a reason, from the last diagnostics."""
        return int(self.probe.value(self.name, f'{kind}.{reason}') or 0)

    def wait_counted(self, kind: str, reason: str, count: int = 1) -> None:
        """Wait until diagnostics say that so many were 'dropped' or 'skipped' for that reason."""
        self.wait_until(lambda: self.count(kind, reason) >= count, f'{kind}.{reason} is {count}')
        assert self.count(kind, reason) == count

    def transforms_at(self, stamp: Any) -> dict[str, Any]:
        """What /tf says of children of this bench's frame at a stamp."""
        return {
            item.child_frame_id: item
            for message in list(self.transforms)
            for item in message.transforms
            if item.header.stamp == stamp and item.header.frame_id == self.frame
        }


def _has_read(feed: CameraFeed, message: CameraInfo) -> bool:
    """Whether a feed knows the camera of a message, or none where the message describes none."""
    fresh = CameraFeed(feed._chosen, feed._topics, feed._stereo)
    try:
        fresh.put(message)
    except FrameError:
        return feed.camera is None
    return (feed.calibration, feed.frame_id) == (fresh.calibration, fresh.frame_id)


def pose_of(item: Detection3D) -> Pose:
    """The pose of one object."""
    return pose_from_message(item.results[0].pose.pose)


def covariance_of(item: Detection3D) -> np.ndarray:
    """(6, 6)."""
    return np.array(item.results[0].pose.covariance).reshape(6, 6)


def assert_near(found: Detection3D, truth: Pose, *, m: float, deg: float = math.inf) -> None:
    """The object is where the truth says."""
    pose = pose_of(found)
    off = float(np.linalg.norm(pose.translation - truth.translation))
    cosine = (np.trace(pose.rotation.T @ truth.rotation) - 1) / 2
    turn = math.degrees(math.acos(min(1.0, max(-1.0, cosine))))
    assert off <= m, f'{off * 1000:.2f} mm off'
    assert turn <= deg, f'{turn:.2f} degrees off'
