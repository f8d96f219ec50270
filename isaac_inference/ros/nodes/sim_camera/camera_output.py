# SPDX-License-Identifier: Apache-2.0
"""What one simulated camera publishes: its images, its calibration, and the truth as seen from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import PoseArray
from sensor_msgs.msg import CameraInfo, PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, Detection3DArray

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ros.messages.camera_info import camera_info, with_header
from isaac_inference.ros.messages.depth import depth_frame
from isaac_inference.ros.messages.image import IMAGE, image_frame_from_array
from isaac_inference.ros.messages.people.joints import KEYPOINTS_3D
from isaac_inference.ros.messages.poses import pose_array
from isaac_inference.ros.messages.tensors import KEYPOINTS_TOPIC, TENSORS
from isaac_inference.ros.nodes.sim_camera.parameters import SceneKind, SimCameraParameters
from isaac_inference.ros.nodes.sim_camera.people_truth import people_2d, people_3d, true_joints, true_keypoints
from isaac_inference.ros.nodes.sim_camera.truth import truth_2d, truth_3d
from isaac_inference.ros.runtime.node import PipelineNode
from isaac_inference.ros.runtime.topics.qos import RELIABLE
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.sim import SimFrame
from isaac_inference.sim.people import PeopleFrame


class CameraOutput:
    """The topics of one camera, below its name where it has one.

    Args:
        node: that publishes.
        chosen: its parameters.
        camera: intrinsics of the images.
        name: of the camera; '' for the only one.
        calibration: T_camera_calibrated, by which its pose on /tf is wrong.
    """

    def __init__(
        self, node: PipelineNode, chosen: SimCameraParameters, camera: CameraModel, name: str, calibration: Pose
    ) -> None:
        self.name, self.calibration = name, calibration
        self.frame_id = chosen.frame_of(name)
        self._camera, self._encoding = camera, chosen.depth_encoding
        depth_size = chosen.depth_size if any(chosen.depth_size) else chosen.image_size
        self._depth_camera = camera.resized(*depth_size)
        self._info, self._depth_info = (camera_info(Header(), one) for one in (camera, self._depth_camera))
        below, qos = f'{name}/' if name else '', chosen.image_qos
        self._images = node.advertise(IMAGE, f'{below}image', qos)
        self._infos = node.advertise(plain(CameraInfo), f'{below}camera_info', qos)
        self._depths = node.advertise(IMAGE, f'{below}depth/image', qos)
        self._depth_infos = node.advertise(plain(CameraInfo), f'{below}depth/camera_info', qos)
        self._truths = node.advertise(plain(Detection2DArray), f'{below}truth/detections', RELIABLE)
        self._truths_3d = node.advertise(plain(Detection3DArray), f'{below}truth/detections_3d', RELIABLE)
        self._truth_poses = node.advertise(plain(PoseArray), f'{below}truth/poses', RELIABLE)
        has_people = chosen.scene is SceneKind.PEOPLE
        self._in_image: Callable[[Header, Any], Detection2DArray] = people_2d if has_people else truth_2d
        self._in_space: Callable[[Header, Any], Detection3DArray] = people_3d if has_people else truth_3d
        if has_people:
            self._truth_keypoints = node.advertise(TENSORS, f'{below}truth/{KEYPOINTS_TOPIC}', RELIABLE)
            self._truth_joints = node.advertise(plain(PointCloud2), f'{below}truth/{KEYPOINTS_3D}', RELIABLE)

    def publish(self, frame: SimFrame | PeopleFrame, header: Header) -> None:
        """One frame, the image last."""
        if self._infos.wanted:
            self._infos.publish(with_header(self._info, header))
        if self._depth_infos.wanted:
            self._depth_infos.publish(with_header(self._depth_info, header))
        if self._depths.wanted:
            size = (self._depth_camera.width, self._depth_camera.height)
            self._depths.publish(depth_frame(frame.depth, self._encoding, header, size))
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
