# SPDX-License-Identifier: Apache-2.0
"""An endless stream of frames: worker processes make them, a ring on the GPU lends them out several times.

Each time with other colours, another part of the frame, mirrored or not, and more holes (`drawn`).
"""

from __future__ import annotations

import multiprocessing
import queue
import threading
import traceback
from mmap import mmap
from typing import Any

import numpy as np
import torch
from samples import completion_frame
from torch import Tensor
from torch.nn import functional

from isaac_inference.sim.completion import CompletionSample
from isaac_inference.sim.samples import SIZE

SLOTS, SLOT_FRAMES = 3, 8
CROP = (256, 320)
"""Height and width of what a step sees."""
_WIDTH, _HEIGHT = SIZE
_COLOR, _DEPTH = _HEIGHT * _WIDTH * 3, _HEIGHT * _WIDTH * 4
_FRAME = _COLOR + 2 * _DEPTH


def packed(sample: CompletionSample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 RGB; (H, W) float32 m what was read, 0 for nothing; (H, W) float32 m the truth as this camera's
    scale has it, 0 where there is none.
    """
    truth = sample.truth * np.float32(sample.scale)
    return sample.color[..., ::-1], np.nan_to_num(sample.measured), np.nan_to_num(truth)


class Producers:
    """Worker processes; start them before anything touches CUDA: they are forked."""

    def __init__(self, workers: int, seed: int) -> None:
        context = multiprocessing.get_context('fork')
        self.results: Any = context.Queue()
        self._free = [context.Queue() for _ in range(workers)]
        self.buffers = [mmap(-1, SLOTS * SLOT_FRAMES * _FRAME) for _ in range(workers)]
        for index in range(workers):
            for slot in range(SLOTS):
                self._free[index].put(slot)
            arguments = ([seed, index], index, self.buffers[index], self._free[index], self.results)
            context.Process(target=_produce, args=arguments, daemon=True).start()

    def give_back(self, worker: int, slot: int) -> None:
        """The slot's frames have been copied."""
        self._free[worker].put(slot)


def _views(buffer: mmap, slot: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, readings and truths of a slot."""
    start = slot * SLOT_FRAMES * _FRAME
    color = np.frombuffer(buffer, np.uint8, SLOT_FRAMES * _COLOR, start).reshape(SLOT_FRAMES, _HEIGHT, _WIDTH, 3)
    depth = np.frombuffer(buffer, np.float32, 2 * SLOT_FRAMES * _HEIGHT * _WIDTH, start + SLOT_FRAMES * _COLOR)
    measured, truth = depth.reshape(2, SLOT_FRAMES, _HEIGHT, _WIDTH)
    return color, measured, truth


def _produce(seed: list[int], worker: int, buffer: mmap, free: Any, results: Any) -> None:
    rng = np.random.default_rng([15, *seed])
    try:
        while True:
            slot = free.get()
            views = _views(buffer, slot)
            for index in range(SLOT_FRAMES):
                for view, part in zip(views, packed(completion_frame(rng)), strict=True):
                    view[index] = part
            results.put((worker, slot))
    except Exception:  # said by the one who waits for frames
        results.put((worker, traceback.format_exc()))


class Ring:
    """The newest frames, on the GPU."""

    def __init__(self, capacity: int, device: torch.device) -> None:
        self._color = torch.empty((capacity, _HEIGHT, _WIDTH, 3), dtype=torch.uint8, device=device)
        self._measured, self._truth = (torch.empty((capacity, _HEIGHT, _WIDTH), device=device) for _ in range(2))
        self.produced, self._capacity, self._device = 0, capacity, device

    @property
    def count(self) -> int:
        """Frames there are."""
        return min(self.produced, self._capacity)

    def fill_from(self, producers: Producers) -> None:
        """Take frames as they come, in a thread."""
        threading.Thread(target=self._fill, args=(producers,), daemon=True).start()

    def _fill(self, producers: Producers) -> None:
        stream = torch.cuda.Stream() if self._device.type == 'cuda' else None
        while True:
            try:
                worker, slot = producers.results.get(timeout=1.0)
            except queue.Empty:
                continue
            if isinstance(slot, str):
                print(f'producer {worker}: {slot}', flush=True)
                continue
            start = self.produced % self._capacity
            room = min(SLOT_FRAMES, self._capacity - start)
            with torch.cuda.stream(stream):
                for store, values in zip(
                    (self._color, self._measured, self._truth), _views(producers.buffers[worker], slot), strict=True
                ):
                    store[start : start + room].copy_(torch.from_numpy(values[:room]))
                if stream is not None:
                    stream.synchronize()
            producers.give_back(worker, slot)
            self.produced += room

    def drawn(self, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """A batch: (B, 3, h, w) 0..1, (B, 1, h, w) m read and (B, 1, h, w) m true, 0 for nothing."""
        top, left, flip, turn = (
            int(torch.randint(0, most, (), generator=generator))
            for most in (_HEIGHT - CROP[0] + 1, _WIDTH - CROP[1] + 1, 2, 2)
        )
        which = torch.randint(0, self.count, (batch,), generator=generator).to(self._device)
        rows, columns = slice(top, top + CROP[0]), slice(left, left + CROP[1])
        color = self._color[:, rows, columns][which].permute(0, 3, 1, 2).float() / 255
        measured, truth = self._measured[:, rows, columns][which, None], self._truth[:, rows, columns][which, None]
        axes = [axis for axis, is_mirrored in ((3, flip), (2, turn)) if is_mirrored]
        if axes:
            color, measured, truth = (values.flip(axes) for values in (color, measured, truth))
        return _recoloured(color), _with_holes(measured), truth


def _with_holes(measured: Tensor) -> Tensor:
    """Further holes, of up to some 60 px."""
    batch, _, height, width = measured.shape
    cell = 8 * 2 ** int(torch.randint(0, 3, ()))
    noise = torch.randn((batch, 1, height // cell, width // cell), device=measured.device)
    noise = functional.interpolate(noise, (height, width), mode='bilinear', align_corners=False)
    limit = torch.empty((batch, 1, 1, 1), device=measured.device).uniform_(0.8, 3.0)
    return torch.where(noise > limit, 0.0, measured)


def _recoloured(color: Tensor) -> Tensor:
    """Another brightness, contrast and noise."""

    def draw(low: float, high: float) -> Tensor:
        return torch.empty((len(color), 1, 1, 1), device=color.device).uniform_(low, high)

    color = (color - 0.5) * draw(0.6, 1.3) + 0.5 + draw(-0.15, 0.15)
    color = color.clamp(1e-4, 1).pow(draw(-0.35, 0.35).exp())
    return (color + torch.randn_like(color) * draw(-0.02, 0.02).clamp(min=0)).clamp(0, 1)
