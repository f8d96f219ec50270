# SPDX-License-Identifier: Apache-2.0
"""Message bytes to tensors by the GPU stage, run on the CPU: the CPU stages' results, and how often it allocates."""

from __future__ import annotations

import array
import copy
import dataclasses
import functools
import gc

import numpy as np
import pytest
from support.cuda.grey_levels import assert_same_pixels
from support.cuda.host_build import why_no_compiler
from support.cuda.host_gpu import FakeGpu
from support.onnx_models import WH, ultralytics_metadata
from support.onnx_models.open_vocabulary import embeddings_of, write_open_vocabulary
from support.raw_images import NORMALISED, card_with, raw_image

from isaac_inference.errors import ConfigError, DeviceError, FrameError
from isaac_inference.models import PreprocessSpec, read_card
from isaac_inference.ops.image.encodings import SUPPORTED_ENCODINGS, to_color
from isaac_inference.ops.image.options import WHOLE_TYPES, ColorOrder
from isaac_inference.stages import Preprocessor
from isaac_inference.stages.image.preprocess_gpu import GpuPreprocessor

pytestmark = pytest.mark.skipif(bool(why_no_compiler()), reason=why_no_compiler())


@pytest.fixture
def card_of(tmp_path):
    return functools.partial(card_with, tmp_path)


def on_the_cpu(card, image):
    """The CPU stages' tensors and letterbox."""
    preprocessor = Preprocessor(card)
    return preprocessor(*to_color(image, preprocessor.wanted))


def assert_same(card, preprocessor, image, exact=True):
    tensors, letterbox = preprocessor(image)
    expected, expected_letterbox = on_the_cpu(card, image)
    assert letterbox == expected_letterbox
    assert list(tensors) == list(expected)
    for name, tensor in tensors.items():
        level = card.image.preprocess.scale / min(card.image.preprocess.std)
        assert_same_pixels(np.asarray(tensor), expected[name], level=level, exact=exact)


@pytest.mark.parametrize('encoding', sorted(SUPPORTED_ENCODINGS))
def test_every_encoding_gives_the_cpu_s_tensor(card_of, encoding):
    card = card_of()
    preprocessor = GpuPreprocessor(card, FakeGpu())
    assert_same(card, preprocessor, raw_image(encoding))
    assert_same(card, preprocessor, raw_image(encoding, padding=6, is_bigendian=True, seed=1))


@pytest.mark.parametrize('interpolation', ['linear', 'nearest', 'area'])
@pytest.mark.parametrize('fit', ['letterbox', 'stretch', 'crop'])
@pytest.mark.parametrize(
    ('layout', 'dtype'),
    [('NCHW', 'float32'), ('NHWC', 'float32'), ('NCHW', 'float16'), ('NHWC', 'uint8'), ('NHWC', 'int32')],
)
def test_every_fit_layout_and_type_gives_the_cpu_s_tensor(card_of, interpolation, fit, layout, dtype):
    spec = PreprocessSpec(color='rgb', scale=1.0) if dtype in WHOLE_TYPES else NORMALISED
    spec = dataclasses.replace(spec, fit=fit, interpolation=interpolation)
    card = card_of(preprocess=spec, layout=layout, dtype=dtype)
    preprocessor = GpuPreprocessor(card, FakeGpu())
    for size in ((100, 80), WH, (33, 120), (2 * WH[0], 2 * WH[1])):
        assert_same(card, preprocessor, raw_image('rgb8', *size, padding=3))


def test_cubic_gives_the_cpu_s_tensor_but_for_a_grey_level(card_of):
    card = card_of(preprocess=dataclasses.replace(NORMALISED, interpolation='cubic'))
    assert_same(card, GpuPreprocessor(card, FakeGpu()), raw_image(), exact=False)


def test_a_change_of_size_encoding_or_step_mid_stream(card_of):
    card = card_of()
    preprocessor = GpuPreprocessor(card, FakeGpu())
    frames = [
        raw_image(),
        raw_image('rgb8'),
        raw_image(width=40, height=120),
        raw_image(padding=9),
        raw_image('mono16'),
        raw_image('mono16', is_bigendian=True),
        dataclasses.replace(raw_image('mono16'), bit_depth=12),
        dataclasses.replace(raw_image('mono16'), bit_depth=10),
        raw_image('BayerRG12p'),
        dataclasses.replace(raw_image('RGB8'), step=0),
    ]
    for image in frames * 2 + frames[::-1]:
        assert_same(card, preprocessor, image)


def test_more_kinds_of_images_than_are_remembered(card_of):
    card = card_of()
    preprocessor = GpuPreprocessor(card, FakeGpu())
    for height in (*range(50, 62), 50):
        assert_same(card, preprocessor, raw_image(height=height))


def test_nothing_is_allocated_and_nothing_waits_once_the_largest_image_came(card_of):
    gpu = FakeGpu()
    preprocessor = GpuPreprocessor(card_of(), gpu)
    image = raw_image(width=200)
    preprocessor(image)
    before = copy.copy(gpu.counters)
    for _ in range(5):
        preprocessor(image)
    assert gpu.counters.allocations == before.allocations
    assert gpu.counters.synchronizations == before.synchronizations
    assert gpu.counters.launches == before.launches + 5
    assert gpu.counters.copies == before.copies + 5, 'the image alone'
    image = raw_image(width=100)
    preprocessor(image)
    assert gpu.counters.allocations == before.allocations, 'a smaller image fits'
    image = raw_image(width=201)
    preprocessor(image)
    assert gpu.counters.allocations == before.allocations + 1


def test_a_model_that_asks_for_the_size_gets_it(card_of):
    card = card_of('boxes_scores_labels', metadata=ultralytics_metadata(['a', 'b', 'c']))
    preprocessor = GpuPreprocessor(card, FakeGpu())
    for _ in range(6):
        assert_same(card, preprocessor, raw_image())
    image = raw_image()
    tensors, _ = preprocessor(image)
    assert np.asarray(tensors['orig_target_sizes']).tolist() == [list(WH)]


def test_a_model_that_takes_its_classes_gets_them(tmp_path):
    path = write_open_vocabulary(tmp_path / 'm.onnx', rank=2)
    np.save(tmp_path / 'classes.npy', embeddings_of(('cup', 'can')))
    (tmp_path / 'm.yaml').write_text('labels: [cup, can]\nvocabulary: {embeddings: classes.npy}')
    card = read_card(path)
    tensors, _ = GpuPreprocessor(card, FakeGpu())(raw_image())
    assert list(tensors) == list(on_the_cpu(card, raw_image())[0]) == ['images', 'txt_feats']
    assert np.array_equal(np.asarray(tensors['txt_feats']), embeddings_of(('cup', 'can')))


def test_results_stay_until_nobody_holds_them(card_of):
    preprocessor = GpuPreprocessor(card_of(), FakeGpu(), depth=2)
    first_image, second_image = raw_image(seed=1), raw_image(seed=2)
    first = preprocessor(first_image)[0]
    before = np.asarray(first['images'])
    second = preprocessor(second_image)[0]
    np.testing.assert_array_equal(np.asarray(first['images']), before)
    with pytest.raises(FrameError) as caught:
        preprocessor(first_image)
    assert caught.value.reason == 'device_buffers_busy'
    del second
    gc.collect()
    np.testing.assert_array_equal(np.asarray(preprocessor(first_image)[0]['images']), before)


def test_each_result_s_event_is_recorded(card_of):
    image = raw_image()
    tensors, _ = GpuPreprocessor(card_of(), FakeGpu())(image)
    assert tensors['images'].ready.records == 1


@pytest.mark.parametrize('layout', ['NCHW', 'NHWC'])
def test_a_batch_is_written_image_by_image(card_of, layout):
    card = card_of(layout=layout)
    preprocessor = GpuPreprocessor(card, FakeGpu())
    frames = [raw_image(), raw_image('yuyv', 60, 90), raw_image('bayer_rggb8', 64, 64)]
    batch = np.full(card.image.shape(4), 7, np.float32)
    assert preprocessor.tensor_bytes == batch[0].nbytes
    for i, image in enumerate(frames):
        target = batch.ctypes.data + i * preprocessor.tensor_bytes
        letterbox = preprocessor.enqueue_into(image, target)
        expected, expected_letterbox = on_the_cpu(card, image)
        assert letterbox == expected_letterbox
        assert_same_pixels(batch[i], expected['images'][0], level=1 / 255 / 0.2)
    assert (batch[3] == 7).all(), 'nothing is written beyond the image'


@pytest.mark.parametrize('wrap', [lambda data: array.array('B', data.tobytes()), bytes, memoryview])
def test_kinds_of_buffers(card_of, wrap):
    preprocessor = GpuPreprocessor(card_of(), FakeGpu())
    image = raw_image()
    expected = np.asarray(preprocessor(image)[0]['images'])
    wrapped = dataclasses.replace(image, data=wrap(image.data))
    np.testing.assert_array_equal(np.asarray(preprocessor(wrapped)[0]['images']), expected)


@pytest.mark.parametrize(
    'change',
    [
        {'encoding': '32FC1'},
        {'width': 0},
        {'height': 0},
        {'step': 10},
        {'step': 301},
        {'height': 81},
        {'data': b''},
        {'data': [0] * 24000},
        {'data': np.zeros(48000, np.uint8)[::2]},
        {'encoding': 'yuyv', 'width': 99},
        {'encoding': 'bayer_rggb8', 'height': 2},
    ],
)
def test_bad_images_give_the_cpu_s_errors_and_the_next_one_is_good(card_of, change):
    card = card_of()
    gpu = FakeGpu()
    preprocessor = GpuPreprocessor(card, gpu, depth=1)
    image = raw_image()
    bad = dataclasses.replace(image, **change)
    with pytest.raises(FrameError) as expected:
        to_color(bad, ColorOrder.BGR)
    for call in (preprocessor, lambda bad: preprocessor.enqueue_into(bad, 0)):
        with pytest.raises(FrameError) as caught:
            call(bad)
        assert (caught.value.reason, str(caught.value)) == (expected.value.reason, str(expected.value))
    assert gpu.counters.launches == 0
    assert_same(card, preprocessor, image)


@pytest.mark.parametrize('dtype', WHOLE_TYPES)
def test_raw_pixels_cannot_be_normalised(card_of, dtype):
    with pytest.raises(ConfigError, match=f'{dtype} with scale, mean or std'):
        GpuPreprocessor(card_of(dtype=dtype), FakeGpu())


def test_closing_gives_everything_back(card_of):
    gpu = FakeGpu()
    card = card_of('boxes_scores_labels', metadata=ultralytics_metadata(['a', 'b', 'c']))
    preprocessor = GpuPreprocessor(card, gpu)
    image = raw_image()
    preprocessor(image)
    preprocessor.close()
    preprocessor.close()
    assert (gpu.pool.used, gpu.pool.live) == (0, [])
    with pytest.raises(DeviceError, match='closed'):
        preprocessor(image)
    with pytest.raises(DeviceError, match='closed'):
        preprocessor.enqueue_into(image, 0)


def test_a_stream_of_the_caller_s_is_used(card_of):
    gpu = FakeGpu()
    stream = gpu.stream('high')
    assert GpuPreprocessor(card_of(), gpu, stream=stream).stream is stream
