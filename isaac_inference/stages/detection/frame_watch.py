# SPDX-License-Identifier: Apache-2.0
"""What many frames in a row say of a model that no single frame can: nothing is ever found, or always the same."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.boxes.detections import Detections

QUIET_FRACTION = 0.2
"""Share of the lowest score threshold: below it, a frame's best score has not come near the threshold."""

WHERE_TO_LOOK = 'the preprocess lines of the model card, what the card assumes, and `isaac-inference info MODEL`'


@dataclass(frozen=True)
class Remarks:
    """What stands out now, each a sentence for people; '' where nothing does.

    Attributes:
        quiet: no score came near the threshold.
        constant: the same came out of different pictures.
    """

    quiet: str = ''
    constant: str = ''


class FrameWatch:
    """Looks at every frame's detections; costs a few microseconds each. Not thread-safe.

    Args:
        frames: how many frames in a row it takes for a remark.
    """

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._quiet = self._alike = self._repeated = 0  # frames in a row
        self._quiet_best = -math.inf
        self._score = math.nan
        self._picture = self._boxes = b''

    def add(
        self, found: Detections, source_wh: tuple[int, int], threshold: float, picture: bytes | None = None
    ) -> Remarks:
        """One more frame.

        Args:
            found: its detections in source pixels, clipped to the picture.
            source_wh: the picture's (width, height) in pixels.
            threshold: lowest score threshold of any class that is kept.
            picture: a mark that differs between different pictures; None where nobody knows. Frames without one, and
                frames of the same picture as the one before, say nothing of constant outputs.

        Returns:
            What stands out over the frames up to this one.
        """
        self._count_quiet(found.best_score, threshold)
        if picture is not None and picture != self._picture:
            self._picture = picture
            self._count_alike(found, source_wh)
        return Remarks(self._quiet_text(threshold), self._constant_text())

    def _count_quiet(self, best: float, threshold: float) -> None:
        if best < QUIET_FRACTION * threshold:  # never for NaN
            self._quiet += 1
            self._quiet_best = max(self._quiet_best, best)
        else:
            self._quiet, self._quiet_best = 0, -math.inf

    def _count_alike(self, found: Detections, source_wh: tuple[int, int]) -> None:
        """Scores that an int8 or float16 model rounds may stay the same for long, so boxes must then be so too."""
        best, boxes = found.best_score, _mark(found, source_wh)
        has_same_boxes = boxes == self._boxes and bool(boxes or not len(found))
        is_same = best == self._score and best > 0 and has_same_boxes  # never for NaN; 0 is that of no candidates
        self._alike = self._alike + 1 if is_same else 1
        self._repeated = self._repeated + 1 if boxes and has_same_boxes else 1
        self._score, self._boxes = best, boxes

    def _quiet_text(self, threshold: float) -> str:
        if self._quiet < self._frames:
            return ''
        return (
            f'nothing came near the threshold: best raw score {self._quiet_best:.2g} in the last {self._quiet} frames, '
            f'score_threshold {threshold:g}; right where the camera shows nothing that the model knows, else look at '
            f'{WHERE_TO_LOOK}'
        )

    def _constant_text(self) -> str:
        if self._alike >= self._frames:
            same, count = f'the best raw score is exactly {self._score:.4g}', self._alike
        elif self._repeated >= self._frames:
            same, count = 'the boxes are exactly the same', self._repeated
        else:
            return ''
        return (
            f'{same} in each of the last {count} frames, although the pictures differ: the outputs do not seem to '
            f'depend on the picture; look at {WHERE_TO_LOOK}'
        )


def _mark(found: Detections, source_wh: tuple[int, int]) -> bytes:
    """Differs between different boxes; b'' for none. Boxes that fill the picture may well be the same twice."""
    fills = (found.boxes == np.array((0, 0, *source_wh), np.float32)).all(axis=1)
    if fills.all():  # also where there are none
        return b''
    return hashlib.blake2b(found.boxes.tobytes(), digest_size=8).digest()
