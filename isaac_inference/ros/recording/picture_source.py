# SPDX-License-Identifier: Apache-2.0
"""Pictures for `run` from the image topic of a recording."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from isaac_inference.errors import ConfigError, FrameError, PerceptionError
from isaac_inference.ops.image.bit_depth import BitDepth
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.pictures import IMAGE_SUFFIXES, DamagedPictureError, FrameSource, SourceFrame
from isaac_inference.ros.messages.image import color_image, from_image_message, image_frame
from isaac_inference.ros.recording import Recorded, RecordedTopic, Recording
from isaac_inference.ros.runtime.topics.stamp import stamp_ns

SUFFIX = '.mcap'
_IMAGE, _COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
_DEPTH_ENCODINGS = ('16UC1', '32FC1', '64FC1')


class RecordedSource(FrameSource):
    """The pictures of one image topic of an MCAP recording, each named by its header's stamp: '<nanoseconds>.jpg'.

    A picture without a stamp, or with the same stamp as the previous one, is named by its log time.

    Args:
        source: the recording.
        topic: its image topic; '' if there is only one that isn't depth.

    `problem` says why a recording ends early, '' if it doesn't.

    Raises:
        ConfigError: no recording, or no such topic; the message lists the image topics.
    """

    def __init__(self, source: str, topic: str = '') -> None:
        self.source = source
        self._recording = Recording(source)
        images = {name: item for name, item in self._recording.topics().items() if _is_image(item) and item.count}
        self.topic = self._choose(images, topic)
        self.problem = self._recording.problem
        self._count = images[self.topic].count
        if mismatch := self._recording.mismatch(self.topic):
            raise ConfigError(f'source {source}: {self.topic}: {mismatch}')

    @property
    def is_live(self) -> bool:
        """Never: a recording has an end."""
        return False

    def __len__(self) -> int:
        """Number of pictures in one pass."""
        return self._count

    def __iter__(self) -> Iterator[SourceFrame | DamagedPictureError]:
        """One pass, in the order of the recording. A picture that can't be used is yielded as the error that says why.

        Raises:
            PerceptionError: the recording is damaged.
        """
        last, bit_depth = 0, BitDepth()
        for item in self._recording.messages([self.topic]):
            name = f'{item.log_time_ns}.jpg'
            try:
                message = item.message
                stamp = stamp_ns(message.header)
                name = f'{stamp}.jpg' if stamp and stamp != last else name
                last = stamp
                yield SourceFrame(_picture(message, item, bit_depth), name)
            except FrameError as error:
                yield DamagedPictureError(name, f'{self.topic}, {name}: {error}')

    def _choose(self, images: dict[str, RecordedTopic], wanted: str) -> str:
        if wanted:
            name = wanted if wanted.startswith('/') else f'/{wanted}'
            if name not in images:
                raise ConfigError(f'--image-topic {wanted}: not in {self.source}; {_listing(images)}')
            return name
        if not images:
            raise ConfigError(
                f'source {self.source}: no image topic in this recording, it has '
                f'{", ".join(sorted(self._recording.topics())) or "no topics"}; record an Image topic'
            )
        pictures = [name for name in images if not self._is_depth(name)] or list(images)
        if len(pictures) > 1:
            raise ConfigError(
                f'source {self.source}: several image topics, choose one with --image-topic; {_listing(images)}'
            )
        return pictures[0]

    def _is_depth(self, topic: str) -> bool:
        """Whether the topic's first message is depth; one that can't be read is shown to the user as an image."""
        with contextlib.suppress(PerceptionError):
            for item in self._recording.messages([topic]):
                return _is_depth_message(item.message)
        return False


def picture_source(source: str, image_topic: str = '') -> FrameSource:
    """The source that `--source` means: a recording (an .mcap file, or the folder of a bag), or pictures.

    Raises:
        ConfigError: no such source, or nothing usable in it.
    """
    path = Path(source).expanduser()
    if path.suffix == SUFFIX or (path.is_dir() and _is_bag(path)):
        found = RecordedSource(source, image_topic)
        if found.problem:
            print(found.problem, file=sys.stderr)
        return found
    if image_topic:
        raise ConfigError(f'--image-topic {image_topic}: only for a recording, and source {source!r} is not one')
    return FrameSource(source)


def _is_bag(folder: Path) -> bool:
    suffixes = {item.suffix.lower() for item in folder.iterdir()}
    return SUFFIX in suffixes and suffixes.isdisjoint(IMAGE_SUFFIXES)


def _is_image(topic: RecordedTopic) -> bool:
    return topic.type_name in (_IMAGE, _COMPRESSED)


def _is_depth_message(message: Any) -> bool:
    if hasattr(message, 'encoding'):
        return message.encoding in _DEPTH_ENCODINGS
    return 'compressedDepth' in message.format


def _picture(message: Any, item: Recorded, bit_depth: BitDepth) -> np.ndarray:
    """(H, W, 3) uint8 BGR, perhaps a view of the message.

    Raises:
        FrameError: it can't be converted.
    """
    if _is_depth_message(message):
        raise FrameError('depth_image', f'{item.topic} holds depth, expected colour; choose another --image-topic')
    frame = image_frame(message) if item.type_name == _COMPRESSED else from_image_message(message)
    image, order = color_image(replace(frame, image=bit_depth(frame.image)), ColorOrder.BGR)
    return image if order is ColorOrder.BGR else np.ascontiguousarray(image[:, :, ::-1])


def _listing(images: dict[str, RecordedTopic]) -> str:
    return 'its image topics: ' + (
        ', '.join(f'{name} ({item.count})' for name, item in sorted(images.items())) or 'none'
    )
