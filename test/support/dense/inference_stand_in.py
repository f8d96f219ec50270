# SPDX-License-Identifier: Apache-2.0
"""What plays the inference node from outside, over real DDS: it gives what a test says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from isaac_inference.ros.messages.tensors import TENSORS, TensorFrame, from_tensor_list, to_tensor_list
from support.ros.probe import RELIABLE, Probe

Outputs = Mapping[str, np.ndarray]


class InferenceStandIn:
    """Answers each `input_tensors` with what `answer` makes of it; None lets the frame wait until `release`.

    Attributes:
        asked: all frames so far.
    """

    def __init__(self, probe: Probe) -> None:
        assert TENSORS.message_type is not None
        self._probe = probe
        self.answer: Callable[[TensorFrame], Outputs | None] = lambda frame: None
        self.asked: list[TensorFrame] = []
        self._outputs = probe.node.create_publisher(TENSORS.message_type, 'output_tensors', RELIABLE)
        probe.listen('input_tensors', TENSORS.message_type, read=self._on_inputs)

    def _on_inputs(self, message: Any) -> None:
        frame = from_tensor_list(message)
        self.asked.append(frame)
        outputs = self.answer(frame)
        if outputs is not None:
            self.release(frame, outputs)

    def release(self, frame: TensorFrame, outputs: Outputs, **changed: Any) -> None:
        """Answer a frame, with parts of it `changed`."""
        fields = {'header': frame.header, 'auxiliary': frame.auxiliary, 'timings': frame.timings, 'card': frame.card}
        self._outputs.publish(to_tensor_list(TensorFrame(tensors=outputs, **{**fields, **changed})))

    def wait_asked(self, count: int) -> TensorFrame:
        """The frame of that number, from 1 on."""
        self._probe.wait_until(lambda: len(self.asked) >= count, f'{count} frames of input_tensors')
        return self.asked[count - 1]
