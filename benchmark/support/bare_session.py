# SPDX-License-Identifier: Apache-2.0
"""The model's ONNX Runtime session alone: what pipelines are compared with."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from isaac_inference.engines import create_engine
from isaac_inference.models import read_card
from isaac_inference.stages import Preprocessor


class BareSession:
    """A session with the engine's own options, in a process of its own without ROS.

    It is fed with real preprocessed pictures. The process idles between two calls of `measure`.
    """

    def __init__(self, model: str, pictures: Sequence[np.ndarray]) -> None:
        context = multiprocessing.get_context('spawn')
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve_session, args=(theirs, model), daemon=True)
        self._process.start()
        theirs.close()
        preprocessor = Preprocessor(read_card(model))
        self._ours.send([preprocessor(picture)[0] for picture in pictures])

    def measure(self, duration_s: float, rate_hz: float = 0.0, warm_up: int = 10) -> list[float]:
        """Milliseconds of each run: back to back, or at a rate."""
        self._ours.send((duration_s, rate_hz, warm_up))
        samples: list[float] = self._ours.recv()
        return samples

    def close(self) -> None:
        """End the process."""
        self._ours.send(None)
        self._process.join(10)


def _serve_session(pipe: Any, model: str) -> None:
    with create_engine(read_card(model)) as engine:
        session = cast(Any, engine)._session  # without the engine's checks, but made with its very options
        names = [spec.name for spec in engine.outputs]
        feeds = pipe.recv()
        while (order := pipe.recv()) is not None:
            pipe.send(_run_session(lambda feed: session.run(names, feed), feeds, *order))


def _run_session(
    run: Callable[[Any], Any], feeds: Sequence[Any], duration_s: float, rate_hz: float, warm_up: int
) -> list[float]:
    samples: list[float] = []
    due, index, end = time.monotonic(), 0, float('inf')
    while time.monotonic() < end:
        begin = time.perf_counter()
        run(feeds[index % len(feeds)])
        samples.append((time.perf_counter() - begin) * 1e3)
        if rate_hz:
            due = max(due + 1.0 / rate_hz, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
        index += 1
        if index == warm_up:
            samples.clear()
            end = time.monotonic() + duration_s
    return samples
