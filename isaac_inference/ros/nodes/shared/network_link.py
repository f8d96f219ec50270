# SPDX-License-Identifier: Apache-2.0
"""A node whose frames go through the inference node and come back: `input_tensors` out, `output_tensors` in."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from std_msgs.msg import Header

from isaac_inference.errors import FrameError
from isaac_inference.models import ModelCard
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ros.messages.tensors import TENSORS, TensorFrame
from isaac_inference.ros.runtime.health.health import SUPERSEDED
from isaac_inference.ros.runtime.health.timing import StageTiming
from isaac_inference.ros.runtime.node import PipelineNode, StageClock
from isaac_inference.ros.runtime.parameters.schema import group, param
from isaac_inference.ros.runtime.topics.qos import QosParameters
from isaac_inference.ros.runtime.topics.stamp import stamp_ns

T = TypeVar('T')


@dataclass(frozen=True)
class NetworkParameters:
    """Of a node that works without a model, and with one through the inference node."""

    model: str = param(
        '', 'Path of an ONNX network for this, which the inference node of the same graph runs; empty does without.'
    )
    model_card: str = param(
        '', 'Path of a YAML card with what the model file does not say; empty looks beside the model.'
    )
    tensor_qos: QosParameters = group(QosParameters(), 'Publisher of and subscription to the tensors of a network.')


_MAY_WAIT = 2  # the newest frames, of which one waits in front of the inference node
STARTS_S = 10.0  # for an inference node that starts together with this one; one that builds an engine says so itself
_PREPARED = 'preprocess'  # the stage that the first half of the work is, as in other graphs


@dataclass(frozen=True, eq=False)
class Answer(Generic[T]):
    """What the network gave for a frame.

    Attributes:
        item: what was asked with.
        outputs: the tensors by name; not to be written to.
        letterbox: what was asked with.
        timings: of all stages so far.
    """

    item: T
    outputs: Mapping[str, np.ndarray]
    letterbox: Letterbox
    timings: tuple[StageTiming, ...]


@dataclass(frozen=True, eq=False)
class _Asked(Generic[T]):
    """A frame that is under way."""

    key: tuple[int, str]
    item: T
    letterbox: Letterbox
    clock: StageClock
    since: float


class NetworkLink(Generic[T]):
    """Sends frames to the inference node, and gives its answers to a handler: all in the node's worker thread.

    The inference node takes the newest frame when it falls free, so not each one is answered. Kept are those that may
    be running, and the newest that may wait; the others count as superseded. Frames that come before it is there are
    counted, and only spoken of where that lasts.

    Args:
        node: in its `on_setup`; its health counts what is lost: 'no_inference', 'no_outputs', 'other_model'.
        card: the model's.
        qos: of the tensors.
        wait_s: how long an answer may take.
        handler: called in `node.work` of the frame's clock.
    """

    def __init__(
        self,
        node: PipelineNode,
        card: ModelCard,
        qos: QosParameters,
        wait_s: float,
        handler: Callable[[Answer[T]], None],
    ) -> None:
        self._node, self._card, self._wait_s, self._handler = node, card, wait_s, handler
        self._running: list[_Asked[T]] = []
        self._waiting: list[_Asked[T]] = []
        self._first_lost_s: float | None = None
        self._was_heard = False
        self._tensors = node.advertise(TENSORS, 'input_tensors', qos)
        node.subscribe(TENSORS, 'output_tensors', qos, self._on_outputs, primary=False, depth=_MAY_WAIT)
        node.every(max(wait_s / 5, 0.02), self._on_tick)

    def ask(self, header: Header, tensors: Mapping[str, Any], letterbox: Letterbox, item: T, clock: StageClock) -> None:
        """Send a frame; its clock is deferred until the answer.

        Args:
            header: the frame's.
            tensors: the model's inputs.
            letterbox: how its image was fitted.
            item: what the answer is to come with.
            clock: of the frame.

        Raises:
            FrameError: 'no_inference', nobody takes the tensors; without text while that may be the start of the graph.
        """
        now = time.monotonic()
        if not self._tensors.wanted:
            raise FrameError('no_inference', self._nobody_there(now))
        self._was_heard = True
        prepared = StageTiming(_PREPARED, clock.arrived_ns, clock.started_ns, time.time_ns())
        asked = _Asked(_key(header), item, letterbox, clock, now)
        clock.defer()
        if self._running:
            self._waiting.append(asked)
            while len(self._waiting) > _MAY_WAIT:
                self._lose(self._waiting.pop(0), SUPERSEDED, '')
        else:
            self._running.append(asked)
        auxiliary = {'letterbox': letterbox.to_array()}
        self._tensors.publish(TensorFrame(header, tensors, auxiliary, (prepared,), self._card.id))

    def clear(self) -> None:
        """Forget all that is under way: the node is being deactivated."""
        self._running, self._waiting = [], []
        self._first_lost_s, self._was_heard = None, False

    def _on_outputs(self, frame: TensorFrame, clock: StageClock) -> None:
        key = _key(frame.header)
        asked = [*self._running, *self._waiting]
        index = next((index for index, one in enumerate(asked) if one.key == key), None)
        if index is None:
            raise FrameError(
                'unasked_outputs',
                f'{self._tensors.topic} was answered for a frame that nobody waits for: too late, or asked by '
                'another node; give each model a namespace of its own',
            )
        for older in asked[:index]:
            self._lose(older, SUPERSEDED, '')
        self._running, self._waiting = asked[index + 1 :], []  # one of these is running now
        one = asked[index]
        with self._node.work(one.clock):
            frame.check_card(self._card.id)
            self._handler(Answer(one.item, frame.tensors, one.letterbox, (*frame.timings, clock.finish())))

    def _on_tick(self) -> None:
        limit = time.monotonic() - self._wait_s
        late = [one for one in (*self._running, *self._waiting) if one.since < limit]
        if not late:
            return
        self._running, self._waiting = (
            [one for one in group if one not in late] for group in (self._running, self._waiting)
        )
        for one in late:
            self._lose(
                one,
                'no_outputs',
                f'no output_tensors came within {self._wait_s:g} s; look at the diagnostics of the inference node, or '
                'raise network.wait_s where the model takes longer here',
            )

    def _nobody_there(self, now_s: float) -> str:
        """Why a frame is lost, in words; '' while the inference node may be starting too."""
        if self._first_lost_s is None:
            self._first_lost_s = now_s
        if not self._was_heard and now_s < self._first_lost_s + STARTS_S:
            return ''
        return (
            f'nobody takes {self._tensors.topic}: start the inference node with model {self._card.path}, in the same '
            'namespace; perception.launch.py does, with this model; while it builds an engine it takes none'
        )

    def _lose(self, asked: _Asked[T], reason: str, text: str) -> None:
        with self._node.work(asked.clock):
            raise FrameError(reason, text)


def _key(header: Header) -> tuple[int, str]:
    return stamp_ns(header), header.frame_id
