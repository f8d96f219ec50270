# SPDX-License-Identifier: Apache-2.0
"""A latency budget: what a frame may take in all, and in each stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

STAGES = ('camera', 'transport', 'preprocess', 'inference', 'detection', 'track', 'pose')
"""The parts of a frame's way, in the order of the data; every hand-over from one stage to the next is transport."""
LASTING = 10.0  # budgets after which lateness is an error, unless the budget itself says how long it may last

# Nodes that stand where one of the stages does, by the stage that their timings name.
_STANDS_FOR = {
    'crops': 'preprocess',
    'keypoints': 'detection',
    'segmentation': 'detection',
    'depth': 'detection',
    'tags': 'detection',
    'skeletons': 'pose',
}


@dataclass(frozen=True)
class Budget:
    """One budget, all times in ms.

    Attributes:
        name: of the preset, or of its file.
        total_ms: from the camera's stamp to the output.
        stages: what each stage may take; a stage that is not named has no limit of its own.
        max_allowed_processing_time_ms: a frame that takes longer is late: WARN.
        max_acceptable_consecutive_delay_ms: lateness that lasts longer, without a frame in time between: ERROR.
    """

    name: str
    total_ms: float
    max_allowed_processing_time_ms: float
    max_acceptable_consecutive_delay_ms: float
    stages: Mapping[str, float] = field(default_factory=dict)

    def limit_of(self, stage: str) -> float:
        """What a stage may take: its own limit or, without one, what those of all others leave of the total."""
        return self.stages.get(stage, self.total_ms - sum(self.stages.values()))


def stage_of(name: str) -> str:
    """The budget's stage that a node's work counts for, by the stage that its timings name; its own name for others."""
    return _STANDS_FOR.get(name, name)
