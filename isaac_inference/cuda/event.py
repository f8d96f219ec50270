# SPDX-License-Identifier: Apache-2.0
"""A CUDA event that can be used and dropped on any thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pycuda.driver as cuda

if TYPE_CHECKING:
    from isaac_inference.cuda.device import Gpu


class Event(cuda.Event):
    """PyCUDA's event, made by `Gpu.event`.

    `synchronize` waits for it alone, without the GIL, and is counted; `query` says whether it has happened. One that
    was never recorded counts as happened.
    """

    def __init__(self, gpu: Gpu, flags: int) -> None:
        super().__init__(flags)
        self._gpu = gpu

    def synchronize(self) -> Event:
        """Waits until it has happened."""
        with self._gpu.current():
            super().synchronize()
        self._gpu.counters.add('synchronizations')
        return self

    def query(self) -> bool:
        """Whether it has happened; never waits."""
        with self._gpu.current():
            return bool(super().query())

    def __del__(self) -> None:
        # Comes back to life in the bin, and is freed from there without another call of this method (PEP 442).
        gpu = getattr(self, '_gpu', None)
        if gpu is not None:
            gpu.context.discard(self)
