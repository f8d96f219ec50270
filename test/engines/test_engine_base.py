# SPDX-License-Identifier: Apache-2.0
"""The engine's contract, on the smallest backend there can be: state, checks, threads, warm-up."""

from __future__ import annotations

import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support.onnx_models import write_model
from support.waiting import LIMIT_S, wait_until

from isaac_inference.engines import Engine
from isaac_inference.errors import EngineError
from isaac_inference.models import TensorSpec, read_card


class Echo(Engine):
    """Returns the image's sum; remembers what was called."""

    backend = 'echo'
    needs_contiguous = True

    def __init__(self, card, fail=False, concurrency=1):
        super().__init__(card, concurrency=concurrency)
        self.calls, self.fail, self.running = [], fail, 0

    def _open(self):
        self.calls.append('open')
        self._device = 'half'
        if self.fail:
            raise EngineError('echo: no device')
        self._device = 'CPU'

    def _infer(self, feeds):
        self.running += 1
        time.sleep(0.0002)  # lets another thread in, if the base class did
        overlapping = self.running > 1
        total = feeds['images'].sum()
        self.running -= 1
        return {'overlapping': np.array(overlapping), 'sum': total}

    def _close(self):
        self.calls.append('close')


@pytest.fixture
def card(tmp_path):
    return read_card(write_model(tmp_path / 'm.onnx', 'yolov8'))


def test_an_engine_knows_its_model_before_it_is_open(card):
    engine = Echo(card)
    assert engine.name == 'm (echo)' and engine.device == 'not opened' and not engine.is_open
    assert [spec.name for spec in engine.inputs] == ['images']
    assert [spec.name for spec in engine.outputs] == ['output0']


def test_state_errors_say_what_to_do(card):
    engine = Echo(card)
    with pytest.raises(EngineError, match=r'm \(echo\): infer\(\) on an engine that is not open; call open\(\) first'):
        engine.infer(engine.zero_feeds())
    engine.open()
    with pytest.raises(EngineError, match=r'open\(\) on an engine that is open; close\(\) it first'):
        engine.open()
    engine.close()
    with pytest.raises(EngineError, match='not open'):
        engine.infer(engine.zero_feeds())
    engine.close()
    assert engine.calls == ['open', 'close'] and engine.device == 'not opened'


def test_a_failed_open_cleans_up_and_can_be_tried_again(card):
    engine = Echo(card, fail=True)
    with pytest.raises(EngineError, match='no device'):
        engine.open()
    assert engine.calls == ['open', 'close'] and not engine.is_open and engine.device == 'not opened'
    engine.fail = False
    with engine:
        assert engine.device == 'CPU'
    assert engine.calls == ['open', 'close', 'open', 'close']


def test_the_context_closes_after_an_error(card):
    engine = Echo(card)
    with pytest.raises(ZeroDivisionError), engine:
        raise ZeroDivisionError
    assert not engine.is_open


def test_calls_of_several_threads_run_one_at_a_time(card):
    feeds = {'images': np.ones((1, 3, 64, 96), np.float32)}
    barrier = threading.Barrier(4)
    with Echo(card) as engine:

        def work():
            barrier.wait(LIMIT_S)
            return [engine.infer(feeds) for _ in range(50)]

        with ThreadPoolExecutor(4) as pool:
            results = [item for future in [pool.submit(work) for _ in range(4)] for item in future.result()]
    assert not any(item['overlapping'] for item in results)
    assert {float(item['sum']) for item in results} == {3.0 * 64 * 96}


class Waits(Echo):
    """Runs until it is told to go on; knows how many ran at once."""

    def __init__(self, card, concurrency):
        super().__init__(card, concurrency=concurrency)
        self.go, self.inside, self.most, self.lock = threading.Event(), 0, 0, threading.Lock()

    def _infer(self, feeds):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        assert self.go.wait(LIMIT_S)
        with self.lock:
            self.inside -= 1
        return {}

    def _close(self):
        super()._close()
        self.calls.append(f'{self.inside} inside')


def test_as_many_run_at_once_as_the_backend_says_and_close_waits_for_them(card):
    engine = Waits(card, concurrency=2)
    assert engine.concurrency == 2
    engine.open()
    feeds = engine.zero_feeds()
    with ThreadPoolExecutor(5) as pool:
        runs = [pool.submit(engine.infer, feeds) for _ in range(3)]
        wait_until(lambda: engine.inside == 2)
        closing = pool.submit(engine.close)
        wait_until(lambda: engine._gate._waiting == 1)
        late = pool.submit(engine.infer, feeds)
        engine.go.set()
        closing.result(LIMIT_S)
        done = [run.exception(LIMIT_S) for run in (*runs, late)]
    assert engine.most == 2 and engine.calls[-1] == '0 inside'
    assert done[:2].count(None) == 2 and 'not open' in str(done[3])


def test_closing_an_engine_inside_of_its_own_run_is_an_error_not_a_deadlock(card):
    class Closes(Echo):
        def _infer(self, feeds):
            self.close()

    with Closes(card) as engine, pytest.raises(RuntimeError, match='inside of a running infer'):
        engine.infer(engine.zero_feeds())


def test_warm_up_feeds_zeros_and_returns_seconds(card):
    with Echo(card) as engine:
        assert 0.0 < engine.warm_up(2) < LIMIT_S


def test_zero_feeds_fill_open_dimensions(tmp_path):
    path = write_model(tmp_path / 'd.onnx', 'boxes_scores_labels', dynamic=True)
    path.with_suffix('.yaml').write_text('{labels: coco80, input_size: [64, 32]}')
    feeds = Echo(read_card(path)).zero_feeds(batch=2)
    assert {name: (array.shape, array.dtype.name) for name, array in feeds.items()} == {
        'images': ((2, 3, 32, 64), 'float32'),
        'orig_target_sizes': ((2, 2), 'int64'),
    }


def test_both_images_of_a_pair_are_fed(card):
    left = dataclasses.replace(card.image, tensor=TensorSpec('left', 'float32', (None, 3, None, None)), role='left')
    right = dataclasses.replace(left, tensor=dataclasses.replace(left.tensor, name='right'), role='right')
    feeds = Echo(dataclasses.replace(card, inputs=(left, right))).zero_feeds()
    width, height = card.image.wh
    assert {name: array.shape for name, array in feeds.items()} == dict.fromkeys(
        ('left', 'right'), (1, 3, height, width)
    )


def test_a_backend_that_needs_contiguous_memory_gets_it(card):
    with Echo(card) as engine, pytest.raises(EngineError, match='not C-contiguous .*numpy.ascontiguousarray'):
        engine.infer({'images': np.zeros((1, 64, 96, 3), np.float32).transpose(0, 3, 1, 2)})
