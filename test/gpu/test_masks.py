# SPDX-License-Identifier: Apache-2.0
"""The image of instances from a real GPU against the CPU's."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from support.masks.cases import KINDS, LETTERBOXES, card_of, outputs_of

from isaac_inference.cuda.availability import why_no_gpu
from isaac_inference.errors import FrameError
from isaac_inference.stages.detection.postprocess import Postprocessor
from isaac_inference.stages.detection.postprocess_gpu import GpuPostprocessor

pytestmark = pytest.mark.skipif(bool(why_no_gpu()), reason=why_no_gpu())


@pytest.fixture(scope='module')
def device() -> Any:
    from isaac_inference.cuda.device import gpu

    return gpu()


@contextlib.contextmanager
def uploaded(device: Any, outputs: dict[str, np.ndarray]) -> Any:
    from isaac_inference.cuda.ring import ArrayRing

    stream = device.stream()
    with contextlib.closing(
        ArrayRing(device, stream, {name: (array.shape, array.dtype) for name, array in outputs.items()}, 1, 'outputs')
    ) as ring:
        there = ring.take()
        for name, array in outputs.items():
            stream.upload(there[name].ptr, np.ascontiguousarray(array))
            stream.record(there[name].ready)
        yield there
        stream.synchronize()


@pytest.mark.parametrize('dtype', ['float32', 'float16'])
@pytest.mark.parametrize('kind', KINDS)
def test_the_image_is_the_cpu_s(device: Any, kind: str, dtype: str) -> None:
    card = card_of(kind, dtype)
    outputs = outputs_of(card, 11)
    with contextlib.closing(GpuPostprocessor(card, device)) as processor, uploaded(device, outputs) as there:
        for letterbox in LETTERBOXES.values():
            expected = Postprocessor(card)(outputs, letterbox)
            for _ in range(2):
                pending = processor.enqueue(there, letterbox, masks=True)
                found = processor.fetch(pending)
                image = processor.instances(pending)
                np.testing.assert_array_equal(found.boxes, expected.boxes)
                assert image is not None
                different = np.count_nonzero(image != expected.masks.painted(expected.scores))
                assert different <= 1 + image.size // 5000  # on the very edge of a mask


def test_prototypes_that_are_not_finite(device: Any) -> None:
    card = card_of('yolov8')
    outputs = outputs_of(card, 12)
    outputs['m'][:] = np.nan
    with contextlib.closing(GpuPostprocessor(card, device)) as processor, uploaded(device, outputs) as there:
        with pytest.raises(FrameError) as error:
            processor.fetch(processor.enqueue(there, LETTERBOXES['as large'], masks=True))
        assert error.value.reason == 'non_finite_output'
