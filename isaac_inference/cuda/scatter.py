# SPDX-License-Identifier: Apache-2.0
"""From a batch's results on the device to each stream's own: so that who holds results holds up nobody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from isaac_inference.cuda.array import DeviceArray
from isaac_inference.cuda.ring import ArrayRing
from isaac_inference.errors import FrameError

if TYPE_CHECKING:
    from isaac_inference.cuda.device import Gpu

DEPTH = 4
"""Results of a stream that may be held at once."""

Shape = tuple[int, ...]


class RowScatter:
    """Copies the rows of a batch, on the device, to a ring for each stream, in a stream of work of its own.

    Args:
        gpu: the device.
        streams: names.
        specs: name -> (shape of one image's array, with its first axis of 1; element type).
        priority: of its work, as of `Gpu.stream`.
        what: whose it is, for messages.

    Raises:
        DeviceMemoryError: too little memory; nothing is left taken.
    """

    def __init__(
        self,
        gpu: Gpu,
        streams: Sequence[str],
        specs: Mapping[str, tuple[Shape, object]],
        priority: str = 'normal',
        what: str = 'results',
    ) -> None:
        self._gpu = gpu
        self._specs = {name: shape for name, (shape, _) in specs.items()}
        self._stream = gpu.stream(priority)
        self._rings: dict[str, ArrayRing] = {}
        try:
            for stream in streams:
                self._rings[stream] = ArrayRing(gpu, self._stream, specs, DEPTH, f'{what}: stream {stream}')
        except BaseException:
            self.close()
            raise

    def __call__(
        self, outputs: Mapping[str, DeviceArray], streams: Sequence[str]
    ) -> list[dict[str, DeviceArray] | FrameError]:
        """Each stream's arrays, without waiting.

        Args:
            outputs: name -> array with a row for each image, which share a slot.
            streams: whose image each row is of.

        Returns:
            For each of `streams` name -> array of one row; or, where its earlier results are all still held, the error
            ('device_buffers_busy'). Arrays of another size than was made room for are views of the batch's.
        """
        count = len(streams)
        if any(array.shape != (count, *self._specs[name][1:]) for name, array in outputs.items()):
            return [_views(outputs, index, count) for index in range(count)]
        found: list[dict[str, DeviceArray] | FrameError] = []
        with self._gpu.current(), next(iter(outputs.values())).reading(self._stream):
            for index, stream in enumerate(streams):
                try:
                    slot = self._rings[stream].take()
                except FrameError as error:
                    found.append(error)
                    continue
                for name, array in outputs.items():
                    target = slot[name]
                    self._stream.copy(target.ptr, array.ptr + index * target.nbytes, target.nbytes)
                next(iter(slot.values())).mark_ready()  # the arrays of a slot share its event
                found.append(slot)
        return found

    def close(self) -> None:
        """Free the memory, now or when the last array in use is gone."""
        for ring in self._rings.values():
            ring.close()
        self._stream.close()


def _views(outputs: Mapping[str, DeviceArray], index: int, count: int) -> dict[str, DeviceArray]:
    """One image's part of a batch, where it is; it holds all of the batch."""
    found = {}
    for name, array in outputs.items():
        shape = (array.shape[0] // count, *array.shape[1:])
        step = array.nbytes // count
        found[name] = DeviceArray(
            array.ptr + index * step, shape, array.dtype, array.stream, slot=array.slot, owner=array
        )
    return found
