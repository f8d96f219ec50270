# SPDX-License-Identifier: Apache-2.0
"""Preprocessing on a real GPU: the CPU's tensors from the same bytes, and how long it takes."""

from __future__ import annotations

import dataclasses
import functools
import gc
from contextlib import closing

import numpy as np
import pytest
from support.calibrations import rectification
from support.cuda.grey_levels import assert_same_pixels
from support.onnx_models import ultralytics_metadata
from support.raw_images import NORMALISED, card_with, raw_image

from isaac_inference.cuda.availability import why_no_gpu
from isaac_inference.models import PreprocessSpec
from isaac_inference.ops.image.encodings import SUPPORTED_ENCODINGS, to_color
from isaac_inference.ops.image.options import ColorOrder, Interpolation
from isaac_inference.stages import Preprocessor

if why_no_gpu():
    pytest.skip(why_no_gpu(), allow_module_level=True)

from isaac_inference.cuda.device import gpu
from isaac_inference.cuda.memory import pinned
from isaac_inference.cuda.timer import GpuTimer
from isaac_inference.stages.image.preprocess_gpu import GpuPreprocessor


@pytest.fixture
def card_of(tmp_path):
    return functools.partial(card_with, tmp_path)


def assert_same(card, preprocessor, image, made=None):
    tensors, letterbox = preprocessor(image, made)
    reference = Preprocessor(card)
    expected, expected_letterbox = reference(*to_color(image, reference.wanted), made)
    assert letterbox == expected_letterbox
    assert list(tensors) == list(expected)
    for name, tensor in tensors.items():
        assert_same_pixels(
            np.asarray(tensor),
            expected[name],
            level=card.image.preprocess.scale / min(card.image.preprocess.std),
            exact=card.image.preprocess.interpolation is not Interpolation.CUBIC,
        )


@pytest.mark.parametrize('encoding', sorted(SUPPORTED_ENCODINGS))
@pytest.mark.parametrize('interpolation', Interpolation)
def test_every_encoding_gives_the_cpu_s_tensor(card_of, encoding, interpolation):
    card = card_of(preprocess=dataclasses.replace(NORMALISED, interpolation=interpolation))
    with closing(GpuPreprocessor(card, gpu())) as preprocessor:
        assert_same(card, preprocessor, raw_image(encoding))
        assert_same(card, preprocessor, raw_image(encoding, padding=6, is_bigendian=True, seed=1))
        assert_same(card, preprocessor, raw_image(encoding, 640, 480, seed=2))
        assert_same(card, preprocessor, raw_image(encoding, 20, 14, seed=3))


@pytest.mark.parametrize('interpolation', Interpolation)
@pytest.mark.parametrize('fit', ['letterbox', 'stretch', 'crop'])
@pytest.mark.parametrize(
    ('layout', 'dtype'), [('NCHW', 'float32'), ('NHWC', 'float16'), ('NHWC', 'uint8'), ('NHWC', 'int32')]
)
def test_every_fit_layout_and_type_gives_the_cpu_s_tensor(card_of, interpolation, fit, layout, dtype):
    spec = PreprocessSpec(scale=1.0) if dtype in ('uint8', 'int32') else dataclasses.replace(NORMALISED, scale=1.0)
    if dtype == 'float16':
        spec = dataclasses.replace(spec, mean=(0.0,) * 3, std=(1.0,) * 3)
    spec = dataclasses.replace(spec, fit=fit, interpolation=interpolation)
    card = card_of(preprocess=spec, layout=layout, dtype=dtype)
    with closing(GpuPreprocessor(card, gpu())) as preprocessor:
        for size in ((100, 80), (33, 120), (1, 1), (1920, 1080)):
            assert_same(card, preprocessor, raw_image('rgb8', *size, padding=3))


def test_a_model_that_asks_for_the_size_gets_it(card_of):
    card = card_of('boxes_scores_labels', metadata=ultralytics_metadata(['a', 'b', 'c']))
    with closing(GpuPreprocessor(card, gpu())) as preprocessor:
        assert_same(card, preprocessor, raw_image())


def test_frames_one_after_another_without_waiting_do_not_mix(card_of):
    card = card_of()
    frames = [raw_image(seed=i, width=60 + 20 * (i % 3), encoding=('bgr8', 'yuyv')[i % 2]) for i in range(12)]
    with closing(GpuPreprocessor(card, gpu(), depth=12)) as preprocessor:
        results = [preprocessor(image) for image in frames]
        for (tensors, letterbox), image in zip(results, frames, strict=True):
            reference = Preprocessor(card)
            expected, expected_letterbox = reference(*to_color(image, reference.wanted))
            assert_same_pixels(np.asarray(tensors['images']), expected['images'], level=1 / 255 / 0.2)
            assert letterbox == expected_letterbox
        del results, tensors
        gc.collect()


@pytest.mark.parametrize('interpolation', Interpolation)
@pytest.mark.parametrize('encoding', ['bgr8', 'nv12', 'bayer_rggb8'])
def test_nothing_is_allocated_per_frame_and_how_long_it_takes(card_of, encoding, interpolation, capsys):
    """1080p to 640x640. Times are printed, not judged: other work may share the GPU."""
    device = gpu()
    card = card_of(input_wh=(640, 640), preprocess=dataclasses.replace(NORMALISED, interpolation=interpolation))
    image = raw_image(encoding, 1920, 1080)
    host = pinned(device, image.data.shape, np.uint8, 'test')
    host.array[:] = image.data
    image = dataclasses.replace(image, data=host.array)
    with closing(GpuPreprocessor(card, device)) as preprocessor:
        both, preprocessor.timer = GpuTimer(device, 64), GpuTimer(device, 64)
        preprocessor(image)
        preprocessor.stream.synchronize()
        before = device.counters.values()
        for _ in range(50):
            with both.measure(preprocessor.stream):
                preprocessor(image)
        assert device.counters.values() == {
            **before,
            'launches': before['launches'] + 50,
            'copies': before['copies'] + 50,
        }
        preprocessor.stream.synchronize()
        kernel, total = (np.median(timer.collect()[-50:]) for timer in (preprocessor.timer, both))
    host.free()
    with capsys.disabled():
        print(f'\n{encoding} {interpolation} 1080p to 640x640: kernel {kernel:.4f} ms, with upload {total:.4f} ms')


@pytest.mark.parametrize('encoding', ['bgr8', 'mono16', 'bayer_rggb8', 'nv12', 'yuyv'])
@pytest.mark.parametrize('interpolation', Interpolation)
def test_rectified_tensors_and_pictures_are_the_cpu_s(card_of, encoding, interpolation):
    card = card_of(preprocess=dataclasses.replace(NORMALISED, interpolation=interpolation))
    with closing(GpuPreprocessor(card, gpu())) as preprocessor:
        for size in ((100, 80), (640, 480), (100, 80)):
            image = raw_image(encoding, *size)
            for zoom in (0.8, 0.7):
                made = rectification(*size, zoom=zoom)
                assert_same(card, preprocessor, image, made)
                color, order = to_color(image, ColorOrder.BGR)
                expected = Preprocessor(card).rectifier.picture(color, made)
                picture = preprocessor.picture(image, made)
                np.testing.assert_array_equal(picture, expected if order is ColorOrder.BGR else expected[..., ::-1])
        assert_same(card, preprocessor, image)


@pytest.mark.parametrize('encoding', ['bgr8', 'rgb8', 'bgra8', 'rgba8', 'mono8'])
def test_large_images_arrive_whole_while_others_are_under_way(card_of, encoding):
    """Through pinned memory, by several threads: frame after frame, without a wait in between."""
    card = card_of()
    images = [raw_image(encoding, 1920, 1080, seed=seed) for seed in range(3)]
    with closing(GpuPreprocessor(card, gpu(), depth=12)) as preprocessor:
        under_way = [preprocessor(images[number % 3])[0] for number in range(12)]
        reference = Preprocessor(card)
        for number, tensors in enumerate(under_way):
            expected, _ = reference(*to_color(images[number % 3], reference.wanted))
            for name, tensor in tensors.items():
                assert_same_pixels(np.asarray(tensor), expected[name], level=1.0, exact=True)
