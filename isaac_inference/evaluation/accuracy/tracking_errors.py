# SPDX-License-Identifier: Apache-2.0
"""Whether an object keeps its id: switches and fragmentations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from isaac_inference.evaluation.accuracy.frame_record import Boxes
from isaac_inference.ops.boxes.nms import box_iou

MIN_IOU = 0.5


@dataclass(frozen=True)
class TrackingScores:
    """Over a sequence of frames.

    Attributes:
        id_switches: how often an object's id differs from that of the frame in which it was last matched; None if
            no estimate carries an id.
        fragmentations: how often an object is matched again after frames in which it was visible and was not.
        objects: instances that were matched at least once.
        ids: different ids that objects were matched with; equals `objects` when each kept one of its own.
    """

    id_switches: int | None
    fragmentations: int | None
    objects: int
    ids: int


def tracking_scores(frames: Iterable[tuple[Boxes, Boxes]], *, min_visibility: float = 0.25) -> TrackingScores:
    """Counts as CLEAR MOT does (Bernardin and Stiefelhagen, 2008): a pair of the frame before stays together while
    it overlaps enough; the others are paired for the largest sum of IoU, at least 0.5, within a class.

    Frames come in order of time. Truths below `min_visibility` may take an estimate, so that no other truth gets
    it, but nothing is counted for them; estimates without an id take no part.
    """
    last: dict[str, str] = {}
    is_lost: dict[str, bool] = {}
    switches = fragmentations = 0
    ids: set[str] = set()
    has_ids = False
    for truth, found in frames:
        has_ids = has_ids or any(found.ids)
        pairs = _pairs(truth, found, last)
        for row, name in enumerate(truth.ids):
            if truth.scores[row] < min_visibility:
                continue
            if row not in pairs:
                is_lost[name] = name in last
                continue
            own = found.ids[pairs[row]]
            switches += last.get(name, own) != own
            fragmentations += is_lost.get(name, False)
            last[name], is_lost[name] = own, False
            ids.add(own)
    if not has_ids:
        return TrackingScores(None, None, 0, 0)
    return TrackingScores(switches, fragmentations, len(last), len(ids))


def _pairs(truth: Boxes, found: Boxes, last: dict[str, str]) -> dict[int, int]:
    """Truth index to estimate index."""
    iou = box_iou(truth.boxes, found.boxes).astype(float)
    for row, name in enumerate(truth.classes):
        for column, (other, own) in enumerate(zip(found.classes, found.ids, strict=True)):
            if name != other or not own:
                iou[row, column] = 0.0
    pairs: dict[int, int] = {}
    for row, name in enumerate(truth.ids):
        column = found.ids.index(last[name]) if last.get(name, '') in found.ids and name in last else -1
        if column >= 0 and iou[row, column] >= MIN_IOU:
            pairs[row] = column
    iou[list(pairs), :] = 0.0
    iou[:, list(pairs.values())] = 0.0
    for row, column in zip(*linear_sum_assignment(np.where(iou >= MIN_IOU, iou, 0.0), maximize=True), strict=True):
        if iou[row, column] >= MIN_IOU:
            pairs[int(row)] = int(column)
    return pairs
