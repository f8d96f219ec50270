# SPDX-License-Identifier: Apache-2.0
"""Threads and lanes of the TensorRT engine, with lanes that only multiply."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
from support.keypoints.dots import write_dots
from support.onnx_models import write_model

from isaac_inference.engines.tensorrt.io_tensors import PlanTensor
from isaac_inference.engines.tensorrt.loader import Plan
from isaac_inference.engines.tensorrt.runner import TensorRtEngine
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import EngineError
from isaac_inference.models import read_card

PLAN = Plan(b'plan', 'a test')


class Doubles:
    """A lane: its memory is one array, so that two threads in it would spoil each other's result."""

    graphs = 5

    def __init__(self, fails=False):
        self.memory, self.fails, self.users, self.most, self.frames = None, fails, 0, 0, 0

    def infer(self, feeds):
        self.users += 1
        self.most = max(self.most, self.users)
        self.memory = feeds['images'].copy()
        threading.Event().wait(0.0002)
        result = {'output0': self.memory * 2}
        self.users -= 1
        self.frames += 1
        if self.fails:
            raise EngineError('failed')
        return result

    def close(self):
        self.frames = -1


@pytest.fixture
def card(tmp_path):
    return read_card(write_model(tmp_path / 'm.onnx', 'yolov8'))


def make_engine(card, lanes):
    class Engine(TensorRtEngine):
        def _open(self):
            self._gpu = SimpleNamespace(current=nullcontext)
            self._lanes, self._idle = list(lanes), deque(lanes)

    return Engine(card, PLAN, TensorRtSettings(contexts=len(lanes)))


def test_two_contexts_from_four_threads(card):
    lanes = [Doubles(), Doubles()]

    def work(seed):
        feeds = {'images': np.full((1, 3, 64, 96), seed, np.float32)}
        return all((engine.infer(feeds)['output0'] == 2 * seed).all() for _ in range(50))

    with make_engine(card, lanes) as engine:
        assert engine.concurrency == 2 and engine.graphs == 10
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(work, range(1, 5)))
        assert [lane.most for lane in lanes] == [1, 1] and sum(lane.frames for lane in lanes) == 200
        assert min(lane.frames for lane in lanes) > 10
    assert [lane.frames for lane in lanes] == [-1, -1]


def test_a_lane_that_failed_is_used_again(card):
    with make_engine(card, [Doubles(fails=True)]) as engine:
        for _ in range(3):
            with pytest.raises(EngineError, match='failed'):
                engine.infer(engine.zero_feeds())


def test_enqueue_and_layers_need_an_open_engine(card):
    engine = TensorRtEngine(card, PLAN)
    with pytest.raises(EngineError, match=r'enqueue\(\) on an engine that is not open'):
        engine.enqueue(engine.zero_feeds())
    with pytest.raises(EngineError, match=r'profile_layers\(\) on an engine that is not open'):
        engine.profile_layers()
    assert engine.takes_device_arrays and not engine.reuses_outputs and dict(engine.memory) == {}


def test_it_takes_as_many_images_as_its_profile_says(tmp_path):
    """A frame of more crops is then run in parts, rather than refused."""
    card = write_dots(tmp_path / 'm.onnx')
    engine = make_engine(card, [Doubles()])
    assert engine.batch_sizes == (1, None)
    shape = card.image.shape()[1:]
    image = PlanTensor('image', True, np.dtype(np.float32), (None, *shape), (2, *shape), (4, *shape), (8, *shape))
    engine._loaded = SimpleNamespace(tensors=(image, PlanTensor('keypoints', False, image.dtype, (None, 3, 3))))
    assert engine.batch_sizes == (2, 8)
