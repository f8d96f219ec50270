# SPDX-License-Identifier: Apache-2.0
"""A camera faster than the engine: 30 Hz in, an engine that takes 100 ms, all nodes in one container.

The engine is a stand-in (support/stand_in.py) behind the real Engine base class, InferenceNode and mailboxes: it
sleeps for the rest of 100 ms and returns zeros in YOLOX's shapes. Everything else is the real graph.

Output age: from the stamp, set when the frame was published, to the detections in the client's mailbox. Memory: the
resident set of the process that runs nodes, client and camera, once a second; growth is the median of the last
quarter less the median of the first quarter, after the warm-up. The benchmark itself keeps two numbers a frame, in
arrays that are there from the beginning. Drops are read from the inference node's diagnostics and compared with what
is missing at the output.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np
import psutil

from benchmark.support.common import STATS, Figure, Options, Result, Stats, Table, number, plt, save_plot
from benchmark.support.ros import Probe, ros, running_graph
from benchmark.support.stand_in import register

TITLE = 'A camera faster than the engine'
SIZE, RATE_HZ, PERIOD_S, WARM_UP_S = (1280, 720), 30.0, 0.1, 5.0
AGE_ASKED, GROWTH_ASKED_MB = 2.0, 5.0
LATE_S = 2.0  # what isn't answered by then never will be


def run(options: Options) -> Result:
    """One long feed."""
    result = Result('backlog', TITLE)
    duration_s = options.pick(60.0, 10.0)
    with ros(), running_graph(options.model_path(), parameters={'inference': register(PERIOD_S)}) as (_, probe):
        pictures = options.photos(*SIZE, 4)
        AgeLog(WARM_UP_S).feed(probe, pictures)
        before = _counts(probe)
        memory, log = MemoryLog(), AgeLog(duration_s)
        log.feed(probe, pictures)
        memory.stop()
        after = _counts(probe)
    counts = {key: after[key] - before[key] for key in after}
    _report(result, log, memory, counts, duration_s)
    _plot(result, options, log, memory)
    return result


class AgeLog:
    """Feeds the graph at `RATE_HZ` and notes each answer's age, without growing."""

    def __init__(self, duration_s: float) -> None:
        self.sent = self.answered = 0
        self._duration_s = duration_s
        self._times_s, self._ages = np.zeros((2, int(duration_s * RATE_HZ) + 10))

    @property
    def times_s(self) -> np.ndarray:
        """When the answered frames were sent."""
        return self._times_s[: self.answered]

    @property
    def ages(self) -> np.ndarray:
        """How old their detections were, in engine periods."""
        return self._ages[: self.answered]

    def feed(self, probe: Probe, pictures: Sequence[np.ndarray]) -> None:
        """Send for the whole duration, then wait for the last answers."""
        begin_ns, due = time.time_ns(), time.monotonic()
        while time.time_ns() - begin_ns < self._duration_s * 1e9:
            probe.send(pictures[self.sent % len(pictures)])
            self.sent += 1
            self._note(probe, begin_ns)
            due = max(due + 1 / RATE_HZ, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
        time.sleep(LATE_S)
        self._note(probe, begin_ns)

    def _note(self, probe: Probe, begin_ns: int) -> None:
        """Take in what was answered, and forget what was not."""
        for stamp, record in list(probe.records.items()):
            if record.complete:
                self._times_s[self.answered] = (record.sent_ns - begin_ns) / 1e9
                self._ages[self.answered] = record.client_ms / (PERIOD_S * 1e3)
                self.answered += 1
            if record.complete or time.time_ns() - record.sent_ns > LATE_S * 1e9:
                del probe.records[stamp]


class MemoryLog:
    """The resident set of this process, once a second, in MB, from its creation to `stop`."""

    def __init__(self) -> None:
        self.times_s: list[float] = []
        self.values_mb: list[float] = []
        self._begin = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def growth_mb(self) -> float:
        """Last quarter less first quarter, medians."""
        quarter = max(1, len(self.values_mb) // 4)
        return float(np.median(self.values_mb[-quarter:]) - np.median(self.values_mb[:quarter]))

    def stop(self) -> None:
        """No more samples."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        process = psutil.Process()
        while not self._stop.wait(1.0):
            self.times_s.append(time.monotonic() - self._begin)
            self.values_mb.append(process.memory_info().rss / 1e6)


def _counts(probe: Probe) -> dict[str, int]:
    """The inference node's counters, from diagnostics that are no older than now."""
    time.sleep(1.5)
    keys = ('received', 'processed', 'dropped.superseded', 'dropped')
    return {key: int(probe.status_value('inference', key)) for key in keys}


def _report(result: Result, log: AgeLog, memory: MemoryLog, counts: dict[str, int], duration_s: float) -> None:
    missing, ages = log.sent - log.answered, log.ages
    table = Table(f'30 Hz in, engine of {PERIOD_S * 1e3:.0f} ms, {duration_s:.0f} s', ['what', *STATS])
    table.add('output age [engine periods]', *Stats.of(ages).cells())
    table.add('output age [ms]', *Stats.of(ages * PERIOD_S * 1e3).cells())
    result.tables.append(table)
    more = Table('Frames and memory', ['what', 'value'])
    more.add('frames sent', log.sent)
    more.add('frames answered', log.answered)
    more.add('frames not answered', missing)
    for key, value in counts.items():
        more.add(f'inference node, diagnostics: {key}', value)
    more.add('resident memory, first and last [MB]', f'{memory.values_mb[0]:.1f}, {memory.values_mb[-1]:.1f}')
    more.add('resident memory, growth [MB]', f'{memory.growth_mb:+.2f}')
    result.tables.append(more)
    stats = Stats.of(ages)
    result.figures += [
        Figure(
            f'Output age, 30 Hz in, 10 Hz engine, {duration_s:.0f} s',
            f'under {AGE_ASKED:g} engine periods',
            f'p50 {number(stats.p50)}, p95 {number(stats.p95)}, max {number(stats.max)} periods',
            stats.max < AGE_ASKED,
        ),
        Figure(
            'Memory growth meanwhile',
            f'under {GROWTH_ASKED_MB:g} MB',
            f'{memory.growth_mb:+.2f} MB',
            memory.growth_mb < GROWTH_ASKED_MB,
        ),
        Figure(
            'Drops counted in diagnostics',
            'as many as are missing',
            f'{counts["dropped.superseded"]} counted as superseded, {missing} frames missing at the output',
            abs(counts['dropped.superseded'] - missing) <= 2,
        ),
    ]
    result.data = {
        'age_periods': stats.as_json(),
        'sent': log.sent,
        'answered': log.answered,
        'counts': counts,
        'rss_mb': memory.values_mb,
        'growth_mb': memory.growth_mb,
    }


def _plot(result: Result, options: Options, log: AgeLog, memory: MemoryLog) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4))
    left.plot(log.times_s, log.ages, '.', markersize=3)
    left.axhline(AGE_ASKED, color='black', linestyle='--', label='asked: below this')
    left.set_ylim(0, max(2.2, float(log.ages.max()) * 1.05))
    left.set_xlabel('time [s]')
    left.set_ylabel('output age [engine periods of 100 ms]')
    left.set_title('Age of the detections, 30 Hz in, 10 Hz engine')
    left.legend()
    right.plot(memory.times_s, np.array(memory.values_mb) - memory.values_mb[0])
    right.axhline(GROWTH_ASKED_MB, color='black', linestyle='--', label='asked: below this')
    right.set_xlabel('time [s]')
    right.set_ylabel('resident memory, change [MB]')
    right.set_title('Memory of the container')
    right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    save_plot(figure, options, 'backlog', result)
