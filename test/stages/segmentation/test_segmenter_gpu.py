# SPDX-License-Identifier: Apache-2.0
"""The GPU's classes against the CPU's, with the kernels' very source on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from support.cuda.host_build import why_no_compiler
from support.cuda.host_gpu import FakeGpu, HostPinned
from support.segmentation.cases import WH, assert_same, scores_of
from support.segmentation.cases import segmentation_case as card

from isaac_inference.errors import EngineError, FrameError
from isaac_inference.models import ModelCard
from isaac_inference.models.card.tasks import ClassForm
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.stages.segmentation import gpu_memory
from isaac_inference.stages.segmentation.segmenter import Segmenter
from isaac_inference.stages.segmentation.segmenter_gpu import GpuSegmenter
from isaac_inference.stages.segmentation.settings import segmentation_settings

pytestmark = pytest.mark.skipif(bool(why_no_compiler()), reason=why_no_compiler())


class HostArray:
    """A numpy array with the face of a `DeviceArray`."""

    def __init__(self, array: np.ndarray, stream: Any) -> None:
        self.host = np.ascontiguousarray(array)
        self.shape, self.dtype, self.ptr, self.stream = array.shape, array.dtype, self.host.ctypes.data, stream

    @contextmanager
    def reading(self, stream: Any) -> Iterator[None]:
        yield


@pytest.fixture(autouse=True)
def plain_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_memory, '_pinned', lambda gpu, nbytes: HostPinned(nbytes))


@pytest.fixture(scope='module')
def gpu() -> FakeGpu:
    return FakeGpu()


def check(
    gpu: FakeGpu, one: ModelCard, output: np.ndarray, letterbox: Letterbox, index: int = 0, **chosen: Any
) -> None:
    settings = segmentation_settings(one, **chosen)
    stage = GpuSegmenter(one, gpu, settings)
    try:
        for with_confidence in (True, False):
            expected = Segmenter(one, settings)({'out': output}, letterbox, index, with_confidence)
            got = stage({'out': HostArray(output, gpu.stream())}, letterbox, index, with_confidence)
            assert_same(got, expected)
    finally:
        stage.close()


@pytest.mark.parametrize('layout', ['NCHW', 'NHWC'])
@pytest.mark.parametrize('dtype', ['float32', 'float16'])
@pytest.mark.parametrize('upsampling', ['nearest', 'bilinear'])
@pytest.mark.parametrize('fit', ['letterbox', 'crop', 'stretch'])
def test_masks_are_those_of_the_cpu(gpu, layout, dtype, upsampling, fit):
    one = card(layout=layout, dtype=dtype)
    check(gpu, one, scores_of(one), Letterbox.between((101, 57), WH, fit), upsampling=upsampling)


@pytest.mark.parametrize('activation', ['softmax', 'sigmoid', 'none'])
@pytest.mark.parametrize('stride', [1, 2])
def test_confidence_is_that_of_the_cpu(gpu, activation, stride):
    one = card(activation=activation)
    check(gpu, one, scores_of(one, stride=stride), Letterbox.between((64, 64), WH))


@pytest.mark.parametrize('activation', ['sigmoid', 'none'])
@pytest.mark.parametrize('layout', ['NCHW', 'NHWC'])
@pytest.mark.parametrize('upsampling', ['nearest', 'bilinear'])
def test_one_class_against_the_rest(gpu, activation, layout, upsampling):
    one = card(('person',), layout, activation)
    check(gpu, one, scores_of(one), Letterbox.between((50, 70), WH), upsampling=upsampling, threshold=0.4)


@pytest.mark.parametrize('upsampling', ['nearest', 'bilinear'])
def test_classes_to_keep_and_a_least_confidence(gpu, upsampling):
    one = card(activation='none')
    chosen = {'classes': ['wall', 'mug'], 'min_confidence': 0.7, 'upsampling': upsampling}
    check(gpu, one, scores_of(one), Letterbox.between((77, 40), WH), **chosen)


def test_many_classes_have_two_bytes(gpu):
    one = card(tuple(f'class {number}' for number in range(300)))
    check(gpu, one, scores_of(one), Letterbox.between((64, 48), WH, 'crop'), classes=['class 7', 'class 299'])


def test_images_of_a_batch(gpu):
    one = card()
    for index in range(3):
        check(gpu, one, scores_of(one, batch=3), Letterbox.between((64, 48), WH), index)


def test_one_class_everywhere(gpu):
    one = card()
    scores = np.zeros((1, 5, 24, 32), np.float32)
    scores[:, 3] = 1
    check(gpu, one, scores, Letterbox.between((64, 48), WH))


def test_sizes_settings_and_addresses_may_change_from_frame_to_frame(gpu):
    one = card()
    stage = GpuSegmenter(one, gpu)
    for number, size in enumerate([(64, 48), (64, 48), (100, 30), (64, 48)]):
        output, letterbox = scores_of(one, seed=number), Letterbox.between(size, WH)
        stage.settings = segmentation_settings(one, classes=[['wall'], [], ['mug', 'box'], []][number])
        got = stage({'out': HostArray(output, gpu.stream())}, letterbox)
        assert_same(got, Segmenter(one, stage.settings)({'out': output}, letterbox))
    stage.close()
    stage.close()
    assert not gpu.pool.live


def test_a_frame_is_fetched_once_and_before_the_next(gpu):
    one = card()
    stage, letterbox = GpuSegmenter(one, gpu), Letterbox.between((64, 48), WH)
    outputs = {'out': HostArray(scores_of(one), gpu.stream())}
    pending = stage.enqueue(outputs, letterbox)
    stage.fetch(pending)
    with pytest.raises(EngineError, match='fetch each pending frame once'):
        stage.fetch(pending)
    stage.enqueue(outputs, letterbox)  # given up
    assert_same(stage(outputs, letterbox), Segmenter(one)({'out': outputs['out'].host}, letterbox))
    pending = stage.enqueue(outputs, letterbox)
    stage.close()
    with pytest.raises(EngineError, match='after close'):
        stage.fetch(pending)


@pytest.mark.parametrize('place', [(0, 0, 0, 0), (0, 4, 23, 31), (0, 2, 10, 3)])
@pytest.mark.parametrize('wrong', [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(gpu, place, wrong):
    one = card()
    output = scores_of(one)
    output[place] = wrong
    stage = GpuSegmenter(one, gpu)
    with pytest.raises(FrameError) as caught:
        stage({'out': HostArray(output, gpu.stream())}, Letterbox.between((64, 48), WH))
    assert caught.value.reason == 'non_finite_output'
    good = scores_of(one)
    letterbox = Letterbox.between((64, 48), WH)
    assert_same(stage({'out': HostArray(good, gpu.stream())}, letterbox), Segmenter(one)({'out': good}, letterbox))
    stage.close()


@pytest.mark.parametrize(
    ('outputs', 'reason'),
    [
        ({'other': np.zeros((1, 5, 24, 32), np.float32)}, 'missing_tensor'),
        ({'out': np.zeros((1, 4, 24, 32), np.float32)}, 'bad_output_shape'),
        ({'out': np.zeros((1, 5, 24, 24), np.float32)}, 'bad_output_shape'),
        ({'out': np.zeros((1, 5, 24, 32), np.int32)}, 'bad_output_type'),
    ],
)
def test_errors_are_those_of_the_cpu(gpu, outputs, reason):
    stage = GpuSegmenter(card(), gpu)
    arrays = {name: HostArray(array, gpu.stream()) for name, array in outputs.items()}
    with pytest.raises(FrameError) as caught:
        stage(arrays, Letterbox.between((64, 48), WH))
    assert caught.value.reason == reason
    stage.close()


def test_what_has_no_kernels_says_so(gpu):
    ids = card(form=ClassForm.CLASSES, dtype='int64')
    assert not GpuSegmenter.serves(ids)
    with pytest.raises(EngineError, match='on the CPU'):
        GpuSegmenter(ids, gpu)
