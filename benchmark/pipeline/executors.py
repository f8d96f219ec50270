# SPDX-License-Identifier: Apache-2.0
"""What an executor costs: CPU time of the graph at a 30 Hz 1080p input, with inference stubbed.

The real graph (preprocess, inference, detection, a client) in one container; the engine is the stand-in of this
folder, which returns zeros at once. Two inputs: the camera in the same process, by reference; and the camera in a
process of its own, over DDS with the shipped profile. For information: SingleThreadedExecutor is what the package
uses, MultiThreadedExecutor and the experimental EventsExecutor (where rclpy has it) are put in its place, one for
every node, as the package does it. Each combination is a process of its own. CPU time is that of the whole container
process, as a share of one core; idle is the same graph without any input.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil

from benchmark.support.common import Figure, Options, Result, Table, plt, save_plot

TITLE = 'Executors'
SIZE, RATE_HZ = (1920, 1080), 30.0
START_S, END_S = 40.0, 10.0  # longer than this no process takes to start, or to end
NONE, LOCAL, REMOTE = INPUTS = ('none', 'camera in the process', 'camera in another process')


def run(options: Options) -> Result:
    """Every executor with every input."""
    result = Result('executors', TITLE)
    model, picture = options.model_path(), options.photos(*SIZE, 1)[0]
    duration_s, rounds = options.pick(8.0, 4.0), options.pick(2, 1)
    shares: dict[str, dict[str, list[float]]] = {}
    rates: dict[str, dict[str, list[float]]] = {}
    for _ in range(rounds):
        for executor in _available():
            for source in INPUTS:
                share, rate = _measure(executor, source, model, picture, duration_s)
                shares.setdefault(executor, {}).setdefault(source, []).append(share)
                rates.setdefault(executor, {}).setdefault(source, []).append(rate)
    table = Table(
        'CPU time of the container at 30 Hz 1080p, inference stubbed [% of one core]',
        ['executor', *INPUTS, 'detections per second, same process', 'detections per second, other process'],
    )
    for executor, found in shares.items():
        table.add(
            executor,
            *(float(np.median(found[source])) for source in INPUTS),
            *(float(np.median(rates[executor][source])) for source in INPUTS[1:]),
        )
    result.tables.append(table)
    ours = shares['SingleThreadedExecutor']
    result.figures.append(
        Figure(
            'CPU at a 30 Hz 1080p input, inference stubbed, SingleThreadedExecutor',
            'for information',
            ', '.join(f'{source}: {np.median(ours[source]):.0f} %' for source in INPUTS) + ' of one core',
            None,
        )
    )
    result.data = {'percent_of_a_core': shares, 'detections_per_s': rates}
    _plot(result, options, shares)
    return result


def _available() -> list[str]:
    names = ['SingleThreadedExecutor', 'MultiThreadedExecutor']
    try:
        from rclpy.experimental import EventsExecutor  # noqa: F401
    except ImportError:
        return names
    return [*names, 'EventsExecutor']


def _measure(executor: str, source: str, model: str, picture: np.ndarray, duration_s: float) -> tuple[float, float]:
    """(percent of a core, detections per second) of one container process; NaN where it did not come up."""
    context = multiprocessing.get_context('spawn')
    ours, theirs = context.Pipe()
    process = context.Process(target=_container, args=(theirs, executor, source, model, picture, duration_s))
    process.start()
    theirs.close()
    try:
        share, rate = ours.recv() if ours.poll(START_S + duration_s) else (float('nan'), float('nan'))
    except EOFError:
        share, rate = float('nan'), float('nan')
    process.join(END_S)
    if process.is_alive():
        process.kill()
    return share, rate


def _container(pipe: Any, executor: str, source: str, model: str, picture: np.ndarray, duration_s: float) -> None:
    from benchmark.support.ros import ros, running_graph
    from benchmark.support.stand_in import register

    _use(executor)
    with ros(), running_graph(model, parameters={'inference': register(0.0)}) as (_, probe):
        stop = _start(source, probe, picture)
        time.sleep(2.0)
        begin, cpu, counted = time.monotonic(), _cpu_s(), probe.detections
        time.sleep(duration_s)
        elapsed = time.monotonic() - begin
        pipe.send((100 * (_cpu_s() - cpu) / elapsed, (probe.detections - counted) / elapsed))
        stop()


def _use(executor: str) -> None:
    """Let every node of this process spin in that executor."""
    from isaac_inference.ros.runtime.container import spin

    if executor == 'EventsExecutor':
        from rclpy.experimental import EventsExecutor as Chosen
    else:
        from rclpy import executors

        Chosen = getattr(executors, executor)
    spin.SingleThreadedExecutor = Chosen


def _cpu_s() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


def _start(source: str, probe: Any, picture: np.ndarray) -> Callable[[], None]:
    """Begin to feed; returns what ends it."""
    if source == NONE:
        return lambda: None
    if source == REMOTE:
        context = multiprocessing.get_context('spawn')
        over: Any = context.Event()
        feeder: Any = context.Process(target=_camera, args=(probe.get_namespace(), picture, over), daemon=True)
    else:
        over = threading.Event()
        feeder = threading.Thread(target=_feed, args=(lambda: probe.send(picture), over), daemon=True)
    feeder.start()

    def end() -> None:
        over.set()
        feeder.join(10)

    return end


def _feed(send: Callable[[], Any], over: Any) -> None:
    due, parent = time.monotonic(), os.getppid()
    while not over.is_set() and os.getppid() == parent:
        send()
        due = max(due + 1 / RATE_HZ, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


def _camera(namespace: str, picture: np.ndarray, over: Any) -> None:
    import rclpy
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

    from isaac_inference.ros.messages.image import image_frame_from_array, to_image_message
    from isaac_inference.ros.runtime.topics.qos import QosParameters, Reliability

    rclpy.init()
    node = rclpy.create_node('camera', namespace=namespace)
    publisher = node.create_publisher(Image, 'image', QosParameters(reliability=Reliability.RELIABLE).offered())

    def send() -> None:
        header = Header(stamp=node.get_clock().now().to_msg(), frame_id='camera_optical_frame')
        publisher.publish(to_image_message(image_frame_from_array(picture, 'bgr8', header)))

    _feed(send, over)
    node.destroy_node()
    rclpy.shutdown()


def _plot(result: Result, options: Options, shares: dict[str, dict[str, list[float]]]) -> None:
    figure, axes = plt.subplots(figsize=(10, 4.2))
    width = 0.26
    for index, source in enumerate(INPUTS):
        values = [float(np.median(found[source])) for found in shares.values()]
        drawn = axes.bar(np.arange(len(shares)) + (index - 1) * width, values, width, label=f'input: {source}')
        axes.bar_label(drawn, fmt='%.0f')
    axes.set_xticks(range(len(shares)), list(shares))
    axes.set_xlabel('executor of every node')
    axes.set_ylabel('CPU time [% of one core]')
    axes.set_title('The container at a 30 Hz 1080p input, inference stubbed')
    axes.legend()
    axes.grid(axis='y', alpha=0.3)
    save_plot(figure, options, 'executors', result)
