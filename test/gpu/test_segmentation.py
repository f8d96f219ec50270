# SPDX-License-Identifier: Apache-2.0
"""Class masks on a real GPU against the CPU's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from support.segmentation.cases import NAME, WH, assert_same, scores_of, segmentation_case

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.stages.segmentation.segmenter import Segmenter
from isaac_inference.stages.segmentation.segmenter_gpu import GpuSegmenter
from isaac_inference.stages.segmentation.settings import segmentation_settings

Upload = Callable[[np.ndarray], Any]


@pytest.fixture
def upload(gpu: Any, stream: Any) -> Iterator[Upload]:
    """Puts an array onto the GPU, where it stays until the test's end."""
    from isaac_inference.cuda.ring import ArrayRing

    with contextlib.ExitStack() as stack:

        def put(array: np.ndarray) -> Any:
            ring = ArrayRing(gpu, stream, {NAME: (array.shape, array.dtype)}, 1, 'test outputs')
            stack.callback(ring.close)
            on_device = ring.take()[NAME]
            stream.upload(on_device.ptr, np.ascontiguousarray(array))
            on_device.mark_ready()
            return on_device

        yield put


@pytest.mark.parametrize('layout', ['NCHW', 'NHWC'])
@pytest.mark.parametrize('dtype', ['float32', 'float16'])
@pytest.mark.parametrize('upsampling', ['nearest', 'bilinear'])
@pytest.mark.parametrize('activation', ['softmax', 'sigmoid', 'none'])
def test_masks_and_confidence_are_those_of_the_cpu(gpu, upload, layout, dtype, upsampling, activation):
    card = segmentation_case(layout=layout, dtype=dtype, activation=activation)
    settings = segmentation_settings(card, upsampling=upsampling)
    with contextlib.closing(GpuSegmenter(card, gpu, settings)) as stage:
        for seed, (size, fit) in enumerate([((640, 480), 'letterbox'), ((1920, 1080), 'crop'), ((101, 57), 'stretch')]):
            scores, letterbox = scores_of(card, seed=seed), Letterbox.between(size, WH, fit)
            found = stage({NAME: upload(scores)}, letterbox)
            assert_same(found, Segmenter(card, settings)({NAME: scores}, letterbox))


@pytest.mark.parametrize('labels', [('person',), tuple(f'class {number}' for number in range(300))])
def test_one_class_and_many(gpu, upload, labels):
    card = segmentation_case(labels, activation='sigmoid')
    with contextlib.closing(GpuSegmenter(card, gpu)) as stage:
        scores, letterbox = scores_of(card), Letterbox.between((640, 480), WH)
        assert_same(stage({NAME: upload(scores)}, letterbox), Segmenter(card)({NAME: scores}, letterbox))


def test_what_is_not_finite_is_refused_and_the_next_frame_goes_through(gpu, upload):
    card, letterbox = segmentation_case(), Letterbox.between((64, 48), WH)
    good, bad = scores_of(card), scores_of(card)
    bad[0, 3, 20, 30] = np.nan
    with contextlib.closing(GpuSegmenter(card, gpu)) as stage:
        with pytest.raises(FrameError) as caught:
            stage({NAME: upload(bad)}, letterbox)
        assert caught.value.reason == 'non_finite_output'
        assert_same(stage({NAME: upload(good)}, letterbox), Segmenter(card)({NAME: good}, letterbox))
