# SPDX-License-Identifier: Apache-2.0
"""A lane on a toy device: results, types, graphs by buffer, and errors."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from support.fake_trt import Context, Device, Stream

from isaac_inference.cuda.array import DeviceArray
from isaac_inference.engines.rows import Rows
from isaac_inference.engines.tensorrt.io_tensors import PlanTensor
from isaac_inference.engines.tensorrt.lane import Lane
from isaac_inference.errors import DeviceError, DeviceMemoryError, EngineError

FLOAT = np.dtype(np.float32)


class Ring:
    """Hands out two slots in turn."""

    depth = 2

    def __init__(self, stream, shape):
        self.slots = itertools.cycle([stream.gpu.allocate(64, 'ring') for _ in range(2)])
        self.stream, self.shape = stream, shape

    def take(self):
        slot = SimpleNamespace(ready=object(), mark_read=lambda stream: None)
        return {'y': DeviceArray(next(self.slots).ptr, self.shape, FLOAT, self.stream, slot=slot)}


class Graph:
    """What was captured, to be done again."""

    def __init__(self, context, addresses, log):
        self.context, self.addresses, self.log = context, addresses, log

    def launch(self, stream):
        self.log.append('launch')
        context = Context(self.context.device)
        context.shape, context.addresses = self.context.shape, self.addresses
        context.execute_async_v3(stream.handle)

    def close(self):
        self.log.append('closed')


def make_lane(largest=(2, 3), capture=None, context=None, log=None, wanted=FLOAT, kind=FLOAT, more=0):
    device = Device()
    stream, context = Stream(device), context or Context(device)
    context.device = device
    log = [] if log is None else log
    tensors = (
        PlanTensor('x', True, kind, (None, 3), (1, 3) if largest[0] > 2 else largest, largest, largest),
        PlanTensor('y', False, FLOAT, (None, 3)),
    )

    def buffers(shapes):
        one = {name: device.allocate(64, name) for name in ('x', 'y', 'pinned', 'activations')}
        return SimpleNamespace(
            inputs={'x': one['x']},
            own={'y': one['y']},
            host={'y': SimpleNamespace(array=np.zeros(64, np.uint8))},
            ring=Ring(stream, shapes['y']),
            activations=one['activations'],
            close=lambda: log.append('buffers'),
        )

    contexts = [context]

    def record(gpu, stream, enqueue):
        if capture == 'fails' or capture == 'fails later' and len(contexts) > 2:
            raise DeviceError('a CUDA graph cannot be captured')
        return Graph(contexts[-1], dict(contexts[-1].addresses), log)

    def another():
        contexts.append(Context(device))
        return contexts[-1]

    lane = Lane(
        device,
        stream,
        context,
        tensors,
        {'y': wanted},
        buffers,
        record if capture else None,
        'm',
        another if more else None,
    )
    return lane, stream, log


def values(count=2, start=0.0):
    return np.arange(start, start + 3 * count, dtype=np.float32).reshape(count, 3)


@pytest.mark.parametrize('capture', [None, 'works', 'fails'])
def test_results_are_right_with_and_without_graphs(capture):
    lane, stream, log = make_lane(capture=capture)
    assert lane.graphs == (3 if capture == 'works' else 0)
    for start in (0.0, 5.0, 9.0):
        np.testing.assert_array_equal(lane.infer({'x': values(start=start)})['y'], values(start=start) * 2)
        result = lane.enqueue({'x': values(start=start + 1)})['y']
        raw = stream.gpu.memories[result.ptr].view(np.float32)[:6].reshape(2, 3)
        np.testing.assert_array_equal(raw, values(start=start + 1) * 2)
    assert log.count('launch') == (6 if capture == 'works' else 0)
    lane.close()
    lane.close()
    assert log.count('closed') == (3 if capture == 'works' else 0) and 'buffers' in log


def test_one_synchronisation_a_frame_and_none_to_enqueue():
    lane, stream, _ = make_lane()
    stream.calls.clear()
    first = lane.infer({'x': values()})['y']
    assert stream.calls == ['upload', 'download', 'synchronize']
    stream.calls.clear()
    lane.enqueue({'x': values(start=7)})
    assert stream.calls == ['upload', 'record']
    np.testing.assert_array_equal(first, values() * 2)  # the caller's own


def test_device_arrays_are_copied_on_the_device():
    lane, stream, _ = make_lane()
    source = stream.gpu.allocate(24, 'source')
    stream.gpu.memories[source.ptr][:] = values().view(np.uint8).ravel()
    stream.calls.clear()
    feed = DeviceArray(source.ptr, (2, 3), FLOAT, stream, slot=object())
    np.testing.assert_array_equal(lane.infer({'x': feed})['y'], values() * 2)
    assert stream.calls == ['copy', 'download', 'synchronize']
    with pytest.raises(EngineError, match='got float16 on the device, where the engine takes float32'):
        lane.infer({'x': DeviceArray(source.ptr, (2, 3), np.float16, stream, slot=object())})


def test_shapes_within_the_profile_and_no_graph_where_they_vary():
    lane, _, _ = make_lane(largest=(4, 3), capture='works')
    assert lane.graphs == 0
    for count in (1, 4, 2):
        assert lane.infer({'x': values(count)})['y'].shape == (count, 3)
        assert lane.enqueue({'x': values(count)})['y'].shape == (count, 3)
    with pytest.raises(
        EngineError, match=r"input 'x': got shape \[5, 3\], the engine was built for \[1, 3\] to \[4, 3"
    ):
        lane.infer({'x': values(5)})


@pytest.mark.parametrize(('capture', 'graphs'), [('works', 4 * 3), ('fails later', 0), (None, 0)])
def test_each_batch_size_has_its_graphs(capture, graphs):
    """One for the lane's own outputs and one for each slot of the ring; where one fails there are none."""
    lane, stream, log = make_lane(largest=(4, 3), capture=capture, more=True)
    assert lane.graphs == graphs
    for count in (1, 4, 2, 3, 1):
        np.testing.assert_array_equal(lane.infer({'x': values(count)})['y'], values(count) * 2)
        result = lane.enqueue({'x': values(count, 5)})['y']
        assert result.shape == (count, 3)
        raw = stream.gpu.memories[result.ptr].view(np.float32)[: 3 * count].reshape(count, 3)
        np.testing.assert_array_equal(raw, values(count, 5) * 2)
    assert log.count('launch') == (10 if graphs else 0)
    lane.close()
    assert log.count('closed') == (graphs or (3 if capture else 0))


def test_more_batch_sizes_than_there_is_room_for_get_no_graphs():
    lane, _, _ = make_lane(largest=(17, 3), capture='works', more=True)
    assert lane.graphs == 0


def test_images_that_lie_apart_come_together_on_the_device():
    lane, stream, _ = make_lane(largest=(4, 3))
    source = stream.gpu.allocate(12, 'source')
    stream.gpu.memories[source.ptr][:] = values(1, 7).view(np.uint8).ravel()
    on_device = DeviceArray(source.ptr, (1, 3), FLOAT, stream, slot=object())
    stream.calls.clear()
    rows = Rows([values(2), on_device, values(1, 3)])
    expected = np.concatenate([values(2), values(1, 7), values(1, 3)]) * 2
    np.testing.assert_array_equal(lane.infer({'x': rows})['y'], expected)
    assert stream.calls == ['upload', 'copy', 'upload', 'download', 'synchronize']
    with pytest.raises(EngineError, match='got float16 on the device'):
        lane.infer({'x': Rows([DeviceArray(source.ptr, (1, 3), np.float16, stream, slot=object())])})
    with pytest.raises(EngineError, match=r'got shape \[5, 3\]'):
        lane.infer({'x': Rows([values(3), values(2)])})


def test_feeds_that_are_not_contiguous_and_outputs_of_the_file_s_type():
    lane, _, _ = make_lane(wanted=np.dtype(np.float64))
    turned = np.asfortranarray(values())
    result = lane.infer({'x': turned})['y']
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, values() * 2)


def test_whole_numbers_that_the_engine_s_type_can_not_hold():
    lane, _, _ = make_lane(kind=np.dtype(np.int32))
    with pytest.raises(EngineError, match='which do not fit into int32'):
        lane.infer({'x': np.full((2, 3), 1 << 40)})


@pytest.mark.parametrize(
    'says, error', [('illegal instruction', EngineError), ('CUDA out of memory, 123456 bytes', DeviceMemoryError)]
)
def test_a_failed_run_is_told_with_tensorrt_s_words_and_frees_everything(says, error):
    log = []
    with pytest.raises(error, match=f'execute_async_v3; TensorRT said: {says}'):
        make_lane(context=Context(None, says), log=log)
    assert log == ['buffers']


def test_a_size_that_depends_on_the_image():
    context = Context(None)
    context.get_tensor_shape = lambda name: (-1, 6)
    with pytest.raises(EngineError, match=r"output 'y' \[-1, 6\] depends on the image"):
        make_lane(context=context)


def test_a_profile_that_another_context_has():
    context = Context(None)
    context.active_optimization_profile = -1
    with pytest.raises(EngineError, match='cannot be used by several contexts at once'):
        make_lane(context=context)
