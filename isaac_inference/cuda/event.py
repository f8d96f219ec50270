# SPDX-License-Identifier: Apache-2.0
"""A CUDA event that can be used and dropped on any thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pycuda.driver as cuda

if TYPE_CHECKING:
    from isaac_inference.cuda.device import Gpu


class Event(cuda.Event):
    """PyCUDA's event, created by `Gpu.event`.

    `synchronize` waits for it alone, without the GIL, and is counted; `query` says whether it has occurred. An event
    that was never recorded counts as occurred.
    """

    def __init__(self, gpu: Gpu, flags: int) -> None:
        super().__init__(flags)
        self._gpu = gpu

    def synchronize(self) -> Event:
        """Waits until it has occurred."""
        with self._gpu.current():
            super().synchronize()
        self._gpu.counters.add('synchronizations')
        return self

    def query(self) -> bool:
        """Whether it has occurred; never waits."""
        with self._gpu.current():
            return bool(super().query())

    def __del__(self) -> None:
        # Resurrected in the bin, and freed from there without another call of this method (PEP 442).
        gpu = getattr(self, '_gpu', None)
        if gpu is not None:
            gpu.context.discard(self)
