# SPDX-License-Identifier: Apache-2.0
"""Records of frames in, every figure out."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.accuracy.average_precision import mean_average_precision
from isaac_inference.evaluation.accuracy.frame_record import FrameRecord, Poses
from isaac_inference.evaluation.accuracy.matching import PoseMatches, match_poses
from isaac_inference.evaluation.accuracy.pose_errors import (
    ObjectGeometry,
    add_or_add_s,
    relative_translation_error,
    rotation_error_deg,
    translation_error,
)
from isaac_inference.evaluation.accuracy.result import EvaluationResult, PoseError, PoseScores
from isaac_inference.evaluation.accuracy.throughput import Throughput
from isaac_inference.evaluation.accuracy.tracking_errors import tracking_scores


@dataclass(frozen=True)
class EvaluationSettings:
    """What counts.

    Attributes:
        min_visibility: [0, 1]; objects that are less visible need not be found.
        count_dropped: objects of frames without an answer count as missed; else such frames are left out.
    """

    min_visibility: float = 0.25
    count_dropped: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_visibility <= 1.0:
            raise ConfigError(f'min_visibility: got {self.min_visibility}, expected 0..1')


def evaluate(
    records: Sequence[FrameRecord],
    objects: Mapping[str, ObjectGeometry] | None = None,
    settings: EvaluationSettings | None = None,
    *,
    speed_records: Sequence[FrameRecord] = (),
) -> EvaluationResult:
    """All figures of a run.

    Args:
        records: frames in order of time.
        objects: by class name; a class that is not there is measured with a cuboid of its true size, without
            symmetries.
        settings: what counts.
        speed_records: frames that were shown at a rate, for frames per second and latency; where frames are shown one
            at a time, those figures would say how long the evaluation waited.
    """
    settings = settings or EvaluationSettings()
    answered = [record for record in records if record.answered]
    used = records if settings.count_dropped else answered
    boxes = [(record.truth_boxes, record.boxes) for record in used]
    scorer = _PoseScorer(dict(objects or {}), settings.min_visibility)
    by_class = scorer.score(used)
    return EvaluationResult(
        frames=len(answered),
        dropped=len(records) - len(answered),
        detection=mean_average_precision(boxes, min_visibility=settings.min_visibility),
        poses=_sum(list(by_class.values())),
        poses_by_class=by_class,
        tracking=tracking_scores(boxes, min_visibility=settings.min_visibility),
        speed=Throughput.of(speed_records) if speed_records else None,
        settings=asdict(settings),
    )


class _PoseScorer:
    def __init__(self, objects: dict[str, ObjectGeometry], min_visibility: float) -> None:
        self._objects, self._min_visibility = objects, min_visibility
        self._of_size = functools.lru_cache(maxsize=1000)(ObjectGeometry.from_size)

    def score(self, records: Sequence[FrameRecord]) -> dict[str, PoseScores]:
        """By class name, for every class that has a figure."""
        errors: list[PoseError] = []
        missed: list[str] = []
        false: list[str] = []
        ignored: list[str] = []
        for record in records:
            truth, found = record.truth_poses, record.poses
            matches = self._match(truth, found)
            errors += [self._error(record, row, column) for row, column in matches.pairs]
            missed += [truth.classes[row] for row in matches.missed]
            false += [found.classes[column] for column in matches.false]
            ignored += [truth.classes[row] for row, _ in matches.ignored]
        names = sorted({*(error.name for error in errors), *missed, *false, *ignored})
        return {
            name: PoseScores(
                tuple(error for error in errors if error.name == name),
                missed.count(name),
                false.count(name),
                ignored.count(name),
            )
            for name in names
        }

    def _match(self, truth: Poses, found: Poses) -> PoseMatches:
        return match_poses(
            truth,
            found,
            limit=lambda row: self._model(truth, row).diameter,
            min_visibility=self._min_visibility,
        )

    def _model(self, truth: Poses, row: int) -> ObjectGeometry:
        name = truth.classes[row]
        return self._objects[name] if name in self._objects else self._of_size(tuple(truth.sizes[row].tolist()))

    def _error(self, record: FrameRecord, row: int, column: int) -> PoseError:
        truth, estimate = record.truth_poses.poses[row], record.poses.poses[column]
        model = self._model(record.truth_poses, row)
        return PoseError(
            stamp_ns=record.stamp_ns,
            name=record.truth_poses.classes[row],
            distance_m=float(np.linalg.norm(truth[:3, 3])),
            visibility=float(record.truth_poses.scores[row]),
            add_of_diameter=add_or_add_s(truth, estimate, model) / model.diameter,
            translation_m=translation_error(truth, estimate),
            translation_rel=relative_translation_error(truth, estimate),
            rotation_deg=rotation_error_deg(truth, estimate, model),
        )


def _sum(parts: Sequence[PoseScores]) -> PoseScores:
    return PoseScores(
        tuple(error for part in parts for error in part.errors),
        sum(part.missed for part in parts),
        sum(part.false for part in parts),
        sum(part.ignored for part in parts),
    )
