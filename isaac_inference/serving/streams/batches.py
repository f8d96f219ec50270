# SPDX-License-Identifier: Apache-2.0
"""Frames of several streams through one model: those of one shape together, each with its own results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isaac_inference.engines.base import Engine
from isaac_inference.engines.batches import BatchRunner
from isaac_inference.engines.rows import Rows
from isaac_inference.errors import EngineError
from isaac_inference.models.card.card import ModelCard

Feeds = Mapping[str, Any]
Outcome = Mapping[str, Any] | EngineError
_PROBED = (2, 3)  # two numbers of images: an output that has as many rows by chance has not for both


@dataclass
class _Group:
    """Frames that can run together, by their number in what was asked for."""

    key: tuple[Any, ...]
    shared: Feeds
    frames: list[int] = field(default_factory=list)


class FrameBatcher:
    """Runs frames that were taken together.

    Frames run together where their tensors have the same types and the same shapes but for the number of images, and
    where what is the same for all images of a batch, such as the embeddings of class names, is the same in all of
    them. A frame that differs, or that the engine refuses, fails alone.

    Args:
        engine: open.
        runner: of the engine; frames of several rows and engines of a fixed batch are its matter.
    """

    def __init__(self, engine: Engine, runner: BatchRunner) -> None:
        self._engine, self._runner = engine, runner
        self._with_rows = _inputs_with_rows(engine.card)
        self._buffers: dict[tuple[Any, ...], np.ndarray] = {}
        self.failure = ''  # why frames are run one after the other although the model promises otherwise

    def most(self, asked: int) -> int:
        """How many frames to take at once, of at most `asked`."""
        return 1 if self.failure else max(1, min(asked, self._runner.most or asked))

    def try_out(self, most: int, turn: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        """Run the model on batches of zeros, as warm-up and to see whether each image has a row of every output.

        Where it has not, or fails, frames run one after the other from now on, and `failure` says why. Each run is made
        within a `turn`.
        """
        sizes = sorted({*(size for size in _PROBED if size <= most), most} - {1}) if most > 1 else []
        why = _why_not_by_name(self._engine.card) if sizes else ''
        try:
            for size in sizes:
                if not why:
                    with turn():
                        outputs = self._engine.infer(self._engine.zero_feeds(size))
                    why = _why_without_rows(outputs, size)
        except EngineError as error:
            why = str(error)
        self.failure = why

    def run(self, frames: Sequence[Feeds]) -> list[Outcome]:
        """The outputs of each frame, or what went wrong with it; those of a frame do not depend on the others.

        Arrays of frames that ran together may be parts of the same memory, which is never written again.
        """
        if len(frames) == 1 or self.failure:
            return [self._alone(frame) for frame in frames]
        found: list[Outcome | None] = [None] * len(frames)
        for group in self._groups(frames):
            members = [frames[index] for index in group.frames]
            for index, outcome in zip(group.frames, self._together(group, members), strict=True):
                found[index] = outcome
        return [outcome for outcome in found if outcome is not None]

    def groups(self, frames: Sequence[Feeds]) -> list[list[int]]:
        """Which frames would run together, by their numbers."""
        return [group.frames for group in self._groups(frames)]

    def joined(self, frames: Sequence[Feeds]) -> dict[str, Any]:
        """Feeds of frames of one group as one batch, whose parts are where they were: for engines with `takes_rows`."""
        return {
            name: Rows([frame[name] for frame in frames]) if name in self._with_rows else frames[0][name]
            for name in frames[0]
        }

    def _alone(self, frame: Feeds) -> Outcome:
        try:
            return self._runner.infer(frame)
        except EngineError as error:
            return error

    def _together(self, group: _Group, frames: Sequence[Feeds]) -> list[Outcome]:
        if len(frames) == 1:
            return [self._alone(frames[0])]
        rows = [self._runner.rows(frame) for frame in frames]
        try:
            if self._engine.takes_rows and self._runner.takes(sum(rows)):
                outputs = self._engine.infer(self.joined(frames))
            else:
                outputs = self._runner.infer(self._copied(group, frames, sum(rows)))
            if why := _why_without_rows(outputs, sum(rows)):
                raise EngineError(why)
        except EngineError:  # of which frame it is, each says by itself
            return [self._alone(frame) for frame in frames]
        return _split(outputs, rows)

    def _copied(self, group: _Group, frames: Sequence[Feeds], rows: int) -> dict[str, np.ndarray]:
        """Feeds of frames as one batch in memory of this object, which is written again by the next."""
        joined = {}
        for name in frames[0]:
            parts = [np.asarray(frame[name]) for frame in frames]
            if name not in self._with_rows:
                joined[name] = parts[0]
                continue
            key = (name, parts[0].shape[1:], parts[0].dtype.str)
            buffer = self._buffers.get(key)
            if buffer is None or len(buffer) < rows:
                self._buffers = {other: kept for other, kept in self._buffers.items() if other[0] != name}
                buffer = self._buffers[key] = np.empty((rows, *parts[0].shape[1:]), parts[0].dtype)
            joined[name] = np.concatenate(parts, out=buffer[:rows])
        return joined

    def _groups(self, frames: Sequence[Feeds]) -> list[_Group]:
        groups: list[_Group] = []
        for index, frame in enumerate(frames):
            key = tuple(sorted(self._signature(name, array) for name, array in frame.items()))
            shared = {name: array for name, array in frame.items() if name not in self._with_rows}
            group = next((one for one in groups if one.key == key and _same(one.shared, shared)), None)
            if group is None:
                group = _Group(key, shared)
                groups.append(group)
            group.frames.append(index)
        return groups

    def _signature(self, name: str, array: Any) -> tuple[str, ...]:
        shape = tuple(array.shape)
        if name in self._with_rows:
            shape = shape[1:] if len(shape) > 1 else (-1, *shape)
        where = '' if isinstance(array, np.ndarray) else f'GPU {array.gpu.ordinal}' if hasattr(array, 'gpu') else '?'
        return name, str(shape), np.dtype(array.dtype).str, where


def split_rows(outputs: Mapping[str, Any], rows: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Each frame's part of a batch's outputs: name -> the rows that are its own."""
    begin = 0
    for count in rows:
        yield {name: array[begin : begin + count] for name, array in outputs.items()}
        begin += count


def _split(outputs: Mapping[str, np.ndarray], rows: Sequence[int]) -> list[Outcome]:
    return list(split_rows(outputs, rows))


def _inputs_with_rows(card: ModelCard) -> frozenset[str]:
    """Names of the inputs that have one row for each image."""
    images = {image.tensor.name for image in card.images if image.has_batch}
    values = {
        item.tensor.name
        for item in card.value_inputs
        if item.fixed is None or len(item.tensor.shape) > item.fixed.values.ndim
    }
    return frozenset(images | values)


def _why_without_rows(outputs: Mapping[str, np.ndarray], count: int) -> str:
    """Why a batch's outputs cannot be told apart; '' where each image has a row of its own."""
    wrong = [f'{name} {list(array.shape)}' for name, array in outputs.items() if array.shape[:1] != (count,)]
    return f'for {count} images it gives {", ".join(wrong)}, not a row for each' if wrong else ''


def _why_not_by_name(card: ModelCard) -> str:
    """Why outputs cannot have a row for each image, going by the names that the file gives to its open dimensions."""
    images = {image.tensor.axes[0] for image in card.images if image.tensor.axes}
    if len(images) != 1 or '' in images:
        return ''
    batch = next(iter(images))
    wrong = [f'{spec.name}: {spec.axes[0]}' for spec in card.used_outputs if spec.axes and spec.axes[0]]
    wrong = [text for text in wrong if not text.endswith(f': {batch}')]
    return f'its outputs are not counted by image ({", ".join(wrong)}; images: {batch})' if wrong else ''


def _same(one: Feeds, other: Feeds) -> bool:
    """Whether two frames' inputs without rows hold the same; what is on a GPU is not looked into."""
    return all(
        one[name] is other[name]
        or (
            isinstance(one[name], np.ndarray)
            and isinstance(other[name], np.ndarray)
            and np.array_equal(one[name], other[name])
        )
        for name in one
    )
