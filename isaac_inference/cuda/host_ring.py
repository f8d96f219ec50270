# SPDX-License-Identifier: Apache-2.0
"""Pinned results that go to their readers as they are: no copy out of them, and no memory allocated per frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np


class HostMemory(Protocol):
    """Host memory that is freed when no one refers to it any more, as `cuda.memory.PinnedArray`."""

    array: np.ndarray


class _Lease:
    """What all arrays of a slot hang on: when the last one is gone, the slot is free. On any thread."""

    __slots__ = ('__array_interface__', '_free', '_memory')

    def __init__(self, free: deque[HostMemory], memory: HostMemory) -> None:
        self._free, self._memory = free, memory
        self.__array_interface__: dict[str, Any] = memory.array.__array_interface__

    def __del__(self) -> None:
        self._free.append(self._memory)


class HostSlot:
    """Memory for one result.

    Attributes:
        array: (nbytes,) uint8; whoever holds it, or a view of it, may read it as long as he likes. Nothing may write
            to it once it was given away.
    """

    def __init__(self, array: np.ndarray, is_lent: bool) -> None:
        self.array = array
        self._is_lent = is_lent

    def own(self, view: np.ndarray) -> np.ndarray:
        """A view of `array` that stays as it is: itself, or a copy where the memory is the ring's spare."""
        return view if self._is_lent else view.copy()


class HostRing:
    """Up to `depth` results in their readers' hands at once; those beyond are copied, out of one slot more.

    The memory is allocated as it is needed, once; a slot serves again when no array of it is left. Arrays that are
    still held when the ring is gone stay good.

    Args:
        make: allocates one slot's memory, uint8.
        depth: slots that may be in their readers' hands at once.
    """

    def __init__(self, make: Callable[[], HostMemory], depth: int) -> None:
        self._make, self._left = make, depth
        self._free: deque[HostMemory] = deque()
        self._spare: HostMemory | None = None

    def take(self) -> HostSlot:
        """A slot to download to; its arrays are the caller's. The spare one serves one frame at a time."""
        memory = self._next()
        if memory is not None:
            return HostSlot(np.asarray(_Lease(self._free, memory)), True)
        if self._spare is None:
            self._spare = self._make()
        return HostSlot(self._spare.array, False)

    def _next(self) -> HostMemory | None:
        try:
            return self._free.popleft()
        except IndexError:
            pass
        if self._left <= 0:
            return None
        self._left -= 1
        return self._make()
