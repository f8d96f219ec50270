# SPDX-License-Identifier: Apache-2.0
"""Frames of several images on an engine that takes as many at once as it takes: all, some, or one after another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from isaac_inference.engines.base import Engine
from isaac_inference.errors import EngineError


class BatchRunner:
    """Runs frames of any number of rows, as crops of people are, on an engine.

    Rows that the engine takes at once go as they are. More are cut into parts; where it takes a fixed number only, or
    no fewer than some, the last row is repeated and what comes of that is thrown away. A model without a batch axis
    is given each row by itself, and so is one whose file promises any number, but whose graph then fails.

    Args:
        engine: open.

    Attributes:
        in_parts: whether a frame had to be run in parts.
        failure: what went wrong when the model was given several images that its file promises to take; '' before.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        image = engine.card.images[0] if engine.card.images else None
        self._image = '' if image is None else image.tensor.name
        self._is_batched = image is not None and image.has_batch
        self._rank = 0 if image is None else len(image.tensor.shape)
        self._low, self._high = engine.batch_sizes
        self.in_parts = False
        self.failure = ''

    @property
    def at_once(self) -> str:
        """How many images the engine takes at once, for people: '1', '1 to 8', 'any number of'."""
        if self._high is None:
            return 'any number of'
        return str(self._high) if self._low == self._high else f'{self._low} to {self._high}'

    @property
    def most(self) -> int | None:
        """How many images the engine takes at once; None for any number."""
        return self._high if self._is_batched else 1

    def takes(self, count: int) -> bool:
        """Whether the engine takes so many images at once."""
        return self._is_batched and self._low <= count and (self._high is None or count <= self._high)

    def rows(self, feeds: Mapping[str, Any]) -> int:
        """Images in a frame: the rows of the image tensor."""
        image = feeds.get(self._image)
        if image is None or not len(image.shape):
            return 1
        return int(image.shape[0]) if self._is_batched or len(image.shape) == self._rank + 1 else 1

    def fits(self, feeds: Mapping[str, Any]) -> bool:
        """Whether the engine takes all images of a frame at once, as far as their number goes."""
        image = feeds.get(self._image)
        if image is None or not self._is_batched:
            return image is None or len(image.shape) != self._rank + 1
        return self.takes(self.rows(feeds))

    def infer(self, feeds: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """As `Engine.infer`, for any number of rows.

        Returns:
            Output name -> array with as many rows. Without a row, of the shape that the card has, 0 where it is open.

        Raises:
            EngineError: as of `Engine.infer`.
        """
        count = self.rows(feeds)
        if self.fits(feeds):
            if count == 1 or self._high is not None:
                return self._engine.infer(feeds)
            try:
                return self._checked(self._engine.infer(feeds), count)
            except EngineError as error:
                found = self._in_parts(feeds, count, 1)  # what fails by itself, too, is no matter of the batch
                self._high, self.failure = 1, str(error)
                return found
        if count == 0:
            return {spec.name: self._nothing(spec.shape, spec.dtype) for spec in self._engine.outputs}
        return self._in_parts(feeds, count, self._high or 1)

    def _checked(self, outputs: dict[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
        """Raises EngineError where outputs have not a row for each image."""
        wrong = {name: list(array.shape) for name, array in outputs.items() if array.shape[:1] != (count,)}
        if wrong:
            raise EngineError(f'{self._engine.name}: got outputs {wrong} for {count} images, expected a row for each')
        return outputs

    def _nothing(self, shape: tuple[int | None, ...], dtype: str) -> np.ndarray:
        inner = shape[1:] if self._is_batched else shape
        return np.empty((0, *(size or 0 for size in inner)), dtype)

    def _in_parts(self, feeds: Mapping[str, Any], count: int, most: int) -> dict[str, np.ndarray]:
        self.in_parts = True
        feeds = {name: np.asarray(array) for name, array in feeds.items()}  # of what is on a GPU a copy
        parts = [self._run(feeds, begin, min(begin + most, count), count) for begin in range(0, count, most)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _run(self, feeds: Mapping[str, np.ndarray], begin: int, end: int, count: int) -> dict[str, np.ndarray]:
        """The rows from `begin` to `end`; the arrays are the caller's."""
        if not self._is_batched:
            outputs = self._engine.infer({**feeds, self._image: feeds[self._image][begin]})
            copies = {name: np.array(array) for name, array in outputs.items()}
            return {name: array if array.shape[:1] == (1,) else array[None] for name, array in copies.items()}
        rows: slice | list[int] = slice(begin, end)
        if end - begin < self._low:
            rows = [min(begin + index, end - 1) for index in range(self._low)]
        part = {name: array[rows] if self._has_rows(name, array, count) else array for name, array in feeds.items()}
        outputs = self._engine.infer(part)
        return {name: np.atleast_1d(np.array(array))[: end - begin] for name, array in outputs.items()}

    def _has_rows(self, name: str, array: np.ndarray, count: int) -> bool:
        """Whether a tensor has one row for each image; what is the same for all has not."""
        if name == self._image:
            return True
        spec = next((spec for spec in self._engine.inputs if spec.name == name), None)
        takes = spec is not None and spec.shape[:1] in ((None,), (self._low,))
        return takes and array.ndim > 1 and len(array) == count
