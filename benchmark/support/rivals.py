# SPDX-License-Identifier: Apache-2.0
"""A safety model beside two others that take all they get: the same for a CPU and for a GPU.

Three inference nodes in one process, one model each (the same file), tensors in and out by reference. The safety model
has frames at a rate; the two others always have one that waits. Blocks take turns: the safety model alone, the two
others alone, all three with priorities 3, 0 and 0, and all three with one priority.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmark.support.camera_rig import CameraRig, Feed, feed_at, running_rig, saturate, tensor_maker
from benchmark.support.common import STATS, Figure, Options, Result, Stats, Table, number
from isaac_inference.models import read_card

SAFETY, OTHERS = 3, 0
ALONE, WITHOUT, GRADED, ALIKE = 'alone', 'the others alone', 'with priorities', 'all of one priority'
NAMES = (ALONE, WITHOUT, GRADED, ALIKE)


@dataclass
class Way:
    """What a way of running them had, over its blocks."""

    latencies_ms: list[float] = field(default_factory=list)
    others_hz: list[float] = field(default_factory=list)


def measure(
    options: Options, model: str, rate_hz: float, parameters: dict[str, Any], gpu: Any = None
) -> dict[str, Way]:
    """All ways; needs `ros()`. `parameters` are of the nodes; with `gpu` tensors come in on the device."""
    seconds = options.pick(15.0, 3.0)
    ways = {name: Way() for name in NAMES}
    with running_rig() as rig:
        graded = _models(rig, model, 'graded', SAFETY, OTHERS, parameters, gpu)
        alike = _models(rig, model, 'alike', 1, 1, parameters, gpu)
        for safety, _ in (graded, alike):
            feed_at([safety], rate_hz, 1.0)
        for round_ in range(options.pick(4, 1)):
            for name in NAMES if round_ % 2 else reversed(NAMES):
                _block(ways[name], *(alike if name == ALIKE else graded), name, rate_hz, seconds)
    return ways


def report(result: Result, what: str, ways: dict[str, Way], late: float, kept: float | None) -> None:
    """Add the table, and the figures against what is asked: p99 in times of alone, and the share that others keep."""
    table = Table(what, ['', 'the others [Hz]', *(f'{one} [ms]' for one in STATS[:-1]), STATS[-1]])
    for name, way in ways.items():
        cells: tuple[Any, ...] = Stats.of(way.latencies_ms).cells() if way.latencies_ms else ('-',) * len(STATS)
        table.add(name, float(np.median(way.others_hz)), *cells)
    result.tables.append(table)
    alone, graded = Stats.of(ways[ALONE].latencies_ms), Stats.of(ways[GRADED].latencies_ms)
    share = float(np.median(ways[GRADED].others_hz)) / float(np.median(ways[WITHOUT].others_hz))
    result.figures += [
        Figure(
            f'p99 of a safety model beside two that saturate, {what}',
            f'at most {late:g} times alone',
            f'{graded.p99 / alone.p99:.2f} times ({number(graded.p99)} ms against {number(alone.p99)} ms)',
            graded.p99 <= late * alone.p99,
        ),
        Figure(
            f'Throughput that the two others keep, {what}',
            'for information' if kept is None else f'at least {100 * kept:.0f} %',
            f'{100 * share:.0f} %',
            None if kept is None else share >= kept,
        ),
    ]
    result.data[what] = {
        name: {'latencies_ms': way.latencies_ms, 'others_hz': way.others_hz} for name, way in ways.items()
    }


def _models(
    rig: CameraRig, model: str, name: str, safety: int, others: int, parameters: dict[str, Any], gpu: Any
) -> tuple[Feed, list[Feed]]:
    card, feeds = read_card(model), []
    for node, priority in (('safety', safety), ('one', others), ('two', others)):
        place = f'{name}/{node}'
        given = {'probe': False, **parameters, 'priority': priority}
        rig.load('InferenceNode', 'inference', f'/{place}', model=model, **given)
        make = tensor_maker(card, gpu=gpu)
        feeds.append(rig.feed(f'{place}/input_tensors', f'{place}/output_tensors', make))
    return feeds[0], feeds[1:]


def _block(way: Way, safety: Feed, others: list[Feed], name: str, rate_hz: float, seconds: float) -> None:
    for feed in others:
        feed.clear()
    if name != ALONE:
        saturate(others)
    begin = time.monotonic()
    if name == WITHOUT:
        time.sleep(seconds)
    else:
        feed_at([safety], rate_hz, seconds)
        time.sleep(1 / rate_hz)
        way.latencies_ms += list(safety.latencies_ms)
    elapsed = time.monotonic() - begin
    way.others_hz.append(sum(len(feed.answered) for feed in others) / elapsed)
    for feed in others:
        feed.endless = False
    time.sleep(0.5)
