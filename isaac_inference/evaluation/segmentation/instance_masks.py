# SPDX-License-Identifier: Apache-2.0
"""Masks of objects against their truth: which are found, how much they overlap, and how well their outlines agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from isaac_inference.evaluation.accuracy.average_precision import overlap_of_masks
from isaac_inference.evaluation.accuracy.frame_record import Boxes
from isaac_inference.evaluation.segmentation.boundary import boundary_f, tolerance_px
from isaac_inference.ops.masks.masks import Masks

FOUND_IOU = 0.5
"""Masks of one class that overlap by so much are of one object."""


@dataclass(frozen=True)
class ObjectMask:
    """One object that counts.

    Attributes:
        row: in the truth.
        name: of its class.
        iou: of its mask with the one that was found; 0 for none.
        boundary_f: of the two outlines; 0 for none.
        visibility: visible part of the object.
    """

    row: int
    name: str
    iou: float
    boundary_f: float
    visibility: float

    @property
    def is_found(self) -> bool:
        """Whether there is a mask for it."""
        return self.iou > 0.0


@dataclass(frozen=True, eq=False)
class FrameMasks:
    """One frame.

    Attributes:
        truth, found: with masks.
        objects: the truths that count.
        false: indices into `found` of those that are no object's.
    """

    truth: Boxes
    found: Boxes
    objects: tuple[ObjectMask, ...]
    false: tuple[int, ...]

    @property
    def loss(self) -> float:
        """What is missing of the overlaps, and 1 for each false one."""
        return sum(1.0 - item.iou for item in self.objects) + len(self.false)


def score_masks(truth: Boxes, found: Boxes, min_visibility: float) -> FrameMasks:
    """Pairs masks of one class so that the sum of their overlaps is largest; each overlaps by `FOUND_IOU` at least.

    Args:
        truth: with masks; scores are visible fractions.
        found: with masks.
        min_visibility: truths below it need not be found; a mask that is one's is not false either.

    Raises:
        ConfigError: one side has no masks.
    """
    overlap = overlap_of_masks(found, truth).T.astype(float)
    same = np.array([[a == b for b in found.classes] for a in truth.classes], bool).reshape(overlap.shape)
    overlap[~same | (overlap < FOUND_IOU)] = 0.0
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    pairs = {row: column for row, column in zip(rows.tolist(), columns.tolist(), strict=True) if overlap[row, column]}
    objects = tuple(
        _object(truth, found, row, pairs.get(row), overlap)
        for row in range(len(truth))
        if truth.scores[row] >= min_visibility
    )
    false = tuple(column for column in range(len(found)) if column not in pairs.values())
    return FrameMasks(truth, found, objects, false)


def mean_of(values: Sequence[float]) -> float:
    """NaN of none."""
    return float(np.mean(values)) if len(values) else float('nan')


def _object(truth: Boxes, found: Boxes, row: int, column: int | None, overlap: np.ndarray) -> ObjectMask:
    name, visibility = truth.classes[row], float(truth.scores[row])
    if column is None or truth.masks is None or found.masks is None:
        return ObjectMask(row, name, 0.0, 0.0, visibility)
    tolerance = tolerance_px(truth.masks.source_wh)
    outlines = boundary_f(*_around(found.masks, column, truth.masks, row), tolerance)
    return ObjectMask(row, name, float(overlap[row, column]), outlines, visibility)


def _around(a: Masks, index: int, b: Masks, other: int) -> tuple[np.ndarray, np.ndarray]:
    """Both masks in a window of their image around which both are empty, by a pixel more where the image goes on."""
    corners = np.array((a.corners[index], b.corners[other]))
    stops = corners + [a.crops[index].shape[::-1], b.crops[other].shape[::-1]]
    low = np.maximum(corners.min(axis=0) - 1, 0)
    high = np.minimum(stops.max(axis=0) + 1, a.source_wh)
    windows = []
    for masks, place in ((a, index), (b, other)):
        window = np.zeros((high - low)[::-1], np.bool_)
        crop, (x, y) = masks.crops[place], (masks.corners[place] - low).tolist()
        window[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
        windows.append(window)
    return windows[0], windows[1]
