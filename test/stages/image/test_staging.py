# SPDX-License-Identifier: Apache-2.0
"""Images that go through pinned memory on their way to a GPU: the tensor is the same, and nothing is overwritten."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from support.cuda.host_gpu import FakeGpu, HostEvent, HostPinned
from support.raw_images import raw_image

from isaac_inference.ops.image.encodings import SUPPORTED_ENCODINGS, to_color
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.stages.image import staging
from isaac_inference.stages.image.staging import Staging

TURNED = ['bgr8', 'rgb8', 'bgra8', 'rgba8']


@pytest.fixture
def made(monkeypatch):
    """Pinned memory that was made; small images count as large, and OpenCV has two threads."""
    found = []

    def pinned(gpu, nbytes):
        found.append(HostPinned(nbytes))
        return found[-1]

    monkeypatch.setattr(staging, '_pinned', pinned)
    monkeypatch.setattr(staging, '_LARGE', 1)
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    yield found
    cv2.setNumThreads(before)


@pytest.fixture
def gpu():
    found = FakeGpu()
    found.all_page_locked = False
    return found


def uploaded(stage, gpu, image):
    """The image as it is to be read where it was uploaded to."""
    target = gpu.pool.allocate(memoryview(image.data).nbytes, 'test')
    there = stage.upload(target.ptr, image)  # the image itself, or one without padding
    lies = np.ctypeslib.as_array((np.ctypeslib.ctypes.c_uint8 * target.nbytes).from_address(target.ptr)).copy()
    return dataclasses.replace(there, data=lies if there is image else lies[: there.height * there.step])


def in_bgr(image):
    pixels, order = to_color(image, ColorOrder.BGR)
    return pixels if order is ColorOrder.BGR else pixels[..., ::-1]


@pytest.mark.parametrize('encoding', sorted(SUPPORTED_ENCODINGS))
@pytest.mark.parametrize('padding', [0, 6])
def test_what_arrives_reads_as_the_image(made, gpu, encoding, padding):
    stage = Staging(gpu, gpu.stream())
    image = raw_image(encoding, padding=padding)
    there = uploaded(stage, gpu, image)
    assert (in_bgr(there) == in_bgr(image)).all()
    assert bool(made) == (encoding in TURNED), 'only these have a copy by all threads'


@pytest.mark.parametrize('encoding', TURNED)
def test_rows_without_a_step(made, gpu, encoding):
    image = dataclasses.replace(raw_image(encoding), step=0)
    assert (in_bgr(uploaded(Staging(gpu, gpu.stream()), gpu, image)) == in_bgr(image)).all()
    assert made


def test_pinned_small_and_single_threaded_images_go_up_as_they_are(made, gpu, monkeypatch):
    image = raw_image('bgr8')
    gpu.all_page_locked = True
    assert Staging(gpu, gpu.stream()).upload(gpu.pool.allocate(100_000, 'test').ptr, image) is image
    gpu.all_page_locked = False
    cv2.setNumThreads(1)
    assert Staging(gpu, gpu.stream()).upload(gpu.pool.allocate(100_000, 'test').ptr, image) is image
    cv2.setNumThreads(2)
    monkeypatch.setattr(staging, '_LARGE', 1_000_000)
    assert Staging(gpu, gpu.stream()).upload(gpu.pool.allocate(100_000, 'test').ptr, image) is image
    assert not made


class Busy(HostEvent):
    """Occurs when it is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0

    def query(self) -> bool:
        return self.records == self.waits

    def synchronize(self) -> None:
        self.waits += 1


def test_memory_that_is_still_uploaded_is_waited_for(made, gpu, monkeypatch):
    events = []

    def event(**kwargs):
        events.append(Busy())
        return events[-1]

    monkeypatch.setattr(gpu, 'event', event)
    stage = Staging(gpu, gpu.stream())
    images = [raw_image('bgr8', seed=seed) for seed in range(6)]
    for image in images:
        assert (in_bgr(uploaded(stage, gpu, image)) == in_bgr(image)).all()
    assert len(made) == 2, 'one is filled while the other one is uploaded'
    assert [one.records for one in events] == [3, 3]
    assert [one.waits for one in events] == [2, 2], 'each time but the first'


def test_larger_images_get_larger_memory_once(made, gpu):
    stage = Staging(gpu, gpu.stream())
    for width in (60, 60, 60, 200, 60, 200, 200):
        image = raw_image('rgb8', width=width)
        assert (in_bgr(uploaded(stage, gpu, image)) == in_bgr(image)).all()
    assert len(made) == 4
    stage.free()
    assert all(one.freed == 1 for one in made)
