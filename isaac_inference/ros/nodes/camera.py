# SPDX-License-Identifier: Apache-2.0
"""CameraNode: an image folder, a video, a recording or a webcam as a camera."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from isaac_inference.errors import ConfigError, PerceptionError
from isaac_inference.pictures import DamagedPictureError, SourceFrame
from isaac_inference.ros.messages.camera_info import calibration
from isaac_inference.ros.messages.image import IMAGE, image_frame_from_array
from isaac_inference.ros.recording.picture_source import RecordedFrame, picture_source
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.node import PipelineNode
from isaac_inference.ros.runtime.parameters.node_parameters import NodeParameters
from isaac_inference.ros.runtime.parameters.schema import group, param
from isaac_inference.ros.runtime.topics.qos import QosParameters
from isaac_inference.ros.runtime.topics.type_adapter import plain

RETRY_S = 2.0  # wait before a lost camera is opened again


@dataclass(frozen=True)
class CameraParameters(NodeParameters):
    """Parameters of the camera node."""

    source: str = param(
        '', 'Folder of images, image, video file, recording (MCAP, SQLite or ROS 1 bag), or camera index such as "0".'
    )
    image_topic: str = param('', 'Image topic of a recording; empty takes the only one.')
    recorded_stamps: bool = param(
        False,
        "Keep a recording's stamps, for a graph whose other data is replayed with its stamps too; else images are "
        'stamped now, as those of a camera.',
    )
    rate_hz: float = param(
        30.0,
        'Images per second; a webcam keeps its own rate if that is slower, a recording always has its own.',
        unit='Hz',
        minimum=0.01,
        maximum=1000.0,
        live=True,
    )
    loop: bool = param(True, 'Start again at the end of a folder, video or recording.', live=True)
    frame_id: str = param(
        'camera_optical_frame',
        "frame_id of the images: the optical frame, z forward; a recording's own goes first.",
    )
    calibration_file: str = param(
        '',
        "YAML file from the camera_calibration tool; empty takes a recording's own, and else publishes CameraInfo "
        'without intrinsics (K all zero, which means uncalibrated).',
    )
    image_qos: QosParameters = group(QosParameters(), 'QoS of the image publisher.')


class CameraNode(PipelineNode):
    """Publishes `image` (Image, bgr8) and `camera_info` (CameraInfo) at a given rate, stamped when read.

    A recording has its own rate, frame_id and calibration; of a calibrated camera all else in the graph follows.
    """

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
        warn = lambda text: self.health.warn('recording', text)  # noqa: E731
        self._source = picture_source(chosen.source, chosen.image_topic, 'parameter image_topic', warn)
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
        due, pace = time.monotonic(), _RecordedPace()
        for frame in self._frames():
            if isinstance(frame, RecordedFrame) and self._stop.wait(pace.delay_s(frame.log_time_ns)):
                return
            begin = time.perf_counter()
            self.health.received()
            if isinstance(frame, DamagedPictureError):
                self.health.dropped(frame.reason, str(frame))
            else:
                self._publish(frame)
                self.health.processed((time.perf_counter() - begin) * 1e3)
            if isinstance(frame, RecordedFrame):
                continue
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
        if isinstance(frame, RecordedFrame):
            header.frame_id = frame.header.frame_id or header.frame_id
            header.stamp = frame.header.stamp if self.parameters.recorded_stamps else header.stamp
        self._images.publish(image_frame_from_array(frame.image, 'bgr8', header))
        if self._infos.wanted:
            self._infos.publish(self._camera_info(header, frame))

    def _camera_info(self, header: Header, frame: SourceFrame) -> CameraInfo:
        height, width = frame.image.shape[:2]
        info, whose = self._info, 'calibration_file'
        if isinstance(frame, RecordedFrame) and frame.camera_info is not None and not self.parameters.calibration_file:
            info, whose = frame.camera_info, "the recording's CameraInfo"
        calibrated = any(info.k)
        if calibrated and not calibration(info).is_of((width, height)):
            self.health.problem(
                'calibration_size',
                f'{whose} is for {info.width}x{info.height} images, got '
                f'{width}x{height}: CameraInfo is published without intrinsics; calibrate at this size',
            )
            calibrated = False
        else:
            self.health.clear('calibration_size')
        result = copy.copy(info) if calibrated else CameraInfo(width=width, height=height)
        result.header = header
        return result


class _RecordedPace:
    """When the pictures of a recording are due, as far apart as they were recorded; a pass after the end goes on with
    the last distance.
    """

    def __init__(self) -> None:
        self._due_s = time.monotonic()
        self._last_ns: int | None = None
        self._step_s = 0.0

    def delay_s(self, log_time_ns: int) -> float:
        """Seconds from now until the picture of that time is due; time that was lost is not made up for."""
        if self._last_ns is not None and log_time_ns >= self._last_ns:
            self._step_s = (log_time_ns - self._last_ns) / 1e9
        self._last_ns = log_time_ns
        now_s = time.monotonic()
        self._due_s = max(self._due_s + self._step_s, now_s - self._step_s)
        return max(0.0, self._due_s - now_s)


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
