# SPDX-License-Identifier: Apache-2.0
"""A 1080p bgr8 image from one process to another at 30 Hz: Fast DDS as it comes against the shipped profile.

A publisher and a subscriber process with plain rclpy, messages made and read with the package's own functions. New
processes are started for every block, with and without config/fastdds_large_images.xml in turn; warm-up frames don't
count. The publisher has the camera node's QoS (reliable, depth 1). The subscription is measured both ways: reliable,
where Fast DDS sends again what was lost on the way; and best effort, as the preprocess node has it by default, where
one lost fragment loses the image.

Where the milliseconds go is stamped on one clock (the host's wall clock), in this order:

    message build         the frame in hand -> Image message: one copy of the pixels into array('B')
    convert               publish() called -> DDS source timestamp: rclpy copies the Python message into a C one
                          (rmw_fastrtps stamps just before it hands the message to the DDS writer)
    serialise, transport  source timestamp -> reception timestamp: serialised into a DDS payload, then shared memory or
                          UDP, in one piece or in fragments, until the reader's history holds the sample
    wake-up               reception timestamp -> the executor begins to take
    take                  rclpy's take: deserialised into a C message, converted to a Python one (measured around
                          `Executor._take_subscription`, which calls `subscription.handle.take_message`)
    dispatch              taken -> the callback runs

Source and reception timestamps are those that DDS itself gives with every sample (rclpy's MessageInfo). Latency is
all of it: from the frame in hand to the callback. `publish()` as the publisher sees it overlaps the transport, and so
is given apart, as is the middleware between publish() returning and the take (negative where the subscriber is
faster than publish() returns). Percentiles are over the frames that arrived.

All processes of the package have the C library keep freed memory (ros/runtime/container/memory.py), and so have both
ends here, with and without the profile. For information, reliable only, both are also measured with memory as plain
rclpy has it: an image is allocated and freed several times on its way, and glibc returns such large pieces to the
kernel, which has to map and zero the pages again for the next image. The page faults per frame of the subscriber are
counted.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmark.support.common import STATS, Figure, Options, Result, Stats, Table, plt, save_plot, stacked_bars
from benchmark.support.ros import environment_profile
from isaac_inference.ros.messages.image import from_image_message, image_frame_from_array, to_image_message
from isaac_inference.ros.runtime.container.process import tune_process
from isaac_inference.ros.runtime.topics.qos import QosParameters, Reliability

TITLE = 'Transport of a 1080p image between processes'
SIZE, RATE_HZ, ASKED = (1920, 1080), 30.0, 0.40
DEFAULT, PROFILE = 'Fast DDS as it comes', 'shipped profile'
PLAIN_DEFAULT, PLAIN_PROFILE = f'{DEFAULT}, freed memory returned', f'{PROFILE}, freed memory returned'
MODES = {  # to whether there is the profile, and whether freed memory is kept
    DEFAULT: (False, True),
    PROFILE: (True, True),
    PLAIN_DEFAULT: (False, False),
    PLAIN_PROFILE: (True, False),
}
PARTS = ('message build', 'convert', 'serialise, transport', 'wake-up', 'take', 'dispatch')
LATENCY, PUBLISH, MIDDLEWARE, FAULTS = 'latency', 'publish() call', 'publish() returned to take', 'page faults'
TOPIC, WARM_UP, START_S = 'benchmark_image', 30, 20.0


@dataclass
class Arm:
    """All blocks of one mode and reliability: frames sent, frames lost, milliseconds of each part."""

    sent: int = 0
    lost: int = 0
    parts: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def p50(self, part: str = LATENCY) -> float:
        """Median over the frames that arrived; NaN without any."""
        return float(np.median(self.parts[part])) if self.parts[part] else float('nan')


def run(options: Options) -> Result:
    """Blocks of all modes in turn, reliable and best effort."""
    result = Result('transport', TITLE)
    picture = options.photos(*SIZE, 1)[0]
    frames = options.pick(200, 60)
    arms: dict[tuple[Reliability, str], Arm] = {}
    plan = (
        (Reliability.RELIABLE, tuple(MODES), options.pick(4, 1)),
        (Reliability.BEST_EFFORT, (DEFAULT, PROFILE), options.pick(2, 1)),
    )
    for reliability, modes, rounds in plan:
        for mode in modes * rounds:
            with_profile, keep_memory = MODES[mode]
            with environment_profile(with_profile):
                arm = arms.setdefault((reliability, mode), Arm())
                _add(arm, *_block(picture, frames, reliability, keep_memory))
    _tables(result, arms)
    _figures(result, arms)
    _plot(result, options, arms)
    return result


def _block(
    picture: np.ndarray, frames: int, reliability: Reliability, keep_memory: bool
) -> tuple[dict[int, Any], dict[int, Any]]:
    """Frame number to the publisher's, and to the subscriber's stamps, without the warm-up."""
    context = multiprocessing.get_context('spawn')
    (subscriber, its_end), (publisher, other_end) = context.Pipe(), context.Pipe()
    tasks = (
        (_subscribe, (its_end, reliability, keep_memory)),
        (_publish, (other_end, picture, frames + WARM_UP, keep_memory)),
    )
    processes = [context.Process(target=task, args=given, daemon=True) for task, given in tasks]
    for process, end in zip(processes, (its_end, other_end), strict=True):
        process.start()
        end.close()
    published = publisher.recv()
    time.sleep(0.5)
    subscriber.send(None)
    taken = subscriber.recv()
    for process in processes:
        process.join(10)
    count = range(WARM_UP, frames + WARM_UP)
    return ({index: published[index] for index in count}, {index: taken[index] for index in count if index in taken})


def _publish(pipe: Any, picture: np.ndarray, frames: int, keep_memory: bool) -> None:
    import rclpy
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

    _prepare(keep_memory)
    rclpy.init()
    node = rclpy.create_node('benchmark_publisher')
    publisher = node.create_publisher(Image, TOPIC, QosParameters(reliability=Reliability.RELIABLE).offered())
    end = time.monotonic() + START_S
    while not publisher.get_subscription_count() and time.monotonic() < end:
        time.sleep(0.05)
    stamps: dict[int, tuple[int, int, int]] = {}
    due = time.monotonic()
    for index in range(frames):
        due = max(due + 1 / RATE_HZ, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
        in_hand = time.time_ns()
        message = to_image_message(image_frame_from_array(picture, 'bgr8', Header(frame_id=str(index))))
        built = time.time_ns()
        publisher.publish(message)
        stamps[index] = (in_hand, built, time.time_ns())
    time.sleep(1.0)  # the last frames are still on their way
    pipe.send(stamps)
    node.destroy_node()
    rclpy.shutdown()


def _subscribe(pipe: Any, reliability: Reliability, keep_memory: bool) -> None:
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from sensor_msgs.msg import Image

    class TimedExecutor(SingleThreadedExecutor):
        """Stamps the take of messages."""

        take = (0, 0)

        def _take_subscription(self, subscription: Any) -> Any:
            begin = time.time_ns()
            work = super()._take_subscription(subscription)
            self.take = (begin, time.time_ns())
            return work

    _prepare(keep_memory)
    rclpy.init()
    node = rclpy.create_node('benchmark_subscriber')
    executor = TimedExecutor()
    stamps: dict[int, tuple[int, ...]] = {}

    def on_image(message: Image, info: Any) -> None:
        called = time.time_ns()
        from_image_message(message)
        stamps[int(message.header.frame_id)] = (
            info['source_timestamp'],
            info['received_timestamp'],
            *executor.take,
            called,
            resource.getrusage(resource.RUSAGE_SELF).ru_minflt,
        )

    node.create_subscription(Image, TOPIC, on_image, QosParameters(reliability=reliability).requested())
    executor.add_node(node)
    while not pipe.poll():
        executor.spin_once(timeout_sec=0.1)
    pipe.recv()
    pipe.send(stamps)
    node.destroy_node()
    rclpy.shutdown()


def _prepare(keep_memory: bool) -> None:
    if keep_memory:
        tune_process()


def _add(arm: Arm, published: dict[int, Any], taken: dict[int, Any]) -> None:
    arm.sent += len(published)
    arm.lost += len(published) - len(taken)
    for index, (source, received, begin, end, called, faults) in taken.items():
        in_hand, built, returned = published[index]
        stamps = (in_hand, built, source, received, begin, end, called)
        for part, first, second in zip(PARTS, stamps, stamps[1:], strict=False):
            arm.parts[part].append((second - first) / 1e6)
        arm.parts[LATENCY].append((called - in_hand) / 1e6)
        arm.parts[PUBLISH].append((returned - built) / 1e6)
        arm.parts[MIDDLEWARE].append((begin - returned) / 1e6)
        if index - 1 in taken:
            arm.parts[FAULTS].append(faults - taken[index - 1][-1])


def _tables(result: Result, arms: dict[tuple[Reliability, str], Arm]) -> None:
    overview = Table(
        '1080p bgr8 at 30 Hz between processes',
        ['subscription', 'mode', 'lost', 'sent', 'latency p50 [ms]', 'p95 [ms]', 'page faults per frame, subscriber'],
    )
    for (reliability, mode), arm in arms.items():
        p95 = Stats.of(arm.parts[LATENCY]).p95 if arm.parts[LATENCY] else float('nan')
        overview.add(reliability.value, mode, arm.lost, arm.sent, arm.p50(), p95, arm.p50(FAULTS))
        result.data[f'{reliability.value}, {mode}'] = {
            'sent': arm.sent,
            'lost': arm.lost,
            'parts': {part: Stats.of(values).as_json() for part, values in arm.parts.items() if values},
        }
    result.tables.append(overview)
    for mode in MODES:
        arm = arms[Reliability.RELIABLE, mode]
        table = Table(f'Where the time goes, reliable, {mode} [ms]', ['part', *STATS])
        for part in (LATENCY, *PARTS, PUBLISH, MIDDLEWARE):
            if arm.parts[part]:
                table.add(part if part == LATENCY else f'  {part}', *Stats.of(arm.parts[part]).cells())
        result.tables.append(table)


def _figures(result: Result, arms: dict[tuple[Reliability, str], Arm]) -> None:
    lost, texts = 0, []
    for reliability in (Reliability.BEST_EFFORT, Reliability.RELIABLE):
        plain, tuned = arms[reliability, DEFAULT], arms[reliability, PROFILE]
        lost += tuned.lost
        texts.append(f'{reliability.value}: {tuned.lost} of {tuned.sent} (as it comes: {plain.lost} of {plain.sent})')
    result.figures.append(
        Figure('Cross-process 1080p at 30 Hz, shipped profile: frames lost', 'none', '; '.join(texts), not lost)
    )
    title = 'Cross-process 1080p at 30 Hz, shipped profile: p50'
    asked = f"under {ASKED:.0%} of the default's"
    result.figures.append(_ratio(arms, f'{title}, reliable', asked, DEFAULT, PROFILE, counts=True))
    information = 'for information'
    result.figures.append(
        _ratio(arms, f'{title}, memory as plain rclpy has it', information, PLAIN_DEFAULT, PLAIN_PROFILE)
    )
    result.figures.append(
        _ratio(arms, f'{title}, against plain rclpy on Fast DDS as it comes', information, PLAIN_DEFAULT, PROFILE)
    )


def _ratio(
    arms: dict[tuple[Reliability, str], Arm],
    title: str,
    asked: str,
    before: str,
    after: str,
    *,
    counts: bool = False,
) -> Figure:
    plain, tuned = arms[Reliability.RELIABLE, before].p50(), arms[Reliability.RELIABLE, after].p50()
    measured = f'{tuned / plain:.0%} ({tuned:.1f} ms against {plain:.1f} ms)'
    return Figure(title, asked, measured, tuned / plain < ASKED if counts else None)


def _plot(result: Result, options: Options, arms: dict[tuple[Reliability, str], Arm]) -> None:
    reliable = {mode: arms[Reliability.RELIABLE, mode] for mode in MODES}
    reliable = {mode: arm for mode, arm in reliable.items() if arm.parts[LATENCY]}
    figure, (left, right) = plt.subplots(1, 2, figsize=(14, 4.6), width_ratios=(3, 2))
    stacked_bars(
        left,
        {mode.replace(', ', ',\n'): {part: arm.p50(part) for part in PARTS} for mode, arm in reliable.items()},
        'ms',
    )
    left.set_xlabel('p50 of each part [ms]')
    left.set_title('Where the milliseconds go, 1080p bgr8 between processes, reliable')
    for mode, arm in reliable.items():
        values = np.sort(arm.parts[LATENCY])
        right.plot(values, np.arange(1, len(values) + 1) / arm.sent * 100, label=mode)
    right.set_xlabel('latency [ms]')
    right.set_ylabel('frames that arrived by then [% of those sent]')
    right.set_title('Latency, frames lost included')
    right.set_xlim(left=0)
    right.set_ylim(0, 103)
    right.legend(loc='upper center', bbox_to_anchor=(0.5, -0.18), frameon=False)
    right.grid(alpha=0.3)
    save_plot(figure, options, 'transport', result)
