# SPDX-License-Identifier: Apache-2.0
"""Several cameras and several models in this process: real nodes, fed and watched by reference.

A stream's frames are sent at a rate, each with its own stamp, or the next one as soon as the last is answered. What
comes back is matched by stamp; times are of the wall clock.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import Header

from benchmark.support.common import ROOT, Options
from isaac_inference.models import ModelCard, read_card
from isaac_inference.ros.messages.tensors import TENSORS, TensorFrame
from isaac_inference.ros.runtime.container.container import ComponentContainer
from isaac_inference.ros.runtime.container.spin import SpinThread
from isaac_inference.ros.runtime.health.health import Health
from isaac_inference.ros.runtime.topics.publisher import Publisher
from isaac_inference.ros.runtime.topics.qos import QosParameters
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.subscription import Subscription
from isaac_inference.ros.runtime.topics.type_adapter import TypeAdapter

READY_S = 600.0  # an engine may have to be built
SETTLE_S = 0.5
QUIET_S = 3600.0  # feeds pause between two blocks
_NUMBERS = itertools.count(1)


def open_batch(options: Options) -> Path:
    """The model with an open batch: its graph computes shapes from the input, so only the declared ones change."""
    target = ROOT / 'build' / 'benchmark' / 'models' / f'{Path(options.model_path()).stem}_batch.onnx'
    target.parent.mkdir(parents=True, exist_ok=True)
    model = onnx.load(options.model_path())
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = 'batch'
    del model.graph.value_info[:]
    onnx.save(model, str(target))
    return target


@dataclass
class Feed:
    """What was sent and what came back on one stream; times in s of the wall clock.

    Attributes:
        sent: stamp in ns -> when it was sent.
        answered: stamp in ns -> when its result came.
    """

    send: Callable[[int], None]
    sent: dict[int, float] = field(default_factory=dict)
    answered: dict[int, float] = field(default_factory=dict)
    endless: bool = False  # send the next as soon as one is answered
    wrong: int = 0  # answers to what was never sent
    _ever: set[int] = field(default_factory=set)

    def clear(self) -> None:
        """Forget the times of all so far."""
        self.sent, self.answered = {}, {}

    def next(self) -> None:
        """Send one."""
        stamp = time.time_ns()
        self.sent[stamp] = stamp / 1e9
        self._ever.add(stamp)
        self.send(stamp)

    def arrived(self, stamp: int) -> None:
        """One is answered."""
        if stamp in self.sent:
            self.answered[stamp] = time.time()
        self.wrong += stamp not in self._ever
        if self.endless:
            self.next()

    @property
    def latencies_ms(self) -> np.ndarray:
        """Of all that was answered, in the order of sending."""
        answered = dict(self.answered)
        return np.array(
            [1e3 * (answered[stamp] - sent) for stamp, sent in list(self.sent.items()) if stamp in answered]
        )

    @property
    def largest_gap_s(self) -> float:
        """The longest time between two answers."""
        times = np.sort(np.fromiter(self.answered.values(), float))
        return float(np.diff(times).max()) if len(times) > 1 else float('inf')


class CameraRig:
    """A container with nodes, and feeds of their topics; used as `with running_rig() as rig`."""

    def __init__(self, container: ComponentContainer) -> None:
        self._container = container
        self.namespace = f'/rig_{next(_NUMBERS)}'
        self._node = Node(f'rig_{next(_NUMBERS)}', namespace=self.namespace)
        self._health = Health(lambda is_error, text: None)
        self._ends: list[Any] = []

    def load(self, plugin: str, name: str, namespace: str = '', **parameters: Any) -> Any:
        """Load a node of this package and wait until it is active; '__' in a name stands for a dot."""
        given = {'input_timeout_s': QUIET_S, **parameters}
        values = [Parameter(key.replace('__', '.'), value=value) for key, value in given.items()]
        component = self._container.load(
            'isaac_inference', plugin, node_name=name, namespace=self.namespace + namespace, parameters=values
        )
        node = component.spin.node
        end = time.monotonic() + READY_S
        while node.state != 'active':
            if time.monotonic() > end:
                raise RuntimeError(f'{plugin} is {node.state}, not active: {node.health.snapshot().problems}')
            time.sleep(0.02)
        return node

    def feed(
        self,
        into: str,
        out: str,
        make: Callable[[Header], Any],
        adapters: tuple[TypeAdapter[Any], TypeAdapter[Any]] = (TENSORS, TENSORS),
        on_device: bool = False,
    ) -> Feed:
        """A stream: what `make` makes of a header goes to topic `into`, what comes back on `out` is noted."""
        qos = QosParameters()
        publisher = Publisher(self._node, adapters[0], into, qos, self._health)

        def send(stamp: int) -> None:
            header = Header(frame_id='camera')
            header.stamp.sec, header.stamp.nanosec = divmod(stamp, 10**9)
            publisher.publish(make(header))

        made = Feed(send)
        listener = Subscription(self._node, adapters[1], out, qos, _Target(made), self._health, lambda: True, on_device)
        self._ends += [publisher, listener]
        return made

    def close(self) -> None:
        """Leave the topics."""
        for end in self._ends:
            end.close()
        self._node.destroy_node()


class _Target:
    """Notes what arrives, in the publisher's thread."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def put(self, item: Any) -> None:
        self._feed.arrived(stamp_ns(item.header))

    def close(self) -> None:
        """Nothing waits here."""


@contextlib.contextmanager
def running_rig() -> Iterator[CameraRig]:
    """An empty rig; needs `ros()`."""
    spin = SpinThread(ComponentContainer(namespace=f'/rig_{next(_NUMBERS)}'))
    rig = CameraRig(spin.node)
    try:
        yield rig
    finally:
        rig.close()
        spin.stop()
        gc.collect()
        time.sleep(SETTLE_S)


def tensor_maker(card: ModelCard, seed: int = 0, gpu: Any = None) -> Callable[[Header], TensorFrame]:
    """Makes frames of one image of noise, in the memory of a GPU where one is given."""
    wide, high = card.input_wh
    image: Any = np.random.default_rng(seed).uniform(0, 255, (1, 3, high, wide)).astype(np.float32)
    tensors = {card.images[0].tensor.name: image if gpu is None else on_device(gpu, image)}
    return lambda header: TensorFrame(header, tensors, card=card.id)


def on_device(gpu: Any, array: np.ndarray) -> Any:
    """The array in a GPU's memory."""
    from isaac_inference.cuda.array import DeviceArray

    stream = gpu.stream()
    memory = gpu.pool.allocate(array.nbytes, 'benchmark')
    stream.upload(memory.ptr, array)
    made = DeviceArray(memory.ptr, array.shape, array.dtype, stream, owner=memory)
    made.mark_ready()
    stream.synchronize()
    return made


def feed_at(feeds: Sequence[Feed], rate_hz: float, seconds: float) -> None:
    """Send on all of these for so long, each at this rate, their frames evenly apart in time; the records begin anew
    with it. A feed that falls behind leaves frames out.
    """
    for feed in feeds:
        feed.clear()
    period = 1.0 / rate_hz
    begin = time.monotonic()

    def run(feed: Feed, offset: float) -> None:
        due = begin + offset
        while due < begin + seconds:
            time.sleep(max(0.0, due - time.monotonic()))
            feed.next()
            due += period * max(1, int((time.monotonic() - due) / period) + 1)

    threads = [
        threading.Thread(target=run, args=(feed, period * index / len(feeds)), daemon=True)
        for index, feed in enumerate(feeds)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def saturate(feeds: Sequence[Feed]) -> None:
    """From now on a frame always waits on each of these."""
    for feed in feeds:
        feed.clear()
        feed.endless = True
        feed.next()
        feed.next()


def card_of(path: Path | str) -> ModelCard:
    """The card of a model."""
    return read_card(str(path))
