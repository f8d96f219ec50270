# SPDX-License-Identifier: Apache-2.0
"""The images used to calibrate and check a conversion."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.pictures import DamagedPictureError, FrameSource
from isaac_inference.ros.recording.picture_source import RecordedSource, picture_source

_NOISE_SEED = 1
_NOISE_WH = (640, 480)


class CalibrationImages:
    """Iterates over the images of a folder or a recording, always the same ones.

    Without a source: a grey image and a noise image, which show what overflows on any image.

    Args:
        source: a folder, a picture, a video or a recording; '' for none.
        topic: image topic, if the recording has several.
        max_images: maximum number, evenly spaced over all; 0 for all.

    Attributes:
        unreadable: pictures of a recording that were skipped, and why.

    Raises:
        ConfigError: no such source, or no images in it. While iterating: a picture of a folder can't be read.
    """

    def __init__(self, source: str, topic: str = '', max_images: int = 0) -> None:
        self.source, self._max_images = source, max_images
        self._pictures: FrameSource | None = None
        self.unreadable: tuple[str, ...] = ()
        if not source:
            return
        try:
            self._pictures = picture_source(source, topic, '--topic')
        except ConfigError as error:
            raise ConfigError(
                f'--calibration {source}: {error}; give a folder with pictures of what the camera sees, or a '
                'recording of its topic'
            ) from error
        if self._pictures.is_live:
            raise ConfigError(
                f'--calibration {source}: a live camera never ends; record it, or save pictures to a folder'
            )

    @property
    def is_real(self) -> bool:
        """False without a source."""
        return self._pictures is not None

    def __call__(self) -> Iterator[np.ndarray]:
        """One pass, (H, W, 3) uint8 BGR each."""
        if self._pictures is None:
            yield from _noise()
            return
        count = len(self._pictures)
        picked = None
        if self._max_images and count > self._max_images:
            picked = set(np.linspace(0, count - 1, self._max_images).round().astype(int).tolist())
        unreadable, used = [], 0
        for index, frame in enumerate(self._pictures):
            if picked is not None and index not in picked:
                continue
            if isinstance(frame, DamagedPictureError):
                if not isinstance(self._pictures, RecordedSource):
                    raise ConfigError(f'--calibration {self.source}: {frame}; remove or replace it')
                unreadable.append(str(frame))
                continue
            used += 1
            yield frame.image
        self.unreadable = tuple(unreadable)
        if not used:
            raise ConfigError(
                f'--calibration {self.source}: none of its {count} pictures can be read; '
                f'{unreadable[0] if unreadable else "it is empty"}; give pictures of what the camera sees'
            )


def _noise() -> Iterator[np.ndarray]:
    width, height = _NOISE_WH
    yield np.full((height, width, 3), 127, np.uint8)
    yield np.random.default_rng(_NOISE_SEED).integers(0, 256, (height, width, 3), np.uint8)
