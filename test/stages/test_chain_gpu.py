# SPDX-License-Identifier: Apache-2.0
"""The chain of the GPU's stages, run on the CPU around an engine of ONNX Runtime: the CPU chain's detections."""

from __future__ import annotations

import ctypes
from contextlib import closing

import numpy as np
import pytest
from support.cuda.host_build import why_no_compiler
from support.cuda.host_gpu import FakeGpu, HostPinned
from support.detection_cases import assert_same
from support.onnx_models import write_model

from isaac_inference.cuda.ring import ArrayRing
from isaac_inference.engines import create_engine
from isaac_inference.errors import FrameError
from isaac_inference.models import read_card
from isaac_inference.ops.image.encodings import to_color
from isaac_inference.ops.image.raw_image import RawImage
from isaac_inference.stages import Postprocessor, Preprocessor
from isaac_inference.stages.chain_gpu import GpuChain
from isaac_inference.stages.detection import gpu_memory

pytestmark = pytest.mark.skipif(bool(why_no_compiler()), reason=why_no_compiler())


class DeviceEngine:
    """An engine on the host with the face of one on the device."""

    def __init__(self, gpu, card, engine):
        specs = {spec.name: (tuple(size or 1 for size in spec.shape), spec.dtype) for spec in card.used_outputs}
        self._engine, self._ring = engine, ArrayRing(gpu, gpu.stream(), specs, 2, 'outputs')

    def enqueue(self, feeds):
        found = self._engine.infer({name: np.asarray(array) for name, array in feeds.items()})
        arrays = self._ring.take()
        for name, array in arrays.items():
            data = np.ascontiguousarray(found[name])
            ctypes.memmove(array.ptr, data.ctypes.data, data.nbytes)
            array.mark_ready()
        return arrays


@pytest.fixture
def chains(tmp_path, monkeypatch):
    """The GPU's chain, and the same way through the CPU's stages."""
    monkeypatch.setattr(gpu_memory, '_pinned', lambda gpu, nbytes: HostPinned(nbytes))
    card = read_card(write_model(tmp_path / 'm.onnx', 'yolov8'))
    gpu, preprocessor, postprocessor = FakeGpu(), Preprocessor(card), Postprocessor(card)
    with create_engine(card, threads=1) as engine:

        def on_the_cpu(image):
            tensors, letterbox = preprocessor(*to_color(image, preprocessor.wanted))
            return postprocessor(engine.infer(tensors), letterbox)

        with closing(GpuChain(card, gpu, DeviceEngine(gpu, card, engine))) as chain:
            yield chain, on_the_cpu


def white(width, height, encoding='bgr8'):
    shape = (height, width) if encoding == 'mono8' else (height, width, 3)
    return RawImage.from_array(np.full(shape, 255, np.uint8), encoding)


@pytest.mark.parametrize(('width', 'height', 'encoding'), [(96, 64, 'bgr8'), (192, 128, 'rgb8'), (100, 80, 'mono8')])
def test_the_detections_are_the_cpu_chain_s(chains, width, height, encoding):
    chain, on_the_cpu = chains
    image = white(width, height, encoding)
    expected = on_the_cpu(image)
    assert len(expected) > 0
    assert_same(chain(image), expected, exact=True)


def test_two_frames_may_be_under_way(chains):
    chain, on_the_cpu = chains
    images = [white(96, 64), white(192, 64)]
    pending = [chain.submit(image) for image in images]
    for one, image in zip(pending, images, strict=True):
        assert_same(chain.fetch(one), on_the_cpu(image), exact=True)


def test_a_bad_image_is_one_frame_s_error(chains):
    chain, on_the_cpu = chains
    with pytest.raises(FrameError) as caught:
        chain(RawImage(bytes(10), 'bgr8', height=2, width=2, step=5))
    assert caught.value.reason == 'bad_step'
    image = white(96, 64)
    assert_same(chain(image), on_the_cpu(image), exact=True)
