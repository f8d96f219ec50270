# SPDX-License-Identifier: Apache-2.0
"""An evaluation's figures, by class and in total, ready for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isaac_inference.evaluation.accuracy.average_precision import DetectionScores
from isaac_inference.evaluation.accuracy.pose_errors import ADD_LIMIT
from isaac_inference.evaluation.accuracy.throughput import Throughput, percentiles
from isaac_inference.evaluation.accuracy.tracking_errors import TrackingScores
from isaac_inference.evaluation.measure import Measure, count, percent

MEASURES = (
    Measure('map50', 'mAP@50', True, digits=4),
    Measure('map50_95', 'mAP@50:95', True, digits=4),
    percent('add_0_1d', 'ADD(-S) < 0.1 d', more_is_better=True),
    percent('median_translation_rel', 'translation p50', more_is_better=False),
    Measure('median_rotation_deg', 'rotation p50 [deg]', False, digits=2),
    count('misses', 'missed'),
    count('false_poses', 'false'),
    count('id_switches', 'id switches'),
)
"""The main figures of `EvaluationResult.summary`."""


@dataclass(frozen=True)
class PoseError:
    """One matched object of one frame.

    Attributes:
        stamp_ns, name: which frame, which class.
        distance_m: the true distance of the object's centre from the camera.
        visibility: visible fraction of the object.
        add_of_diameter: ADD, or ADD-S of an object with symmetries, as part of its diameter.
        translation_m, translation_rel: of the centre, in metres and as part of `distance_m`.
        rotation_deg: minimum angle over the object's symmetries.
    """

    stamp_ns: int
    name: str
    distance_m: float
    visibility: float
    add_of_diameter: float
    translation_m: float
    translation_rel: float
    rotation_deg: float


@dataclass(frozen=True)
class PoseScores:
    """Poses of some frames and classes.

    Attributes:
        errors: of the objects that have an estimate.
        missed: objects visible enough to count that have none.
        false: estimates that match no object.
        ignored: estimates of objects too hidden to count.
    """

    errors: tuple[PoseError, ...]
    missed: int
    false: int
    ignored: int

    @property
    def truths(self) -> int:
        """Objects that had to be found."""
        return len(self.errors) + self.missed

    def recall(self, limit: float = ADD_LIMIT) -> float | None:
        """Part of the truths whose ADD(-S) is below `limit` times the diameter; an object without an estimate is
        a miss; None without truths."""
        return sum(error.add_of_diameter < limit for error in self.errors) / self.truths if self.truths else None

    def values(self, field: str) -> np.ndarray:
        """(n,) one field of every error."""
        return np.array([getattr(error, field) for error in self.errors], float)

    def summary(self) -> dict[str, Any]:
        """For JSON."""
        return {
            'truths': self.truths,
            'add_0_1d': self.recall(),
            'translation_rel': percentiles(self.values('translation_rel')),
            'translation_m': percentiles(self.values('translation_m')),
            'rotation_deg': percentiles(self.values('rotation_deg')),
            'add_of_diameter': percentiles(self.values('add_of_diameter')),
            'misses': self.missed,
            'false_poses': self.false,
            'ignored': self.ignored,
        }


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """The result of an evaluation.

    Attributes:
        frames: frames that were evaluated, and were answered.
        dropped: frames with a truth that the pipeline did not answer.
        detection, poses, tracking: the figures; `poses` in total, `poses_by_class` by class name.
        speed: of the frames that were shown at a rate; None when none were.
        settings: the settings used.
    """

    frames: int
    dropped: int
    detection: DetectionScores
    poses: PoseScores
    poses_by_class: dict[str, PoseScores]
    tracking: TrackingScores
    speed: Throughput | None
    settings: dict[str, Any]

    @property
    def measures(self) -> Sequence[Measure]:
        """The main figures."""
        return MEASURES

    def summary(self) -> dict[str, Any]:
        """One JSON object: the headline figures first, then their details; null means not measured.

        `add_0_1d`, `map50`, `map50_95` and `median_translation_rel` are fractions.
        """
        poses = self.poses.summary()
        speed = self.speed.summary() if self.speed else None
        return without_nan(
            {
                'frames': self.frames,
                'map50': self.detection.map50,
                'map50_95': self.detection.map50_95,
                'add_0_1d': poses['add_0_1d'],
                'median_translation_rel': poses['translation_rel']['p50'],
                'median_rotation_deg': poses['rotation_deg']['p50'],
                'id_switches': self.tracking.id_switches,
                'fps': speed['fps'] if speed else None,
                'total_ms_p50': speed['total_ms']['p50'] if speed else None,
                'dropped_frames': self.dropped,
                'misses': poses['misses'],
                'false_poses': poses['false_poses'],
                'fragmentations': self.tracking.fragmentations,
                'tracked_objects': self.tracking.objects,
                'track_ids': self.tracking.ids,
                'poses': poses,
                'classes': {name: self._class(name) for name in self.class_names},
                'speed': speed,
                'settings': self.settings,
            }
        )

    @property
    def class_names(self) -> Sequence[str]:
        """Every class that has a figure."""
        return sorted({*self.detection.classes, *self.poses_by_class})

    def _class(self, name: str) -> dict[str, Any]:
        made: dict[str, Any] = {'detection': None, 'poses': None}
        if name in self.detection.classes:
            found = self.detection.classes[name]
            made['detection'] = {
                'truths': found.truths,
                'ap50': found.ap50,
                'ap50_95': found.ap50_95,
                'recall': found.recall,
                'false_positives': found.false_positives,
            }
        if name in self.poses_by_class:
            made['poses'] = self.poses_by_class[name].summary()
        return made


def without_nan(value: Any) -> Any:
    """The same with None for every number that JSON cannot represent."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
