# SPDX-License-Identifier: Apache-2.0
"""Decode and NMS on a real GPU against the CPU's; prints GPU times for 84x8400 (`pytest -s`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
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
)

from isaac_inference.cuda.availability import why_no_gpu
from isaac_inference.errors import FrameError
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.stages.detection.postprocess import Postprocessor, detection_settings
from isaac_inference.stages.detection.postprocess_gpu import GpuPostprocessor

pytestmark = pytest.mark.skipif(bool(why_no_gpu()), reason=why_no_gpu())


@pytest.fixture(scope='module')
def device() -> Any:
    from isaac_inference.cuda.device import gpu

    return gpu()


class Uploader:
    """Puts arrays onto the GPU, each kept as long as this object."""

    def __init__(self, device: Any) -> None:
        self.device, self.stream, self._rings = device, device.stream(), []

    def __call__(self, array: np.ndarray) -> Any:
        from isaac_inference.cuda.ring import ArrayRing

        ring = ArrayRing(self.device, self.stream, {NAME: (array.shape, array.dtype)}, 1, 'test outputs')
        self._rings.append(ring)
        on_device = ring.take()[NAME]
        self.stream.upload(on_device.ptr, np.ascontiguousarray(array))
        self.stream.record(on_device.ready)
        return on_device

    def close(self) -> None:
        self.stream.synchronize()
        for ring in self._rings:
            ring.close()


@pytest.fixture
def upload(device: Any) -> Iterator[Uploader]:
    uploader = Uploader(device)
    yield uploader
    uploader.close()


def check(device: Any, upload: Uploader, case: Case, times: int = 3) -> None:
    processor = GpuPostprocessor(case.card, device, case.settings)
    outputs = {NAME: upload(case.output)}
    try:
        for _ in range(times):  # the atomics arrive in another order each time
            try:
                expected = Postprocessor(case.card, case.settings)({NAME: case.output}, case.letterbox, case.index)
            except FrameError as error:
                with pytest.raises(FrameError) as caught:
                    processor(outputs, case.letterbox, case.index)
                assert (caught.value.reason, str(caught.value)) == (error.reason, str(error))
            else:
                assert_same(processor(outputs, case.letterbox, case.index), expected, case.exact)
    finally:
        processor.close()


@pytest.mark.parametrize('dtype', ['float32', 'float16'])
@pytest.mark.parametrize('family', FAMILIES)
def test_random_outputs(device: Any, upload: Uploader, family: str, dtype: str) -> None:
    for seed in range(5):
        check(device, upload, random_case(family, dtype, seed))
        check(device, upload, random_case(family, dtype, seed, class_aware=False, iou_threshold=0.1))


@pytest.mark.parametrize('dtype', ['float32', 'float16'])
@pytest.mark.parametrize('family', FAMILIES)
def test_crafted_outputs(device: Any, upload: Uploader, family: str, dtype: str) -> None:
    for case in crafted(family, dtype):
        check(device, upload, case, times=1)


@pytest.mark.parametrize('family', EXACT)
@pytest.mark.parametrize('share', [0.0, 0.02, 0.12, 1.0])
def test_full_size(device: Any, upload: Uploader, family: str, share: float) -> None:
    card = card_of(family, classes=80, wh=(640, 640))
    output = random_output(card, np.random.default_rng(4), share)
    letterbox = Letterbox.between((1920, 1080), card.image.wh)
    for said in ({}, {'class_aware': False}, {'top_k': 8400, 'max_detections': 8400}):
        case = Case('full', card, output, detection_settings(card, **said), letterbox)
        check(device, upload, case, times=2)


def test_two_pending_frames_cost_no_allocation_and_one_synchronization_each(device: Any, upload: Uploader) -> None:
    cases = [random_case('yolov8', 'float32', seed) for seed in range(2)]
    processor = GpuPostprocessor(cases[0].card, device)
    outputs = [{NAME: upload(case.output)} for case in cases]
    expected = [Postprocessor(case.card)({NAME: case.output}, case.letterbox) for case in cases]
    processor(outputs[0], cases[0].letterbox)
    before = (device.counters.allocations, device.counters.synchronizations)
    for _ in range(50):
        pending = [processor.enqueue(outputs[i], cases[i].letterbox) for i in (0, 1)]
        for i in (0, 1):
            assert_same(processor.fetch(pending[i]), expected[i], exact=True)
    assert (device.counters.allocations, device.counters.synchronizations) == (before[0], before[1] + 100)
    processor.close()


def test_a_graph_of_the_launches_follows_settings_and_letterbox(device: Any, upload: Uploader) -> None:
    from isaac_inference.cuda.graph import capture

    case = random_case('yolov8_pose', 'float32', 1)
    processor, cpu = GpuPostprocessor(case.card, device), Postprocessor(case.card)
    outputs, stream = {NAME: upload(case.output)}, upload.stream
    processor(outputs, case.letterbox)  # and the modules are loaded
    graphs = {}
    for i, some in enumerate([{}, {}, {'score_threshold': 0.7}, {'classes': ['class 1']}, {'max_detections': 2}, {}]):
        processor.settings = cpu.settings = detection_settings(case.card, **some)
        letterbox = Letterbox.between((200 + 31 * i, 150), case.card.image.wh)
        pending = processor.reserve(outputs, letterbox)
        if pending.slot not in graphs:
            graphs[pending.slot] = capture(device, stream, lambda pending=pending: processor.launch(pending, stream))
        graphs[pending.slot].launch(stream)
        processor.seal(pending, stream)
        assert_same(processor.fetch(pending), cpu({NAME: case.output}, letterbox), exact=True)
    for graph in graphs.values():
        graph.close()
    processor.close()


@pytest.mark.parametrize('dtype', ['float32', 'float16'])
@pytest.mark.parametrize('family', ['yolov8', 'yolov8_last'])
def test_gpu_time(device: Any, upload: Uploader, family: str, dtype: str) -> None:
    """Prints; a time proves nothing on a machine that others use."""
    from isaac_inference.cuda.graph import capture
    from isaac_inference.cuda.timer import GpuTimer

    card = card_of(family, classes=80, wh=(640, 640), dtype=dtype)
    letterbox, stream = Letterbox.between((1920, 1080), card.image.wh), upload.stream
    worst = {'score_threshold': 0.0}
    apart = {**worst, 'iou_threshold': 1.0, 'max_detections': 1000}
    for name, share, said in (
        ('no candidates', 0.0, {}),
        ('170 candidates', 0.02, {}),
        ('1000 candidates', 0.12, {}),
        ('8400 candidates', 1.0, worst),
        ('8400 candidates, 1000 detections', 1.0, apart),
    ):
        output = random_output(card, np.random.default_rng(4), share)
        case = replace(Case(name, card, output, detection_settings(card, **said), letterbox))
        processor = GpuPostprocessor(card, device, case.settings)
        outputs, times = {NAME: upload(output)}, {}
        found = processor(outputs, letterbox)
        for way in ('launches', 'graph'):
            pending = processor.reserve(outputs, letterbox)
            graph = capture(device, stream, lambda p=pending, q=processor: q.launch(p, stream))
            timer = GpuTimer(device, depth=64)
            for _ in range(60):
                with timer.measure(stream):
                    if way == 'graph':
                        graph.launch(stream)
                    else:
                        processor.launch(pending, stream)
                stream.synchronize()
            times[way] = np.median(timer.collect()[10:])
            graph.close()
            processor.seal(pending, stream)
            assert_same(processor.fetch(pending), found, exact=True)
        text = ', '.join(f'{way} {1000 * ms:.1f} us' for way, ms in times.items())
        print(f'{family} {dtype} {name}: {text}; {len(found)} detections')
        processor.close()
