# SPDX-License-Identifier: Apache-2.0
"""GPU time of the stages beside the engine: preprocessing a 1080p image, decoding and NMS of 84x8400, masks.

Times are of the GPU alone, by CUDA events around the work that a stage enqueues, without the upload of the image: that
is given for itself. Each is the median of some hundred runs. The predictions are made here, with as many boxes above
the threshold as the row says.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from benchmark.support.common import Figure, Options, Result, Table, synthetic_card
from benchmark.support.gpu import HEIGHT, WIDTH, frames, need_gpu, pinned_frames
from isaac_inference.models import TensorSpec
from isaac_inference.models.card.tasks import InstanceSegmentationSpec, MaskForm, MaskSpec
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.image.raw_image import RawImage

TITLE = 'GPU time of the stages'
PREPROCESS_MS, DECODE_MS, MASKS_MS = 0.1, 0.15, 1.0
MASK_SIDES, MASK_COUNT = (100, 200, 400), 20  # px of the image, objects
ENCODINGS = {'bgr8': 3.0, 'rgba8': 4.0, 'mono8': 1.0, 'bayer_rggb8': 1.0, 'yuyv': 2.0, 'nv12': 1.5}
CANDIDATES = (0, 100, 1000, 8400)


def run(options: Options) -> Result:
    """Preprocessing by encoding, uploads, decoding and NMS by candidates, masks by the size of their objects."""
    need_gpu()
    from isaac_inference.cuda.device import gpu as find_gpu

    result, gpu = Result('gpu_stages', TITLE), find_gpu()
    with gpu.current():
        _preprocess(result, options, gpu)
        _upload(result, options, gpu)
        _decode(result, options, gpu)
        _masks(result, options, gpu)
    return result


def _median_ms(
    gpu: Any, stream: Any, work: Callable[[], Any], count: int, after: Callable[[Any], object] = lambda found: None
) -> float:
    """Median GPU time of what `work` enqueues on `stream`; `after` gets what it returned, outside of the time."""
    from isaac_inference.cuda.timer import GpuTimer

    timer, found = GpuTimer(gpu), []
    for _ in range(20):
        after(work())
    for _ in range(count):
        with timer.measure(stream):
            returned = work()
        stream.synchronize()
        after(returned)
        del returned
        found += timer.collect()
    return float(np.median(found))


def _preprocess(result: Result, options: Options, gpu: Any) -> None:
    from isaac_inference.stages.image.preprocess_gpu import GpuPreprocessor

    table = Table('Preprocess 1920x1080 [ms of GPU time, upload included and without]', ['encoding', 'both', 'kernel'])
    with contextlib.closing(GpuPreprocessor(synthetic_card((640, 640)), gpu)) as stage:
        for encoding, bytes_a_pixel in ENCODINGS.items():
            step = WIDTH if encoding == 'nv12' else int(WIDTH * bytes_a_pixel)
            data = np.random.default_rng(0).integers(0, 256, int(WIDTH * HEIGHT * bytes_a_pixel), np.uint8)
            both, alone = _preprocess_ms(
                gpu, stage, RawImage(data, encoding, HEIGHT, WIDTH, step), options.pick(300, 50)
            )
            kernel = both - alone
            table.add(encoding, both, kernel)
            result.data[f'preprocess {encoding}'] = {'both_ms': both, 'upload_ms': alone, 'kernel_ms': kernel}
            if encoding == 'bgr8':
                result.figures.append(
                    Figure(
                        'Preprocess 1080p bgr8 to 640x640, GPU time without the upload',
                        f'at most {PREPROCESS_MS:g} ms',
                        f'{kernel:.4f} ms',
                        kernel <= PREPROCESS_MS,
                    )
                )
    result.tables.append(table)


def _preprocess_ms(gpu: Any, stage: Any, image: RawImage, count: int) -> tuple[float, float]:
    """GPU time with the upload, from pinned memory, and of that upload alone."""
    with pinned_frames(gpu, [image]) as (pinned,):
        both = _median_ms(gpu, stage.stream, lambda: stage(pinned), count)
        buffer = gpu.pool.allocate(image.data.size, 'upload')
        alone = _median_ms(gpu, stage.stream, lambda: stage.stream.upload(buffer.ptr, pinned.data), count)
        buffer.free()
    return both, alone


def _upload(result: Result, options: Options, gpu: Any) -> None:
    stream = gpu.stream()
    (pageable,) = frames(options, 1)
    buffer = gpu.pool.allocate(pageable.data.size, 'upload')
    with pinned_frames(gpu, [pageable]) as (pinned,):
        found = {
            name: _median_ms(gpu, stream, lambda data=data: stream.upload(buffer.ptr, data), options.pick(300, 50))
            for name, data in (('pageable', pageable.data), ('pinned', pinned.data))
        }
    buffer.free()
    result.data['upload_ms'] = found
    result.notes.append(
        f'upload of {pageable.data.size / 1e6:.1f} MB: '
        + ', '.join(f'{value:.3f} ms from {name} memory' for name, value in found.items())
    )


def _decode(result: Result, options: Options, gpu: Any) -> None:
    from isaac_inference.cuda.ring import ArrayRing
    from isaac_inference.stages.detection.postprocess_gpu import GpuPostprocessor

    card = synthetic_card((640, 640))
    letterbox = Letterbox.between((WIDTH, HEIGHT), (640, 640))
    table = Table('Decode and NMS of 84x8400 [ms of GPU time]', ['boxes above the threshold', 'p50', 'kept'])
    stream = gpu.stream()
    shape = (1, 84, 8400)
    with (
        contextlib.closing(
            ArrayRing(gpu, stream, {'output0': (shape, np.dtype(np.float32))}, 2, 'predictions')
        ) as ring,
        contextlib.closing(GpuPostprocessor(card, gpu)) as stage,
    ):
        arrays = ring.take()

        def enqueue() -> Any:
            return stage.enqueue(arrays, letterbox)

        for candidates in CANDIDATES:
            stream.upload(arrays['output0'].ptr, predictions(candidates))
            stream.synchronize()
            kept = len(stage(arrays, letterbox))
            found = _median_ms(gpu, stream, enqueue, options.pick(300, 50), stage.fetch)
            table.add(str(candidates), found, str(kept))
            result.data[f'decode {candidates}'] = {'ms': found, 'kept': kept}
            result.figures.append(
                Figure(
                    f'Decode and NMS of 84x8400, {candidates} boxes above the threshold, GPU time',
                    f'at most {DECODE_MS:g} ms',
                    f'{found:.4f} ms',
                    found <= DECODE_MS,
                )
            )
    result.tables.append(table)


def predictions(candidates: int, seed: int = 0) -> np.ndarray:
    """(1, 84, 8400) float32 in the layout of YOLOv8, with so many boxes above 0.25, in clusters that overlap."""
    random = np.random.default_rng(seed)
    found = np.zeros((84, 8400), np.float32)
    centres = random.uniform(80, 560, (max(1, candidates // 10), 2))
    found[:2] = (centres[random.integers(0, len(centres), 8400)] + random.normal(0, 4, (8400, 2))).T
    found[2:4] = random.uniform(40, 120, (2, 8400))
    found[4:] = random.uniform(0.0, 0.2, (80, 8400))
    chosen = random.permutation(8400)[:candidates]
    found[4 + random.integers(0, 80, candidates), chosen] = random.uniform(0.3, 0.99, candidates)
    return found[None]


def _masks(result: Result, options: Options, gpu: Any) -> None:
    """20 objects of 32 prototypes of 160x160, painted into the image of instances of 1080p, download included."""
    from isaac_inference.cuda.ring import ArrayRing
    from isaac_inference.stages.detection.postprocess_gpu import GpuPostprocessor

    card = synthetic_card((640, 640))
    spec = InstanceSegmentationSpec(
        {'predictions': 'output0', 'prototypes': 'output1'}, 'yolov8', masks=MaskSpec(MaskForm.PROTOTYPES, 32)
    )
    outputs = (TensorSpec('output0', 'float32', (1, 116, 8400)), TensorSpec('output1', 'float32', (1, 32, 160, 160)))
    card = replace(card, spec=spec, outputs=outputs)
    letterbox, stream = Letterbox.between((WIDTH, HEIGHT), (640, 640)), gpu.stream()
    table = Table(
        f'Masks of {MASK_COUNT} objects at 1080p [ms of GPU time]',
        ['side of an object [px]', 'masks', 'objects painted'],
    )
    shapes = {spec.name: (spec.shape, np.dtype(np.float32)) for spec in outputs}
    rng = np.random.default_rng(0)
    with (
        contextlib.closing(ArrayRing(gpu, stream, shapes, 2, 'outputs')) as ring,
        contextlib.closing(GpuPostprocessor(card, gpu)) as stage,
    ):
        arrays = ring.take()
        stream.upload(arrays['output1'].ptr, rng.normal(size=(1, 32, 160, 160)).astype(np.float32))
        for side in MASK_SIDES:
            rows = np.zeros((1, 116, 8400), np.float32)
            low = rng.uniform(0, 1, (MASK_COUNT, 2)) * (WIDTH - side, HEIGHT - side)
            rows[0, :2, :MASK_COUNT] = letterbox.points_to_input(low + side / 2).T
            rows[0, 2:4, :MASK_COUNT] = side * letterbox.scale_xy[0]
            rows[0, 4 + np.arange(MASK_COUNT), np.arange(MASK_COUNT)] = 0.9  # a class each: none suppresses another
            rows[0, 84:, :MASK_COUNT] = rng.normal(size=(32, MASK_COUNT))
            stream.upload(arrays['output0'].ptr, rows)
            stream.synchronize()
            pending = stage.enqueue(arrays, letterbox, masks=True)
            stage.fetch(pending)
            painted = len(np.unique(stage.instances(pending))) - 1
            times = [
                _median_ms(
                    gpu,
                    stream,
                    lambda masks=masks: stage.enqueue(arrays, letterbox, masks=masks),
                    options.pick(300, 50),
                    stage.fetch,
                )
                for masks in (True, False)
            ]
            found = times[0] - times[1]
            table.add(str(side), found, str(painted))
            result.data[f'masks {side}'] = {'ms': found, 'painted': painted}
            result.figures.append(
                Figure(
                    f'Masks of {MASK_COUNT} objects of {side} px at 1080p, GPU time with the download',
                    f'at most {MASKS_MS:g} ms',
                    f'{found:.3f} ms',
                    found <= MASKS_MS,
                )
            )
    result.tables.append(table)
