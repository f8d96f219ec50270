# SPDX-License-Identifier: Apache-2.0
"""Several cameras into one model on the CPU: whose turn it is, and what they cost.

Fairness: eight streams of 30 Hz into an engine that takes 60 frames a second one at a time (a stand-in that sleeps as
an accelerator would let the CPU sleep, behind the real node and its mailboxes). A round is the time in which each could
have one turn: 8 / 60 s.

Cost: whole chains in one process (a preprocess and a detection node for each camera, one inference node for all), the
model on one thread without spinning. Four cameras of 7.5 Hz take turns with one of 30 Hz, block by block; CPU time is
that of the process, all threads, for each frame answered. Streams of one camera: the same node with `streams` naming
one camera, beside the node without; and with the model of one image, beside the one that takes any number.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from benchmark.support.camera_rig import CameraRig, Feed, card_of, feed_at, open_batch, running_rig, tensor_maker
from benchmark.support.common import STATS, Figure, Options, Result, Stats, Table, number
from benchmark.support.ros import ros
from benchmark.support.stand_in import register
from isaac_inference.ros.messages.image import IMAGE, image_frame_from_array
from isaac_inference.ros.runtime.topics.type_adapter import plain

TITLE = 'Several cameras into one model'
STREAMS = [f'camera_{index}' for index in range(8)]
RATE_HZ, ENGINE_HZ = 30.0, 60.0
COST_ASKED, GAP_ASKED = 1.05, 2.0
SIZE = (1280, 720)
_SMALL = {'backend': 'onnxruntime', 'onnxruntime__threads': 1, 'onnxruntime__spinning': False, 'probe': False}


def run(options: Options) -> Result:
    """Fairness, then cost."""
    result = Result('streams', TITLE)
    with ros():
        _fairness(result, options)
        _cost(result, options)
    return result


def _fairness(result: Result, options: Options) -> None:
    seconds = options.pick(60.0, 6.0)
    card = card_of(options.model_path())
    parameters = register(1 / ENGINE_HZ)
    with running_rig() as rig:
        rig.load('InferenceNode', 'inference', model=str(card.path), streams=STREAMS, probe=False, **parameters)
        make = tensor_maker(card)
        feeds = [rig.feed(f'{stream}/input_tensors', f'{stream}/output_tensors', make) for stream in STREAMS]
        feed_at(feeds, RATE_HZ, 1.0)
        feed_at(feeds, RATE_HZ, seconds)
    rates = [len(feed.answered) / seconds for feed in feeds]
    gaps = [feed.largest_gap_s * ENGINE_HZ / len(STREAMS) for feed in feeds]
    table = Table('Eight streams of 30 Hz, an engine of 60 Hz', ['stream', 'answers [Hz]', 'largest gap [rounds]'])
    for stream, rate, gap in zip(STREAMS, rates, gaps, strict=True):
        table.add(stream, rate, gap)
    result.tables.append(table)
    even = sum(rates) / len(rates)
    result.figures += [
        Figure(
            "Eight streams of 30 Hz into an engine of 60 Hz: each one's share",
            'all alike: 7.5 Hz',
            f'{number(min(rates))} to {number(max(rates))} Hz, {number(even)} on average',
            max(rates) <= 1.05 * min(rates),
        ),
        Figure(
            'Largest gap between two answers of a stream',
            f'under {GAP_ASKED:g} rounds',
            f'{number(max(gaps))} rounds',
            max(gaps) < GAP_ASKED,
        ),
    ]
    result.data['fairness'] = {'rates_hz': rates, 'gaps_rounds': gaps}


class _Way:
    """Chains of some cameras, and what a frame of theirs costs."""

    def __init__(self, rig: CameraRig, name: str, model: Path, cameras: list[str], options: Options) -> None:
        named = {'streams': cameras} if cameras else {}
        prefix, cameras = f'/{name}', cameras or ['']
        rig.load('InferenceNode', 'inference', prefix, model=str(model), **named, **_SMALL)
        pictures = options.photos(*SIZE, 4)
        self.feeds: list[Feed] = []
        for index, camera in enumerate(cameras):
            inner = f'{prefix}/{camera}' if camera else prefix
            rig.load('PreprocessNode', 'preprocess', inner, model=str(model))
            rig.load('DetectionNode', 'detection', inner, model=str(model))
            make = _image_maker(pictures[index % len(pictures)])
            topics = (f'{inner[1:]}/image', f'{inner[1:]}/detections')
            self.feeds.append(rig.feed(*topics, make, (IMAGE, plain(Detection2DArray))))
        self.rate_hz = RATE_HZ / len(self.feeds)
        self.cpu_ms: list[float] = []
        self.latencies_ms: list[float] = []

    def measure(self, seconds: float, counts: bool = True) -> None:
        """One block."""
        begin = time.process_time()
        feed_at(self.feeds, self.rate_hz, seconds)
        time.sleep(0.2)
        spent = time.process_time() - begin
        answered = sum(len(feed.answered) for feed in self.feeds)
        if counts:
            self.cpu_ms.append(1e3 * spent / max(1, answered))
            self.latencies_ms += [value for feed in self.feeds for value in feed.latencies_ms]


def _image_maker(picture: np.ndarray) -> Callable[[Header], Any]:
    return lambda header: image_frame_from_array(picture, 'bgr8', header)


def _cost(result: Result, options: Options) -> None:
    open_model, one_image = open_batch(options), Path(options.model_path())
    four = STREAMS[:4]
    with running_rig() as rig:
        ways = {
            'one camera of 30 Hz': _Way(rig, 'one', one_image, [], options),
            'four cameras of 7.5 Hz': _Way(rig, 'four', open_model, four, options),
            'four, a model of one image': _Way(rig, 'fixed', one_image, four, options),
            'one camera, as a stream': _Way(rig, 'named', one_image, four[:1], options),
            'one camera, any number of images': _Way(rig, 'open', open_model, [], options),
        }
        for way in ways.values():
            way.measure(2.0, counts=False)
        for round_ in range(options.pick(12, 2)):
            for name in ways if round_ % 2 else reversed(list(ways)):
                ways[name].measure(options.pick(5.0, 2.0))
    table = Table('CPU time a frame [ms], all threads; and latency [ms]', ['cameras', 'CPU, median of blocks', *STATS])
    for name, way in ways.items():
        table.add(name, float(np.median(way.cpu_ms)), *Stats.of(way.latencies_ms).cells())
    result.tables.append(table)
    base = ways['one camera of 30 Hz'].cpu_ms
    for name, asked in (('four cameras of 7.5 Hz', COST_ASKED), ('one camera, as a stream', None)):
        pairs = [mine / one for mine, one in zip(ways[name].cpu_ms, base, strict=True)]
        ratio = float(np.median(pairs))
        result.figures.append(
            Figure(
                f'CPU time a frame: {name}, against one camera of 30 Hz',
                f'at most {asked:g} times' if asked else 'within noise',
                f'{ratio:.3f} times ({number(float(np.median(ways[name].cpu_ms)))} ms against '
                f'{number(float(np.median(base)))} ms; block by block {min(pairs):.2f} to {max(pairs):.2f})',
                ratio <= asked if asked else None,
            )
        )
    result.data['cost'] = {name: way.cpu_ms for name, way in ways.items()}
