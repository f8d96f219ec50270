# SPDX-License-Identifier: Apache-2.0
"""Tensors on the wire: every type, what travels with them, and messages that nobody should trust."""

from __future__ import annotations

import array

import numpy as np
import pytest
from std_msgs.msg import Header

from isaac_inference.errors import FrameError
from isaac_inference.models import CardId
from isaac_inference.ros.messages.tensors import (
    DATA_TYPES,
    TENSORS,
    TensorFrame,
    from_tensor_list,
    picture_mark,
    to_tensor_list,
)
from isaac_inference.ros.runtime.health.timing import StageTiming

messages = pytest.importorskip('isaac_ros_tensor_list_interfaces.msg')


def message_of(**tensors):
    return to_tensor_list(TensorFrame(Header(), tensors))


def round_trip(**tensors):
    return from_tensor_list(message_of(**tensors)).tensors


def tensor(name='t', data_type=9, dims=(2,), strides=(4,), data=bytes(8)):
    """A message with one tensor, float32 [2] unless told otherwise."""
    made = messages.Tensor(name=name, data_type=data_type, strides=list(strides))
    made.shape = messages.TensorShape(rank=len(dims), dims=list(dims))
    made.data = array.array('B', data)
    return messages.TensorList(tensors=[made])


@pytest.mark.parametrize('name', DATA_TYPES)
def test_every_type_comes_back(name):
    values = np.array([[0, 1, 100], [3, 4, 5]], name)
    got = round_trip(t=values)['t']
    assert got.dtype == values.dtype
    np.testing.assert_array_equal(got, values)


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        (np.array([0.5, -2.0, np.inf], np.float16), np.array([0.5, -2.0, np.inf], np.float32)),
        (np.array([True, False]), np.array([1, 0], np.uint8)),
        (np.array([1.5, -2.0], '>f4'), np.array([1.5, -2.0], np.float32)),
    ],
)
def test_a_type_that_the_wire_lacks_is_widened(values, expected):
    got = round_trip(t=values)['t']
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize('values', [np.zeros(2, np.complex64), np.array(['text'])])
def test_a_type_without_a_code_is_an_error(values):
    with pytest.raises(FrameError, match='tensor t: TensorList has no data_type for .*expected one of int8') as caught:
        message_of(t=values)
    assert caught.value.reason == 'bad_tensor'


@pytest.mark.parametrize(
    'values',
    [
        np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        np.float32(7.5).reshape(()),
        np.empty((0, 6), np.float32),
        np.empty((1, 0), np.int64),
        np.arange(6, dtype=np.float32).reshape(3, 2).T,
        np.arange(24, dtype=np.float32).reshape(4, 6)[::2, ::3],
        np.arange(3, dtype=np.int64).reshape(3, 1).T,  # contiguous, though an axis of length 1 has another stride
    ],
    ids=['dense', 'scalar', 'empty', 'empty last axis', 'transposed', 'strided', 'odd stride'],
)
def test_every_shape_and_layout_comes_back(values):
    got = round_trip(t=values)['t']
    assert got.shape == values.shape
    np.testing.assert_array_equal(got, values)


def test_the_message_says_shape_and_dense_strides_in_bytes():
    [made] = message_of(images=np.zeros((1, 3, 4, 5), np.float32)).tensors
    assert (made.name, made.data_type, made.shape.rank) == ('images', 9, 4)
    assert list(made.shape.dims) == [1, 3, 4, 5]
    assert list(made.strides) == [240, 80, 20, 4]
    assert isinstance(made.data, array.array)
    assert made.data.typecode == 'B'
    assert len(made.data) == 240


def test_header_auxiliary_tensors_and_timings_travel_along():
    header = Header(frame_id='lens')
    header.stamp.nanosec = 5
    timings = (StageTiming('preprocess', 1, 2, 3), StageTiming('inference', 4, 5, 6))
    sent = TensorFrame(
        header, {'b': np.ones(1, np.float32), 'a': np.zeros(2, np.int8)}, {'letterbox': np.arange(8.0)}, timings
    )
    got = from_tensor_list(to_tensor_list(sent))
    assert got.header == header
    assert list(got.tensors) == ['b', 'a']
    assert list(got.auxiliary) == ['letterbox']
    np.testing.assert_array_equal(got.auxiliary['letterbox'], np.arange(8.0))
    assert got.timings == timings


def test_what_travels_along_is_named_with_an_underscore_for_others_to_ignore():
    sent = TensorFrame(Header(), {'x': np.zeros(1)}, {'letterbox': np.zeros(8)}, (StageTiming('camera', 1, 2, 3),))
    assert [made.name for made in to_tensor_list(sent).tensors] == ['x', '_aux/letterbox', '_timing/camera']


def test_a_received_tensor_is_a_view_of_the_message():
    received = message_of(t=np.arange(6, dtype=np.float32))
    got = from_tensor_list(received).tensors['t']
    assert np.shares_memory(got, np.frombuffer(received.tensors[0].data, np.uint8))


def test_a_message_without_tensors_is_a_frame_without_tensors():
    assert dict(from_tensor_list(messages.TensorList()).tensors) == {}


def test_strides_may_be_left_out():
    assert from_tensor_list(tensor(strides=())).tensors['t'].shape == (2,)


@pytest.mark.parametrize(
    ('changes', 'says'),
    [
        ({'data_type': 0}, r'data_type 0 is unknown, expected one of \[1, 2, 3'),
        ({'data_type': 11}, 'data_type 11 is unknown'),
        ({'data_type': -1}, 'data_type -1 is unknown'),
        ({'data': bytes(7)}, r'7 bytes with strides \[4\] for shape \[2\] of float32, expected 8 bytes'),
        ({'data': bytes(12)}, '12 bytes .* expected 8 bytes'),
        ({'data': b''}, '0 bytes .* expected 8 bytes'),
        ({'dims': (3,)}, '8 bytes .* expected 12 bytes'),
        ({'dims': ()}, '8 bytes .* expected 4 bytes'),
        ({'strides': (8,)}, r'strides \[8\] .* expected 8 bytes with strides \[4\]'),
        ({'strides': (4, 4)}, r'strides \[4, 4\]'),
        ({'dims': (2, 1), 'strides': (4,)}, r'expected 8 bytes with strides \[4, 4\]'),
        ({'dims': (2**31, 2**31, 4), 'strides': (), 'data': b''}, f'0 bytes .* expected {2**64 * 4} bytes'),
        ({'dims': (2**32 - 1,) * 8, 'strides': ()}, '8 bytes .* expected'),
    ],
)
def test_a_tensor_that_does_not_fit_together_is_one_dropped_frame(changes, says):
    with pytest.raises(FrameError, match=f'tensor t: .*{says}') as caught:
        from_tensor_list(tensor(**changes))
    assert caught.value.reason == 'bad_tensor'


def test_a_timing_of_another_shape_is_one_dropped_frame():
    with pytest.raises(FrameError, match='timing of stage camera'):
        from_tensor_list(tensor('_timing/camera'))


def test_the_adapter_uses_these_functions():
    assert TENSORS.message_type is messages.TensorList
    frame = TensorFrame(Header(), {'t': np.ones(3, np.float32)})
    np.testing.assert_array_equal(TENSORS.from_message(TENSORS.to_message(frame)).tensors['t'], np.ones(3))


class OnGpu:
    """What a tensor on a GPU shows of itself to the runtime; counts how often it is downloaded."""

    __cuda_array_interface__ = {'version': 3}

    def __init__(self, content):
        self.content, self.downloads = content, 0
        self.shape, self.dtype = content.shape, content.dtype

    def __array__(self, dtype=None, copy=None):
        self.downloads += 1
        return self.content


def test_a_tensor_on_a_gpu_goes_onto_the_wire_as_host_bytes():
    content = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensor = OnGpu(content)
    np.testing.assert_array_equal(round_trip(t=tensor)['t'], content)
    assert tensor.downloads == 1


def test_a_frame_is_brought_into_host_memory_and_one_that_is_there_stays_itself():
    content, other = np.ones((1, 2), np.float16), np.zeros(3)
    frame = TensorFrame(Header(frame_id='lens'), {'gpu': OnGpu(content), 'host': other})
    host = TENSORS.to_host(frame)
    assert host.header is frame.header
    assert host.tensors['gpu'] is content
    assert host.tensors['host'] is other
    assert TENSORS.to_host(host) is host


def test_the_card_comes_back_and_is_no_tensor_of_the_model():
    card = CardId('0123456789abcdef', 'a name with spaces, and ä')
    sent = to_tensor_list(TensorFrame(Header(), {'t': np.zeros(2, np.float32)}, card=card))
    got = from_tensor_list(sent)
    assert got.card == card and list(got.tensors) == ['t']
    assert [item.name for item in sent.tensors if item.name.startswith('_')] == ['_card']


def test_a_frame_of_a_foreign_stage_has_no_card():
    assert from_tensor_list(message_of(t=np.zeros(2, np.float32))).card is None


@pytest.mark.parametrize(
    'values', [np.frombuffer(b'0123456789abcdef', np.uint8), np.array([255, 32, 65], np.uint8), np.zeros(2, np.float32)]
)
def test_a_card_that_cannot_be_read_is_an_error(values):
    with pytest.raises(
        FrameError, match='tensor _card: got .*expected the UTF-8 bytes of "<hash> <model name>"'
    ) as caught:
        from_tensor_list(message_of(_card=values))
    assert caught.value.reason == 'bad_tensor'


def test_a_mark_tells_pictures_apart_by_any_bit_that_noise_would_change():
    pixels = np.random.default_rng(5).integers(0, 256, 640 * 480 * 3, np.uint8)
    mark = picture_mark(pixels)
    assert (mark.shape, mark.dtype) == ((1,), np.uint32)
    assert picture_mark(pixels.copy()) == mark
    assert picture_mark(pixels ^ (np.random.default_rng(6).random(pixels.size) < 0.1)) != mark
    assert picture_mark(pixels[::-1]) != mark


@pytest.mark.parametrize('size', [0, 1, 5])
def test_a_mark_of_hardly_anything(size):
    assert picture_mark(np.zeros(size, np.uint8)).shape == (1,)
