# SPDX-License-Identifier: Apache-2.0
"""Pictures from a folder, a file, a video or a webcam, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from isaac_inference.errors import ConfigError, FrameError

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')


@dataclass(frozen=True, eq=False)
class SourceFrame:
    """One picture: (H, W, 3) uint8 BGR, and its file name or running number."""

    image: np.ndarray
    name: str | int


class DamagedPictureError(FrameError):
    """A picture that can't be read; `name` is its file name or running number."""

    def __init__(self, name: str | int, message: str) -> None:
        super().__init__('unreadable_image', message)
        self.name = name


class FrameSource:
    """Where pictures come from.

    Args:
        source: a folder of images, an image file, a video file, or a camera's index ('0').

    Raises:
        ConfigError: no such source, or nothing in it that OpenCV can read.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._files: list[Path] = []
        self._is_camera = source.isdigit()
        if self._is_camera:
            return
        self._video = str(Path(source).expanduser())
        path = Path(self._video)
        if path.is_dir():
            self._files = sorted(item for item in path.iterdir() if item.suffix.lower() in IMAGE_SUFFIXES)
            if not self._files:
                raise ConfigError(
                    f'source {source}: no image in this folder, expected files ending in {", ".join(IMAGE_SUFFIXES)}'
                )
        elif not path.is_file():
            raise ConfigError(
                f'source {source!r}: no such file or folder; give a folder of images, an image, a video '
                'or the index of a camera'
            )
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            self._files = [path]

    @property
    def is_live(self) -> bool:
        """True for a camera: it never ends and sets its own rate."""
        return self._is_camera

    def __len__(self) -> int:
        """Pictures in one pass; 0 if that isn't known."""
        if self._files or self._is_camera:
            return len(self._files)
        capture = cv2.VideoCapture(self._video)
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        capture.release()
        return max(count, 0)

    def __iter__(self) -> Iterator[SourceFrame | DamagedPictureError]:
        """One pass. A picture that can't be read is yielded as the error that says so, and the pass goes on.

        Raises:
            ConfigError: the camera or video can't be opened.
        """
        return self._read_files() if self._files else self._read_capture()

    def _read_files(self) -> Iterator[SourceFrame | DamagedPictureError]:
        for path in self._files:
            image = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if image is None:
                yield DamagedPictureError(path.name, f'{path}: OpenCV cannot read it; is the file damaged?')
            else:
                yield SourceFrame(image, path.name)

    def _read_capture(self) -> Iterator[SourceFrame | DamagedPictureError]:
        capture = cv2.VideoCapture(int(self.source) if self._is_camera else self._video)
        try:
            if not capture.isOpened():
                kind = 'camera' if self._is_camera else 'video'
                raise ConfigError(
                    f'source {self.source!r}: OpenCV cannot open this {kind}; check that it exists, that no '
                    'other program uses it, and its permissions'
                )
            index = 0
            while True:
                good, image = capture.read()
                if not good:
                    if self._is_camera:
                        raise ConfigError(f'source {self.source!r}: the camera stopped after {index} pictures')
                    return
                yield SourceFrame(image, index)
                index += 1
        finally:
            capture.release()
