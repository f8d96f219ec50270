# SPDX-License-Identifier: Apache-2.0
"""Images to tensors."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.image.preprocess import TensorWriter

IMAGENET = {'scale': 1 / 255, 'mean': (0.485, 0.456, 0.406), 'std': (0.229, 0.224, 0.225)}
RAW = {'scale': 1.0, 'mean': (0.0, 0.0, 0.0), 'std': (1.0, 1.0, 1.0)}


def every_value() -> np.ndarray:
    """(16, 20, 3) uint8 that holds all 256 values in each channel, in different places."""
    values = np.concatenate((np.arange(256), np.arange(64)))
    return np.stack([np.roll(values, shift) for shift in (0, 7, 100)], axis=-1).astype(np.uint8).reshape(16, 20, 3)


def expected_tensor(image: np.ndarray, swap: bool, layout: str, scale: float, mean: tuple, std: tuple) -> np.ndarray:
    """The formula as it is written down, in float64."""
    pixels = image[..., ::-1] if swap else image
    tensor = (pixels.astype(np.float64) * scale - mean) / std
    return tensor.transpose(2, 0, 1)[None] if layout == 'NCHW' else tensor[None]


@pytest.mark.parametrize('layout', ['NCHW', 'NHWC'])
@pytest.mark.parametrize('swap', [False, True])
@pytest.mark.parametrize(
    ('dtype', 'tolerance'),
    [(np.float32, 1e-6), (np.float16, 1e-3)],
)
@pytest.mark.parametrize(
    'options',
    [
        RAW,
        {**RAW, 'scale': 1 / 255},
        {**RAW, 'mean': (1.0, 2.0, 3.0)},
        {**RAW, 'std': (1.0, 2.0, 0.5)},
        {**RAW, 'scale': -1.0},
        IMAGENET,
    ],
)
def test_formula(layout: str, swap: bool, dtype: type, tolerance: float, options: dict) -> None:
    image = every_value()
    expected = expected_tensor(image, swap, layout, **options)
    out = np.full(expected.shape, 77, dtype)
    TensorWriter(swap=swap, layout=layout, **options).write(image, out)
    np.testing.assert_allclose(out, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize('layout', ['NCHW', 'NHWC'])
@pytest.mark.parametrize('swap', [False, True])
@pytest.mark.parametrize('dtype', [np.float32, np.float16, np.uint8, np.int32])
def test_raw_pixels_are_exact(layout: str, swap: bool, dtype: type) -> None:
    image = every_value()
    expected = expected_tensor(image, swap, layout, **RAW)
    out = np.zeros(expected.shape, dtype)
    TensorWriter(swap=swap, layout=layout).write(image, out)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize('layout', ['NCHW', 'NHWC'])
def test_a_writer_serves_changing_images_sizes_and_types(layout: str) -> None:
    writer = TensorWriter(swap=True, layout=layout, **IMAGENET)
    rng = np.random.default_rng(0)
    for height, width, dtype in [
        (8, 6, np.float32),
        (8, 6, np.float16),
        (5, 9, np.float32),
        (8, 6, np.float32),
    ]:
        image = rng.integers(0, 256, (height, width, 3), np.uint8)
        kept = image.copy()
        expected = expected_tensor(image, True, layout, **IMAGENET)
        out = np.zeros(expected.shape, dtype)
        writer.write(image, out)
        np.testing.assert_allclose(out, expected, rtol=1e-2, atol=2e-3)
        np.testing.assert_array_equal(image, kept)


def test_image_rows_may_be_padded() -> None:
    padded = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    image = padded[:, :7]
    for layout in ('NCHW', 'NHWC'):
        expected = expected_tensor(image, True, layout, **RAW)
        out = np.zeros(expected.shape, np.float32)
        TensorWriter(swap=True, layout=layout).write(image, out)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(
    ('change', 'error'),
    [
        ({'layout': 'CHW'}, "layout: got 'CHW', expected one of NCHW, NHWC"),
        ({'scale': float('nan')}, 'scale: got nan, expected a finite number'),
        ({'mean': (0.0, 0.0)}, r'mean: got \[0.0, 0.0\], expected three'),
        ({'mean': (0.0, 0.0, float('inf'))}, 'mean: got .*expected three finite'),
        ({'std': (1.0, 0.0, 1.0)}, 'std: got .*expected no 0'),
    ],
)
def test_wrong_options(change: dict, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        TensorWriter(swap=False, **change)


@pytest.mark.parametrize(
    ('image', 'out', 'options', 'error'),
    [
        (np.zeros((4, 5), np.uint8), np.zeros((1, 3, 4, 5), np.float32), {}, r'image: got uint8 \(4, 5\)'),
        (np.zeros((4, 5, 3), np.float32), np.zeros((1, 3, 4, 5), np.float32), {}, 'image: got float32'),
        (
            np.zeros((4, 5, 3), np.uint8),
            np.zeros((1, 3, 5, 4), np.float32),
            {},
            r'expected \(1, 3, 4, 5\)',
        ),
        (np.zeros((4, 5, 3), np.uint8), np.zeros((3, 4, 5), np.float32), {}, r'got float32 \(3, 4, 5\)'),
        (np.zeros((4, 5, 3), np.uint8), np.zeros((1, 3, 4, 5)), {}, 'got float64'),
        (np.zeros((4, 5, 3), np.uint8), np.zeros((1, 3, 4, 10), np.float32)[..., ::2], {}, 'last axis in one piece'),
        (
            np.zeros((4, 5, 3), np.uint8),
            np.zeros((1, 3, 4, 5), np.uint8),
            {'scale': 1 / 255},
            'uint8 with scale',
        ),
        (
            np.zeros((4, 5, 3), np.uint8),
            np.zeros((1, 3, 4, 5), np.int32),
            {'mean': (1.0, 0.0, 0.0)},
            'int32 with scale, mean or std',
        ),
        (
            np.zeros((4, 5, 3), np.uint8),
            np.zeros((1, 3, 4, 5), np.float32),
            {'layout': 'NHWC'},
            'for layout NHWC',
        ),
    ],
)
def test_wrong_tensors(image: np.ndarray, out: np.ndarray, options: dict, error: str) -> None:
    with pytest.raises(FrameError, match=error) as caught:
        TensorWriter(swap=False, **options).write(image, out)
    assert caught.value.reason == 'bad_tensor'
