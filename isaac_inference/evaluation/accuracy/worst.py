# SPDX-License-Identifier: Apache-2.0
"""The frames in which most is lost, and pictures of them that say why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.evaluation.accuracy.evaluate import EvaluationSettings
from isaac_inference.evaluation.accuracy.frame_record import FrameRecord
from isaac_inference.evaluation.accuracy.pose_errors import ADD_LIMIT, ObjectGeometry
from isaac_inference.evaluation.accuracy.pose_scorer import PoseScorer, ScoredFrame
from isaac_inference.ops.boxes.nms import box_iou
from isaac_inference.ops.drawing.boxes import draw_caption
from isaac_inference.ops.drawing.poses import draw_cuboid
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.rigid import Pose

_SEEN_IOU = 0.5  # of an object's outline with a box of its class: it was detected
_TRUTH, _LOST, _FOUND = (80, 220, 80), (255, 255, 255), (60, 60, 255)  # BGR


@dataclass(frozen=True, eq=False)
class LostFrame:
    """A frame in which objects are lost.

    Attributes:
        number: of the record, from 0.
        record: of the frame.
        causes: for each lost object, by index into the truth: 'not detected', 'no pose' with the reason where the
            pipeline says it, or 'off by 0.14 d', d being its diameter.
        loss: lost objects, plus the errors of all in diameters, at most 1 each; for ranking.
    """

    number: int
    record: FrameRecord
    causes: Mapping[int, str]
    loss: float


def worst_frames(
    records: Sequence[FrameRecord],
    objects: Mapping[str, ObjectGeometry],
    settings: EvaluationSettings,
    count: int,
) -> list[LostFrame]:
    """Up to `count` frames in which objects are lost, the worst first; frames without an answer are left out."""
    scorer = PoseScorer(objects, settings.min_visibility)
    lost = []
    for number, record in enumerate(records):
        frame = scorer.score_frame(record)
        causes = _causes(record, frame) if record.answered else {}
        if causes:
            errors = [min(1.0, error.add_of_diameter) for error in frame.errors.values()]
            lost.append(LostFrame(number, record, causes, len(causes) + len(frame.missed) + sum(errors)))
    return sorted(lost, key=lambda frame: -frame.loss)[:count]


def draw_lost(image: np.ndarray, frame: LostFrame, camera: CameraModel) -> None:
    """Draw the truth (green, white where it is lost), every pose that was found (red) and the causes, in place.

    Args:
        image: (H, W, 3) uint8 BGR, of the frame.
        frame: what to draw.
        camera: of the image.
    """
    truth, found = frame.record.truth_poses, frame.record.poses
    for row, matrix in enumerate(truth.poses):
        color = _LOST if row in frame.causes else _TRUTH
        draw_cuboid(image, Pose.from_matrix(matrix), truth.sizes[row].tolist(), camera, color)
    for row, matrix in enumerate(found.poses):
        draw_cuboid(image, Pose.from_matrix(matrix), found.sizes[row].tolist(), camera, _FOUND)
    for row, cause in frame.causes.items():
        corners = Pose.from_matrix(truth.poses[row]).apply(cuboid_corners(truth.sizes[row]))
        pixels = camera.project(corners)
        if np.isfinite(pixels).all():
            x, y = np.clip(pixels.min(axis=0), 0, (camera.width - 1, camera.height - 1)).astype(int).tolist()
            text = f'{truth.classes[row]}: {cause}, {100 * truth.scores[row]:.0f} % visible'
            draw_caption(image, text, (x, y), _LOST)


def _causes(record: FrameRecord, frame: ScoredFrame) -> dict[int, str]:
    causes = {row: _without_pose(record, row) for row in frame.missed}
    for row, error in frame.errors.items():
        if not error.add_of_diameter < ADD_LIMIT:
            causes[row] = f'off by {error.add_of_diameter:.2f} d'
    return dict(sorted(causes.items()))


def _without_pose(record: FrameRecord, row: int) -> str:
    """Whether a box of the object's class lies on its true one."""
    truth, boxes = record.truth_boxes, record.boxes
    name, identity = record.truth_poses.classes[row], record.truth_poses.ids[row]
    true = [index for index in range(len(truth)) if truth.classes[index] == name and truth.ids[index] == identity]
    same = [index for index in range(len(boxes)) if boxes.classes[index] == name]
    if not true or not same:
        return 'not detected'
    overlap = box_iou(truth.boxes[true], boxes.boxes[same])
    if overlap.max() < _SEEN_IOU:
        return 'not detected'
    reason = record.left_out.get(boxes.ids[same[int(overlap.max(axis=0).argmax())]])
    return f'no pose, {reason}' if reason else 'no pose'
