# SPDX-License-Identifier: Apache-2.0
"""Stands in for the drivers of docs/robots.md: simulated pictures in their topics, types, encodings, stamps and QoS.

python robot_cameras.py KIND: a process of its own, without this package's DDS profile; publishes until its standard
input ends. The truth is on `/truth` (Detection3DArray), with the stamp of its picture.
"""

from __future__ import annotations

import array
import math
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray

from isaac_inference.ros.messages.camera_info import camera_info
from isaac_inference.ros.nodes.sim_camera.truth import truth_3d
from isaac_inference.sim.camera import default_camera
from isaac_inference.sim.scene import Scene, SimFrame

FRAMES, RATE_HZ = 12, 8.0
RELIABLE = QoSProfile(depth=10)
SENSOR_DATA = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
BASE_HEIGHT_M = 0.5  # of the RealSense's lens above the robot's base, along the optical axis' negative


def compressed(header: Header, image: np.ndarray, suffix: str, kind: str, options: list[int]) -> CompressedImage:
    data = cv2.imencode(suffix, image, options)[1].tobytes()
    return CompressedImage(header=header, format=kind, data=array.array('B', data))


def raw(header: Header, image: np.ndarray, encoding: str) -> Image:
    message = Image(header=header, height=image.shape[0], width=image.shape[1], encoding=encoding)
    message.step = image.strides[0]
    message.data = array.array('B', image.tobytes())
    return message


def moved(stamp: Time, by_s: float) -> Time:
    total = stamp.sec * 10**9 + stamp.nanosec + round(by_s * 1e9)
    return Time(sec=total // 10**9, nanosec=total % 10**9)


class Driver:
    """One camera: `send(frame, header)` publishes a picture as its driver would."""

    frame_id = 'camera_optical_frame'
    distorted = False

    def __init__(self, node: Node) -> None:
        self.node = node
        self.camera = default_camera(640, 480, distorted=self.distorted)

    def publisher(self, kind: type, topic: str, qos: QoSProfile) -> Callable[[Any], None]:
        return self.node.create_publisher(kind, topic, qos).publish

    def send(self, frame: SimFrame, header: Header) -> None:
        raise NotImplementedError


class RealSense(Driver):
    """Colour as JPEG, depth as PNG, aligned, its shutter 20 ms later; an inverse model without coefficients."""

    frame_id = 'camera_color_optical_frame'

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        space = '/camera/camera'
        self._color = self.publisher(CompressedImage, f'{space}/color/image_raw/compressed', RELIABLE)
        self._info = self.publisher(CameraInfo, f'{space}/color/camera_info', RELIABLE)
        aligned = f'{space}/aligned_depth_to_color'
        self._depth = self.publisher(CompressedImage, f'{aligned}/image_raw/compressedDepth', RELIABLE)
        self._depth_info = self.publisher(CameraInfo, f'{aligned}/camera_info', RELIABLE)
        mount = TransformStamped(child_frame_id=self.frame_id)
        mount.header.frame_id = 'base_link'
        mount.transform.translation.z, mount.transform.rotation.w = BASE_HEIGHT_M, 1.0
        self.publisher(TFMessage, '/tf_static', LATCHED)(TFMessage(transforms=[mount]))

    def send(self, frame: SimFrame, header: Header) -> None:
        info = camera_info(header, self.camera)
        info.distortion_model = 'inverse_brown_conrady'
        self._info(info)
        later = Header(stamp=moved(header.stamp, 0.02), frame_id=header.frame_id)
        millimetres = np.nan_to_num(frame.depth * 1000.0).astype(np.uint16)
        depth = compressed(later, millimetres, '.png', '16UC1; compressedDepth png', [])
        depth.data = array.array('B', struct.pack('<iff', 0, 0.0, 0.0)) + depth.data
        self._color(
            compressed(header, frame.color, '.jpg', 'rgb8; jpeg compressed bgr8', [cv2.IMWRITE_JPEG_QUALITY, 95])
        )
        self._depth_info(CameraInfo(**{**fields(info), 'header': later}))
        self._depth(depth)


class UsbCamera(Driver):
    """YUYV, and a CameraInfo that says nothing."""

    frame_id = 'default_cam'

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self._image = self.publisher(Image, '/image_raw', RELIABLE)
        self._info = self.publisher(CameraInfo, '/camera_info', RELIABLE)

    def send(self, frame: SimFrame, header: Header) -> None:
        self._info(CameraInfo(header=header, width=640, height=480))
        self._image(raw(header, cv2.cvtColor(frame.color, cv2.COLOR_BGR2YUV_YUY2), 'yuv422_yuy2'))


class GigeCamera(Driver):
    """12 bits of a Bayer pattern in 16, best effort, through a lens that distorts."""

    frame_id = 'gige_optical_frame'
    distorted = True

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self._image = self.publisher(Image, '/gige/image_raw', SENSOR_DATA)
        self._info = self.publisher(CameraInfo, '/gige/camera_info', SENSOR_DATA)

    def send(self, frame: SimFrame, header: Header) -> None:
        self._info(camera_info(header, self.camera))
        mosaic = frame.color[:, :, 1].copy()  # green; then red and blue of RGGB
        mosaic[0::2, 0::2], mosaic[1::2, 1::2] = frame.color[0::2, 0::2, 2], frame.color[1::2, 1::2, 0]
        self._image(raw(header, mosaic.astype(np.uint16) * 16, 'bayer_rggb16'))


class BagLoop(Driver):
    """A recording of last year in a loop, with its clock."""

    frame_id = 'camera_optical_frame'
    begin_s = 1_760_000_000.0

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self._image = self.publisher(Image, '/camera/image_raw', RELIABLE)
        self._info = self.publisher(CameraInfo, '/camera/camera_info', RELIABLE)
        self._clock = self.publisher(Clock, '/clock', RELIABLE)

    def tick(self, played_s: float) -> Time:
        """The recording's time, on /clock; it lasts a little over two seconds."""
        now = moved(Time(), self.begin_s + played_s)
        self._clock(Clock(clock=now))
        return now

    def send(self, frame: SimFrame, header: Header) -> None:
        self._info(camera_info(header, self.camera))
        self._image(raw(header, frame.color, 'bgr8'))


KINDS: dict[str, type[Driver]] = {
    'realsense': RealSense,
    'usb_camera': UsbCamera,
    'gige_camera': GigeCamera,
    'bag_loop': BagLoop,
}


def fields(message: Any) -> dict[str, Any]:
    return {name: getattr(message, name) for name in message.get_fields_and_field_types()}


def main() -> None:
    rclpy.init()
    node = rclpy.create_node(f'{sys.argv[1]}_driver')
    driver = KINDS[sys.argv[1]](node)
    truth = driver.publisher(Detection3DArray, '/truth', RELIABLE)
    scene = Scene(driver.camera, seed=4711, objects=4)
    frames = [scene.frame(number / RATE_HZ) for number in range(FRAMES)]
    ended = threading.Event()
    threading.Thread(target=lambda: sys.stdin.read() or ended.set(), daemon=True).start()
    begin, number = time.monotonic(), 0
    while not ended.wait(max(0.0, begin + number / RATE_HZ - time.monotonic())):
        frame, stamp = frames[number % FRAMES], node.get_clock().now().to_msg()
        if isinstance(driver, BagLoop):
            played_s = math.fmod(number, 2 * FRAMES) / RATE_HZ
            stamp = driver.tick(played_s)
        header = Header(stamp=stamp, frame_id=driver.frame_id)
        truth(truth_3d(header, frame.truths))
        driver.send(frame, header)
        number += 1


if __name__ == '__main__':
    main()
