# SPDX-License-Identifier: Apache-2.0
"""Images as model feeds for calibration, through the preprocessing that the running pipeline has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from isaac_inference.models.card.card import ModelCard
from isaac_inference.stages.image.preprocess import Preprocessor

KEEP_BYTES = 1 << 30
"""Feeds up to so many bytes are kept in memory, later ones are made again in each pass."""


class CalibrationSet:
    """The feeds of a set of images, one image each; it can be gone through as often as needed, always the same.

    Args:
        card: the model's.
        images: gives a new pass over the images, (H, W, 3) uint8 BGR.
        keep_bytes: how much of the feeds may stay in memory.

    Raises:
        FrameError: while iterating, an image that can't be preprocessed.
    """

    def __init__(
        self, card: ModelCard, images: Callable[[], Iterable[np.ndarray]], keep_bytes: int = KEEP_BYTES
    ) -> None:
        self._preprocessor = Preprocessor(card)
        self._images = images
        self._left = keep_bytes
        self._kept: list[dict[str, np.ndarray]] | None = None

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        """One pass: model inputs by name, with a batch axis of 1."""
        return iter(self._kept) if self._kept is not None else self._make()

    def _make(self) -> Iterator[dict[str, np.ndarray]]:
        kept: list[dict[str, np.ndarray]] | None = []
        size = 0
        for image in self._images():
            feed, _ = self._preprocessor(image)
            size += sum(value.nbytes for value in feed.values())
            if kept is not None:
                kept = [*kept, feed] if size <= self._left else None
            yield feed
        self._kept = kept
