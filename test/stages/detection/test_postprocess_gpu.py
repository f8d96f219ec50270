# SPDX-License-Identifier: Apache-2.0
"""The GPU's decode and NMS against the CPU's, with the kernels' very source on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cards import with_detection
from support.cuda.host_build import why_no_compiler
from support.cuda.host_gpu import FakeGpu, HostPinned
from support.detection_cases import (
    EXACT,
    FAMILIES,
    NAME,
    Case,
    assert_same,
    card_of,
    crafted,
    random_case,
    random_output,
    rows_of,
)

from isaac_inference.errors import ConfigError, EngineError, FrameError
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.stages.detection import gpu_memory as detection_memory
from isaac_inference.stages.detection.postprocess import Postprocessor, detection_settings
from isaac_inference.stages.detection.postprocess_gpu import GpuPostprocessor

pytestmark = pytest.mark.skipif(bool(why_no_compiler()), reason=why_no_compiler())


class HostArray:
    """A numpy array with the face of a `DeviceArray`."""

    def __init__(self, array: np.ndarray, stream: Any) -> None:
        self.host = np.ascontiguousarray(array)
        self.shape, self.dtype, self.ptr, self.stream = array.shape, array.dtype, self.host.ctypes.data, stream
        self.readers: list[Any] = []

    @contextmanager
    def reading(self, stream: Any) -> Iterator[None]:
        yield
        self.readers.append(stream)


@pytest.fixture(autouse=True)
def plain_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection_memory, '_pinned', lambda gpu, nbytes: HostPinned(nbytes))


@pytest.fixture(scope='module')
def gpu() -> FakeGpu:
    return FakeGpu()


def check(gpu: FakeGpu, case: Case) -> int:
    """Compares both; how many detections there are."""
    outputs = {NAME: HostArray(case.output, gpu.stream())}
    expected = got = None
    processor = GpuPostprocessor(case.card, gpu, case.settings)
    try:
        expected = Postprocessor(case.card, case.settings)({NAME: case.output}, case.letterbox, case.index)
    except FrameError as error:
        assert error.reason == case.reason
        with pytest.raises(FrameError) as caught:
            processor(outputs, case.letterbox, case.index)
        assert (caught.value.reason, str(caught.value)) == (error.reason, str(error))
    else:
        assert not case.reason
        got = processor(outputs, case.letterbox, case.index)
        assert_same(got, expected, case.exact)
        assert got.best_score == expected.best_score or (not len(expected) and np.isnan(got.best_score))
    processor.close()
    return 0 if expected is None else len(expected)


@pytest.mark.parametrize('dtype', ['float32', 'float16'])
@pytest.mark.parametrize('family', FAMILIES)
def test_random_outputs(gpu: FakeGpu, family: str, dtype: str) -> None:
    for seed in range(3):
        assert check(gpu, random_case(family, dtype, seed)) > 5
        assert check(gpu, random_case(family, dtype, seed, class_aware=False, iou_threshold=0.1)) > 5


@pytest.mark.parametrize('case', [case for family in FAMILIES for case in crafted(family)], ids=str)
def test_crafted_outputs(gpu: FakeGpu, case: Case) -> None:
    check(gpu, case)


@pytest.mark.parametrize('case', list(crafted('yolov8', 'float16')), ids=str)
def test_crafted_outputs_of_half_precision(gpu: FakeGpu, case: Case) -> None:
    check(gpu, case)


@settings(max_examples=40, deadline=None)
@given(
    family=st.sampled_from(EXACT),
    seed=st.integers(0, 1000),
    share=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    levels=st.sampled_from([0, 3]),
    iou_threshold=st.sampled_from([0.0, 0.2, 0.45, 0.7, 1.0]),
    class_aware=st.booleans(),
    top_k=st.sampled_from([1, 63, 64, 65, 130, 1000]),
    max_detections=st.sampled_from([1, 20, 64, 300]),
)
def test_any_settings(gpu: FakeGpu, family: str, seed: int, share: float, levels: int, **said: Any) -> None:
    card = card_of(family)
    output = random_output(card, np.random.default_rng(seed), share, levels)
    check(gpu, replace(random_case(family, 'float32', 0), output=output, settings=detection_settings(card, **said)))


def test_every_image_of_a_batch(gpu: FakeGpu) -> None:
    cases = [random_case('yolov8', 'float16', seed) for seed in range(3)]
    batch = np.concatenate([case.output for case in cases])
    counts = [check(gpu, replace(cases[0], output=batch, index=i)) for i in range(3)]
    assert counts == [check(gpu, case) for case in cases]


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize(
    'shape, index, dtype, reason',
    [
        ((1, 6, 7), 0, 'float32', 'bad_output_shape'),
        ((1, 3, 300), 0, 'float32', 'bad_output_shape'),
        ((1, 20), 0, 'float32', 'bad_output_shape'),
        ((0, 6, 7), 0, 'float32', 'bad_tensor'),
        ((), 0, 'float32', 'bad_tensor'),
        (None, 1, 'float32', 'bad_tensor'),
        (None, 0, 'int32', 'bad_output_type'),
    ],
)
def test_outputs_that_do_not_fit(
    gpu: FakeGpu, family: str, shape: tuple[int, ...] | None, index: int, dtype: str, reason: str
) -> None:
    case = random_case(family, 'float32', 0)
    output = case.output.astype(dtype) if shape is None else np.zeros(shape, dtype)
    check(gpu, replace(case, output=output, index=index, reason=reason))


def test_a_missing_output_and_one_of_doubles(gpu: FakeGpu) -> None:
    case = random_case('yolov8', 'float32', 0)
    processor = GpuPostprocessor(case.card, gpu)
    with pytest.raises(FrameError, match=r"not among the arrived tensors \['other'\]") as caught:
        processor({'other': HostArray(case.output, gpu.stream())}, case.letterbox)
    assert caught.value.reason == 'missing_tensor'
    with pytest.raises(FrameError, match='got float64, expected float32 or float16') as caught:
        processor({NAME: HostArray(case.output.astype(float), gpu.stream())}, case.letterbox)
    assert caught.value.reason == 'bad_output_type'


def test_settings_and_letterbox_change_without_new_buffers_or_launches(gpu: FakeGpu) -> None:
    case = random_case('yolox', 'float32', 1)
    processor, cpu = GpuPostprocessor(case.card, gpu), Postprocessor(case.card)
    outputs = {NAME: HostArray(case.output, gpu.stream())}
    processor(outputs, case.letterbox)
    before = vars(gpu.counters).copy()
    said = [{}, {'score_threshold': 0.6}, {'classes': ['class 1']}, {'class_aware': False, 'max_detections': 3}]
    for i, some in enumerate(said):
        processor.settings = cpu.settings = detection_settings(case.card, **some)
        letterbox = Letterbox.between((100 + 50 * i, 90), case.card.image.wh)
        assert_same(processor(outputs, letterbox), cpu({NAME: case.output}, letterbox), exact=False)
    assert gpu.counters.allocations == before['allocations']
    assert gpu.counters.launches - before['launches'] == 4 * len(said)
    assert gpu.counters.copies - before['copies'] == 2 * len(said)
    assert processor.version == 0


def test_more_anchors_and_higher_limits_make_larger_buffers_once(gpu: FakeGpu) -> None:
    used = gpu.pool.used
    small = random_case('yolov8', 'float32', 1)
    large = card_of('yolov8', wh=(320, 256))
    output = random_output(large, np.random.default_rng(2), 0.9)
    processor, cpu = GpuPostprocessor(small.card, gpu), Postprocessor(small.card)
    letterbox = Letterbox.between((640, 480), large.image.wh)
    for said in ({}, {'max_detections': 500}, {'top_k': 2000, 'max_detections': 2000, 'iou_threshold': 1.0}):
        processor.settings = cpu.settings = detection_settings(small.card, **said)
        allocations = []
        for _ in range(4):
            got = processor({NAME: HostArray(output, gpu.stream())}, letterbox)
            assert_same(got, cpu({NAME: output}, letterbox), exact=True)
            allocations.append(gpu.counters.allocations)
        assert allocations[1] == allocations[3]
    assert len(got) > 1000
    assert processor.version > 0
    processor.close()
    assert gpu.pool.used == used


def test_two_may_be_pending_and_a_third_is_refused(gpu: FakeGpu) -> None:
    cases = [random_case('yolov8_pose', 'float32', seed) for seed in range(3)]
    processor = GpuPostprocessor(cases[0].card, gpu)
    outputs = [{NAME: HostArray(case.output, gpu.stream())} for case in cases]
    expected = [Postprocessor(case.card)({NAME: case.output}, case.letterbox) for case in cases]
    pending = [processor.enqueue(outputs[i], cases[i].letterbox) for i in (0, 1)]
    assert [one.slot for one in pending] == [0, 1]
    with pytest.raises(FrameError, match='third frame') as caught:
        processor.enqueue(outputs[2], cases[2].letterbox)
    assert caught.value.reason == 'device_buffers_busy'
    first = processor.fetch(pending[0])
    pending.append(processor.enqueue(outputs[2], cases[2].letterbox))
    assert_same(first, expected[0], exact=True)
    for i in (2, 1):
        assert_same(processor.fetch(pending[i]), expected[i], exact=True)
    with pytest.raises(EngineError, match='fetched already'):
        processor.fetch(pending[1])


def test_a_frame_that_nobody_fetches_frees_its_place(gpu: FakeGpu) -> None:
    case = random_case('yolov5', 'float32', 1)
    processor = GpuPostprocessor(case.card, gpu)
    outputs = {NAME: HostArray(case.output, gpu.stream())}
    for _ in range(5):
        processor.enqueue(outputs, case.letterbox)
    assert len(processor(outputs, case.letterbox))
    processor.close()
    processor.close()


def test_it_works_on_the_outputs_stream_unless_told_otherwise(gpu: FakeGpu) -> None:
    case = random_case('yolov5', 'float32', 1)
    output, own, given_stream = HostArray(case.output, gpu.stream()), gpu.stream(), gpu.stream()
    for processor, stream, expected in (
        (GpuPostprocessor(case.card, gpu), None, output.stream),
        (GpuPostprocessor(case.card, gpu, stream=own), None, own),
        (GpuPostprocessor(case.card, gpu, stream=own), given_stream, given_stream),
    ):
        processor.fetch(processor.enqueue({NAME: output}, case.letterbox, stream=stream))
        assert output.readers[-1] is expected


def test_what_is_fetched_stays_as_it_is(gpu: FakeGpu) -> None:
    case, other = random_case('yolov8_pose', 'float32', 1), random_case('yolov8_pose', 'float32', 2)
    processor = GpuPostprocessor(case.card, gpu)
    kept = processor({NAME: HostArray(case.output, gpu.stream())}, case.letterbox)
    for _ in range(3):
        processor({NAME: HostArray(other.output, gpu.stream())}, case.letterbox)
    assert_same(kept, Postprocessor(case.card)({NAME: case.output}, case.letterbox), exact=True)


def test_an_error_does_not_touch_the_next_frame(gpu: FakeGpu) -> None:
    case = random_case('yolov8', 'float32', 1)
    broken = case.output.copy()
    rows_of(broken, case.card)[5, 6] = np.nan
    processor = GpuPostprocessor(case.card, gpu)
    expected = Postprocessor(case.card)({NAME: case.output}, case.letterbox)
    for _ in range(2):
        with pytest.raises(FrameError, match='NaN'):
            processor({NAME: HostArray(broken, gpu.stream())}, case.letterbox)
        assert_same(processor({NAME: HostArray(case.output, gpu.stream())}, case.letterbox), expected, exact=True)


@pytest.mark.parametrize(
    'said, message',
    [
        ({'iou_threshold': 1.5}, 'iou_threshold: got 1.5'),
        ({'top_k': 0}, 'top_k and max_detections: got 0'),
        ({'max_detections': 0}, 'expected at least 1'),
    ],
)
def test_settings_out_of_range_are_refused_and_the_old_ones_stay(gpu: FakeGpu, said: dict, message: str) -> None:
    card = card_of('yolov8')
    processor = GpuPostprocessor(card, gpu)
    old = processor.settings
    with pytest.raises(ConfigError, match=message):
        processor.settings = detection_settings(card, **said)
    assert processor.settings is old


def test_more_candidates_than_the_scan_takes_are_refused(gpu: FakeGpu) -> None:
    card = card_of('yolov8', classes=1, wh=(1600, 1600))
    with pytest.raises(ConfigError, match='expected at most 32768 on the GPU'):
        GpuPostprocessor(card, gpu, detection_settings(card, top_k=40000))
    processor = GpuPostprocessor(card, gpu)
    with pytest.raises(ConfigError, match='top_k: got 40000'):
        processor.settings = detection_settings(card, top_k=40000)


def test_it_says_which_models_it_serves(gpu: FakeGpu) -> None:
    assert all(GpuPostprocessor.serves(card_of(family)) for family in FAMILIES)
    said = {'box_format': 'cxcywh', 'normalized': False, 'activation': 'none', 'nms': True}
    assert GpuPostprocessor.serves(with_detection(card_of('yolov8'), options=said))
    detr, doubles = with_detection(card_of('yolov8'), decoder='detr'), card_of('yolov8', dtype='float64')
    many = with_detection(card_of('yolox'), options={'strides': tuple(range(1, 10))})
    unbatched = card_of('yolov8')
    unbatched = replace(unbatched, outputs=(replace(unbatched.outputs[0], shape=unbatched.outputs[0].shape[1:]),))
    others = [
        with_detection(card_of(family), options=options)
        for family, options in (
            ('yolov8', {'box_format': 'xyxy'}),
            ('yolov8', {'normalized': True}),
            ('yolov8', {'activation': 'sigmoid'}),
            ('yolov8', {'nms': False}),
            ('yolov5', {'normalized': True}),
            ('nanodet', {'cell_offset': 0.5}),
        )
    ]
    finished = with_detection(card_of('yolov8_pose'), decoder='end_to_end_pose', options={'nms': False})
    for card in (detr, doubles, many, unbatched, finished, *others):
        assert not GpuPostprocessor.serves(card)
        with pytest.raises(EngineError, match='decode it on the CPU'):
            GpuPostprocessor(card, gpu)


def test_open_dimensions_are_filled_by_the_input_size(gpu: FakeGpu) -> None:
    for family in FAMILIES:
        case = random_case(family, 'float32', 1)
        spec = replace(case.card.outputs[0], shape=(None, None, None))
        processor = GpuPostprocessor(replace(case.card, outputs=(spec,)), gpu)
        processor({NAME: HostArray(case.output, gpu.stream())}, case.letterbox)
        assert processor.version == 0
