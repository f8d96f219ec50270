# SPDX-License-Identifier: Apache-2.0
"""Batches on a device, on an engine and a device of host memory: what runs together, and whose results are whose."""

from __future__ import annotations

import ctypes
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
from support.cuda.host_slot import NotingGpu, NotingStream
from support.onnx_models import write_model

from isaac_inference.cuda.ring import ArrayRing
from isaac_inference.engines import Engine
from isaac_inference.engines.batches import BatchRunner
from isaac_inference.engines.rows import parts_of
from isaac_inference.errors import EngineError, FrameError
from isaac_inference.models import read_card
from isaac_inference.serving.streams.batches import FrameBatcher
from isaac_inference.serving.streams.device_batches import DeviceBatches


class Stream(NotingStream):
    """Copies at once."""

    def copy(self, target, source, nbytes):
        ctypes.memmove(target, source, nbytes)

    def close(self):
        self.gpu.notes.append('closed')


class Gpu(NotingGpu):
    """Makes streams."""

    def stream(self, priority='normal'):
        return Stream(self, 50)

    def current(self):
        return nullcontext()


class Means(Engine):
    """Gives each image's mean, on the device; refuses negative ones."""

    backend, takes_rows, takes_device_arrays, reuses_outputs = 'means', True, True, False

    def __init__(self, card, gpu):
        super().__init__(card)
        self.gpu, self.batches, self._line = gpu, [], Stream(gpu, 7)

    def _open(self):
        self._device = 'host memory'

    def _infer(self, feeds):
        raise AssertionError('nothing is waited for')

    def _close(self):
        pass

    def enqueue(self, feeds, timer=None):
        with self._running('enqueue', feeds):
            means = np.concatenate([part.mean(axis=(1, 2, 3)) for part in parts_of(feeds['images'])])
            self.batches.append(len(means))
            if (means < 0).any():
                raise EngineError('negative')
            ring = ArrayRing(self.gpu, self._line, {'output0': ((len(means), 2), np.float32)}, 1, 'engine')
            array = ring.take()['output0']
            values = np.repeat(means[:, None], 2, axis=1).astype(np.float32)
            ctypes.memmove(array.ptr, values.ctypes.data, values.nbytes)
            return {'output0': array}


@pytest.fixture
def made(tmp_path, monkeypatch):
    card = read_card(write_model(tmp_path / 'any.onnx', 'yolov8', input_wh=(64, 64), dynamic='batch'))
    device = Gpu()
    monkeypatch.setattr('isaac_inference.cuda.device.gpu', lambda ordinal: device)
    with Means(card, device) as engine:
        batches = DeviceBatches(engine, FrameBatcher(engine, BatchRunner(engine)), ['a', 'b', 'c'], 'normal')
        engine.batches.clear()
        yield SimpleNamespace(engine=engine, batches=batches)


def frame(value, wh=(64, 64)):
    return {'images': np.full((1, 3, *wh[::-1]), value, np.float32)}


def values(found):
    return [one if isinstance(one, Exception) else np.asarray(one['output0']).tolist() for one in found]


def test_one_run_for_all_and_each_has_its_own(made):
    found = made.batches.enqueue([frame(1), frame(2), frame(3)], ['c', 'a', 'b'])
    assert values(found) == [[[1, 1]], [[2, 2]], [[3, 3]]]
    assert made.engine.batches == [3]


def test_what_does_not_fit_fails_alone(made):
    found = values(made.batches.enqueue([frame(1), frame(2, wh=(32, 32)), frame(3)], ['a', 'b', 'c']))
    assert (found[0], found[2]) == ([[1, 1]], [[3, 3]])
    assert isinstance(found[1], EngineError) and 'got shape [1, 3, 32, 32]' in str(found[1])
    assert made.engine.batches == [2]


def test_what_fails_in_a_batch_is_found_one_by_one(made):
    found = values(made.batches.enqueue([frame(1), frame(-2), frame(3)], ['a', 'b', 'c']))
    assert (found[0], str(found[1]), found[2]) == ([[1, 1]], 'negative', [[3, 3]])
    assert made.engine.batches == [3, 1, 1, 1]


def test_a_stream_whose_results_are_held_loses_its_own(made):
    held = []
    for _ in range(5):
        slow, fast = made.batches.enqueue([frame(1), frame(2)], ['a', 'b'])
        held.append(slow)
        assert values([fast]) == [[[2, 2]]]
    assert isinstance(held[-1], FrameError) and held[-1].reason == 'device_buffers_busy'
