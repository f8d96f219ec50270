# SPDX-License-Identifier: Apache-2.0
"""The package's own stereo network as a way to be measured, where it has one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import isaac_inference.models.demo
from isaac_inference.engines import create_engine
from isaac_inference.models import read_card
from isaac_inference.ops.stereo.matcher import Disparity
from isaac_inference.stages.depth.stereo import StereoNetwork

_FOLDER = Path(isaac_inference.models.demo.__file__).parent
STEREO = _FOLDER / 'stereo.onnx'

Match = Callable[[np.ndarray, np.ndarray, float], Disparity]


@contextlib.contextmanager
def stereo_network(path: Path = STEREO) -> Iterator[Match | None]:
    """Matches two (H, W, 3) uint8 BGR whose infinity has a disparity in px, as the stereo node does; None without a
    file. One thread.
    """
    if not path.is_file():
        yield None
        return
    card = read_card(path)
    network = StereoNetwork(card)
    with create_engine(card, threads=1) as engine:

        def match(left: np.ndarray, right: np.ndarray, infinity: float) -> Disparity:
            tensors, letterbox = network.tensors(left, right, infinity=infinity)
            return network.read(engine.infer(tensors), letterbox, infinity)

        yield match
