# SPDX-License-Identifier: Apache-2.0
"""From the bytes of an image message to a model's input tensors on the GPU: one upload, one kernel."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from isaac_inference.cuda.ring import ArrayRing
from isaac_inference.errors import ConfigError, DeviceError, FrameError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.ops.geometry.rectification import Rectification
from isaac_inference.ops.image.encodings import readable
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.image.options import TensorLayout
from isaac_inference.ops.image.preprocess import TensorWriter
from isaac_inference.ops.image.raw_image import RawImage
from isaac_inference.stages.image.gpu_arguments import (
    ARGUMENTS,
    arguments_bytes,
    write_arguments,
    write_map_arguments,
)
from isaac_inference.stages.image.growing_buffer import GrowingBuffer
from isaac_inference.stages.image.rectifier_gpu import BLOCK, GpuRectifier
from isaac_inference.stages.image.staging import Staging

if TYPE_CHECKING:
    from isaac_inference.cuda.array import DeviceArray
    from isaac_inference.cuda.device import Gpu
    from isaac_inference.cuda.memory import DeviceBuffer
    from isaac_inference.cuda.stream import Stream
    from isaac_inference.cuda.timer import GpuTimer

_KERNELS = {1: 'uint8', 2: 'float16', 4: 'float32'}  # by bytes of an element: they copy what the table holds
DEFAULT_DEPTH = 4  # results of a GpuPreprocessor that may be in use at a time
_ARGUMENTS_KEPT = 8  # of as many sizes and encodings, so that those of several cameras may alternate


class GpuPreprocessor:
    """`stages.Preprocessor` and `ops.image.encodings.to_color` in one, on the GPU, with their results.

    Colour conversion, rectification, resize, normalisation and layout are one kernel; where the card's interpolation
    looks at more pixels than four, rectification is one before it. Its launch is the same for every image, but for the
    target's address: what depends on the image is in a buffer on the device, the kernel's `ARGUMENTS`, which is
    written when the size, encoding or calibration changes. All is allocated at the start, but for the buffer of the
    raw image, which grows when a larger one comes, and what rectification needs. Not thread-safe: one per worker.

    Args:
        card: the model.
        gpu: where it runs.
        stream: what everything is enqueued on; one of its own when None.
        depth: how many results may be in use at a time.

    Attributes:
        wanted: the tensor's colour order.
        stream: the stream in use.
        tensor_bytes: length of one image's tensor, for placing those of a batch one after another.
        timer: None, or what times the kernel alone of each image, without its upload.

    Raises:
        ConfigError: the model takes raw pixels as whole numbers, but its card has a scale, mean or std.
        DeviceError: no kernels could be compiled, or the GPU's memory is used up (DeviceMemoryError).
    """

    def __init__(self, card: ModelCard, gpu: Gpu, *, stream: Stream | None = None, depth: int = DEFAULT_DEPTH) -> None:
        dtype = np.dtype(card.image.tensor.dtype)
        table = _table(card, dtype)
        self.wanted = card.image.preprocess.color
        self._card, self._gpu, self._dtype = card, gpu, dtype
        self._what = f'preprocessing of {card.name}'
        self.tensor_bytes = int(np.prod(card.image.shape())) * dtype.itemsize
        self._letterbox: Letterbox | None = None
        self._arguments: dict[tuple[Any, ...], np.ndarray] = {}
        self._arguments_on_device: tuple[Any, ...] | None = None
        self.timer: GpuTimer | None = None
        self._arguments_buffer: DeviceBuffer | None
        self._table_buffer: DeviceBuffer | None
        self._constant: dict[str, DeviceArray] = {}
        with gpu.current():
            self.stream = gpu.stream() if stream is None else stream
            self._kernel = gpu.kernels('preprocess').function(f'preprocess_{_KERNELS[dtype.itemsize]}')
            self._arguments_buffer = gpu.pool.allocate(arguments_bytes(card.image.wh), f'{self._what}: arguments')
            self._table_buffer = gpu.pool.allocate(table.nbytes, f'{self._what}: table')
            self.stream.upload(self._table_buffer.ptr, table)
            self._raw = GrowingBuffer(gpu, self.stream, f'{self._what}: raw image')
            self._staging = Staging(gpu, self.stream)
            self._rectifier = GpuRectifier(card.image.preprocess, gpu, self.stream, self._what)
            self._make_outputs(depth)
            self.stream.synchronize()

    def __call__(
        self, image: RawImage, rectification: Rectification | None = None
    ) -> tuple[dict[str, DeviceArray], Letterbox]:
        """One image to tensors; returns when the work is enqueued.

        Args:
            image: as for `ops.image.encodings.to_color`. From pinned memory its bytes are copied later, in stream
                order: they must stay as they are until a tensor is `ready`. Pageable ones may change as soon as this
                returns.
            rectification: of images of that size; None takes the image as it is. Its maps are made and uploaded when it
                is first seen.

        Returns:
            The model's inputs by name, batch axis of 1 first, on the device; and the letterbox that leads back, to
            pixels of the rectified image where there is a rectification. The memory is used again once no one holds
            the arrays any more.

        Raises:
            FrameError: as `ops.image.encodings.to_color`; 'device_buffers_busy' when `depth` results are in use.
            DeviceError: closed; or there is no memory for an image larger than those before (DeviceMemoryError).
        """
        image = readable(image)
        with self._gpu.current():
            arrays = self._ring.take()
            tensor = arrays[self._card.image.tensor.name]
            letterbox = self._enqueue(image, tensor.ptr, rectification)
            tensor.mark_ready()
        return {**arrays, **self._constant}, letterbox

    def enqueue_into(self, image: RawImage, target_ptr: int, rectification: Rectification | None = None) -> Letterbox:
        """One image to a tensor in memory of the caller's, such as image i of a batch.

        Args:
            image: as for a call.
            target_ptr: device address of `tensor_bytes` bytes that are written in stream order; for image i of a
                batch that of the batch + i * `tensor_bytes`. Aligned to the element's size.
            rectification: as for a call.

        Returns:
            The letterbox that leads back.

        Raises:
            FrameError: as `ops.image.encodings.to_color`.
            DeviceError: as for a call.
        """
        image = readable(image)
        with self._gpu.current():
            return self._enqueue(image, target_ptr, rectification)

    def picture(self, image: RawImage, rectification: Rectification) -> np.ndarray:
        """The whole rectified image, in host memory; waits for it.

        Args:
            image, rectification: as for a call.

        Returns:
            (h, w, 3) uint8 BGR, freshly allocated; what the camera does not see has the model's pad value.

        Raises:
            FrameError: as `ops.image.encodings.to_color`.
            DeviceError: as for a call.
        """
        image = readable(image)
        if self._arguments_buffer is None:
            raise self._closed()
        with self._gpu.current():
            raw, image = self._upload(image)
            flat, address = self._rectifier.picture(image, raw.ptr, rectification)
            found: np.ndarray = np.empty((flat.height, flat.width, 3), np.uint8)
            self.stream.download(found, address)
            self.stream.synchronize()
        return found

    def close(self) -> None:
        """Waits for what is enqueued and gives the memory back; harmless when called twice."""
        buffers = [buffer for buffer in (self._arguments_buffer, self._table_buffer) if buffer is not None]
        self._arguments_buffer = self._table_buffer = None
        if not buffers:
            return
        with self._gpu.current():
            self.stream.synchronize()
            for buffer in buffers:
                buffer.free()
            self._raw.free()
            self._staging.free()
            self._rectifier.close()
            self._constant = {}
            self._ring.close()
            if self._sizes is not None:
                self._sizes.close()

    def _make_outputs(self, depth: int) -> None:
        """The results' memory; what is fed beside the image is the same for ever, so that all results share it."""
        card = self._card
        image = {card.image.tensor.name: (card.image.shape(), self._dtype)}
        self._ring = ArrayRing(self._gpu, self.stream, image, depth, f'{self._what}: tensors')
        self._sizes: ArrayRing | None = None
        values = {item.tensor.name: item.constant(card.image.wh) for item in card.value_inputs}
        if values:
            specs = {name: (value.shape, value.dtype) for name, value in values.items()}
            self._sizes = ArrayRing(self._gpu, self.stream, specs, 1, f'{self._what}: inputs beside the image')
            self._constant = self._sizes.take()
            for name, value in values.items():
                self.stream.upload(self._constant[name].ptr, value)
                self._constant[name].mark_ready()

    def _enqueue(self, image: RawImage, target: int, rectification: Rectification | None) -> Letterbox:
        arguments = self._arguments_buffer
        if arguments is None or self._table_buffer is None:
            raise self._closed()
        raw, image = self._upload(image)
        if rectification is None:
            letterbox = self._letterbox_for((image.width, image.height))
            self._write_arguments(arguments.ptr, letterbox, image, raw.ptr)
        else:
            letterbox = self._letterbox_for((rectification.rectified.width, rectification.rectified.height))
            self._rectify(arguments.ptr, letterbox, image, raw.ptr, rectification)
        width, height = self._card.image.wh
        with contextlib.nullcontext() if self.timer is None else self.timer.measure(self.stream):
            self._kernel.launch(
                self.stream,
                (-(-width // BLOCK[0]), -(-height // BLOCK[1]), 1),
                BLOCK,
                arguments,
                arguments.ptr + ARGUMENTS.itemsize,
                self._table_buffer,
                target,
                np.int32(width),
                np.int32(height),
                np.int32(self._card.image.layout == TensorLayout.NHWC),
            )
        return letterbox

    def _upload(self, image: RawImage) -> tuple[DeviceBuffer, RawImage]:
        """The image on the device, and how it is to be read there."""
        raw = self._raw.at_least(memoryview(image.data).nbytes)
        return raw, self._staging.upload(raw.ptr, image)

    def _rectify(
        self, target: int, letterbox: Letterbox, image: RawImage, address: int, rectification: Rectification
    ) -> None:
        """Has the kernel take an image that is to be rectified."""
        if self._rectifier.in_one_step:
            places = self._rectifier.input_map(rectification, letterbox)
            self._write_arguments(target, letterbox, image, address, places)
        else:
            flat, flat_address = self._rectifier.picture(image, address, rectification)
            self._write_arguments(target, letterbox, flat, flat_address)

    def _letterbox_for(self, size_wh: tuple[int, int]) -> Letterbox:
        if self._letterbox is None or self._letterbox.source_wh != size_wh:
            spec = self._card.image.preprocess
            self._letterbox = Letterbox.between(size_wh, self._card.image.wh, spec.fit, spec.anchor, spec.rounding)
        return self._letterbox

    def _write_arguments(
        self,
        target: int,
        letterbox: Letterbox,
        image: RawImage,
        address: int,
        places: tuple[int, int] | None = None,
    ) -> None:
        """Brings the arguments for this kind of image to the device, unless they are there; in stream order."""
        size = (image.width, image.height)
        key = (address, image.encoding, size, image.step, image.is_bigendian, image.bit_depth, places)
        if key == self._arguments_on_device:
            return
        if key not in self._arguments:
            while len(self._arguments) >= _ARGUMENTS_KEPT:
                self._arguments.pop(next(iter(self._arguments)))
            spec = self._card.image.preprocess
            self._arguments[key] = (
                write_arguments(letterbox, spec, image, address)
                if places is None
                else write_map_arguments(spec, image, address, *places)
            )
        self._arguments_on_device = None
        self.stream.upload(target, self._arguments[key])
        self._arguments_on_device = key

    def _closed(self) -> DeviceError:
        return DeviceError(f'{self._what}: closed; make a new one')


def _table(card: ModelCard, dtype: np.dtype) -> np.ndarray:
    """(3, 256) of `dtype`: what a pixel value becomes, a row a channel of the tensor."""
    spec = card.image.preprocess
    writer = TensorWriter(swap=False, scale=spec.scale, mean=spec.mean, std=spec.std, layout=card.image.layout)
    try:
        return writer.table(dtype)
    except FrameError as error:
        raise ConfigError(f'{card.name}: {error}') from error
