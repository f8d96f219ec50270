# SPDX-License-Identifier: Apache-2.0
"""Pictures from the image topic of a recording."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from isaac_inference.errors import ConfigError, FrameError, PerceptionError
from isaac_inference.ops.image.bit_depth import BitDepth
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.pictures import DamagedPictureError, FrameSource, SourceFrame
from isaac_inference.ros.messages.image import color_image, from_image_message, image_frame
from isaac_inference.ros.recording import Recorded, RecordedTopic, Recording
from isaac_inference.ros.recording.storage import is_recording
from isaac_inference.ros.runtime.topics.stamp import stamp_ns

_IMAGE, _COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
_CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
_OPTION = '--image-topic'
_DEPTH_ENCODINGS = ('16UC1', '32FC1', '64FC1')


@dataclass(frozen=True, eq=False)
class RecordedFrame(SourceFrame):
    """A picture of a recording: with its header, the time of its recording, and the CameraInfo that its camera had sent
    last (None where there is none).
    """

    header: Header
    log_time_ns: int
    camera_info: CameraInfo | None


class RecordedSource(FrameSource):
    """The pictures of one image topic of a recording, each named by its header's stamp: '<nanoseconds>.jpg'.

    A picture without a stamp, or with the same stamp as the previous one, is named by its log time.

    Args:
        source: the recording.
        topic: its image topic; '' if there is only one that isn't depth.
        option: what gives `topic`, for errors.

    `problem` says why a recording ends early, '' if it doesn't.

    Raises:
        ConfigError: no recording, or no such topic; the message lists the image topics.
    """

    def __init__(self, source: str, topic: str = '', option: str = _OPTION) -> None:
        self.source, self._option = source, option
        self._recording = Recording(source)
        images = {name: item for name, item in self._recording.topics().items() if _is_image(item) and item.count}
        self.topic = self._choose(images, topic)
        self.problem = self._recording.problem
        self._count = images[self.topic].count
        if mismatch := self._recording.mismatch(self.topic):
            raise ConfigError(f'source {source}: {self.topic}: {mismatch}')
        self._info_topic = self._find_camera_info()

    @property
    def is_live(self) -> bool:
        """Never: a recording has an end."""
        return False

    def __len__(self) -> int:
        """Number of pictures in one pass."""
        return self._count

    def __iter__(self) -> Iterator[RecordedFrame | DamagedPictureError]:
        """One pass, in the order of the recording. A picture that can't be used is yielded as the error that says why.

        Raises:
            PerceptionError: the recording is damaged.
        """
        last, info, bit_depth = 0, self._first_camera_info(), BitDepth()
        for item in self._recording.messages([self.topic, *self._info_topic]):
            if item.topic != self.topic:
                with contextlib.suppress(FrameError):
                    info = item.message
                continue
            name = f'{item.log_time_ns}.jpg'
            try:
                message = item.message
                stamp = stamp_ns(message.header)
                name = f'{stamp}.jpg' if stamp and stamp != last else name
                last = stamp
                picture = self._picture(message, item, bit_depth)
                yield RecordedFrame(picture, name, message.header, item.log_time_ns, info)
            except FrameError as error:
                yield DamagedPictureError(name, f'{self.topic}, {name}: {error}')

    def _choose(self, images: dict[str, RecordedTopic], wanted: str) -> str:
        if wanted:
            name = wanted if wanted.startswith('/') else f'/{wanted}'
            if name not in images:
                raise ConfigError(f'{self._option} {wanted}: not in {self.source}; {_listing(images)}')
            return name
        if not images:
            raise ConfigError(
                f'source {self.source}: no image topic in this recording, it has '
                f'{", ".join(sorted(self._recording.topics())) or "no topics"}; record an Image topic'
            )
        pictures = [name for name in images if not self._is_depth(name)] or list(images)
        if len(pictures) > 1:
            raise ConfigError(
                f'source {self.source}: several image topics, choose one with {self._option}; {_listing(images)}'
            )
        return pictures[0]

    def _find_camera_info(self) -> tuple[str, ...]:
        """The topic that describes this camera, by image_transport's convention; () if there is none."""
        namespace = self.topic.removesuffix('/compressed').rpartition('/')[0]
        found = self._recording.topics().get(f'{namespace}/camera_info')
        usable = found is not None and found.type_name == _CAMERA_INFO and not self._recording.mismatch(found.name)
        return (found.name,) if found is not None and usable else ()

    def _first_camera_info(self) -> CameraInfo | None:
        """What holds for pictures that come before any CameraInfo."""
        with contextlib.suppress(PerceptionError):
            for item in self._recording.messages(self._info_topic):
                return item.message
        return None

    def _is_depth(self, topic: str) -> bool:
        """Whether the topic's first message is depth; one that can't be read is shown to the user as an image."""
        with contextlib.suppress(PerceptionError):
            for item in self._recording.messages([topic]):
                return _is_depth_message(item.message)
        return False

    def _picture(self, message: Any, item: Recorded, bit_depth: BitDepth) -> np.ndarray:
        """(H, W, 3) uint8 BGR, perhaps a view of the message.

        Raises:
            FrameError: it can't be converted.
        """
        if _is_depth_message(message):
            raise FrameError('depth_image', f'{item.topic} holds depth, expected colour; choose another {self._option}')
        frame = image_frame(message) if item.type_name == _COMPRESSED else from_image_message(message)
        image, order = color_image(replace(frame, image=bit_depth(frame.image)), ColorOrder.BGR)
        return image if order is ColorOrder.BGR else np.ascontiguousarray(image[:, :, ::-1])


def picture_source(
    source: str,
    image_topic: str = '',
    option: str = _OPTION,
    warn: Callable[[str], None] = lambda text: print(text, file=sys.stderr),
) -> FrameSource:
    """The source that a path or an index means: a recording (a file, or the folder of a bag), or pictures.

    Args:
        source: the path, or the index of a camera.
        image_topic: a recording's image topic; '' if there is only one that isn't depth.
        option: what gives `image_topic`, for errors.
        warn: told why a recording ends early.

    Raises:
        ConfigError: no such source, or nothing usable in it.
    """
    if is_recording(Path(source).expanduser()):
        found = RecordedSource(source, image_topic, option)
        if found.problem:
            warn(found.problem)
        return found
    if image_topic:
        raise ConfigError(f'{option} {image_topic}: only for a recording, and source {source!r} is not one')
    return FrameSource(source)


def _is_image(topic: RecordedTopic) -> bool:
    return topic.type_name in (_IMAGE, _COMPRESSED)


def _is_depth_message(message: Any) -> bool:
    if hasattr(message, 'encoding'):
        return message.encoding in _DEPTH_ENCODINGS
    return 'compressedDepth' in message.format


def _listing(images: dict[str, RecordedTopic]) -> str:
    return 'its image topics: ' + (
        ', '.join(f'{name} ({item.count})' for name, item in sorted(images.items())) or 'none'
    )
