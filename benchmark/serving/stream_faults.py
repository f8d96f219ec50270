# SPDX-License-Identifier: Apache-2.0
"""One of four cameras fails, and what the others lose by it.

Four cameras of 7.5 Hz, whole chains in one process, one model on one thread. For a block all four are well; then, in
turn, one is killed (sends nothing), frozen (sends the same stamp and picture again and again, 30 times a second), sends
malformed images (a step that is too small), or sends its inference node tensors of another shape. Rate and latency of
the other three beside those of the well blocks; every answer is checked to be one to an image that was sent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from benchmark.support.camera_rig import CameraRig, Feed, card_of, feed_at, open_batch, running_rig
from benchmark.support.common import STATS, Figure, Options, Result, Stats, Table, number
from benchmark.support.ros import ros
from isaac_inference.ops.image.raw_image import RawImage
from isaac_inference.ros.messages.image import IMAGE, ImageFrame, image_frame_from_array
from isaac_inference.ros.messages.tensors import TENSORS, TensorFrame
from isaac_inference.ros.runtime.topics.type_adapter import plain

TITLE = 'One camera of four fails'
CAMERAS = ['front', 'left', 'rear', 'right']
RATE_HZ = 7.5
SIZE = (1280, 720)
IMAGES = (IMAGE, plain(Detection2DArray))
TENSOR = (TENSORS, plain(Detection2DArray))
_SMALL = {'backend': 'onnxruntime', 'onnxruntime__threads': 1, 'onnxruntime__spinning': False, 'probe': False}


@dataclass
class _Block:
    """What the three cameras that are well had."""

    rates_hz: list[float] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    wrong: int = 0  # answers to nothing that was sent


def run(options: Options) -> Result:
    """The well blocks between the others."""
    result = Result('stream_faults', TITLE)
    seconds = options.pick(60.0, 4.0)
    model = open_batch(options)
    with ros(), running_rig() as rig:
        feeds = _chains(rig, options, str(model))
        faults = _faults(rig, options, str(model))
        blocks = {name: _Block() for name in ('all are well', *faults)}
        feed_at(feeds, RATE_HZ, 2.0)
        for name, fault in faults.items():
            _measure(blocks['all are well'], feeds, seconds / 2, lambda stop: stop.wait(seconds))
            _measure(blocks[name], feeds[:-1], seconds, fault)
    table = Table('The other three cameras', ['the fourth', 'rate, least [Hz]', 'wrong answers', *STATS])
    for name, block in blocks.items():
        table.add(name, min(block.rates_hz), block.wrong, *Stats.of(block.latencies_ms).cells())
    result.tables.append(table)
    well = blocks['all are well']
    base = Stats.of(well.latencies_ms)
    for name in faults:
        block = blocks[name]
        stats = Stats.of(block.latencies_ms)
        result.figures.append(
            Figure(
                f'The fourth camera {name}: rate and p99 of the others',
                'within noise of when all are well; nothing wrong published',
                f'{number(min(block.rates_hz))} Hz against {number(min(well.rates_hz))}, p99 {number(stats.p99)} ms '
                f'against {number(base.p99)}, {block.wrong} wrong answers',
                block.wrong == 0 and min(block.rates_hz) >= 0.98 * min(well.rates_hz) and stats.p99 <= 1.1 * base.p99,
            )
        )
    result.data = {name: {'rates_hz': one.rates_hz, 'latencies_ms': one.latencies_ms} for name, one in blocks.items()}
    return result


def _chains(rig: CameraRig, options: Options, model: str) -> list[Feed]:
    rig.load('InferenceNode', 'inference', model=model, streams=CAMERAS, **_SMALL)
    pictures = options.photos(*SIZE, 4)
    feeds = []
    for camera, picture in zip(CAMERAS, pictures, strict=True):
        for plugin, name in (('PreprocessNode', 'preprocess'), ('DetectionNode', 'detection')):
            rig.load(plugin, name, f'/{camera}', model=model)

        def make(header: Header, picture: np.ndarray = picture) -> ImageFrame:
            return image_frame_from_array(picture, 'bgr8', header)

        feeds.append(rig.feed(f'{camera}/image', f'{camera}/detections', make, IMAGES))
    return feeds


def _faults(rig: CameraRig, options: Options, model: str) -> dict[str, Callable[[threading.Event], Any]]:
    camera, picture = CAMERAS[-1], options.photos(*SIZE, 1)[0]
    card = card_of(model)
    frozen = Header(frame_id='camera')
    frozen.stamp.sec = int(time.time())
    bad = RawImage(picture.reshape(-1), 'bgr8', SIZE[1], SIZE[0], 1)
    shapes = {card.images[0].tensor.name: np.zeros((1, 3, 32, 32), np.float32)}
    same = rig.feed(
        f'{camera}/image', f'{camera}/nothing', lambda header: image_frame_from_array(picture, 'bgr8', frozen), IMAGES
    )
    malformed = rig.feed(f'{camera}/image', f'{camera}/nothing', lambda header: ImageFrame(header, bad), IMAGES)
    other = rig.feed(
        f'{camera}/input_tensors', f'{camera}/nothing', lambda header: TensorFrame(header, shapes, card=card.id), TENSOR
    )

    def repeat(feed: Feed) -> Callable[[threading.Event], Any]:
        def send(stop: threading.Event) -> None:
            while not stop.wait(1 / 30):
                feed.next()

        return send

    return {
        'is killed': lambda stop: None,
        'is frozen': repeat(same),
        'sends malformed images': repeat(malformed),
        'sends tensors of another shape': repeat(other),
    }


def _measure(block: _Block, feeds: list[Feed], seconds: float, fault: Callable[[threading.Event], Any]) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=fault, args=(stop,), daemon=True)
    thread.start()
    before = sum(feed.wrong for feed in feeds)
    feed_at(feeds, RATE_HZ, seconds)
    stop.set()
    thread.join()
    time.sleep(0.3)
    block.wrong += sum(feed.wrong for feed in feeds) - before
    for feed in feeds[: len(CAMERAS) - 1]:
        block.rates_hz.append(len(feed.answered) / seconds)
        block.latencies_ms += list(feed.latencies_ms)
