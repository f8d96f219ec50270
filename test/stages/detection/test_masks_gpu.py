# SPDX-License-Identifier: Apache-2.0
"""The GPU's image of instances against the CPU's, with the kernel's very source on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.cards import with_detection
from support.cuda.host_build import why_no_compiler
from support.cuda.host_gpu import FakeGpu, HostPinned
from support.masks.cases import CHANNELS, KINDS, LETTERBOXES, card_of, outputs_of

from isaac_inference.errors import FrameError
from isaac_inference.models import TensorSpec
from isaac_inference.models.card.tasks import MaskForm, MaskSpec
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.stages.detection import gpu_memory, masks_gpu
from isaac_inference.stages.detection.postprocess import Postprocessor, detection_settings
from isaac_inference.stages.detection.postprocess_gpu import GpuPostprocessor

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
    for module in (gpu_memory, masks_gpu):
        monkeypatch.setattr(module, '_pinned', lambda gpu, nbytes: HostPinned(nbytes))


@pytest.fixture(scope='module')
def gpu() -> FakeGpu:
    return FakeGpu()


def on_gpu(gpu: FakeGpu, outputs: dict[str, np.ndarray]) -> dict[str, HostArray]:
    return {name: HostArray(array, gpu.stream()) for name, array in outputs.items()}


def painted(processor: GpuPostprocessor, outputs: dict[str, HostArray], letterbox: Letterbox, index: int = 0) -> Any:
    pending = processor.enqueue(outputs, letterbox, index, masks=True)
    return processor.fetch(pending), processor.instances(pending), processor.mask_areas(pending)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('name', LETTERBOXES)
def test_the_image_is_the_cpu_s(gpu: FakeGpu, kind: str, name: str) -> None:
    card, letterbox = card_of(kind), LETTERBOXES[name]
    outputs, settings = outputs_of(card, len(kind)), detection_settings(card, score_threshold=0.2)
    expected = Postprocessor(card, settings)(outputs, letterbox)
    processor = GpuPostprocessor(card, gpu, settings)
    found, image, areas = painted(processor, on_gpu(gpu, outputs), letterbox)
    np.testing.assert_array_equal(found.boxes, expected.boxes)
    wanted = expected.masks.painted(expected.scores)
    assert image.dtype == np.uint16
    assert image.shape == wanted.shape
    # sums are added in another order, so that a pixel on the very edge of a mask may differ
    assert np.count_nonzero(image != wanted) <= 1 + image.size // 5000
    assert np.abs(areas - expected.masks.areas).max() <= 1 + image.size // 5000
    assert len(found) > 5
    processor.close()
    assert gpu.pool.used == 0


@pytest.mark.parametrize('kind', KINDS)
def test_half_precision(gpu: FakeGpu, kind: str) -> None:
    card, letterbox = card_of(kind, 'float16'), LETTERBOXES['larger, padded']
    outputs = outputs_of(card, 3)
    expected = Postprocessor(card)(outputs, letterbox)
    processor = GpuPostprocessor(card, gpu)
    _, image, _ = painted(processor, on_gpu(gpu, outputs), letterbox)
    assert np.count_nonzero(image != expected.masks.painted(expected.scores)) <= 3
    processor.close()


def test_one_image_of_a_batch_and_frames_of_other_sizes_one_after_the_other(gpu: FakeGpu) -> None:
    card = card_of('yolov8')
    outputs = outputs_of(card, 5, batch=2)
    processor, there = GpuPostprocessor(card, gpu), on_gpu(gpu, outputs)
    for name in ('as large', 'larger, padded', 'much smaller, so that no tile fits', 'cropped'):
        for index in (0, 1):
            letterbox = LETTERBOXES[name]
            expected = Postprocessor(card)(outputs, letterbox, index)
            _, image, _ = painted(processor, there, letterbox, index)
            assert np.count_nonzero(image != expected.masks.painted(expected.scores)) <= 3
    processor.close()


def test_probabilities_have_their_own_threshold(gpu: FakeGpu) -> None:
    card, letterbox = card_of('yolov8', activated=True), LETTERBOXES['as large']
    outputs = outputs_of(card, 6)
    expected = Postprocessor(card)(outputs, letterbox)
    processor = GpuPostprocessor(card, gpu)
    _, image, _ = painted(processor, on_gpu(gpu, outputs), letterbox)
    assert np.count_nonzero(image != expected.masks.painted(expected.scores)) <= 3
    processor.close()


def test_without_being_asked_for_nothing_is_painted(gpu: FakeGpu) -> None:
    card = card_of('yolov8')
    processor, there = GpuPostprocessor(card, gpu), on_gpu(gpu, outputs_of(card, 7))
    launches = gpu.counters.launches
    pending = processor.enqueue(there, LETTERBOXES['as large'])
    assert gpu.counters.launches - launches == 4
    assert len(processor.fetch(pending)) > 5
    assert processor.instances(pending) is None
    processor.close()


def test_nothing_found_is_an_image_of_zeros(gpu: FakeGpu) -> None:
    card = card_of('yolov8')
    processor = GpuPostprocessor(card, gpu, detection_settings(card, score_threshold=1.0))
    found, image, areas = painted(processor, on_gpu(gpu, outputs_of(card, 8)), LETTERBOXES['as large'])
    assert (len(found), len(areas), image.shape, image.any()) == (0, 0, (96, 128), False)
    processor.close()


@pytest.mark.parametrize(
    ('spoil', 'reason'),
    [
        (lambda outputs: outputs.pop('m'), 'missing_tensor'),
        (lambda outputs: outputs['m'].fill(np.nan), 'non_finite_output'),
        (lambda outputs: outputs['p'][:, -1].fill(np.inf), 'non_finite_output'),
        (lambda outputs: outputs.update(m=outputs['m'][:, :-1]), 'bad_output_shape'),
        (lambda outputs: outputs.update(m=outputs['m'][0, 0]), 'bad_output_shape'),
        (lambda outputs: outputs.update(p=outputs['p'][:, :-1]), 'bad_output_shape'),
    ],
    ids=['missing', 'NaN', 'infinite coefficient', 'fewer prototypes', 'flat', 'fewer coefficients'],
)
def test_outputs_that_do_not_fit_are_refused_as_on_the_cpu(gpu: FakeGpu, spoil: Any, reason: str) -> None:
    card, letterbox = card_of('yolov8'), LETTERBOXES['as large']
    outputs = outputs_of(card, 9)
    spoil(outputs)
    with pytest.raises(FrameError) as error:
        Postprocessor(card)(outputs, letterbox)
    assert error.value.reason == reason
    processor = GpuPostprocessor(card, gpu)
    with pytest.raises(FrameError) as error:
        painted(processor, on_gpu(gpu, outputs), letterbox)
    assert error.value.reason == reason
    processor.close()


def test_more_objects_than_16_bits_tell_apart(gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    from isaac_inference.stages.detection import postprocess_gpu

    monkeypatch.setattr(postprocess_gpu, 'MAX_OBJECTS', 3)
    card = card_of('yolov8')
    processor = GpuPostprocessor(card, gpu)
    with pytest.raises(FrameError) as error:
        painted(processor, on_gpu(gpu, outputs_of(card, 1)), LETTERBOXES['as large'])
    assert error.value.reason == 'too_many_objects'
    processor.close()


def test_other_forms_stay_with_the_cpu() -> None:
    card = card_of('yolov8')
    assert GpuPostprocessor.serves(card)
    for masks in (MaskSpec(MaskForm.FULL), MaskSpec(MaskForm.CROPS), MaskSpec(MaskForm.PROTOTYPES, 300)):
        assert not GpuPostprocessor.serves(with_detection(card, masks=masks))
    integers = replace(card, outputs=(card.outputs[0], TensorSpec('m', 'int8', (1, CHANNELS, 24, 32))))
    assert not GpuPostprocessor.serves(integers)
