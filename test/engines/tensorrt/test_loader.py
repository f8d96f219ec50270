# SPDX-License-Identifier: Apache-2.0
"""Plans that can't be used, and engines that are not the model's, by message."""

from __future__ import annotations

import pytest
from support.fake_trt import Device, TrtEngine, trt_that_loads
from support.onnx_models import write_model

from isaac_inference.engines.tensorrt.io_tensors import check_profile, read_tensors
from isaac_inference.engines.tensorrt.loader import Plan, load_plan
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import DeviceMemoryError, EngineError
from isaac_inference.models import read_card

IMAGE = ('INPUT', 'FLOAT', (1, 3, 64, 96), None)


@pytest.fixture
def card(tmp_path):
    return read_card(write_model(tmp_path / 'm.onnx', 'yolov8'))


def good(card):
    return {'images': IMAGE, 'output0': ('OUTPUT', 'FLOAT', card.outputs[0].shape, None)}


def load(card, engine, plan=b'plan', says=(), free=1 << 30):
    device, settings = Device(free), TensorRtSettings()
    given = Plan(plan, '/cache/m.engine', 'ask whoever made it')
    return load_plan(trt_that_loads(engine, says), None, device, given, card, settings)


def test_a_plan_of_the_model_is_loaded(card):
    loaded = load(card, TrtEngine(good(card)))
    assert [(item.name, item.is_input, item.dtype.name, item.is_fixed) for item in loaded.tensors] == [
        ('images', True, 'float32', True),
        ('output0', False, 'float32', True),
    ]
    assert loaded.tensors[0].largest == (1, 3, 64, 96) and loaded.plan_bytes == 4


def test_an_empty_plan(card):
    with pytest.raises(EngineError, match=r'm.engine: the engine is empty .*; ask whoever made it'):
        load(card, None, b'')


@pytest.mark.parametrize(
    'says, what',
    [
        ('Version tag does not match. Note: Current Version: 213', 'was built by another TensorRT than 8.6.0'),
        ('Magic tag does not match', 'is damaged, or was not built by TensorRT 8.6.0 for Toy'),
    ],
)
def test_a_plan_that_tensorrt_refuses_is_told_with_its_own_words(card, says, what):
    with pytest.raises(EngineError, match=f'4 bytes {what}.*; ask whoever made it; .*{says[:9]}'):
        load(card, None, says=[says])


def test_too_little_memory_for_the_weights(card):
    with pytest.raises(DeviceMemoryError) as before:
        load(card, None, b'x' * 100, free=50)
    assert (before.value.needed, before.value.free) == (100, 50)
    with pytest.raises(DeviceMemoryError, match='out of memory') as during:
        load(card, None, says=['Error Code 2: OutOfMemory (out of memory)'])
    assert during.value.needed == 4


@pytest.mark.parametrize(
    'change, says',
    [
        (
            {'images': ('INPUT', 'HALF', (1, 3, 64, 96), None)},
            r"input 'images' is float16 \[1, 3, 64, 96\], expected f",
        ),
        ({'images': ('INPUT', 'FLOAT', (1, 3, 64, 64), None)}, r"'images' is float32 \[1, 3, 64, 64\], expected"),
        ({'mask': IMAGE}, "input 'mask' is not in the card"),
        ({'output0': None}, "output 'output0' is missing"),
        ({'images': ('INPUT', 'FP8', (1, 3, 64, 96), None)}, "'images' is of type FP8, which NumPy does not have"),
    ],
)
def test_an_engine_of_another_model(card, change, says):
    tensors = {name: item for name, item in {**good(card), **change}.items() if item is not None}
    with pytest.raises(EngineError, match=says):
        load(card, TrtEngine(tensors))


def test_a_shape_tensor(card):
    with pytest.raises(EngineError, match="tensor 'images' shape the network"):
        load(card, TrtEngine(good(card), location='HOST'))


@pytest.mark.parametrize(
    'shape, says',
    [
        ((8, 3, 64, 96), r'got shape \[8, 3, 64, 96\], the engine was built for \[1, 3, 32, 32\] to .*--batch MIN'),
        ((1, 3, 64, 999), 'feed a size within that, .*--size MIN'),
        ((8, 3, 64, 999), '--batch and --size'),
    ],
)
def test_a_feed_outside_of_the_profile(shape, says):
    profile = [(1, 3, 32, 32), (1, 3, 64, 64), (4, 3, 96, 96)]
    (tensor,) = read_tensors(TrtEngine({'x': ('INPUT', 'FLOAT', (-1, 3, -1, -1), profile)}), 'm')
    check_profile(tensor, (4, 3, 96, 32), 'm')
    assert not tensor.is_fixed and tensor.nearest((9, 3, 1, 64)) == (4, 3, 32, 64)
    with pytest.raises(EngineError, match=says):
        check_profile(tensor, shape, 'm')
