# SPDX-License-Identifier: Apache-2.0
"""Several cameras and several models on a real GPU: batches gathered on the device, graphs of each batch size, results
of each stream's own, and stream priorities. Engines are built once for all tests, at the fastest level.
"""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pytest
from support.onnx_models import ultralytics_metadata, write_model
from support.ros.node_graph import empty_container
from support.ros.probe import image_message
from support.ros.streams.chains import CameraChains
from support.waiting import LIMIT_S

from isaac_inference.cuda.array import DeviceArray
from isaac_inference.cuda.availability import why_no_gpu
from isaac_inference.engines import create_engine
from isaac_inference.engines.batches import BatchRunner
from isaac_inference.engines.registry import BACKENDS
from isaac_inference.engines.rows import Rows
from isaac_inference.engines.tensorrt.factory import make_engine
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import EngineError, FrameError
from isaac_inference.models import read_card
from isaac_inference.serving.scheduler.scheduler import SAFETY, Scheduler
from isaac_inference.serving.streams.batches import FrameBatcher
from isaac_inference.serving.streams.device_batches import DeviceBatches

WHY_NOT = why_no_gpu() or BACKENDS[0].why_not
pytestmark = [pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT), pytest.mark.timeout(600)]
STREAMS = ['front', 'left', 'rear']
LABELS = ['cup', 'can', 'box']
SOURCES = ('JIT_CONVOLUTIONS', 'EDGE_MASK_CONVOLUTIONS')
BUILD_S = 2 * LIMIT_S


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('streams')


@pytest.fixture(scope='module')
def model(folder):
    metadata = ultralytics_metadata(LABELS, imgsz=(64, 64))
    return write_model(folder / 'any.onnx', 'yolov8', input_wh=(64, 64), metadata=metadata, dynamic='batch')


@pytest.fixture(scope='module')
def card(model):
    return read_card(model)


@pytest.fixture
def settings(folder):
    def make(**values):
        values = {'min_batch': 1, 'opt_batch': 3, 'max_batch': 4, **values}
        return TensorRtSettings(preset='fastest', cache_dir=str(folder), tactic_sources=SOURCES, **values)

    return make


def image(seed, count=1):
    return np.random.default_rng(seed).uniform(0, 1, (count, 3, 64, 64)).astype(np.float32)


def on_device(gpu, array):
    """The array in the GPU's memory."""
    stream = gpu.stream()
    memory = gpu.pool.allocate(array.nbytes, 'test')
    stream.upload(memory.ptr, array)
    made = DeviceArray(memory.ptr, array.shape, array.dtype, stream, owner=memory)
    made.mark_ready()
    return made


@pytest.mark.parametrize('graph', [True, False])
def test_images_that_lie_apart_are_what_they_are_together(gpu, card, settings, graph):
    with make_engine(card, settings(cuda_graph=graph)) as engine:
        assert engine.graphs == (4 * 5 if graph else 0)
        for count in (1, 2, 3, 4, 2):
            images = [image(seed) for seed in range(count)]
            want = engine.infer({'images': np.concatenate(images)})
            parts = [on_device(gpu, one) if index % 2 else one for index, one in enumerate(images)]
            got, begun = engine.infer({'images': Rows(parts)}), engine.enqueue({'images': Rows(parts)})
            for name, array in want.items():
                np.testing.assert_array_equal(got[name], array)
                np.testing.assert_array_equal(np.asarray(begun[name]), array)
        with pytest.raises(EngineError, match=r'got shape \[5, 3, 64, 64\]'):
            engine.infer({'images': Rows([image(0, 2), image(1, 3)])})


def test_a_batch_gives_what_onnx_runtime_gives_for_each(card, settings):
    with make_engine(card, settings()) as engine, create_engine(card, 'onnxruntime', providers=['cpu']) as reference:
        batcher = FrameBatcher(engine, BatchRunner(engine))
        batcher.try_out(4)
        assert not batcher.failure
        frames = [{'images': image(seed)} for seed in range(4)]
        for frame, outputs in zip(frames, batcher.run(frames), strict=True):
            for name, array in reference.infer(frame).items():
                np.testing.assert_allclose(outputs[name], array, atol=2e-2, rtol=2e-2)


@pytest.fixture
def batches(card, settings):
    with make_engine(card, settings()) as engine:
        made = DeviceBatches(engine, FrameBatcher(engine, BatchRunner(engine)), STREAMS, 'normal')
        yield engine, made
        made.close()


def test_each_stream_has_its_rows_on_the_device(gpu, batches):
    engine, made = batches
    for streams in (STREAMS, ['rear', 'front'], ['left']):
        frames = [{'images': on_device(gpu, image(index))} for index in range(len(streams))]
        for frame, outputs in zip(frames, made.enqueue(frames, streams), strict=True):
            for name, array in engine.infer(frame).items():
                assert isinstance(outputs[name], DeviceArray) and outputs[name].shape == array.shape
                np.testing.assert_allclose(np.asarray(outputs[name]), array, atol=1e-3, rtol=1e-3)


def test_nothing_is_allocated_or_waited_for(gpu, batches):
    _, made = batches
    frames = [{'images': on_device(gpu, image(index))} for index in range(3)]
    made.enqueue(frames, STREAMS)
    before = gpu.counters.values()
    for _ in range(50):
        made.enqueue(frames, STREAMS)
    after = gpu.counters.values()
    for what in ('allocations', 'synchronizations'):
        assert after[what] == before[what], what


def test_who_holds_results_loses_only_its_own(gpu, batches):
    _, made = batches
    frames, held = [{'images': on_device(gpu, image(index))} for index in range(2)], []
    for _ in range(6):
        slow, fast = made.enqueue(frames, ['front', 'left'])
        held.append(slow)
        assert not isinstance(fast, FrameError)
    assert [isinstance(one, FrameError) for one in held] == [False] * 4 + [True] * 2


def test_a_frame_that_does_not_fit_fails_alone(gpu, batches):
    _, made = batches
    bad = {'images': on_device(gpu, np.zeros((1, 3, 32, 32), np.float32))}
    good = [{'images': on_device(gpu, image(index))} for index in range(2)]
    found = made.enqueue([good[0], bad, good[1]], STREAMS)
    assert isinstance(found[1], EngineError)
    assert not isinstance(found[0], Exception) and not isinstance(found[2], Exception)


def test_classes_have_streams_of_their_own_priority(gpu):
    levels = [gpu.stream(priority).level for priority in ('low', 'normal', 'elevated', 'high')]
    assert levels[0] == levels[1] == 0 and levels[3] < levels[2] < 0


def test_the_whole_graph_of_three_cameras(ros, model, folder):
    """Detections of each camera as with one, tensors that stay on the GPU, and no frame lost for another's fault."""
    engine = {
        'backend': 'tensorrt',
        'tensorrt__preset': 'fastest',
        'tensorrt__tactic_sources': list(SOURCES),
        'tensorrt__cache_dir': str(folder),
    }
    with empty_container() as graph:
        chains = CameraChains(graph, model, STREAMS, BUILD_S, inference=engine)
        for _ in range(5):
            chains.images['rear'].publish(image_message(step=1))
            white = chains.ask('front', image_message(np.full((480, 640, 3), 255, np.uint8)))
            black = chains.ask('left', image_message(np.zeros((64, 64, 3), np.uint8)))
            assert [one.results[0].hypothesis.class_id for one in white.detections] == LABELS
            assert list(black.detections) == []
        on_device = lambda: float(chains.value('inference', 'gpu_ms.p50') or 0) > 0  # noqa: E731
        chains.probe.wait_until(on_device, 'its results stay on the GPU')
        assert chains.value('inference', 'frames_at_once') == '3'
        assert chains.value('inference', 'dropped') == '0'


def test_a_safety_model_beside_two_that_saturate_is_admitted_first(card, settings):
    """Its runs and theirs all end, and theirs do not overlap each other."""
    scheduler, done = Scheduler(), threading.Event()
    counts = {'one': 0, 'two': 0}

    def saturate(name, engine, member):
        while not done.is_set():
            with member.turn(lambda: not done.is_set()) as turn:
                if turn is None:
                    return
                turn.until = next(iter(engine.enqueue({'images': image(0)}).values())).ready
                counts[name] += 1

    low = dataclasses.replace(settings(), priority='low')
    high = dataclasses.replace(settings(), priority='high')
    with make_engine(card, low) as one, make_engine(card, low) as two, make_engine(card, high) as safety:
        members = {name: scheduler.join(name, 0) for name in counts}
        threads = [
            threading.Thread(target=saturate, args=(name, engine, members[name]))
            for name, engine in (('one', one), ('two', two))
        ]
        mine = scheduler.join('safety', SAFETY)
        for thread in threads:
            thread.start()
        want = safety.infer({'images': image(5)})
        try:
            for _ in range(200):
                with mine.turn():
                    got = safety.infer({'images': image(5)})
                for name, array in want.items():
                    np.testing.assert_array_equal(got[name], array)
        finally:
            done.set()
            for thread in threads:
                thread.join(LIMIT_S)
    assert min(counts.values()) > 0
