# SPDX-License-Identifier: Apache-2.0
"""Four cameras into one model, and a safety model beside two that saturate, on a GPU; the YOLOv8n-sized model, FP16.

A round: the time from tensors on the device to results on the device, waited for, of four streams in one batch
(gathered there, the graph of batch 4, results to a ring of each stream), beside that of one stream on an engine built
for one image; blocks in turn. Per second: the same with two rounds in flight.

Whole chains: 1080p bgr8 images by reference, a preprocess and a detection node for each camera in one process with one
inference node, all on the GPU. Four cameras of 30 Hz: what is not answered. At full rate: 1000 images a second in
all, of four cameras or of one, and how many are answered.

Priorities: support/rivals.py says how; the safety model at 30 Hz, tensors on the device in, results on the host.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from benchmark.support.camera_rig import CameraRig, Feed, feed_at, on_device, running_rig
from benchmark.support.common import STATS, Figure, Options, Result, Stats, Table, number
from benchmark.support.gpu import MEDIUM, build_note, cards, need_gpu, settings
from benchmark.support.rivals import measure, report
from benchmark.support.ros import ros
from isaac_inference.models import ModelCard
from isaac_inference.ros.messages.image import IMAGE, ImageFrame, image_frame_from_array
from isaac_inference.ros.runtime.topics.type_adapter import plain

TITLE = 'Four cameras and three models on a GPU'
CAMERAS = ['front', 'left', 'rear', 'right']
RATE_HZ, OFFERED_HZ, SIZE = 30.0, 1000.0, (1920, 1080)
ROUND_ASKED, GAIN_ASKED, LATE_ASKED = 1.5, 2.5, 1.2


def run(options: Options) -> Result:
    """Engine, chains, priorities."""
    need_gpu()
    from isaac_inference.cuda.device import gpu as find_gpu

    result, gpu = Result('gpu_streams', TITLE, notes=[build_note(options)]), find_gpu()
    card = cards(options, batch=None)[MEDIUM]
    _rounds(result, options, card, gpu)
    engine = _parameters(options)
    with ros():
        _chains(result, options, card, engine)
        ways = measure(options, str(card.path), RATE_HZ, engine, gpu)
        report(result, 'one GPU', ways, LATE_ASKED, None)
    return result


def _parameters(options: Options) -> dict[str, Any]:
    chosen = settings(options)
    found: dict[str, Any] = {
        'backend': 'tensorrt',
        'tensorrt__precision': chosen.precision,
        'tensorrt__preset': chosen.preset,
        'probe': False,
    }
    return {**found, **({'tensorrt__tactic_sources': list(chosen.tactic_sources)} if chosen.tactic_sources else {})}


def _rounds(result: Result, options: Options, card: ModelCard, gpu: Any) -> None:
    from isaac_inference.engines.batches import BatchRunner
    from isaac_inference.engines.tensorrt.factory import make_engine
    from isaac_inference.serving.streams.batches import FrameBatcher
    from isaac_inference.serving.streams.device_batches import DeviceBatches

    wide, high = card.input_wh
    random = np.random.default_rng(0)
    images = [random.uniform(0, 1, (1, 3, high, wide)).astype(np.float32) for _ in CAMERAS]
    name = card.images[0].tensor.name
    frames = [{name: on_device(gpu, image)} for image in images]
    spent: dict[int, list[float]] = {1: [], len(CAMERAS): []}
    rates: dict[int, list[float]] = {1: [], len(CAMERAS): []}
    starts: dict[int, Callable[[], Any]] = {}
    with contextlib.ExitStack() as stack:
        for count in spent:
            engine = stack.enter_context(make_engine(card, settings(options).for_batch(count)))
            batcher = FrameBatcher(engine, BatchRunner(engine))
            batches = stack.enter_context(contextlib.closing(DeviceBatches(engine, batcher, CAMERAS[:count], 'normal')))

            def start(count: int = count, batches: DeviceBatches = batches) -> Any:
                found = batches.enqueue(frames[:count], CAMERAS[:count])
                return next(iter(found[-1].values())).ready, found  # type: ignore[union-attr]

            starts[count] = start
        stack.enter_context(gpu.current())
        for block in range(options.pick(12, 3)):
            for count in spent if block % 2 else reversed(list(spent)):
                spent[count] += _one_by_one(starts[count], options.pick(300, 50))
                rates[count].append(count * _rate(starts[count], options.pick(600, 100)))
    table = Table('On the device [ms]', ['streams', *STATS, 'images per second'])
    for count, values in spent.items():
        table.add(count, *Stats.of(values).cells(), float(np.median(rates[count])))
    result.tables.append(table)
    one, four = (float(np.median(values)) for values in spent.values())
    gain = float(np.median(rates[len(CAMERAS)])) / float(np.median(rates[1]))
    result.figures += [
        Figure(
            'A round of four streams, against one',
            f'under {ROUND_ASKED:g} times',
            f'{four / one:.2f} times ({number(four)} ms against {number(one)} ms)',
            four < ROUND_ASKED * one,
        ),
        Figure(
            'Throughput of the engine with four streams, against one',
            f'at least {GAIN_ASKED:g} times',
            f'{gain:.2f} times',
            gain >= GAIN_ASKED,
        ),
    ]
    result.data['rounds'] = {
        'ms': {str(count): values for count, values in spent.items()},
        'rates': list(rates.items()),
    }


def _one_by_one(start: Callable[[], Any], count: int) -> list[float]:
    """Milliseconds of each, waited for."""
    found = []
    for index in range(-20, count):
        begin = time.perf_counter()
        event, held = start()
        event.synchronize()
        if index >= 0:
            found.append((time.perf_counter() - begin) * 1e3)
        del held
    return found


def _rate(start: Callable[[], Any], count: int) -> float:
    """How many a second, two in flight."""
    waiting: list[Any] = []
    begin = time.perf_counter()
    for _ in range(count):
        if len(waiting) == 2:
            waiting.pop(0)[0].synchronize()
        waiting.append(start())
    while waiting:
        waiting.pop(0)[0].synchronize()
    return count / (time.perf_counter() - begin)


def _chains(result: Result, options: Options, card: ModelCard, engine: dict[str, Any]) -> None:
    seconds = options.pick(20.0, 3.0)
    found: dict[int, list[float]] = {1: [], len(CAMERAS): []}
    with running_rig() as rig:
        ways = {count: _cameras(rig, options, card, CAMERAS[:count], engine) for count in found}
        for feeds in ways.values():
            feed_at(feeds, RATE_HZ, 2.0)
        four = ways[len(CAMERAS)]
        feed_at(four, RATE_HZ, seconds)
        time.sleep(0.5)
        sent, answered = (sum(len(getattr(feed, what)) for feed in four) for what in ('sent', 'answered'))
        latencies = [value for feed in four for value in feed.latencies_ms]
        for block in range(options.pick(6, 2)):
            for count in found if block % 2 else reversed(list(found)):
                found[count].append(_full_rate(ways[count], seconds / 4))
    table = Table(f'Whole chains, four cameras of {RATE_HZ:g} Hz: latency [ms]', ['', *STATS])
    table.add('image sent to detections', *Stats.of(latencies).cells())
    result.tables.append(table)
    gain = float(np.median(found[len(CAMERAS)])) / float(np.median(found[1]))
    result.figures += [
        Figure('Four cameras of 30 Hz: frames lost', 'none', f'{sent - answered} of {sent}', sent == answered),
        Figure(
            'Whole chains at full rate, four cameras against one',
            f'at least {GAIN_ASKED:g} times',
            f'{gain:.2f} times ({number(float(np.median(found[len(CAMERAS)])))} against '
            f'{number(float(np.median(found[1])))} frames a second)',
            gain >= GAIN_ASKED,
        ),
    ]
    result.data['chains'] = {'latencies_ms': latencies, 'full_rate_hz': list(found.items())}


def _cameras(
    rig: CameraRig, options: Options, card: ModelCard, cameras: list[str], engine: dict[str, Any]
) -> list[Feed]:
    place, model = f'of_{len(cameras)}', str(card.path)
    rig.load('InferenceNode', 'inference', f'/{place}', model=model, streams=cameras, **engine)
    feeds = []
    for camera, picture in zip(cameras, options.photos(*SIZE, 4), strict=False):
        for plugin, name in (('PreprocessNode', 'preprocess'), ('DetectionNode', 'detection')):
            rig.load(plugin, name, f'/{place}/{camera}', model=model)

        def make(header: Header, picture: np.ndarray = picture) -> ImageFrame:
            return image_frame_from_array(picture, 'bgr8', header)

        topics = f'{place}/{camera}/image', f'{place}/{camera}/detections'
        feeds.append(rig.feed(*topics, make, (IMAGE, plain(Detection2DArray))))
    return feeds


def _full_rate(feeds: list[Feed], seconds: float) -> float:
    """Frames answered a second, where more come than there is time for."""
    feed_at(feeds, OFFERED_HZ / len(feeds), seconds)
    rate = sum(len(feed.answered) for feed in feeds) / seconds
    time.sleep(0.5)
    return rate
