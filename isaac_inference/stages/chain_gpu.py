# SPDX-License-Identifier: Apache-2.0
"""The whole way of an image on the GPU: raw bytes in host memory to detections in host memory, without ROS.

engine = create_engine(card, 'tensorrt')
with engine, contextlib.closing(GpuChain(card, gpu(), engine)) as chain:
    for frame in frames:
        detections = chain(RawImage.from_array(frame, 'bgr8'))

A second frame may be submitted before the first one's result is fetched: its upload then goes on beside the first
one's inference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from isaac_inference.cuda.array import DeviceArray
from isaac_inference.cuda.device import Gpu
from isaac_inference.models.card.card import ModelCard
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.image.raw_image import RawImage
from isaac_inference.stages.detection.postprocess import DetectionSettings
from isaac_inference.stages.detection.postprocess_gpu import GpuPostprocessor, Pending
from isaac_inference.stages.image.preprocess_gpu import GpuPreprocessor


class DeviceEngine(Protocol):
    """What the chain needs of an engine: an open one that takes tensors on the GPU."""

    def enqueue(self, feeds: Mapping[str, DeviceArray]) -> Mapping[str, DeviceArray]:
        """Start the model on `feeds`; returns before it is done."""


class GpuChain:
    """Preprocessing, model, decoding and NMS of one model, enqueued in stream order, synchronised once a frame.

    Args:
        card: the model.
        gpu: where it runs.
        engine: the open engine of that model; the caller closes it, after the chain.
        settings: what is kept of the model's candidates.

    Raises:
        DeviceError: no kernels could be compiled, or the GPU's memory is used up.
    """

    def __init__(
        self, card: ModelCard, gpu: Gpu, engine: DeviceEngine, settings: DetectionSettings | None = None
    ) -> None:
        self._engine = engine
        self._preprocessor = GpuPreprocessor(card, gpu)
        self._postprocessor = GpuPostprocessor(card, gpu, settings)

    def submit(self, image: RawImage) -> Pending:
        """Start one frame; at most two may be under way.

        Args:
            image: its data in pinned memory spares a copy and must stay as it is until `fetch`.

        Raises:
            FrameError: the image can't be used, or too many frames are under way.
        """
        tensors, letterbox = self._preprocessor(image)
        return self._postprocessor.enqueue(self._engine.enqueue(tensors), letterbox)

    def fetch(self, pending: Pending) -> Detections:
        """Wait for a frame; its detections, best first, boxes in source pixels."""
        return self._postprocessor.fetch(pending)

    def __call__(self, image: RawImage) -> Detections:
        """One frame from start to end; as `submit` and `fetch`."""
        return self.fetch(self.submit(image))

    def close(self) -> None:
        """Give back the buffers."""
        self._postprocessor.close()
        self._preprocessor.close()
