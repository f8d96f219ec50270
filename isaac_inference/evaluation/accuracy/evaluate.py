# SPDX-License-Identifier: Apache-2.0
"""Records of frames in, every figure out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.accuracy.average_precision import mean_average_precision
from isaac_inference.evaluation.accuracy.frame_record import FrameRecord
from isaac_inference.evaluation.accuracy.pose_errors import ObjectGeometry
from isaac_inference.evaluation.accuracy.pose_scorer import PoseScorer
from isaac_inference.evaluation.accuracy.result import EvaluationResult, PoseScores
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
    scorer = PoseScorer(objects or {}, settings.min_visibility)
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


def _sum(parts: Sequence[PoseScores]) -> PoseScores:
    return PoseScores(
        tuple(error for part in parts for error in part.errors),
        sum(part.missed for part in parts),
        sum(part.false for part in parts),
        sum(part.ignored for part in parts),
    )
