# SPDX-License-Identifier: Apache-2.0
"""The letterbox that leads a frame's outputs back to source pixels: the one that travelled with it, else the user's."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.models import ModelCard
from isaac_inference.ops.image.letterbox import Letterbox


class SourceLetterbox:
    """Finds each frame's letterbox.

    Args:
        card: how images are fitted into the model's input.
        source_wh: (width, height) in px of images from a preprocessor that sends no letterbox; 0, 0 for none.
    """

    def __init__(self, card: ModelCard, source_wh: tuple[int, ...]) -> None:
        spec = card.image.preprocess
        self._fallback: Letterbox | None = None
        if any(source_wh):
            size = (source_wh[0], source_wh[1])
            self._fallback = Letterbox.between(size, card.image.wh, spec.fit, spec.anchor, spec.rounding)

    def of(self, auxiliary: Mapping[str, np.ndarray]) -> Letterbox:
        """The letterbox of a frame with these auxiliary tensors.

        Raises:
            FrameError: 'no_letterbox', or 'bad_letterbox' for one that cannot be.
        """
        if 'letterbox' in auxiliary:
            array = auxiliary['letterbox']
            is_sound = array.dtype == np.float64 and array.shape == (8,)
            return _letterbox_of(array.tobytes()) if is_sound else Letterbox.from_array(array)
        if self._fallback is None:
            raise FrameError(
                'no_letterbox',
                'the tensors carry no letterbox, so the outputs cannot be brought back to source pixels; set '
                'source_size to the [width, height] of the images, or use PreprocessNode',
            )
        return self._fallback


@functools.lru_cache(maxsize=16)
def _letterbox_of(content: bytes) -> Letterbox:
    """Mostly that of the frame before."""
    return Letterbox.from_array(np.frombuffer(content, np.float64))
