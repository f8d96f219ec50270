# SPDX-License-Identifier: Apache-2.0
"""Ten thousand frames through the chain on a GPU: memory on both sides, and the slowest frames.

The YOLOv8n-sized model, FP16, 1080p bgr8 in pageable memory, one frame at a time. Memory is read every 500 frames: what
the GPU says is in use, what the pool has given out, and the process's resident memory.
"""

from __future__ import annotations

import contextlib
import time

import numpy as np
import psutil

from benchmark.support.common import Figure, Options, Result, Table, number, plt, save_plot
from benchmark.support.gpu import MEDIUM, build_note, cards, frames, need_gpu, settings

TITLE = 'Ten thousand frames'
STEP = 500
FLAT_MIB = 4.0


def run(options: Options) -> Result:
    """Memory and latency over many frames."""
    need_gpu()
    from isaac_inference.cuda.device import gpu as find_gpu
    from isaac_inference.engines import create_engine
    from isaac_inference.stages.chain_gpu import GpuChain

    result, gpu = Result('gpu_endurance', TITLE, notes=[build_note(options)]), find_gpu()
    card, process = cards(options)[MEDIUM], psutil.Process()
    count = options.pick(10_000, 1_000)
    spent = np.empty(count)
    memory: list[tuple[int, float, float, float]] = []
    with (
        create_engine(card, 'tensorrt', settings={'tensorrt': settings(options)}) as engine,
        contextlib.closing(GpuChain(card, gpu, engine)) as chain,
        gpu.current(),
    ):
        pictures = frames(options)
        for index in range(-STEP, count):
            if index % STEP == 0:
                free, total = gpu.memory()
                memory.append((index, (total - free) / 2**20, gpu.pool.used / 2**20, process.memory_info().rss / 2**20))
            begin = time.perf_counter()
            chain(pictures[index % len(pictures)])
            if index >= 0:
                spent[index] = (time.perf_counter() - begin) * 1e3
    table = Table('Memory in use [MiB]', ['after frames', 'GPU', "of it the pool's", 'host, resident'])
    for row in memory[1:]:
        table.add(*(f'{value:.1f}' if isinstance(value, float) else value for value in row))
    result.tables.append(table)
    for column, name in ((1, 'GPU'), (3, 'host')):
        values = [row[column] for row in memory[1:]]  # the first block warms up
        growth = values[-1] - values[0]
        result.figures.append(
            Figure(
                f'{name} memory over {count} frames',
                'flat',
                f'{growth:+.2f} MiB from {values[0]:.0f} MiB, at most {max(values) - values[0]:+.2f} MiB',
                abs(growth) <= FLAT_MIB,
            )
        )
    p50, p99, p999 = np.percentile(spent, (50, 99, 99.9))
    result.figures.append(
        Figure(
            f'Slowest of {count} frames',
            'for information',
            f'p50 {p50:.3f}, p99 {p99:.3f}, p99.9 {p999:.3f}, max {spent.max():.3f} ms',
            None,
        )
    )
    result.data = {'memory_mib': memory, 'ms': {'p50': p50, 'p99': p99, 'p99.9': p999, 'max': float(spent.max())}}
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6))
    left.plot([row[0] for row in memory], [row[1] for row in memory], label='GPU')
    left.plot([row[0] for row in memory], [row[3] for row in memory], label='host, resident')
    left.set(xlabel='frames', ylabel='MiB', ylim=(0, None))
    left.legend()
    right.plot(spent, ',')
    right.set(xlabel='frame', ylabel='ms', title=f'p99.9 {number(float(p999))} ms')
    save_plot(figure, options, 'gpu_endurance', result)
    return result
