# SPDX-License-Identifier: Apache-2.0
"""What everything around the engine costs on a GPU: raw 1080p bgr8 bytes in host memory to final boxes in host memory.

The bare engine is a loop of `execute_async_v3` and one wait on buffers of its own, with the very plan that the chain
runs; also launched as a CUDA graph. Both measure in short blocks in turn, A-B-A-B, in one process. The chain starts
from pageable memory, as a ROS message has it, and from pinned memory. Throughput is measured with two frames in
flight: the next one's bytes are uploaded while the engine runs; the bare engine's is a loop that always has the next
inference enqueued.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from benchmark.support.common import Figure, Options, Result, Table, number, plt, save_plot
from benchmark.support.gpu import (
    BareEngine,
    build_note,
    cards,
    clocked,
    frames,
    need_gpu,
    pinned_frames,
    rate,
    settings,
)
from isaac_inference.models import ModelCard

TITLE = 'The chain on a GPU'
ADDED_MS = 1.0
SHARE = 0.95
KINDS = ('bare engine', 'bare engine, CUDA graph', 'chain, pageable', 'chain, pinned')


def run(options: Options) -> Result:
    """Both models: latency and throughput of chain and bare engine."""
    need_gpu()
    result = Result('gpu_chain', TITLE, notes=[build_note(options)])
    table = Table('ms a frame, 1080p bgr8', ['model', 'what', 'p50', 'p90', 'p99', 'p99.9', 'max'])
    rates = Table('frames per second, two in flight', ['model', 'bare engine', *KINDS[2:]])
    counts = Table('per frame', ['model', 'allocations on the GPU', 'synchronisations', 'kernel launches', 'copies'])
    plots: dict[str, dict[str, list[float]]] = {}
    for name, card in cards(options).items():
        plots[name] = _one(result, options, name, card, (table, rates, counts))
    result.tables += [table, rates, counts]
    _plot(result, options, plots)
    return result


def _one(
    result: Result, options: Options, name: str, card: ModelCard, tables: tuple[Table, Table, Table]
) -> dict[str, list[float]]:
    from isaac_inference.cuda.device import gpu as find_gpu
    from isaac_inference.engines import create_engine
    from isaac_inference.engines.tensorrt.build.ensure import find_engine
    from isaac_inference.stages.chain_gpu import GpuChain

    latency, throughput, counted = tables
    gpu, chosen = find_gpu(), settings(options)
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(create_engine(card, 'tensorrt', settings={'tensorrt': chosen}))
        entry = find_engine(card, chosen)
        if entry is None:
            raise RuntimeError('the engine that was just opened is not in the cache')
        bare = stack.enter_context(contextlib.closing(BareEngine(gpu, entry.path)))
        chain = stack.enter_context(contextlib.closing(GpuChain(card, gpu, engine)))
        pageable = frames(options)
        pinned = stack.enter_context(pinned_frames(gpu, pageable))
        stack.enter_context(gpu.current())
        works = {
            KINDS[0]: bare.run,
            KINDS[1]: bare.run_graph,
            KINDS[2]: lambda index: chain(pageable[index % len(pageable)]),
            KINDS[3]: lambda index: chain(pinned[index % len(pinned)]),
        }
        found: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for _ in range(options.pick(8, 2)):
            for kind, work in works.items():
                found[kind] += clocked(work, options.pick(250, 50))
        rates = _rates(options, chain, bare, pageable, pinned)
        counted.add(name, *_counts(gpu, lambda index: chain(pageable[index % len(pageable)])))
    for kind, values in found.items():
        latency.add(name, kind, *(float(np.percentile(values, q)) for q in (50, 90, 99, 99.9, 100)))
    throughput.add(name, *(f'{value:.0f}' for value in rates.values()))
    _judge(result, name, found, rates)
    result.data[name] = {
        'ms': {kind: [round(value, 4) for value in values] for kind, values in found.items()},
        'frames_per_second': rates,
        'engine': dict(entry.metadata),
    }
    return found


def _rates(options: Options, chain: Any, bare: BareEngine, pageable: list, pinned: list) -> dict[str, float]:
    """Frames per second, the best of some blocks each, in turn."""
    count = options.pick(600, 100)
    best: dict[str, float] = {}
    for _ in range(options.pick(6, 2)):
        tries = {
            KINDS[0]: bare.rate(count),
            KINDS[2]: rate(lambda index: chain.submit(pageable[index % len(pageable)]), chain.fetch, count),
            KINDS[3]: rate(lambda index: chain.submit(pinned[index % len(pinned)]), chain.fetch, count),
        }
        best = {kind: max(value, best.get(kind, 0.0)) for kind, value in tries.items()}
    return best


def _counts(gpu: Any, work: Any, frames_counted: int = 200) -> list[str]:
    """What one frame takes, on average."""
    names = ('allocations', 'synchronizations', 'launches', 'copies')
    work(0)
    before = [getattr(gpu.counters, name) for name in names]
    for index in range(frames_counted):
        work(index)
    return [
        f'{(getattr(gpu.counters, name) - old) / frames_counted:g}' for name, old in zip(names, before, strict=True)
    ]


def _judge(result: Result, name: str, found: dict[str, list[float]], rates: dict[str, float]) -> None:
    p50 = {kind: float(np.median(values)) for kind, values in found.items()}
    added = p50[KINDS[2]] - p50[KINDS[0]]
    result.figures.append(
        Figure(
            f'{name}: chain over bare engine, p50, pageable memory',
            f'at most +{ADDED_MS:g} ms',
            f'{p50[KINDS[2]]:.3f} against {p50[KINDS[0]]:.3f} ms: {added:+.3f} ms '
            f'({p50[KINDS[2]] - p50[KINDS[1]]:+.3f} ms over its CUDA graph)',
            added <= ADDED_MS,
        )
    )
    for kind in KINDS[2:]:
        share = rates[kind] / rates[KINDS[0]]
        result.figures.append(
            Figure(
                f'{name}: throughput with two in flight over the bare engine, {kind.split(", ")[1]} memory',
                f'at least {100 * SHARE:.0f} %',
                f'{100 * share:.0f} % ({number(rates[kind])} of {number(rates[KINDS[0]])} frames/s)',
                share >= SHARE,
            )
        )


def _plot(result: Result, options: Options, plots: dict[str, dict[str, list[float]]]) -> None:
    figure, axes = plt.subplots(1, len(plots), figsize=(11, 3.6))
    for axis, (name, found) in zip(np.atleast_1d(axes), plots.items(), strict=True):
        top = max(float(np.percentile(values, 99.5)) for values in found.values())
        for kind, values in found.items():
            axis.hist(values, bins=120, range=(0, top), histtype='step', label=kind)
        axis.set(title=name, xlabel='ms a frame', ylabel='frames', yscale='log')
        axis.legend(fontsize=7)
    save_plot(figure, options, 'gpu_chain', result)
