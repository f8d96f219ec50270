# SPDX-License-Identifier: Apache-2.0
"""The TensorRT engine on a real GPU: its results against ONNX Runtime's, threads, graphs, memory, and plans that are
not to be loaded. Engines are built once for all tests, at the fastest level.
"""

from __future__ import annotations

import dataclasses
import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.onnx_models import write_model
from support.paths import YOLOX_NANO

from isaac_inference.cuda.array import DeviceArray
from isaac_inference.cuda.availability import why_no_gpu
from isaac_inference.cuda.device import gpu
from isaac_inference.cuda.timer import GpuTimer
from isaac_inference.engines import create_engine, non_finite
from isaac_inference.engines.registry import BACKENDS
from isaac_inference.engines.tensorrt import compat
from isaac_inference.engines.tensorrt.build.ensure import ensure_engine
from isaac_inference.engines.tensorrt.factory import make_engine
from isaac_inference.engines.tensorrt.loader import Plan, load_plan
from isaac_inference.engines.tensorrt.logger import trt_logger
from isaac_inference.engines.tensorrt.runner import TensorRtEngine
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import DeviceMemoryError, EngineError, FrameError
from isaac_inference.models import TensorSpec, read_card
from isaac_inference.models.onnx.reader import read_model_file

WHY_NOT = why_no_gpu() or BACKENDS[0].why_not
pytestmark = [pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT), pytest.mark.timeout(600)]
ATOL = {'model': 2e-2, 'fp16': 5e-2}  # 'model' too: TensorRT multiplies float32 in TF32


def conv_model(path, batch, scale=1.0):
    """Two convolutions, [N, 3, 64, 96] to [N, 4, 32, 48]; `scale` multiplies the weights."""
    random = np.random.default_rng(0)

    def weights(name, shape):
        return numpy_helper.from_array((random.normal(0, 0.2, shape) * scale).astype(np.float32), name)

    graph = helper.make_graph(
        [
            helper.make_node('Conv', ['images', 'w1'], ['a'], pads=[1, 1, 1, 1], strides=[2, 2], name='first'),
            helper.make_node('Relu', ['a'], ['b'], name='relu'),
            helper.make_node('Conv', ['b', 'w2'], ['output0'], pads=[1, 1, 1, 1], name='second'),
            helper.make_node('Relu', ['b'], ['unread'], name='unread_relu'),
        ],
        'conv',
        [helper.make_tensor_value_info('images', TensorProto.FLOAT, [batch, 3, 64, 96])],
        [
            helper.make_tensor_value_info('output0', TensorProto.FLOAT, [batch, 4, 32, 48]),
            helper.make_tensor_value_info('unread', TensorProto.FLOAT, [batch, 8, 32, 48]),
        ],
        [weights('w1', (8, 3, 3, 3)), weights('w2', (4, 8, 3, 3))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    onnx.save(model, str(path))


def make_card(folder, batch=1, scale=1.0):
    """The card of a small network whose outputs no decoder has to understand."""
    folder.mkdir(exist_ok=True)
    tiny = read_card(write_model(folder / 'tiny.onnx', 'yolov8'))
    path = folder / 'conv.onnx'
    conv_model(path, 'N' if batch is None else batch, scale)
    outputs = tuple(
        TensorSpec(name, 'float32', (batch, channels, 32, 48)) for name, channels in (('output0', 4), ('unread', 8))
    )
    image = TensorSpec('images', 'float32', (batch, 3, 64, 96))
    return dataclasses.replace(
        tiny,
        name='conv',
        path=path,
        sha256=read_model_file(path).sha256,
        inputs=(dataclasses.replace(tiny.image, tensor=image, wh=(96, 64)),),
        outputs=outputs,
        spec=dataclasses.replace(tiny.detection, roles={next(iter(tiny.spec.roles)): 'output0'}),
    )


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('engines')


@pytest.fixture(scope='module')
def fixed(folder):
    return make_card(folder / 'fixed')


@pytest.fixture(scope='module')
def dynamic(folder):
    return make_card(folder / 'dynamic', None)


@pytest.fixture
def settings(folder):
    def make(**values):
        return TensorRtSettings(preset='fastest', cache_dir=str(folder), **values)

    return make


def images(batch=1, seed=0):
    return {'images': np.random.default_rng(seed).uniform(0, 1, (batch, 3, 64, 96)).astype(np.float32)}


def expected(card, feeds):
    with create_engine(card, 'onnxruntime', providers=['cpu']) as engine:
        return engine.infer(feeds)['output0']


@pytest.mark.parametrize('precision', ['model', 'fp16'])
@pytest.mark.parametrize('graph', [True, False])
def test_it_equals_onnx_runtime(fixed, settings, precision, graph):
    chosen = settings(precision=precision, cuda_graph=graph)
    with create_engine(fixed, 'tensorrt', settings={'tensorrt': chosen}) as engine:
        assert engine.graphs == (5 if graph else 0)
        assert gpu().name in engine.device and f'TensorRT {compat.load().__version__}' in engine.device
        for seed in range(3):
            result = engine.infer(images(seed=seed))
            assert list(result) == ['output0']
            np.testing.assert_allclose(
                result['output0'], expected(fixed, images(seed=seed)), atol=ATOL[precision], rtol=ATOL[precision]
            )


def test_graphs_on_and_off_give_the_same(fixed, settings):
    results = []
    for graph in (True, False):
        with make_engine(fixed, settings(cuda_graph=graph)) as engine:
            results.append([engine.infer(images(seed=seed))['output0'] for seed in range(5)])
    np.testing.assert_array_equal(results[0], results[1])


def test_a_dynamic_batch(dynamic, settings):
    chosen = settings(min_batch=1, opt_batch=2, max_batch=4)
    with make_engine(dynamic, chosen) as engine:
        assert engine.graphs == 4 * 5  # of each batch size one for `infer` and one for each result of `enqueue`
        for batch in (1, 4, 2, 3):
            feeds = images(batch, seed=batch)
            got = engine.infer(feeds)['output0']
            np.testing.assert_allclose(got, expected(dynamic, feeds), atol=2e-2, rtol=2e-2)
            np.testing.assert_array_equal(np.asarray(engine.enqueue(feeds)['output0']), got)
        with pytest.raises(EngineError, match=r'got shape \[5, 3, 64, 96\], the engine was built for .* --batch'):
            engine.infer(images(5))
        assert engine.warm_up() > 0


def test_two_contexts_from_four_threads_give_what_one_thread_gets(fixed, settings):
    with make_engine(fixed, settings(contexts=2)) as engine:
        want = [engine.infer(images(seed=seed))['output0'] for seed in range(10)]

        def work(offset):
            for index in range(250):
                seed = (index + offset) % 10
                if not np.array_equal(engine.infer(images(seed=seed))['output0'], want[seed]):
                    return False
            return True

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(work, range(4)))


def test_enqueue_takes_and_gives_device_arrays_without_waiting(fixed, settings):
    device = gpu()
    stream, timer = device.stream(), GpuTimer(device)
    with make_engine(fixed, settings()) as engine:
        want = engine.infer(images())['output0']
        memory = device.pool.allocate(want.nbytes * 12, 'test')
        stream.upload(memory.ptr, images()['images'])
        feed = DeviceArray(memory.ptr, (1, 3, 64, 96), np.float32, stream, owner=memory)
        feed.mark_ready()
        engine.enqueue({'images': feed}, timer)
        before = device.counters.values()
        result = engine.enqueue({'images': feed}, timer)['output0']
        after = device.counters.values()
        assert (after['synchronizations'], after['allocations']) == (
            before['synchronizations'],
            before['allocations'],
        )
        np.testing.assert_array_equal(np.asarray(result), want)
        np.testing.assert_array_equal(engine.infer({'images': feed})['output0'], want)
        assert len(timer.collect()) == 2
        del result
        held = [engine.enqueue(images()) for _ in range(4)]
        with pytest.raises(FrameError, match='still holds device arrays') as caught:
            engine.enqueue(images())
        assert caught.value.reason == 'device_buffers_busy'
        held.clear()
        engine.enqueue(images())


def test_a_frame_allocates_nothing_and_waits_once(fixed, settings):
    with make_engine(fixed, settings()) as engine:
        engine.warm_up(2)
        before = gpu().counters.values()
        for _ in range(100):
            engine.infer(images())
        after = gpu().counters.values()
    assert after['allocations'] == before['allocations']
    assert after['synchronizations'] - before['synchronizations'] == 100


def test_closing_gives_all_memory_back(fixed, settings):
    gc.collect()
    gpu().pool.allocate(1, 'empties the bin of what was dropped').free()
    before = gpu().pool.used
    engine = make_engine(fixed, settings(contexts=2))
    for _ in range(2):
        with engine:
            assert gpu().pool.used > before and engine.memory['outputs'] > 0
        assert gpu().pool.used == before


def test_a_memory_limit_is_told_with_figures(fixed, settings):
    engine = make_engine(fixed, settings())
    engine.open()  # builds it without a limit
    engine.close()
    limit = gpu().pool.limit
    try:
        gpu().pool.limit = gpu().pool.used + 100_000
        with pytest.raises(DeviceMemoryError) as caught:
            engine.open()
        assert caught.value.needed > caught.value.free >= 0 and not engine.is_open
    finally:
        gpu().pool.limit = limit
    with engine:
        engine.warm_up()


@pytest.mark.parametrize('damage', ['empty', 'text', 'half', 'header'])
def test_a_plan_that_is_no_engine(fixed, settings, damage):
    good = ensure_engine(fixed, settings()).read()
    plan = {
        'empty': b'',
        'text': b'not an engine' * 100,
        'half': good[: len(good) // 2],
        'header': b'x' * 64 + good[64:],
    }
    device = gpu()
    given = Plan(plan[damage], 'm.engine', 'ask whoever made it')
    with device.current(), pytest.raises(EngineError, match='m.engine: the engine .*; ask whoever made it'):
        load_plan(compat.load(), trt_logger(), device, given, fixed, settings())


def test_an_engine_of_another_model(fixed, settings):
    plan = Plan(ensure_engine(fixed, settings()).read(), 'm.engine')
    pixels = TensorSpec('pixels', 'float32', (1, 3, 64, 96))
    other = dataclasses.replace(fixed, inputs=(dataclasses.replace(fixed.image, tensor=pixels),))
    message = "input 'pixels' is missing; input 'images' is not in the card"
    with pytest.raises(EngineError, match=message), TensorRtEngine(other, plan, settings()) as engine:
        engine.infer({'pixels': images()['images']})


def test_without_auto_build_the_command_is_named(folder, settings):
    card = make_card(folder / 'never', scale=0.5)
    with pytest.raises(EngineError, match=r'isaac-inference build \S*conv.onnx .*--preset fastest'):
        make_engine(card, settings(auto_build=False)).open()


def test_numbers_that_overflow_are_seen(folder, settings):
    card = make_card(folder / 'overflow', scale=3000.0)
    assert not non_finite({'output0': expected(card, images())})
    try:
        with make_engine(card, settings(precision='fp16')) as engine:
            half = engine.infer(images())  # TensorRT 8.6 may compute in float32 all the same
        np.testing.assert_allclose(half['output0'], expected(card, images()), rtol=5e-2, atol=1e5)
    except EngineError as error:
        assert 'NaN or infinity' in str(error) or 'does not agree' in str(error)
    with make_engine(card, settings()) as engine:
        feeds = {'images': np.full((1, 3, 64, 96), 3e38, np.float32)}
        assert non_finite(engine.infer(feeds)) == ['output0']


def test_layer_times(fixed, settings):
    with make_engine(fixed, settings()) as engine:
        used = gpu().pool.used
        times = engine.profile_layers(5)
        assert times and all(name and ms >= 0 for name, ms in times) and gpu().pool.used == used
        engine.warm_up()


@pytest.mark.skipif(not YOLOX_NANO.is_file(), reason=f'no YOLOX-nano at {YOLOX_NANO}')
def test_the_real_detector_equals_onnx_runtime(settings):
    card = read_card(YOLOX_NANO)
    feeds = {'images': np.random.default_rng(0).uniform(0, 255, (1, 3, 416, 416)).astype(np.float32)}
    with create_engine(card, 'onnxruntime', providers=['cpu']) as engine:
        want = engine.infer(feeds)['output']
    with make_engine(card, settings(precision='fp16')) as engine:
        assert np.abs(engine.infer(feeds)['output'] - want).max() < 0.2
