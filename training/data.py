# SPDX-License-Identifier: Apache-2.0
"""An endless stream of simulated pictures: worker processes render, a ring on the GPU lends them out again and again.

Rendering is slower than training, so each picture is used several times, each time with other colours, noise and blur
(`augment`), until a newer one takes its place. Nothing mirrors a picture: that would mirror the objects.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from mmap import mmap
from multiprocessing.process import BaseProcess
from typing import Any

import cv2
import numpy as np
import torch
from assign import IGNORED, NONE, OBJECT, Targets
from model import KEYPOINTS
from torch import Tensor
from torch.nn import functional
from torch.utils.data import IterableDataset

MAX_OBJECTS = 8
LEAST_VISIBLE = 0.25
"""Objects of which less is seen are neither looked for nor counted as background."""
SLOTS, SLOT_SAMPLES = 3, 16
TRAIN, VALIDATION = 0, 1


@dataclass
class Example:
    """One picture at the network's resolution.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        boxes: (M, 4) float32 px; keypoints: (M, 8, 2) float32 px; classes: (M,) int64; states: (M,) uint8.
    """

    image: np.ndarray
    boxes: np.ndarray
    keypoints: np.ndarray
    classes: np.ndarray
    states: np.ndarray


def to_example(sample: Any, size: tuple[int, int], rng: np.random.Generator | None) -> Example:
    """A simulated sample as the network sees it; `rng` adds JPEG artefacts to one in eight pictures."""
    image = sample.image
    if rng is not None and rng.random() < 0.125:
        packed = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))])[1]
        image = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    scale = np.array([size[0] / image.shape[1], size[1] / image.shape[0]], np.float32)
    image = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), cv2.COLOR_BGR2RGB)
    # boxes and keypoints count from the image's edge, so a resize only scales them
    keep = np.argsort(-np.asarray(sample.visibility), kind='stable')[:MAX_OBJECTS]
    count = len(keep)
    boxes, keypoints = np.zeros((MAX_OBJECTS, 4), np.float32), np.zeros((MAX_OBJECTS, KEYPOINTS, 2), np.float32)
    classes, states = np.zeros(MAX_OBJECTS, np.int64), np.full(MAX_OBJECTS, NONE, np.uint8)
    boxes[:count] = np.asarray(sample.boxes, np.float32)[keep] * np.tile(scale, 2)
    keypoints[:count] = np.asarray(sample.keypoints, np.float32)[keep] * scale
    classes[:count] = np.asarray(sample.class_ids)[keep]
    good = (
        (np.asarray(sample.visibility)[keep] >= LEAST_VISIBLE)
        & np.isfinite(keypoints[:count]).all((1, 2))
        & ((boxes[:count, 2:] - boxes[:count, :2]).min(1, initial=np.inf) > 1)
    )
    states[:count] = np.where(good, OBJECT, IGNORED)
    return Example(image, np.nan_to_num(boxes), np.nan_to_num(keypoints), classes, states)


class SampleStream(IterableDataset):
    """Endless examples of one seed; the same seed gives the same examples."""

    def __init__(self, make: Callable[[np.random.Generator], Any], size: tuple[int, int], seed: list[int]) -> None:
        self._make, self._size, self._seed = make, size, seed

    def __iter__(self) -> Iterator[Example]:
        rng = np.random.default_rng(self._seed)
        while True:
            yield to_example(self._make(rng), self._size, rng)


def validation_example(make: Callable[[np.random.Generator], Any], size: tuple[int, int], index: int) -> Example:
    """Picture `index` of the fixed validation set, whatever the number of workers."""
    return to_example(make(np.random.default_rng([20_000_003, index])), size, None)


class Producers:
    """Worker processes and the shared memory that their pictures come back in.

    Start them before anything touches CUDA: they are forked. The memory is anonymous and inherited, so no /dev/shm is
    needed.
    """

    def __init__(
        self, make: Callable[..., Any], size: tuple[int, int], workers: int, validation: int, seed: list[int]
    ) -> None:
        context = multiprocessing.get_context('fork')
        shape = (SLOTS, SLOT_SAMPLES, size[1], size[0], 3)
        self.results: Any = context.Queue()
        self._free = [context.Queue() for _ in range(workers)]
        self._buffers = [np.frombuffer(mmap(-1, int(np.prod(shape))), np.uint8).reshape(shape) for _ in range(workers)]
        self._processes: list[BaseProcess] = []
        for index in range(workers):
            for slot in range(SLOTS):
                self._free[index].put(slot)
            work = range(index, validation, workers)
            arguments = (make, size, [*seed, index], work, index, self._buffers[index], self._free[index], self.results)
            process = context.Process(target=_produce, args=arguments, daemon=True)
            process.start()
            self._processes.append(process)

    def batches(self, timeout: float = 1.0) -> Iterator[tuple[int, list[int], np.ndarray, tuple[np.ndarray, ...]]]:
        """Finished batches (kind, validation indices, images, labels); the images are only lent until the next."""
        while True:
            try:
                worker, slot, kind, indices, labels = self.results.get(timeout=timeout)
            except queue.Empty:
                if not self.alive():
                    return
                continue
            if slot < 0:
                print(f'producer {worker}: {labels}', flush=True)
                continue
            try:
                yield kind, indices, self._buffers[worker][slot, : len(labels[0])], labels
            finally:
                self._free[worker].put(slot)

    def alive(self) -> int:
        """Workers still running."""
        return sum(process.is_alive() for process in self._processes)

    def stop(self) -> None:
        """End the workers."""
        for process in self._processes:
            process.terminate()


def _produce(
    make: Callable[..., Any],
    size: tuple[int, int],
    seed: list[int],
    validation: range,
    worker: int,
    buffer: np.ndarray,
    free: Any,
    results: Any,
) -> None:
    """A worker: first its part of the validation set, then training pictures for ever."""
    cv2.setNumThreads(0)
    parent, stream = os.getppid(), None
    todo = list(validation)
    failures = 0
    while os.getppid() == parent:
        try:
            slot = free.get(timeout=5)
        except queue.Empty:
            continue
        kind, indices, examples = (VALIDATION if todo else TRAIN), todo[:SLOT_SAMPLES], []
        todo = todo[SLOT_SAMPLES:]
        while len(examples) < (len(indices) or SLOT_SAMPLES):
            try:
                if kind == VALIDATION:
                    example = validation_example(make, size, indices[len(examples)])
                else:
                    stream = stream or iter(SampleStream(make, size, [*seed, failures]))
                    example = next(stream)
            except Exception:  # one bad picture must not end a training run, a hundred should
                failures += 1
                stream = None
                if failures < 3 or failures >= 100:
                    results.put((worker, -1, 0, [], traceback.format_exc()))
                if kind == VALIDATION:
                    indices.pop(len(examples))
                    if len(examples) == len(indices):
                        break
                if failures >= 100:
                    return
                continue
            buffer[slot, len(examples)] = example.image
            examples.append(example)
        if not examples:
            free.put(slot)
            continue
        labels = tuple(
            np.stack(part)
            for part in zip(*((e.boxes, e.keypoints, e.classes, e.states) for e in examples), strict=True)
        )
        results.put((worker, slot, kind, indices, labels))


class Ring:
    """The newest pictures on the training device, filled by a thread while the training draws from it."""

    def __init__(self, capacity: int, size: tuple[int, int], device: torch.device) -> None:
        self._device, self._capacity = device, capacity
        self._margin = min(2048, capacity // 8)  # not drawn from: about to be overwritten
        self._size = size
        # eight bytes an element: moving them one by one would take the GPU longer
        self._images = torch.zeros((capacity, size[1], size[0] * 3 // 8), dtype=torch.int64, device=device)
        self._boxes = torch.zeros((capacity, MAX_OBJECTS, 4), device=device)
        self._keypoints = torch.zeros((capacity, MAX_OBJECTS, KEYPOINTS, 2), device=device)
        self._classes = torch.zeros((capacity, MAX_OBJECTS), dtype=torch.int64, device=device)
        self._states = torch.zeros((capacity, MAX_OBJECTS), dtype=torch.uint8, device=device)
        self.produced = 0
        self.failure: str | None = None

    def __len__(self) -> int:
        return min(self.produced, self._capacity)

    def fill_from(self, producers: Producers) -> threading.Thread:
        """Start the thread that takes over everything that the workers render."""
        thread = threading.Thread(target=self._fill, args=(producers,), daemon=True)
        thread.start()
        return thread

    def sample(self, count: int, generator: torch.Generator) -> tuple[Tensor, Targets]:
        """`count` random pictures as (B, 3, H, W) float32 in 0..1, channels last, and their truth."""
        if self.produced < self._capacity:
            index = torch.randint(self.produced, (count,), device=self._device, generator=generator)
        else:
            span = self._capacity - 2 * self._margin
            index = torch.randint(span, (count,), device=self._device, generator=generator)
            index = (index + self.produced + self._margin) % self._capacity
        images = self._images[index].view(torch.uint8).reshape(count, self._size[1], self._size[0], 3)
        images = images.permute(0, 3, 1, 2).float() / 255
        return images, Targets(self._boxes[index], self._classes[index], self._keypoints[index], self._states[index])

    def _fill(self, producers: Producers) -> None:
        try:
            stream = torch.cuda.Stream(self._device) if self._device.type == 'cuda' else None
            with torch.cuda.stream(stream):
                for kind, _, images, labels in producers.batches():
                    if kind == TRAIN:
                        self._write(images, labels, stream)
        except Exception:
            self.failure = traceback.format_exc()

    def _write(self, images: np.ndarray, labels: tuple[np.ndarray, ...], stream: Any) -> None:
        start = self.produced % self._capacity
        room = min(len(images), self._capacity - start)
        packed = images.reshape(len(images), self._size[1], -1).view(np.int64)
        stores = (self._images, self._boxes, self._keypoints, self._classes, self._states)
        for store, values in zip(stores, (packed, *labels), strict=True):
            store[start : start + room].copy_(torch.from_numpy(np.ascontiguousarray(values[:room])))
        if stream is not None:
            stream.synchronize()
        self.produced += room  # only now may the training draw them; what didn't fit at the end is left out


def collect_validation(producers: Producers, count: int, patience_s: float = 180) -> tuple[Tensor, Targets]:
    """The fixed validation set in index order on the CPU: images (N, H, W, 3) uint8 and their truth."""
    found: dict[int, tuple[np.ndarray, ...]] = {}
    start = time.monotonic()
    for kind, indices, images, labels in producers.batches():
        if kind == VALIDATION:
            for row, index in enumerate(indices):
                found[index] = (images[row].copy(), *(part[row] for part in labels))
        if len(found) >= count or time.monotonic() - start > patience_s:
            break
    if not found:
        raise RuntimeError('no validation picture arrived; the messages of the producers above say why')
    images, boxes, keypoints, classes, states = (
        torch.from_numpy(np.stack(part)) for part in zip(*(found[index] for index in sorted(found)), strict=True)
    )
    return images, Targets(boxes, classes, keypoints, states)


@torch.no_grad()
def augment(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Other colours, blur and noise for each picture.

    Args:
        images: (B, 3, H, W) in 0..1.
        strength: 0 leaves them as they are, 1 is the most.
        generator: on the images' device.
    """
    if strength <= 0:
        return images

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        value = torch.rand((len(images), channels, 1, 1), device=images.device, generator=generator)
        return low + (high - low) * value

    soft = functional.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
    blurred = (draw(0, 1) < 0.3 * strength).float() * draw(0, 1)
    images = torch.lerp(images, soft, blurred)
    grey = images.mean(1, keepdim=True)
    images = torch.lerp(grey, images, 1 + strength * draw(-0.35, 0.25))
    middle = images.mean((1, 2, 3), keepdim=True)
    images = (images - middle) * (1 + strength * draw(-0.3, 0.3)) + middle + strength * draw(-0.1, 0.1)
    images = images * (1 + strength * draw(-0.12, 0.12, 3))
    images = images.clamp(1e-4, 1).pow((strength * draw(-0.35, 0.35)).exp())
    noise = torch.randn(images.shape, device=images.device, generator=generator)
    return (images + noise * (strength * draw(-0.03, 0.03).clamp(min=0))).clamp(0, 1)
