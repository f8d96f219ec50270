# SPDX-License-Identifier: Apache-2.0
"""Showing frames to a running graph until enough of them are collected: one by one, or at the camera's rate."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation import FrameRecord
from isaac_inference.ros.bringup.evaluation.client import EvaluationClient
from isaac_inference.ros.bringup.evaluation.recording import RecordedFrame

ASK_AGAIN_S = 2.0  # a request or image that no one was there to hear is repeated
_LATE_TIMINGS_S = 0.5
_MOST_SILENT = 5  # frames in a row without an answer: the graph is broken, not slow

Advance = Callable[[], None]


def drive_steps(
    client: EvaluationClient, frames: int, *, warmup: int, timeout_s: float, advance: Advance
) -> list[FrameRecord]:
    """Asks the simulator for one frame, waits for its answers, and so on.

    Args:
        client: of the running graph.
        frames: how many to collect, after the first `warmup`.
        warmup: frames that are shown and not counted.
        timeout_s: longest wait for a frame, and for its answers; a frame without them counts as dropped.
        advance: called after each frame.

    Raises:
        ConfigError: no frame comes, or none is answered any more.
    """
    stamps: list[int] = []
    last = -1
    silent = 0
    for _ in range(warmup + frames):
        last = _next_truth(client, last, timeout_s)
        stamps.append(last)
        silent = _wait_for_answer(client, last, timeout_s, silent)
        advance()
    return _records(client, stamps[warmup:])


def drive_freely(
    client: EvaluationClient, frames: int, *, warmup: int, timeout_s: float, advance: Advance
) -> list[FrameRecord]:
    """Collects what the camera shows at its own rate; a frame that a newer one has replaced counts as dropped.

    Args and raises: as of `drive_steps`.
    """
    collector = client.collector
    earlier = collector.truth_stamps()  # from when not all nodes were there yet
    begin_ns = earlier[-1] if earlier else -1
    for count in range(1, warmup + frames + 1):
        if not collector.wait(functools.partial(_has_truths, client, begin_ns, count), timeout_s):
            raise ConfigError(f'no frame with a truth within {timeout_s:g} s; {client.explain()}')
        advance()
    stamps = collector.truth_stamps(begin_ns)[: warmup + frames]
    collector.wait(lambda: collector.is_answered(stamps[-1]), min(timeout_s, ASK_AGAIN_S))
    return _records(client, stamps[warmup:])


def drive_recording(
    client: EvaluationClient,
    recorded: Iterator[RecordedFrame],
    frames: int,
    *,
    warmup: int,
    timeout_s: float,
    advance: Advance,
) -> list[FrameRecord]:
    """Publishes a recording's images one after the other, each when the one before is answered.

    Args and raises: as of `drive_steps`; `recorded` has the frames, and with `frames` 0 all of them count.
    """
    stamps: list[int] = []
    silent = 0
    for frame in recorded:
        if not frame.has_truth or not frame.has_image:
            _feed(client, frame)
            continue
        frame.give_truth_to(client.collector)
        stamps.append(frame.stamp_ns)
        silent = _wait_for_answer(client, frame.stamp_ns, timeout_s, silent, functools.partial(_feed, client, frame))
        advance()
        if frames and len(stamps) == warmup + frames:
            break
    return _records(client, stamps[warmup:])


def _has_truths(client: EvaluationClient, after_ns: int, count: int) -> bool:
    return len(client.collector.truth_stamps(after_ns)) >= count


def _next_truth(client: EvaluationClient, after_ns: int, timeout_s: float) -> int:
    end = time.monotonic() + timeout_s
    while (left := end - time.monotonic()) > 0:
        client.ask()
        if client.collector.wait(lambda: bool(client.collector.truth_stamps(after_ns)), min(left, ASK_AGAIN_S)):
            return client.collector.truth_stamps(after_ns)[0]
    raise ConfigError(f'no frame with a truth within {timeout_s:g} s; {client.explain()}')


def _feed(client: EvaluationClient, frame: RecordedFrame) -> None:
    for topic, message in frame.inputs:
        client.feed(topic, message)


def _wait_for_answer(
    client: EvaluationClient, stamp_ns: int, timeout_s: float, silent: int, show: Advance | None = None
) -> int:
    """How many frames in a row were not answered; what `show` publishes is repeated where no one heard it."""
    end = time.monotonic() + timeout_s
    while (left := end - time.monotonic()) > 0:
        if show is not None:
            show()
        pause = left if show is None else min(left, ASK_AGAIN_S)
        if client.collector.wait(lambda: client.collector.is_answered(stamp_ns), pause):
            return 0
    if silent + 1 == _MOST_SILENT:
        raise ConfigError(
            f'the last {_MOST_SILENT} frames were not answered within {timeout_s:g} s; {client.explain()}'
        )
    return silent + 1


def _records(client: EvaluationClient, stamps: list[int]) -> list[FrameRecord]:
    if stamps:  # timings are published after the answers
        client.collector.wait(lambda: client.collector.has_stages(stamps[-1]), _LATE_TIMINGS_S)
    return client.collector.records(stamps)
