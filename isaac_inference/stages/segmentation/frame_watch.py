# SPDX-License-Identifier: Apache-2.0
"""What many frames in a row say of a segmentation model that no single frame can: its output is always the same, or
knows one class only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from isaac_inference.stages.detection.frame_watch import WHERE_TO_LOOK
from isaac_inference.stages.segmentation.segmenter import Segmentation


@dataclass(frozen=True)
class Remarks:
    """What stands out now, each a sentence for people; '' where nothing does.

    Attributes:
        constant: the same came out of different pictures.
        uniform: one class everywhere, in each picture.
    """

    constant: str = ''
    uniform: str = ''


class FrameWatch:
    """Looks at every frame's classes; costs next to nothing. Not thread-safe.

    Args:
        frames: how many frames in a row it takes for a remark.
        names: of the classes, by id.
    """

    def __init__(self, frames: int, names: Sequence[str]) -> None:
        self._frames, self._names = frames, tuple(names)
        self._alike = self._uniform = 0  # frames in a row
        self._mark: int | None = None
        self._class: int | None = None
        self._picture = b''

    def add(self, found: Segmentation, picture: bytes | None = None) -> Remarks:
        """One more frame.

        Args:
            found: its classes.
            picture: a mark that differs between different pictures; None where nobody knows. Frames without one, and
                frames of the same picture as the one before, say nothing.

        Returns:
            What stands out over the frames up to this one.
        """
        if picture is not None and picture != self._picture:
            self._picture = picture
            self._alike = self._alike + 1 if found.mark == self._mark else 1
            self._mark = found.mark
            is_same = found.only_class is not None and found.only_class == self._class
            self._uniform = self._uniform + 1 if is_same else int(found.only_class is not None)
            self._class = found.only_class
        return Remarks(self._constant_text(), self._uniform_text())

    def _constant_text(self) -> str:
        if self._alike < self._frames:
            return ''
        return (
            f'the output is exactly the same in each of the last {self._alike} frames, although the pictures differ: '
            f'it does not seem to depend on the picture; look at {WHERE_TO_LOOK}'
        )

    def _uniform_text(self) -> str:
        if self._class is None or self._uniform < self._frames:
            return ''
        name = self._names[self._class] if self._class < len(self._names) else 'unlabelled'
        return (
            f'one class everywhere, {name}, in each of the last {self._uniform} frames, although the pictures differ; '
            f'right where the camera shows nothing else that the model knows, else look at {WHERE_TO_LOOK}'
        )
