# SPDX-License-Identifier: Apache-2.0
"""Poses of frames against their truth: which are found, missed or false, and how far the found ones are off."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.evaluation.accuracy.frame_record import FrameRecord, Poses
from isaac_inference.evaluation.accuracy.matching import match_poses
from isaac_inference.evaluation.accuracy.pose_errors import (
    ObjectGeometry,
    add_or_add_s,
    relative_translation_error,
    rotation_error_deg,
    translation_error,
)
from isaac_inference.evaluation.accuracy.result import PoseError, PoseScores


@dataclass(frozen=True)
class ScoredFrame:
    """One frame's objects, by index into its truth and its estimates.

    Attributes:
        errors: of each truth that counts and has an estimate.
        missed: truths that count and have none.
        false: estimates that match no object.
        ignored: truths too hidden to count that have an estimate.
    """

    errors: Mapping[int, PoseError]
    missed: tuple[int, ...]
    false: tuple[int, ...]
    ignored: tuple[int, ...]


class PoseScorer:
    """Measures with the geometry of each class; one that isn't known is a cuboid of its true size."""

    def __init__(self, objects: Mapping[str, ObjectGeometry], min_visibility: float) -> None:
        self._objects, self._min_visibility = dict(objects), min_visibility
        self._of_size = functools.lru_cache(maxsize=1000)(ObjectGeometry.from_size)

    def score(self, records: Sequence[FrameRecord]) -> dict[str, PoseScores]:
        """By class name, for every class that has a figure."""
        errors: list[PoseError] = []
        missed: list[str] = []
        false: list[str] = []
        ignored: list[str] = []
        for record in records:
            truth, found, frame = record.truth_poses, record.poses, self.score_frame(record)
            errors += frame.errors.values()
            missed += [truth.classes[row] for row in frame.missed]
            false += [found.classes[column] for column in frame.false]
            ignored += [truth.classes[row] for row in frame.ignored]
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

    def score_frame(self, record: FrameRecord) -> ScoredFrame:
        """One frame."""
        truth = record.truth_poses
        matches = match_poses(
            truth,
            record.poses,
            limit=lambda row: self._model(truth, row).diameter,
            min_visibility=self._min_visibility,
        )
        return ScoredFrame(
            {row: self._error(record, row, column) for row, column in matches.pairs},
            matches.missed,
            matches.false,
            tuple(row for row, _ in matches.ignored),
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
