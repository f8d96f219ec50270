# SPDX-License-Identifier: Apache-2.0
"""The composed ROS graph on a GPU: image published in the container to detections received in another process.

1080p bgr8 pictures are published by reference from a node of the container, as a camera there would; a plain rclpy
subscriber in another process takes the Detection2DArray, as a planner would. Latency is from the publish call to the
subscriber's callback, by the wall clock of the one machine. At 30 Hz, and at full rate: the next picture goes out as
soon as at most one other is under way. The bare engine is a loop of `execute_async_v3` with the very plan.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from rclpy.parameter import Parameter
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from benchmark.support.common import STATS, Figure, Options, Result, Stats, Table, number, plt, save_plot
from benchmark.support.gpu import HEIGHT, MEDIUM, WIDTH, BareEngine, build_note, cards, clocked, need_gpu, settings
from benchmark.support.ros import SETTLE_S, ros
from isaac_inference.ros.bringup.graph import perception_graph
from isaac_inference.ros.messages.image import IMAGE, image_frame_from_array
from isaac_inference.ros.runtime.container.container import ComponentContainer
from isaac_inference.ros.runtime.container.spin import SpinThread
from isaac_inference.ros.runtime.node import PipelineNode
from isaac_inference.ros.runtime.topics.qos import QosParameters, Reliability
from isaac_inference.ros.runtime.topics.type_adapter import plain

TITLE = 'The composed graph on a GPU'
ADDED_MS, TAIL, PEER_FPS = 3.0, 2.0, 444.0
FEEDS = {'30 Hz': 30.0, 'full rate': 0.0}
_ANSWER_S = 5.0
_runs = itertools.count(1)


class Feeder(PipelineNode):
    """Publishes pictures by reference and hears, in the same process, when detections are out."""

    def on_setup(self) -> None:
        self.answers = threading.Semaphore(0)
        self._images = self.advertise(IMAGE, 'image', QosParameters())
        listening = QosParameters(reliability=Reliability.RELIABLE, depth=10)
        self.subscribe(plain(Detection2DArray), 'detections', listening, lambda *_: self.answers.release(), depth=10)

    def send(self, picture: np.ndarray) -> int:
        """Publish one picture, stamped now; its stamp in ns."""
        stamp = self.get_clock().now()
        header = Header(stamp=stamp.to_msg(), frame_id='camera_optical_frame')
        self._images.publish(image_frame_from_array(picture, 'bgr8', header))
        return int(stamp.nanoseconds)


def run(options: Options) -> Result:
    """Both models, both feeds."""
    need_gpu()
    result = Result('gpu_graph', TITLE, notes=[build_note(options)])
    pictures = options.photos(WIDTH, HEIGHT, 4)
    latencies: dict[str, list[float]] = {}
    table = Table('Published in the container to received in another process [ms]', ['model, feed', *STATS, 'frames/s'])
    with ros():
        for name, card in cards(options).items():
            bare = _bare_p50(options, card)
            for feed, rate_hz in FEEDS.items():
                found, fps, lost, stages = _measure(options, str(card.path), pictures, rate_hz)
                latencies[f'{name}, {feed}'] = found
                stats = Stats.of(found)
                table.add(f'{name}, {feed}', *stats.cells(), f'{fps:.0f}')
                _judge(result, name, feed, stats, bare, fps)
                result.notes.append(
                    f'{name}, {feed}: {lost} frames without an answer; GPU time of the stages: {stages}'
                )
                result.data[f'{name}, {feed}'] = {
                    'bare_p50_ms': bare, 'frames_per_second': fps, 'lost': lost, 'gpu_ms': stages, **stats.as_json(),
                }  # fmt: skip
    result.tables.append(table)
    _plot(result, options, latencies)
    return result


def _measure(
    options: Options, model: str, pictures: list[np.ndarray], rate_hz: float
) -> tuple[list[float], float, int, dict[str, str]]:
    """Latencies in ms, frames a second, frames without an answer, and what diagnostics say of the stages' GPU time."""
    chosen = settings(options)
    engine = {
        'backend': 'tensorrt',
        'tensorrt.precision': chosen.precision,
        'tensorrt.preset': chosen.preset,
        'tensorrt.tactic_sources': list(chosen.tactic_sources),
    }
    engine = {name: value for name, value in engine.items() if value != []}
    with _quiet_graph(model, {'inference': engine}) as nodes:
        namespace = nodes['detection'].get_namespace()
        spin = SpinThread(Feeder('feeder', namespace=namespace))
        try:
            _wait_active(spin.node)
            with _receiver(f'{namespace}/detections') as received:
                sent, seconds = _feed(spin.node, pictures, options.pick(30.0, 5.0), rate_hz)
            stages = {name: _gpu_time(node) for name, node in nodes.items()}
        finally:
            spin.stop()
    arrivals = {stamp: arrived for stamp, arrived, _ in received}
    counted = sent[20:]
    found = [(arrivals[stamp] - stamp) / 1e6 for stamp in counted if stamp in arrivals]
    return found, len(sent) / seconds, len(counted) - len(found), stages


@contextlib.contextmanager
def _quiet_graph(model: str, parameters: dict[str, dict[str, Any]]) -> Iterator[dict[str, PipelineNode]]:
    """The detection graph in a container of this process, all active, with nobody watching."""
    specs = perception_graph(model=model, annotate=False)
    spin = SpinThread(ComponentContainer(namespace=f'/gpu_graph_{next(_runs)}'))
    try:
        nodes = {}
        for spec in specs:
            values = {**spec.parameters, **parameters.get(spec.name, {})}
            component = spin.node.load(
                spec.package,
                spec.plugin,
                node_name=spec.name,
                namespace=spin.node.get_namespace(),
                parameters=[Parameter(name, value=value) for name, value in values.items()],
            )
            nodes[spec.name] = component.spin.node
        for node in nodes.values():
            _wait_active(node)
        yield nodes
    finally:
        spin.stop()
        time.sleep(SETTLE_S)


def _wait_active(node: PipelineNode, timeout_s: float = 300.0) -> None:
    end = time.monotonic() + timeout_s
    while node.state != 'active':
        if time.monotonic() > end:
            raise RuntimeError(f'{node.get_name()} is {node.state}: {node.health.snapshot().problems}')
        time.sleep(0.01)


def _gpu_time(node: PipelineNode) -> str:
    found = node.health.snapshot().measured.get('gpu_ms', {})
    return f'{found["p50"]:.3f} ms' if found else '-'


def _feed(node: Feeder, pictures: list[np.ndarray], seconds: float, rate_hz: float) -> tuple[list[int], float]:
    """The stamps that were sent, and how long that took."""
    sent: list[int] = []
    begin = due = time.monotonic()
    while time.monotonic() - begin < seconds:
        if rate_hz:
            due = max(due + 1.0 / rate_hz, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
        elif len(sent) >= 2:
            node.answers.acquire(timeout=_ANSWER_S)
        sent.append(node.send(pictures[len(sent) % len(pictures)]))
    return sent, time.monotonic() - begin


@contextlib.contextmanager
def _receiver(topic: str) -> Iterator[list[Any]]:
    """Another process that listens; the list is filled when the block ends."""
    process = subprocess.Popen(
        [sys.executable, '-m', 'benchmark.support.receiver', topic],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: list[Any] = []
    try:
        if process.stdout is None or process.stdin is None or process.stdout.readline().strip() != 'ready':
            raise RuntimeError('the receiving process ended before it was ready')
        time.sleep(1.0)  # until the publisher has matched it, too
        yield found
        time.sleep(0.5)
        process.stdin.close()
        found.extend(json.loads(process.stdout.read()))
    finally:
        process.kill()
        process.wait()


def _bare_p50(options: Options, card: Any) -> float:
    from isaac_inference.cuda.device import gpu as find_gpu
    from isaac_inference.engines.tensorrt.build.ensure import ensure_engine

    entry, gpu = ensure_engine(card, settings(options), lambda progress: None), find_gpu()
    with contextlib.closing(BareEngine(gpu, entry.path)) as bare, gpu.current():
        return float(np.median(clocked(bare.run, options.pick(2000, 200))))


def _judge(result: Result, name: str, feed: str, stats: Stats, bare: float, fps: float) -> None:
    added = stats.p50 - bare
    result.figures.append(
        Figure(
            f'{name}, {feed}: graph over bare engine, p50',
            f'at most +{ADDED_MS:g} ms',
            f'{stats.p50:.2f} against {bare:.2f} ms: {added:+.2f} ms',
            added <= ADDED_MS,
        )
    )
    result.figures.append(
        Figure(
            f'{name}, {feed}: p99 of the graph',
            f'at most {TAIL:g} times p50',
            f'{stats.p99:.2f} ms, {stats.p99 / stats.p50:.2f} times',
            stats.p99 <= TAIL * stats.p50,
        )
    )
    if feed == 'full rate':
        result.figures.append(
            Figure(
                f'{name}: frames per second through the graph',
                f'more than {PEER_FPS:.0f} (RT-DETR graph of Isaac ROS on an RTX 5090)' if name == MEDIUM else '',
                f'{number(fps)}',
                fps > PEER_FPS if name == MEDIUM else None,
            )
        )


def _plot(result: Result, options: Options, latencies: dict[str, list[float]]) -> None:
    figure, axis = plt.subplots(figsize=(9, 4))
    for label, values in latencies.items():
        ordered = np.sort(values)
        axis.plot(ordered, 1.0 - np.arange(len(ordered)) / len(ordered), label=label)
    axis.set(xlabel='ms from publish to arrival', ylabel='share of frames that take longer', yscale='log', xscale='log')
    axis.grid(alpha=0.3)
    axis.legend()
    save_plot(figure, options, 'gpu_graph', result)
