# SPDX-License-Identifier: Apache-2.0
"""When each stage had a frame, so that a latency budget can be checked from end to end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import FrameError


@dataclass(frozen=True)
class StageTiming:
    """One stage's stamps of one frame, in ns of the host's wall clock (the only clock that hosts share).

    `arrived_ns`: in the stage's mailbox; `started_ns`: taken out of it; `finished_ns`: handed to the publisher.
    """

    stage: str
    arrived_ns: int
    started_ns: int
    finished_ns: int

    @property
    def work_ms(self) -> float:
        """Time that the stage itself took."""
        return (self.finished_ns - self.started_ns) / 1e6

    @property
    def wait_ms(self) -> float:
        """Time in the stage's mailbox."""
        return (self.started_ns - self.arrived_ns) / 1e6

    def to_array(self) -> np.ndarray:
        """(3,) int64: arrived, started, finished."""
        return np.array([self.arrived_ns, self.started_ns, self.finished_ns], np.int64)

    @classmethod
    def from_array(cls, stage: str, array: np.ndarray) -> StageTiming:
        """The inverse of `to_array`."""
        if array.shape != (3,) or array.dtype != np.int64:
            raise FrameError(
                'bad_tensor',
                f'timing of stage {stage}: got {array.dtype} {list(array.shape)}, '
                'expected int64 [3]; look at the node that publishes it',
            )
        return cls(stage, *(int(value) for value in array))


def total_ms(timings: tuple[StageTiming, ...]) -> float:
    """From the first stage's mailbox to the last stage's publisher; 0 without stages."""
    return (timings[-1].finished_ns - timings[0].arrived_ns) / 1e6 if timings else 0.0
