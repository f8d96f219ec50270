# SPDX-License-Identifier: Apache-2.0
"""CameraNode: an image folder, a video or a webcam as a camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from isaac_inference.errors import ConfigError, PerceptionError
from isaac_inference.pictures import DamagedPictureError, FrameSource, SourceFrame
from isaac_inference.ros.messages.image import IMAGE, image_frame_from_array
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.node import PipelineNode
from isaac_inference.ros.runtime.parameters.node_parameters import NodeParameters
from isaac_inference.ros.runtime.parameters.schema import group, param
from isaac_inference.ros.runtime.topics.qos import QosParameters, Reliability
from isaac_inference.ros.runtime.topics.type_adapter import plain

RETRY_S = 2.0  # wait before a lost camera is opened again


@dataclass(frozen=True)
class CameraParameters(NodeParameters):
    """Parameters of the camera node."""

    source: str = param('', 'Folder of images, image, video file, or camera index such as "0".')
    rate_hz: float = param(
        30.0,
        'Images per second; a webcam keeps its own rate if that is slower.',
        unit='Hz',
        minimum=0.01,
        maximum=1000.0,
        live=True,
    )
    loop: bool = param(True, 'Start again at the end of a folder or video.', live=True)
    frame_id: str = param('camera_optical_frame', 'frame_id of the images: the optical frame, z forward.')
    calibration_file: str = param(
        '',
        'YAML file from the camera_calibration tool; empty publishes CameraInfo without '
        'intrinsics (K all zero, which means uncalibrated).',
    )
    image_qos: QosParameters = group(QosParameters(reliability=Reliability.RELIABLE), 'QoS of the image publisher.')


class CameraNode(PipelineNode):
    """Publishes `image` (Image, bgr8) and `camera_info` (CameraInfo) at a given rate, stamped when read."""

    Parameters = CameraParameters
    stage = 'camera'

    def __init__(self, node_name: str = 'camera', **kwargs: object) -> None:
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        super().__init__(node_name, **kwargs)

    def has_input(self) -> bool:
        return True

    def on_setup(self) -> None:
        chosen = self.parameters
        if not chosen.source:
            raise ConfigError(
                'parameter source: got nothing, expected a folder of images, an image, a video file or the '
                'index of a camera; launch with source:=... or set it in the parameter file'
            )
        self._source = FrameSource(chosen.source)
        self._info = read_calibration(chosen.calibration_file)
        self._images = self.advertise(IMAGE, 'image', chosen.image_qos)
        self._infos = self.advertise(plain(CameraInfo), 'camera_info', chosen.image_qos)

    def on_start(self) -> None:
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name='camera', daemon=True)
        self._thread.start()

    def on_stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        if not self.time_watch.wait(self._stop):  # before that no image has a stamp
            return
        due = time.monotonic()
        for frame in self._frames():
            begin = time.perf_counter()
            self.health.received()
            if isinstance(frame, DamagedPictureError):
                self.health.dropped(frame.reason, str(frame))
            else:
                self._publish(frame)
                self.health.processed((time.perf_counter() - begin) * 1e3)
            due = max(due + 1.0 / self.parameters.rate_hz, time.monotonic() - 1.0 / self.parameters.rate_hz)
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return

    def _frames(self) -> Iterator[SourceFrame | DamagedPictureError]:
        """Pass after pass; a source that fails is reported and tried again."""
        while not self._stop.is_set():
            try:
                yield from self._source
                self.health.clear('source')
            except PerceptionError as error:
                self.health.problem('source', str(error), error=True)
                self._stop.wait(RETRY_S)
                continue
            if not self.parameters.loop:
                self.get_logger().info(f'{self.parameters.source}: end reached')
                return

    def _publish(self, frame: SourceFrame) -> None:
        self.health.clear('source')
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self.parameters.frame_id)
        self._images.publish(image_frame_from_array(frame.image, 'bgr8', header))
        if self._infos.wanted:
            self._infos.publish(self._camera_info(header, frame.image.shape[1], frame.image.shape[0]))

    def _camera_info(self, header: Header, width: int, height: int) -> CameraInfo:
        info = self._info
        calibrated = any(info.k)
        if calibrated and (info.width, info.height) != (width, height):
            self.health.problem(
                'calibration_size',
                f'calibration_file is for {info.width}x{info.height} images, got '
                f'{width}x{height}: CameraInfo is published without intrinsics; calibrate at this size',
            )
            calibrated = False
        else:
            self.health.clear('calibration_size')
        result = CameraInfo(header=header, width=width, height=height)
        if calibrated:
            result.distortion_model, result.d = info.distortion_model, info.d
            result.k, result.r, result.p = info.k, info.r, info.p
        return result


def read_calibration(path: str) -> CameraInfo:
    """CameraInfo from a YAML file as the camera_calibration tool writes it; without a path, an uncalibrated one.

    Raises:
        ConfigError: the file is missing or lacks a key.
    """
    if not path:
        return CameraInfo()
    try:
        content = yaml.safe_load(Path(path).expanduser().read_text())
        return CameraInfo(
            width=int(content['image_width']),
            height=int(content['image_height']),
            distortion_model=str(content['distortion_model']),
            d=_numbers(content, 'distortion_coefficients'),
            k=_numbers(content, 'camera_matrix', 9),
            r=_numbers(content, 'rectification_matrix', 9),
            p=_numbers(content, 'projection_matrix', 12),
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f'calibration_file {path}: {type(error).__name__}: {error}; expected a YAML file as the '
            'camera_calibration tool writes it'
        ) from error


def _numbers(content: dict[str, dict[str, list[float]]], key: str, count: int | None = None) -> list[float]:
    data = [float(value) for value in content[key]['data']]
    if count is not None and len(data) != count:
        raise ValueError(f'{key} has {len(data)} numbers, expected {count}')
    return data


main = node_main(CameraNode)
