# SPDX-License-Identifier: Apache-2.0
"""Property: whatever an Image message holds, PreprocessNode drops or handles it, counts it, and lives on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.ros.probe import image_message
from support.waiting import wait_until

from isaac_inference.ops.image.encodings import SUPPORTED_ENCODINGS
from isaac_inference.ros.messages.image import from_image_message
from isaac_inference.ros.messages.tensors import TENSORS, TensorFrame
from isaac_inference.ros.runtime.topics.qos import QosParameters

SIZES = st.one_of(st.integers(0, 70), st.sampled_from([255, 4096, 65536, 2**31, 2**32 - 1]))
ENCODINGS = st.one_of(
    st.sampled_from(sorted(SUPPORTED_ENCODINGS)),
    st.text(max_size=12),
    st.sampled_from(['32FC1', '16UC1', '64FC4', '8SC3', 'bayer_rggb16', 'RGB8', 'rgb8 ']),
)


@st.composite
def messages(draw: st.DrawFn) -> Any:
    """Images whose size, step, encoding and data mostly contradict each other, with every kind of near miss."""
    height, width = draw(SIZES), draw(SIZES)
    step = draw(st.one_of(SIZES, st.integers(0, 4).map(lambda channels: min(width * channels, 2**32 - 1))))
    right = min(height * step, 20000)
    length = draw(st.one_of(st.just(right), st.integers(max(right - 2, 0), right + 2), st.integers(0, 3000)))
    return image_message(
        np.zeros((1, 1, 3), np.uint8),
        height=height,
        width=width,
        step=step,
        encoding=draw(ENCODINGS),
        is_bigendian=draw(st.sampled_from([0, 1, 255])),
        data=draw(st.sampled_from([b'\0', b'\xff', b'\x80'])) * length,
    )


def test_thousands_of_malformed_images_do_not_end_the_node(empty_graph: Any, model: Path) -> None:
    node = empty_graph.load('PreprocessNode', 'preprocess', model=str(model))
    empty_graph.probe.wait_active('preprocess')
    sent, results = [], []
    handler = node._worker._mailboxes[0]._handler

    @settings(
        max_examples=3000,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    @given(messages())
    def throw(message: Any) -> None:
        sent.append(message)
        handler(from_image_message(message), 0)  # as the worker does, so that none is displaced by the next

    throw()
    total = node.health.snapshot()
    assert total.received == len(sent)
    assert total.processed + sum(total.drops.values()) == len(sent)
    assert 'internal_error' not in total.drops, 'a message found a path that no check names'
    assert total.drops.keys() >= {'unknown_encoding', 'bad_step', 'bad_data_length', 'zero_size_image'}

    node.subscribe(TENSORS, 'input_tensors', QosParameters(), lambda frame, clock: results.append(frame))
    node._subscriptions_open.append(node._wanted[-1].connect(False))
    empty_graph.probe.send(image_message())
    wait_until(lambda: results, 'the good image becomes a tensor')
    assert isinstance(results[0], TensorFrame)
