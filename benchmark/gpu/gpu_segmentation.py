# SPDX-License-Identifier: Apache-2.0
"""GPU time of a 1080p class mask: best class, upsampling, and the mask's way back to the host.

Times are by CUDA events around all that the stage enqueues, the download into pinned memory included, and what a frame
costs on the clock, with the wait and the mask's copy into its own memory. Each is the median of some hundred runs. The
mask is compared with the CPU's.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

import numpy as np

from benchmark.support.common import Figure, Options, Result, Table
from benchmark.support.gpu import HEIGHT, WIDTH, need_gpu
from benchmark.support.segmentation_like import FORMS, OUTPUT, Form, card_of, scores_of
from isaac_inference.ops.image.letterbox import Letterbox

TITLE = 'Class masks on the GPU'
ASKED_MS = 0.5


def run(options: Options) -> Result:
    """All forms, nearest and bilinear, with and without confidence."""
    need_gpu()
    from isaac_inference.cuda.device import gpu as find_gpu

    result, gpu = Result('gpu_segmentation', TITLE), find_gpu()
    table = Table(
        'Class mask of 1920x1080 [ms]',
        ['output', 'upsampling', 'GPU', 'GPU, with confidence', 'frame on the clock', 'pixels as the CPU'],
    )
    with gpu.current():
        for form in FORMS:
            for upsampling in ('nearest', 'bilinear'):
                _measure(result, table, options, gpu, form, upsampling)
    result.tables.append(table)
    return result


def _measure(result: Result, table: Table, options: Options, gpu: Any, form: Form, upsampling: str) -> None:
    from isaac_inference.cuda.ring import ArrayRing
    from isaac_inference.stages.segmentation.segmenter import Segmenter
    from isaac_inference.stages.segmentation.segmenter_gpu import GpuSegmenter
    from isaac_inference.stages.segmentation.settings import segmentation_settings

    card, scores, stream = card_of(form), scores_of(form), gpu.stream()
    settings = segmentation_settings(card, upsampling=upsampling)
    letterbox = Letterbox.between((WIDTH, HEIGHT), form.wh)
    count = options.pick(300, 50)
    with (
        contextlib.closing(ArrayRing(gpu, stream, {OUTPUT: (scores.shape, np.dtype(np.float32))}, 2, 'scores')) as ring,
        contextlib.closing(GpuSegmenter(card, gpu, settings)) as stage,
    ):
        arrays = ring.take()
        stream.upload(arrays[OUTPUT].ptr, scores)
        stream.synchronize()
        found = stage(arrays, letterbox)
        truth = Segmenter(card, settings)({OUTPUT: scores}, letterbox)
        same = float((found.mask == truth.mask).mean())
        times = [_gpu_ms(gpu, stage, arrays, letterbox, with_confidence, count) for with_confidence in (False, True)]
        clock = []
        for _ in range(count):
            begin = time.perf_counter()
            stage(arrays, letterbox, with_confidence=False)
            clock.append((time.perf_counter() - begin) * 1e3)
    table.add(form.name, upsampling, *times, float(np.median(clock)), f'{100 * same:.3f} %')
    result.data[f'{form.name}, {upsampling}'] = {
        'gpu_ms': times[0],
        'gpu_with_confidence_ms': times[1],
        'clock_ms': float(np.median(clock)),
        'same': same,
    }
    if upsampling == 'nearest':
        result.figures.append(
            Figure(
                f'Class mask of 1080p, {form.name}, GPU time with the download',
                f'at most {ASKED_MS:g} ms',
                f'{times[0]:.4f} ms, {100 * same:.3f} % of pixels as on the CPU',
                times[0] <= ASKED_MS and same > 0.999,
            )
        )


def _gpu_ms(gpu: Any, stage: Any, arrays: Any, letterbox: Letterbox, with_confidence: bool, count: int) -> float:
    """Median GPU time of what one frame enqueues."""
    from isaac_inference.cuda.timer import GpuTimer

    timer, found = GpuTimer(gpu), []
    for number in range(20 + count):
        with timer.measure(arrays[OUTPUT].stream):
            pending = stage.enqueue(arrays, letterbox, with_confidence=with_confidence)
        stage.fetch(pending)
        times = list(timer.collect())
        found += times if number >= 20 else []
    return float(np.median(found))
