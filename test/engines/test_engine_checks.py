# SPDX-License-Identifier: Apache-2.0
"""Feed checks by message, and the search for NaN and infinity."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.cuda.array import DeviceArray
from isaac_inference.engines.checks import FeedCheck, non_finite
from isaac_inference.errors import EngineError
from isaac_inference.models import TensorSpec

IMAGE = TensorSpec('images', 'float32', (None, 3, 4, None))
SIZES = TensorSpec('sizes', 'int64', (None, 2))


def feeds(image=(1, 3, 4, 8), image_dtype=np.float32, sizes=(1, 2)):
    return {'images': np.zeros(image, image_dtype), 'sizes': np.zeros(sizes, np.int64)}


def check(values, inputs=(IMAGE, SIZES), needs_contiguous=False):
    FeedCheck('m', inputs, needs_contiguous)(values)


@pytest.mark.parametrize('image, sizes', [((1, 3, 4, 8), (1, 2)), ((5, 3, 4, 1), (5, 2))])
def test_feeds_that_fit(image, sizes):
    check(feeds(image, sizes=sizes))


def test_non_contiguous_feeds_pass_unless_the_backend_needs_them():
    turned = np.zeros((1, 8, 4, 3), np.float32).T.reshape(1, 3, 4, 8, order='F')
    assert not turned.flags.c_contiguous
    check({'images': turned, 'sizes': np.zeros((1, 2), np.int64)})
    with pytest.raises(EngineError, match="input 'images': got an array that is not C-contiguous"):
        check({'images': turned, 'sizes': np.zeros((1, 2), np.int64)}, needs_contiguous=True)


@pytest.mark.parametrize(
    'values, says',
    [
        (
            {},
            r"missing \['images', 'sizes'\]; the model takes exactly: images: float32 \[\?, 3, 4, \?\]",
        ),
        ({**feeds(), 'mask': np.zeros(1)}, r"inputs: unexpected \['mask'\]; the model takes exactly"),
        ({'images': np.zeros(1), 'size': np.zeros(1)}, r"missing \['sizes'\] and unexpected \['size'\]"),
        (
            feeds(image_dtype=np.float64),
            r"'images': got dtype float64, expected float32; convert it with .astype\(numpy.float32",
        ),
        (feeds(image_dtype='>f4'), "'images': got dtype >f4, expected float32"),
        (
            {**feeds(), 'images': [1.0]},
            r"'images': got list, expected a numpy array of float32 \[\?, 3, 4, \?\]",
        ),
        (
            feeds((3, 4, 8)),
            r'got shape \[3, 4, 8\], expected \[\?, 3, 4, \?\] .*has 3 dimensions.*axis with array\[None\]',
        ),
        (feeds((1, 1, 1, 3, 4, 8)), 'it has 6 dimensions instead of 4'),
        (feeds((1, 4, 3, 8)), r'got shape \[1, 4, 3, 8\], expected .* axis 1, 2 differs'),
        (feeds((0, 3, 4, 8), sizes=(0, 2)), r'got shape \[0, 3, 4, 8\].*axis 0 differs'),
        (
            feeds((2, 3, 4, 8)),
            r"different batch sizes \{'images': 2, 'sizes': 1\}; expected one size for all",
        ),
    ],
)
def test_feeds_that_are_refused(values, says):
    with pytest.raises(EngineError, match=says):
        check(values)


def test_a_fixed_batch_says_how_to_get_more():
    with pytest.raises(EngineError, match=r'expected \[1, 3\]; axis 0 differs; feed one image at a time, or export'):
        check({'x': np.zeros((2, 3), np.float32)}, (TensorSpec('x', 'float32', (1, 3)),))


def on_device(shape=(1, 3, 4, 8), dtype=np.float32):
    """An array on a device that nobody touches: checks look at its shape and type only."""
    return DeviceArray(0, shape, dtype, None, slot=object())


def test_device_arrays_pass_where_the_backend_takes_them():
    feeds_ = {'images': on_device(), 'sizes': np.zeros((1, 2), np.int64)}
    FeedCheck('m', (IMAGE, SIZES), True, takes_device_arrays=True)(feeds_)
    with pytest.raises(EngineError, match="'images': got DeviceArray, expected a numpy array .*numpy.asarray"):
        check(feeds_)


@pytest.mark.parametrize(
    'array, says',
    [
        (on_device((3, 4, 8)), r'got shape \[3, 4, 8\], expected .*has 3 dimensions'),
        (on_device(dtype=np.float16), 'got dtype float16, expected float32; make it of that dtype on the device'),
        ([1.0], 'got list, expected a numpy array'),
    ],
)
def test_device_arrays_that_are_refused(array, says):
    with pytest.raises(EngineError, match=says):
        FeedCheck('m', (IMAGE,), False, takes_device_arrays=True)({'images': array})


@pytest.mark.parametrize(
    'array, is_bad',
    [
        (np.zeros((0,), np.float32), False),
        (np.ones((2, 3), np.float32), False),
        (np.array([1, np.nan], np.float32), True),
        (np.array([1, np.inf], np.float32), True),
        (np.array([np.inf, -np.inf], np.float32), True),  # their sum is NaN
        (np.array([3e38, 3e38], np.float32), False),  # the sum overflows, the numbers are fine
        (np.full(100, 60000, np.float16), False),
        (np.array([np.nan], np.float16), True),
        (np.array([1e308, 1e308]), False),
        (np.array([2**31 - 1] * 9, np.int32), False),
        (np.array(np.nan, np.float32), True),
    ],
)
def test_non_finite(array, is_bad, recwarn):
    assert non_finite({'x': array, 'fine': np.ones(3, np.float32)}) == (['x'] if is_bad else [])
    assert not recwarn.list
