# SPDX-License-Identifier: Apache-2.0
"""The chain of each task on a GPU: raw 1080p bgr8 bytes in host memory to boxes, masks or classes in host memory.

What is held against it, and how, is as in gpu_chain: a loop of `execute_async_v3` and one wait with the very plan that
the chain runs, in short blocks in turn. Rectified: of a lens with distortion, its maps on the device already. Masks:
the picture is one of the simulator, so that there are objects to paint. Class masks and images of instances are copied
out of pinned memory, as a message takes them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.gpu.gpu_stages import rectification
from benchmark.pipeline.class_mask import MODELS
from benchmark.support.common import ROOT, Figure, Options, Result, SkippedError, Table
from benchmark.support.gpu import (
    HEIGHT,
    NANO,
    WIDTH,
    BareEngine,
    build_note,
    cards,
    clocked,
    frames,
    need_gpu,
    settings,
)
from isaac_inference.models import ModelCard, read_card
from isaac_inference.ops.image.raw_image import RawImage
from isaac_inference.sim.camera import default_camera
from isaac_inference.sim.scene import Scene

TITLE = 'The chain of each task on a GPU'
ADDED_MS = 1.0
OBJECTS = ROOT / 'isaac_inference' / 'models' / 'demo' / 'demo_objects.onnx'

Chain = Callable[[RawImage], int]


def run(options: Options) -> Result:
    """Boxes of rectified images, instance masks, and class masks of every network that is at hand."""
    need_gpu()
    result = Result('gpu_tasks', TITLE, notes=[build_note(options)])
    table = Table('ms a frame, 1080p bgr8', ['chain', 'what', 'p50', 'p90', 'p99', 'found'])
    plain, table_top = frames(options), _table_tops()
    objects = read_card(str(OBJECTS))
    with contextlib.suppress(SkippedError):
        _measure(result, table, options, 'boxes, rectified', cards(options)[NANO], plain, _rectified_boxes)
    _measure(result, table, options, 'boxes and keypoints', objects, table_top, _boxes)
    _measure(result, table, options, 'boxes, keypoints and instance masks', objects, table_top, _instances)
    for card in _networks(options):
        _measure(result, table, options, f'classes, {card.name}', card, plain, _classes)
        _measure(result, table, options, f'classes and confidence, {card.name}', card, plain, _classes_and_confidence)
    result.tables.append(table)
    return result


def _measure(
    result: Result,
    table: Table,
    options: Options,
    name: str,
    card: ModelCard,
    pictures: list[RawImage],
    chain_of: Callable[[ModelCard, Any, Any], contextlib.AbstractContextManager[Chain]],
) -> None:
    from isaac_inference.cuda.device import gpu as find_gpu
    from isaac_inference.engines import create_engine
    from isaac_inference.engines.tensorrt.build.ensure import find_engine

    gpu, chosen = find_gpu(), settings(options)
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(create_engine(card, 'tensorrt', settings={'tensorrt': chosen}))
        entry = find_engine(card, chosen)
        if entry is None:
            raise RuntimeError('the engine that was just opened is not in the cache')
        bare = stack.enter_context(contextlib.closing(BareEngine(gpu, entry.path)))
        chain = stack.enter_context(chain_of(card, gpu, engine))
        stack.enter_context(gpu.current())
        works: dict[str, Callable[[int], Any]] = {
            'bare engine': bare.run,
            'bare engine, CUDA graph': bare.run_graph,
            'chain': lambda index: chain(pictures[index % len(pictures)]),
        }
        found: dict[str, list[float]] = {kind: [] for kind in works}
        for _ in range(options.pick(8, 2)):
            for kind, work in works.items():
                found[kind] += clocked(work, options.pick(100, 30))
        seen = [chain(picture) for picture in pictures]
    for kind, values in found.items():
        text = f'{np.mean(seen):g}' if kind == 'chain' else ''
        table.add(name, kind, *(float(np.percentile(values, q)) for q in (50, 90, 99)), text)
    p50 = {kind: float(np.median(values)) for kind, values in found.items()}
    added = p50['chain'] - p50['bare engine']
    result.figures.append(
        Figure(
            f'{name}: chain over bare engine, p50, pageable memory',
            f'at most +{ADDED_MS:g} ms',
            f'{p50["chain"]:.3f} against {p50["bare engine"]:.3f} ms: {added:+.3f} ms '
            f'({p50["chain"] - p50["bare engine, CUDA graph"]:+.3f} ms over its CUDA graph)',
            added <= ADDED_MS,
        )
    )
    result.data[name] = {**{kind: round(value, 4) for kind, value in p50.items()}, 'found': seen}


@contextlib.contextmanager
def _detections(card: ModelCard, gpu: Any, engine: Any, *, rectified: bool, masks: bool) -> Iterator[Chain]:
    from isaac_inference.stages.detection.postprocess_gpu import GpuPostprocessor
    from isaac_inference.stages.image.preprocess_gpu import GpuPreprocessor

    view = rectification() if rectified else None
    with (
        contextlib.closing(GpuPreprocessor(card, gpu)) as before,
        contextlib.closing(GpuPostprocessor(card, gpu)) as after,
    ):

        def chain(image: RawImage) -> int:
            tensors, letterbox = before(image, view)
            pending = after.enqueue(engine.enqueue(tensors), letterbox, masks=masks)
            found = len(after.fetch(pending))
            if masks:
                after.instances(pending)
            return found

        yield chain


def _boxes(card: ModelCard, gpu: Any, engine: Any) -> contextlib.AbstractContextManager[Chain]:
    return _detections(card, gpu, engine, rectified=False, masks=False)


def _rectified_boxes(card: ModelCard, gpu: Any, engine: Any) -> contextlib.AbstractContextManager[Chain]:
    return _detections(card, gpu, engine, rectified=True, masks=False)


def _instances(card: ModelCard, gpu: Any, engine: Any) -> contextlib.AbstractContextManager[Chain]:
    return _detections(card, gpu, engine, rectified=False, masks=True)


@contextlib.contextmanager
def _segmentation(card: ModelCard, gpu: Any, engine: Any, *, with_confidence: bool) -> Iterator[Chain]:
    from isaac_inference.stages.image.preprocess_gpu import GpuPreprocessor
    from isaac_inference.stages.segmentation.segmenter_gpu import GpuSegmenter

    with contextlib.closing(GpuPreprocessor(card, gpu)) as before, contextlib.closing(GpuSegmenter(card, gpu)) as after:

        def chain(image: RawImage) -> int:
            tensors, letterbox = before(image)
            found = after(engine.enqueue(tensors), letterbox, with_confidence=with_confidence)
            return int(found.mask.max())

        yield chain


def _classes(card: ModelCard, gpu: Any, engine: Any) -> contextlib.AbstractContextManager[Chain]:
    return _segmentation(card, gpu, engine, with_confidence=False)


def _classes_and_confidence(card: ModelCard, gpu: Any, engine: Any) -> contextlib.AbstractContextManager[Chain]:
    return _segmentation(card, gpu, engine, with_confidence=True)


def _table_tops(count: int = 4) -> list[RawImage]:
    """1080p bgr8 pictures of a table top with objects, from the simulator."""
    camera = default_camera(WIDTH, HEIGHT)
    return [RawImage.from_array(Scene(camera, seed).frame(0.0).color, 'bgr8') for seed in range(count)]


def _networks(options: Options) -> Iterator[ModelCard]:
    """The segmentation networks beside the model that was given."""
    folder = Path(options.model).parent
    for name in MODELS:
        if (path := folder / f'{name}.onnx').is_file():
            yield read_card(str(path))
