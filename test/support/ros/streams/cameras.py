# SPDX-License-Identifier: Apache-2.0
"""Several cameras in front of one inference node, over real DDS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from isaac_ros_tensor_list_interfaces.msg import TensorList
from std_msgs.msg import Header

from isaac_inference.engines import create_engine
from isaac_inference.models import ModelCard
from isaac_inference.ros.messages.tensors import TensorFrame, from_tensor_list, to_tensor_list
from support.ros.node_graph import Graph
from support.ros.probe import RELIABLE

STREAMS = ['front', 'left', 'rear']


class Cameras:
    """Publishes tensors on the topics of streams, and keeps what comes back."""

    def __init__(self, graph: Graph, card: ModelCard, streams: list[str], **parameters: Any) -> None:
        self.graph, self.probe, self.card = graph, graph.probe, card
        self.sent: dict[str, list[TensorFrame]] = {stream: [] for stream in streams}
        named = {'streams': streams} if any(streams) else {}
        self.node = graph.load('InferenceNode', 'inference', model=str(card.path), **named, **parameters)
        topic = lambda stream, name: f'{stream}/{name}' if stream else name  # noqa: E731
        self.publishers = {
            stream: self.probe.node.create_publisher(TensorList, topic(stream, 'input_tensors'), RELIABLE)
            for stream in streams
        }
        self.answers = {stream: self.probe.listen(topic(stream, 'output_tensors'), TensorList) for stream in streams}
        self.probe.wait_active('inference')
        self.probe.wait_matched()

    def frame(self, stream: str, frame_id: str = '', tensors: Mapping[str, np.ndarray] | None = None) -> TensorFrame:
        """A frame with a picture and a stamp of its own."""
        number = sum(map(len, self.sent.values()))
        random = np.random.default_rng(number)
        given = tensors or {'images': random.uniform(0, 1, (1, 3, 64, 64)).astype(np.float32)}
        header = Header(frame_id=frame_id or f'{stream}_lens')
        header.stamp.sec, header.stamp.nanosec = 1_700_000_000 + number, 100 * len(stream)
        return TensorFrame(header, given, {'letterbox': np.float64([number])}, card=self.card.id)

    def send(self, stream: str, *args: Any, **kwargs: Any) -> TensorFrame:
        """Publish a frame of a stream."""
        made = self.frame(stream, *args, **kwargs)
        self.sent[stream].append(made)
        self.publishers[stream].publish(to_tensor_list(made))
        return made

    def ask(self, stream: str, **kwargs: Any) -> TensorFrame:
        """Send a frame and wait for its answer; the frame."""
        count = len(self.answers[stream])
        made = self.send(stream, **kwargs)
        self.probe.wait_until(lambda: len(self.answers[stream]) > count, f'an answer on {stream}')
        return made

    def value(self, stream: str, key: str) -> str:
        """A figure of a stream in the diagnostics."""
        return self.probe.value('inference', f'stream.{stream}.{key}')

    def check_answers(self, stream: str) -> int:
        """Every answer of a stream is to one of its own frames: header, what travels with it, outputs; how many."""
        by_stamp = {sent.header.stamp.sec: sent for sent in self.sent[stream]}
        with create_engine(self.card, 'onnxruntime', threads=1) as engine:
            for message in self.answers[stream]:
                got = from_tensor_list(message)
                sent = by_stamp[got.header.stamp.sec]
                assert got.header == sent.header
                np.testing.assert_array_equal(got.auxiliary['letterbox'], sent.auxiliary['letterbox'])
                for name, array in engine.infer(sent.tensors).items():
                    assert got.tensors[name].shape == array.shape
                    np.testing.assert_allclose(got.tensors[name], array, atol=1e-4)
        return len(self.answers[stream])
