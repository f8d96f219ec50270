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

from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.sim.catalog import OBJECTS

MAX_OBJECTS = 8
LEAST_VISIBLE = 0.25
"""Objects of which less is seen are neither looked for nor counted as background."""
INSTANCE_STRIDE = 2
"""Input pixels between two places of the map of instances."""
SLOTS, SLOT_SAMPLES = 3, 16
TRAIN, VALIDATION = 0, 1


@dataclass
class Example:
    """One picture at the network's resolution.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        boxes: (M, 4) float32 px; keypoints: (M, 8, 2) float32 px; classes: (M,) int64; states: (M,) uint8.
        bases: (M, 16, 6) float32, see `pose_basis`.
        instances: (H / 2, W / 2) uint8, row + 1 of the object that each place shows, 0 for none.
    """

    image: np.ndarray
    boxes: np.ndarray
    keypoints: np.ndarray
    classes: np.ndarray
    states: np.ndarray
    bases: np.ndarray
    instances: np.ndarray

    @property
    def labels(self) -> tuple[np.ndarray, ...]:
        """All but the image, in the order of `LABELS`."""
        return tuple(getattr(self, name) for name in LABELS)


LABELS = ('boxes', 'keypoints', 'classes', 'states', 'bases', 'instances')
"""What travels beside an image, in this order."""


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
    bases = np.zeros((MAX_OBJECTS, 2 * KEYPOINTS, 6), np.float32)
    for row, index in enumerate(keep):
        if good[row]:
            bases[row] = pose_basis(sample, int(index)) * np.tile(scale, KEYPOINTS)[:, None]
    rows = np.zeros(256, np.uint8)
    rows[keep + 1] = np.arange(1, count + 1)
    return Example(
        image,
        np.nan_to_num(boxes),
        np.nan_to_num(keypoints),
        classes,
        states,
        bases,
        rows[_places(sample.instances, size)],
    )


def pose_basis(sample: Any, index: int) -> np.ndarray:
    """(16, 6) how an object's corners in the picture, px of its image, move with its pose, at the true pose.

    The columns are motions of the object, so chosen that a motion of length e moves the cuboid's corners by e times its
    diagonal, root mean square in space. With corner errors r (16,) and weights W, the pose that fits them best is off
    by (A^T W A)^-1 A^T W r in these units: one step of Gauss and Newton, exact to first order.
    """
    camera, pose, size = sample.camera, sample.poses[index], np.asarray(OBJECTS[int(sample.class_ids[index])].size)
    offsets = pose.rotation @ cuboid_corners(size).T  # (3, 8) from the object's origin, in the camera's frame
    x, y, z = offsets + pose.translation[:, None]
    fx, fy = camera.K[0, 0], camera.K[1, 1]
    projection = np.zeros((KEYPOINTS, 2, 3))
    projection[:, 0, 0], projection[:, 0, 2] = fx / z, -fx * x / z**2
    projection[:, 1, 1], projection[:, 1, 2] = fy / z, -fy * y / z**2
    motion = np.zeros((KEYPOINTS, 3, 6))  # d(corner) / d(turn, shift)
    a, b, c = offsets
    motion[:, 0, 1], motion[:, 0, 2], motion[:, 1, 0] = c, -b, -c
    motion[:, 1, 2], motion[:, 2, 0], motion[:, 2, 1] = a, b, -a
    motion[:, [0, 1, 2], [3, 4, 5]] = 1
    moved = motion.reshape(-1, 6)
    lower = np.linalg.cholesky(moved.T @ moved / (KEYPOINTS * (size**2).sum()))
    return np.linalg.solve(lower, (projection @ motion).reshape(-1, 6).T).T.astype(np.float32)


def _places(instances: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map of instances at every INSTANCE_STRIDE-th pixel of the network's input: the nearest one's."""
    height, width = instances.shape
    columns = (np.arange(size[0] // INSTANCE_STRIDE) + 0.5) * (width * INSTANCE_STRIDE / size[0])
    rows = (np.arange(size[1] // INSTANCE_STRIDE) + 0.5) * (height * INSTANCE_STRIDE / size[1])
    return instances[rows.astype(int)[:, None], columns.astype(int)]


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
        labels = tuple(np.stack(part) for part in zip(*(example.labels for example in examples), strict=True))
        results.put((worker, slot, kind, indices, labels))


class Ring:
    """The newest pictures on the training device, filled by a thread while the training draws from it."""

    def __init__(self, capacity: int, size: tuple[int, int], device: torch.device) -> None:
        self._device, self._capacity = device, capacity
        self._margin = min(2048, capacity // 8)  # not drawn from: about to be overwritten
        self._size = size
        # eight bytes an element: moving them one by one would take the GPU longer
        self._images = torch.zeros((capacity, size[1], size[0] * 3 // 8), dtype=torch.int64, device=device)
        places = (size[1] // INSTANCE_STRIDE, size[0] // INSTANCE_STRIDE)
        self._labels = {
            'boxes': torch.zeros((capacity, MAX_OBJECTS, 4), device=device),
            'keypoints': torch.zeros((capacity, MAX_OBJECTS, KEYPOINTS, 2), device=device),
            'classes': torch.zeros((capacity, MAX_OBJECTS), dtype=torch.int64, device=device),
            'states': torch.zeros((capacity, MAX_OBJECTS), dtype=torch.uint8, device=device),
            'bases': torch.zeros((capacity, MAX_OBJECTS, 2 * KEYPOINTS, 6), device=device),
            'instances': torch.zeros((capacity, *places), dtype=torch.uint8, device=device),
        }
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
        """`count` random pictures as (B, H, W, 3) uint8, and their truth."""
        if self.produced < self._capacity:
            index = torch.randint(self.produced, (count,), device=self._device, generator=generator)
        else:
            span = self._capacity - 2 * self._margin
            index = torch.randint(span, (count,), device=self._device, generator=generator)
            index = (index + self.produced + self._margin) % self._capacity
        images = self._images[index].view(torch.uint8).reshape(count, self._size[1], self._size[0], 3)
        return images, Targets(**{name: store[index] for name, store in self._labels.items()})

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
        stores = (self._images, *(self._labels[name] for name in LABELS))
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
    images, *labels = (
        torch.from_numpy(np.stack(part)) for part in zip(*(found[index] for index in sorted(found)), strict=True)
    )
    return images, Targets(**dict(zip(LABELS, labels, strict=True)))


@torch.no_grad()
def augment(images: Tensor, strength: Tensor, generator: torch.Generator) -> Tensor:
    """Other colours, blur and noise for each picture.

    Args:
        images: (B, 3, H, W) in 0..1.
        strength: () on the images' device; 0 leaves them as they are, 1 is the most.
        generator: on the images' device.
    """

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        value = torch.rand((len(images), channels, 1, 1), device=images.device, generator=generator)
        return ((low + (high - low) * value) * strength).to(images.dtype)

    soft = functional.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
    chosen = torch.rand((len(images), 1, 1, 1), device=images.device, generator=generator) < 0.3 * strength
    images = torch.lerp(images, soft, chosen * draw(0, 1))
    grey = images.mean(1, keepdim=True)
    images = torch.lerp(grey, images, 1 + draw(-0.35, 0.25))
    middle = images.float().mean((1, 2, 3), keepdim=True).to(images.dtype)
    images = (images - middle) * (1 + draw(-0.3, 0.3)) + middle + draw(-0.1, 0.1)
    images = images * (1 + draw(-0.12, 0.12, 3))
    images = images.clamp(1e-4, 1).pow(draw(-0.35, 0.35).exp())
    noise = torch.randn(images.shape, device=images.device, generator=generator, dtype=images.dtype)
    return (images + noise * draw(-0.03, 0.03).clamp(min=0)).clamp(0, 1)
