# SPDX-License-Identifier: Apache-2.0
"""The frames of an evaluation that went worst, and their pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from isaac_inference.errors import ConfigError


@dataclass(frozen=True, eq=False)
class WorstFrame:
    """A frame that is not without fault.

    Attributes:
        loss: for ranking; larger is worse.
        seed, index: the simulator's.
        draw: makes its picture, (H, W, 3) uint8 BGR.
    """

    loss: float
    seed: int
    index: int
    draw: Callable[[], np.ndarray]


def worst_of(frames: Iterable[WorstFrame], count: int) -> list[WorstFrame]:
    """The `count` worst, the worst first."""
    return sorted(frames, key=lambda frame: -frame.loss)[:count]


def save_worst(frames: Iterable[WorstFrame], folder: str | Path, count: int) -> list[Path]:
    """Write the `count` worst frames as `01_seed_7_frame_0123.png`, the worst first.

    Args:
        frames: of all seeds.
        folder: created if missing.
        count: how many pictures at most.

    Raises:
        ConfigError: a picture cannot be written; and what drawing raises.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    made = []
    for place, frame in enumerate(worst_of(frames, count), start=1):
        path = Path(folder) / f'{place:02d}_seed_{frame.seed}_frame_{frame.index:04d}.png'
        if not cv2.imwrite(str(path), frame.draw()):
            raise ConfigError(f'--worst: {path} could not be written; is the folder writable?')
        made.append(path)
    return made
