# SPDX-License-Identifier: Apache-2.0
"""The preprocessing kernel's source, run on the CPU, against OpenCV: the same 8-bit canvas, the same tensor."""

from __future__ import annotations

import dataclasses
import itertools

import cv2
import numpy as np
import pytest
from support.cuda.grey_levels import assert_same_pixels
from support.cuda.host_build import KERNELS, host_kernels, nvcc_errors, why_no_compiler, why_no_nvcc
from support.encodings import row_bytes, row_count

from isaac_inference.models.card.inputs import PreprocessSpec
from isaac_inference.ops.image.encodings import PLAIN_ENCODINGS, to_color
from isaac_inference.ops.image.letterbox import Letterbox, new_canvas, resize_into
from isaac_inference.ops.image.options import Interpolation
from isaac_inference.ops.image.preprocess import TensorWriter
from isaac_inference.ops.image.raw_image import RawImage
from isaac_inference.stages.image.gpu_arguments import ARGUMENTS, KNOWN_ENCODINGS, arguments_bytes, write_arguments

needs_compiler = pytest.mark.skipif(bool(why_no_compiler()), reason=why_no_compiler())
RAW = PreprocessSpec(color='bgr', scale=1.0, pad_value=77)


@pytest.fixture(autouse=True)
def opencv_s_own_code():
    """IPP's cubic, which some builds of OpenCV prefer, rounds otherwise; test_cubic_of_ipp has it."""
    had = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    yield
    cv2.ipp.setUseIPP(had)


def raw_image(encoding, size_wh, padding=0, big=False, smooth=False):
    """Noise, or gradients with a little noise, as photos have."""
    rng = np.random.default_rng(0)
    width, height = size_wh
    step, rows = row_bytes(encoding, width) + padding, row_count(encoding, height)
    if smooth:
        ramp = np.add.outer(np.arange(rows) * 200 / rows, np.arange(step) * 50 / step)
        data = np.clip(ramp + rng.normal(0, 4, ramp.shape), 0, 255).astype(np.uint8).ravel()
    else:
        data = rng.integers(0, 256, step * rows, np.uint8)
    return RawImage(data, encoding, height, width, step, big)


def fitted(image, input_wh, spec):
    return Letterbox.between((image.width, image.height), input_wh, spec.fit, spec.anchor, spec.rounding)


def kernel_tensor(image, input_wh, spec, layout='NCHW', dtype='uint8', table=None):
    """What the kernel makes of an image."""
    arguments = write_arguments(fitted(image, input_wh, spec), spec, image, image.data.ctypes.data)
    width, height = input_wh
    out = np.full((1, 3, height, width) if layout == 'NCHW' else (1, height, width, 3), 201, dtype)
    if table is None:
        table = np.tile(np.arange(256), (3, 1)).astype(dtype)
    host_kernels('preprocess').function(f'preprocess_{dtype}').run(
        (-(-width // 32), -(-height // 8), 1),
        (32, 8, 1),
        arguments,
        arguments.ctypes.data + ARGUMENTS.itemsize,
        table.view({1: np.uint8, 2: np.uint16, 4: np.uint32}[out.itemsize]),
        out.view({1: np.uint8, 2: np.uint16, 4: np.uint32}[out.itemsize]),
        np.int32(width),
        np.int32(height),
        np.int32(layout == 'NHWC'),
    )
    return out


def opencv_canvas(image, input_wh, spec):
    """(H, W, 3) uint8 in the model's order, by the CPU's ops."""
    pixels, order = to_color(image, spec.color)
    canvas = new_canvas(input_wh, spec.pad_value)
    resize_into(pixels, fitted(image, input_wh, spec), canvas, spec.interpolation)
    return canvas if order is spec.color else canvas[..., ::-1]


def assert_same_canvas(image, input_wh, spec):
    got = kernel_tensor(image, input_wh, spec, layout='NHWC')[0]
    assert_same_pixels(got, opencv_canvas(image, input_wh, spec), exact=spec.interpolation is not Interpolation.CUBIC)


def test_every_encoding_is_known():
    assert KNOWN_ENCODINGS == PLAIN_ENCODINGS


def test_the_arguments_are_as_long_as_the_kernel_s_struct():
    assert (ARGUMENTS.itemsize, ARGUMENTS.itemsize % 8) == (136, 0)
    assert arguments_bytes((640, 480)) == 136 + 24 * 1120


@needs_compiler
@pytest.mark.parametrize('encoding', sorted(PLAIN_ENCODINGS))
@pytest.mark.parametrize('color', ['bgr', 'rgb'])
@pytest.mark.parametrize(
    ('size_wh', 'input_wh', 'interpolation'),
    [
        ((64, 48), (64, 48), 'linear'),  # every pixel as it is
        ((64, 48), (48, 48), 'linear'),
        ((10, 6), (33, 29), 'linear'),
        ((64, 48), (32, 32), 'area'),
        ((62, 34), (20, 30), 'area'),
        ((16, 12), (30, 40), 'cubic'),
        ((30, 20), (17, 19), 'nearest'),
    ],
)
def test_encodings(encoding, color, size_wh, input_wh, interpolation):
    spec = dataclasses.replace(RAW, color=color, interpolation=interpolation)
    for padding, big in ((0, False), (6, True)):
        assert_same_canvas(raw_image(encoding, size_wh, padding, big), input_wh, spec)


@needs_compiler
@pytest.mark.parametrize('encoding', ['bgr8', 'mono16', 'rgba8', 'nv24', 'bayer_rggb8', 'bayer_grbg16', 'bayer_gbrg8'])
@pytest.mark.parametrize('size_wh', [(3, 3), (5, 3), (3, 4), (7, 9), (33, 17)])
def test_odd_sizes(encoding, size_wh):
    for interpolation in Interpolation:
        spec = dataclasses.replace(RAW, interpolation=interpolation)
        assert_same_canvas(raw_image(encoding, size_wh, padding=3), (16, 16), spec)


@needs_compiler
@pytest.mark.parametrize('encoding', ['bgr8', 'mono8', 'rgba16', 'nv24'])
@pytest.mark.parametrize('interpolation', Interpolation)
def test_one_pixel_is_an_image(encoding, interpolation):
    for size_wh in ((1, 1), (1, 7), (7, 1)):
        spec = dataclasses.replace(RAW, interpolation=interpolation)
        assert_same_canvas(raw_image(encoding, size_wh), (8, 12), spec)


@needs_compiler
@pytest.mark.parametrize('interpolation', Interpolation)
@pytest.mark.parametrize('fit', ['letterbox', 'stretch', 'crop'])
@pytest.mark.parametrize('smooth', [False, True])
def test_fits_and_sizes(interpolation, fit, smooth):
    """Enlarging, shrinking, both at once, by whole numbers, by two, by nothing."""
    sizes = [(128, 96), (64, 48), (100, 80), (31, 77), (192, 64), (50, 120), (65, 47), (320, 240)]
    places = itertools.product(('center', 'top_left'), ('floor', 'nearest'))
    for size_wh, (anchor, rounding) in zip(sizes, itertools.cycle(places)):
        spec = dataclasses.replace(RAW, interpolation=interpolation, fit=fit, anchor=anchor, rounding=rounding)
        assert_same_canvas(raw_image('bgr8', size_wh, padding=5, smooth=smooth), (64, 48), spec)


@needs_compiler
@pytest.mark.parametrize('interpolation', Interpolation)
@pytest.mark.parametrize('encoding', ['bgr8', 'nv12'])
def test_full_hd(encoding, interpolation):
    spec = dataclasses.replace(RAW, interpolation=interpolation)
    assert_same_canvas(raw_image(encoding, (1920, 1080)), (416, 416), spec)


@needs_compiler
@pytest.mark.parametrize('smooth', [False, True])
def test_cubic_of_ipp_differs_by_a_grey_level_at_most(smooth):
    cv2.ipp.setUseIPP(True)
    spec = dataclasses.replace(RAW, interpolation='cubic')
    image = raw_image('bgr8', (300, 200), smooth=smooth)
    got = kernel_tensor(image, (128, 96), spec, layout='NHWC')[0]
    assert_same_pixels(got, opencv_canvas(image, (128, 96), spec), exact=False)


@needs_compiler
@pytest.mark.parametrize('layout', ['NCHW', 'NHWC'])
@pytest.mark.parametrize('dtype', ['float32', 'float16', 'uint8'])
@pytest.mark.parametrize('color', ['bgr', 'rgb'])
def test_tables_layouts_and_types(layout, dtype, color):
    spec = dataclasses.replace(RAW, color=color)
    if dtype != 'uint8':
        spec = PreprocessSpec(color=color, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    options = {'scale': spec.scale, 'mean': spec.mean, 'std': spec.std}
    table = TensorWriter(swap=False, **options).table(np.dtype(dtype))
    image = raw_image('rgb8', (45, 30))
    got = kernel_tensor(image, (35, 33), spec, layout, dtype, table=table)
    canvas = np.ascontiguousarray(opencv_canvas(image, (35, 33), spec))
    expected = np.empty_like(got)
    TensorWriter(swap=False, layout=layout, **options).write(canvas, expected)
    assert_same_pixels(got, expected, level=1 / 255 / 0.2 if dtype != 'uint8' else 1.0)


@pytest.mark.skipif(bool(why_no_nvcc()), reason=why_no_nvcc())
@pytest.mark.parametrize('arch', ['sm_75', 'sm_90'])
def test_it_compiles_for_the_gpu(arch):
    assert nvcc_errors(KERNELS / 'preprocess.cu', arch, '--fmad=false') == ''


@needs_compiler
@pytest.mark.parametrize('encoding', ['mono16', 'rgb16', 'bgra16', 'bayer_grbg16'])
@pytest.mark.parametrize('bit_depth', [10, 12, 14, 16])
@pytest.mark.parametrize('big', [False, True])
def test_bits_in_the_low_end(encoding, bit_depth, big):
    """Noise over all 16 bits: what is more than the bit depth holds is white in both."""
    image = dataclasses.replace(raw_image(encoding, (62, 34), padding=6, big=big), bit_depth=bit_depth)
    low = dataclasses.replace(image, data=(image.data.view('>u2' if big else '<u2') >> 16 - bit_depth).view(np.uint8))
    for one in (image, low):
        assert_same_canvas(one, (20, 30), RAW)
