# SPDX-License-Identifier: Apache-2.0
"""Times several calls alternately, so that a disturbance of the machine affects them all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np

from isaac_inference.errors import ConfigError


def time_in_turn(
    calls: Mapping[str, Callable[[], object]],
    *,
    runs: int,
    block: int = 20,
    seconds: float = float('inf'),
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[np.ndarray]]:
    """Runs each call in short blocks, A B, B A, A B and so on: neither always comes first.

    The first call of a block is not timed if there are several: it pays for caches that the other one filled. A
    round that was started is finished, so that all have the same number of blocks.

    Args:
        calls: name -> what to time; it returns when its work is done.
        runs: timings of each, at least.
        block: timings per block.
        seconds: no further round is started after this time.
        clock: seconds.

    Returns:
        Name -> its blocks, each (block,) float64 in ms; at least one.

    Raises:
        ConfigError: a number of runs or block below 1.
    """
    if runs < 1 or block < 1:
        raise ConfigError(f'runs, block: got {runs} and {block}, expected 1 or more')
    blocks: dict[str, list[np.ndarray]] = {name: [] for name in calls}
    block = min(block, runs)
    end = clock() + seconds
    for turn in range(-(-runs // block)):
        if turn and clock() >= end:
            break
        for name in list(calls) if turn % 2 == 0 else reversed(list(calls)):
            call = calls[name]
            if len(calls) > 1:
                call()
            times = np.empty(block)
            for place in range(block):
                start = clock()
                call()
                times[place] = clock() - start
            blocks[name].append(times * 1e3)
    return blocks
