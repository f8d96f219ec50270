# SPDX-License-Identifier: Apache-2.0
"""What the pipeline costs on top of the model: composed pipeline, bare session, separate processes.

1280x720 bgr8 pictures are published to the graph as a camera in the container would, by reference. `total` comes from
the nodes' own stage stamps: the image in preprocess's mailbox to the detections published. It is compared with the
bare `session.run` of a session that has the engine's very options (threads, spinning), in a process of its own
without ROS, fed with the same pictures, already preprocessed. Both measure in short blocks in turn, A-B-A-B, while
the other is idle, so that noise of the machine hits both. Two ways of feeding: one frame at a time (the next one when
the answer is there; the bare session back to back), and at 30 Hz (both).

Then the same pipeline as a process a node, with the shipped Fast DDS profile, in turn with the composed one (each
is started anew for its block, so that the other one is not there). There the pictures come from the client's process
over DDS; `at the client` is the time from the client's publish call to the detections in the client's mailbox.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from benchmark.support.bare_session import BareSession
from benchmark.support.common import STATS, Figure, Options, Result, Stats, Table, number, plt, save_plot, stacked_bars
from benchmark.support.ros import Probe, Record, feed_at_rate, feed_one_by_one, ros, running_graph

TITLE = 'Overhead of the pipeline'
SIZE = (1280, 720)
RATE_HZ = 30.0
ASKED = 1.10
FEEDS = {'one at a time': 0.0, '30 Hz': RATE_HZ}
MODES = ('composed', 'processes')


def run(options: Options) -> Result:
    """Composed against bare, then composed against processes."""
    result = Result('overhead', TITLE)
    model, pictures = options.model_path(), options.photos(*SIZE, 8)
    rounds, block_s = options.pick(6, 2), options.pick(4.0, 2.0)
    bars: dict[str, dict[str, float]] = {}
    with ros():
        with running_graph(model) as (_, probe):
            bare = BareSession(model, pictures)
            for feed, rate_hz in FEEDS.items():
                _against_bare(result, bars, feed, *_turns(probe, bare, pictures, rounds, block_s, rate_hz))
            bare.close()
        _against_processes(result, bars, model, pictures, options.pick(4, 1), options.pick(6.0, 3.0))
    _plot(result, options, bars)
    return result


def _turns(
    probe: Probe, bare: BareSession, pictures: Sequence[np.ndarray], rounds: int, block_s: float, rate_hz: float
) -> tuple[list[list[float]], list[list[Record]]]:
    """Blocks of the bare session and of the pipeline, in turn."""
    sessions, pipelines = [], []
    for _ in range(rounds):
        sessions.append(bare.measure(block_s, rate_hz))
        pipelines.append(_feed(probe, pictures, block_s, rate_hz))
    return sessions, pipelines


def _feed(probe: Probe, pictures: Sequence[np.ndarray], block_s: float, rate_hz: float) -> list[Record]:
    return feed_at_rate(probe, pictures, block_s, rate_hz) if rate_hz else feed_one_by_one(probe, pictures, block_s)


def _against_bare(
    result: Result,
    bars: dict[str, dict[str, float]],
    feed: str,
    sessions: list[list[float]],
    pipelines: list[list[Record]],
) -> None:
    bare = Stats.of(np.concatenate(sessions))
    records = _answered(result, feed, [record for block in pipelines for record in block])
    total = Stats.of([record.total_ms for record in records])
    ratio = total.p50 / bare.p50
    blocks = [
        float(np.median([record.total_ms for record in pipeline if record.complete]) / np.median(session))
        for session, pipeline in zip(sessions, pipelines, strict=True)
    ]
    table = Table(f'Composed, 1280x720, {feed} [ms]', ['what', *STATS, 'times bare'])
    table.add('bare ONNX Runtime session', *bare.cells(), 1.0)
    table.add('total: mailbox to published', *total.cells(), ratio)
    for part, samples in _parts(records).items():
        table.add(f'  {part}', *Stats.of(samples).cells(), float(np.median(samples)) / bare.p50)
    result.tables.append(table)
    result.figures.append(
        Figure(
            f'Composed pipeline total p50, 720p, {feed}',
            f'at most {ASKED:.2f} times the bare session',
            f'{ratio:.3f} times ({total.p50:.2f} ms against {bare.p50:.2f} ms; block by block {number(min(blocks))} to '
            f'{number(max(blocks))})',
            ratio <= ASKED,
        )
    )
    bars[f'bare session,\n{feed}'] = {'inference': bare.p50}
    bars[f'composed,\n{feed}'] = _medians(records)
    result.data[feed] = {
        'bare_ms': bare.as_json(),
        'total_ms': total.as_json(),
        'ratio': ratio,
        'block_ratios': blocks,
        'parts_p50_ms': _medians(records),
    }


def _answered(result: Result, what: str, records: Sequence[Record]) -> list[Record]:
    """The frames that came back; the others are counted in a note."""
    complete = [record for record in records if record.complete]
    if len(complete) < len(records):
        result.notes.append(
            f'{what}: {len(records) - len(complete)} of {len(records)} frames gave way to newer ones '
            'while a stage was busy; they are in no percentile.'
        )
    return complete


def _both_modes(
    model: str, pictures: Sequence[np.ndarray], rounds: int, block_s: float
) -> dict[tuple[str, str], list[Record]]:
    """(feed, mode) to records."""
    found: defaultdict[tuple[str, str], list[Record]] = defaultdict(list)
    for _ in range(rounds):
        for mode in MODES:
            with running_graph(model, composed=mode == 'composed') as (_, probe):
                for feed, rate_hz in FEEDS.items():
                    found[feed, mode] += _feed(probe, pictures, block_s, rate_hz)
    return found


def _against_processes(
    result: Result,
    bars: dict[str, dict[str, float]],
    model: str,
    pictures: Sequence[np.ndarray],
    rounds: int,
    block_s: float,
) -> None:
    measured = _both_modes(model, pictures, rounds, block_s)
    for feed in FEEDS:
        found = {mode: _answered(result, f'{feed}, {mode}', measured[feed, mode]) for mode in MODES}
        table = Table(f'Composed against separate processes, {feed} [ms]', ['what', *STATS])
        totals = {mode: Stats.of([record.total_ms for record in records]) for mode, records in found.items()}
        at_client = {mode: Stats.of([record.client_ms for record in records]) for mode, records in found.items()}
        for mode in found:
            table.add(f'{mode}: total', *totals[mode].cells())
            table.add(f'{mode}: at the client', *at_client[mode].cells())
        for part, samples in _parts(found['processes']).items():
            table.add(f'  processes: {part}', *Stats.of(samples).cells())
        result.tables.append(table)
        result.figures.append(
            Figure(
                f'Composed and separate processes side by side, {feed}',
                'for information; composed ahead',
                f'total p50 {totals["composed"].p50:.2f} and {totals["processes"].p50:.2f} ms, at the client '
                f'{at_client["composed"].p50:.2f} and {at_client["processes"].p50:.2f} ms',
                None,
            )
        )
        bars[f'processes,\n{feed}'] = _medians(found['processes'])
        result.data[f'processes, {feed}'] = {
            'total_ms': {mode: stats.as_json() for mode, stats in totals.items()},
            'client_ms': {mode: stats.as_json() for mode, stats in at_client.items()},
            'parts_p50_ms': _medians(found['processes']),
        }


def _parts(records: Sequence[Record]) -> dict[str, list[float]]:
    parts: defaultdict[str, list[float]] = defaultdict(list)
    for record in records:
        for part, value in record.parts_ms().items():
            parts[part].append(value)
    return parts


def _medians(records: Sequence[Record]) -> dict[str, float]:
    return {part: float(np.median(samples)) for part, samples in _parts(records).items()}


def _plot(result: Result, options: Options, bars: dict[str, dict[str, float]]) -> None:
    figure, axes = plt.subplots(figsize=(11, 6))
    stacked_bars(axes, bars, 'ms')
    axes.set_xlabel('p50 of each part [ms]')
    axes.set_title('Image in the mailbox to detections published, YOLOX-nano, 1280x720')
    save_plot(figure, options, 'overhead', result)
