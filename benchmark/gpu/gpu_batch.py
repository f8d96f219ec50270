# SPDX-License-Identifier: Apache-2.0
"""Throughput over the batch: one engine with an open batch, 1 to 16 images at once.

The engine's profile reaches from 1 to 16. The rate is of a loop of `execute_async_v3`, the next inferences always
enqueued, on buffers of its own; each batch several times, in turn, the best counts.
"""

from __future__ import annotations

import contextlib

from benchmark.support.common import Figure, Options, Result, Table, number, plt, save_plot
from benchmark.support.gpu import NANO, BareEngine, build_note, cards, need_gpu, settings

TITLE = 'Throughput over the batch'
BATCHES = (1, 2, 4, 8, 16)
GAIN = 4.0


def run(options: Options) -> Result:
    """Both models over the batch."""
    need_gpu()
    from isaac_inference.cuda.device import gpu as find_gpu
    from isaac_inference.engines.tensorrt.build.ensure import ensure_engine

    result, gpu = Result('gpu_batch', TITLE, notes=[build_note(options)]), find_gpu()
    table = Table('Images per second', ['model', *(f'batch {batch}' for batch in BATCHES)])
    found: dict[str, dict[int, float]] = {}
    for name, card in cards(options, batch=None).items():
        chosen = settings(options, min_batch=1, opt_batch=BATCHES[-1], max_batch=BATCHES[-1])
        entry = ensure_engine(card, chosen, lambda progress: None)
        best = dict.fromkeys(BATCHES, 0.0)
        with contextlib.ExitStack() as stack:
            engines = {
                batch: stack.enter_context(contextlib.closing(BareEngine(gpu, entry.path, batch))) for batch in BATCHES
            }
            stack.enter_context(gpu.current())
            for _ in range(options.pick(6, 2)):
                for batch, engine in engines.items():
                    best[batch] = max(best[batch], batch * engine.rate(options.pick(600, 100)))
        found[name] = best
        table.add(name, *(f'{best[batch]:.0f}' for batch in BATCHES))
        result.data[name] = {str(batch): value for batch, value in best.items()}
        if name == NANO:
            gains = [best[batch] / best[1] for batch in BATCHES]
            rises = all(low < high for low, high in zip(gains, gains[1:], strict=False))
            result.figures.append(
                Figure(
                    f'{name}: throughput from batch 1 to {BATCHES[-1]}',
                    f'rises with every step, to {GAIN:g} times batch 1',
                    ', '.join(number(gain) for gain in gains) + ' times',
                    rises and gains[-1] >= GAIN,
                )
            )
    result.tables.append(table)
    _plot(result, options, found)
    return result


def _plot(result: Result, options: Options, found: dict[str, dict[int, float]]) -> None:
    figure, axis = plt.subplots(figsize=(7, 4))
    for name, best in found.items():
        axis.plot(list(best), list(best.values()), marker='o', label=name)
    axis.set(
        xlabel='batch', ylabel='images per second', xscale='log', yscale='log', xticks=BATCHES, xticklabels=BATCHES
    )
    axis.grid(alpha=0.3)
    axis.legend()
    save_plot(figure, options, 'gpu_batch', result)
