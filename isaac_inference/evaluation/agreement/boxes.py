# SPDX-License-Identifier: Apache-2.0
"""How well two models agree on the objects in the same image.

Boxes near the score threshold: a rounding error can lift a box over it, and then one side has a box that the other
seems to miss. So both sides report boxes down to `score_threshold - score_margin`. A box COUNTS when its
score reaches the threshold on its own side; its partner on the other side may lie in the margin. A box without a
partner even there is missed. Such pairs, one side counted and the other in the margin, are also reported separately as
borderline, and `strict` is the agreement without any margin.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.nms import box_iou

MIN_IOU = 0.1  # below this two boxes of one class are two objects


@dataclass(frozen=True, eq=False)
class BoxMatches:
    """Which boxes of two lists belong together.

    Attributes:
        pairs: (P, 2) int, (reference, candidate) indices, best IoU first.
        ious: (P,) float32.
        score_differences: (P,) float32, candidate minus reference.
        missing: reference boxes without a partner.
        extra: candidate boxes without a partner.
    """

    pairs: np.ndarray
    ious: np.ndarray
    score_differences: np.ndarray
    missing: tuple[int, ...]
    extra: tuple[int, ...]


def match_boxes(reference: Detections, candidate: Detections, iou: float = MIN_IOU) -> BoxMatches:
    """Pairs boxes of the same class one to one, greedily, best IoU first; equal IoUs in the order of the reference.

    Greedy, not the assignment of the largest sum: the pairs at a higher threshold are then exactly those of a lower one
    that reach it, so one matching serves all thresholds.

    Args:
        reference, candidate: boxes in the pixels of one image.
        iou: (0, 1], minimum IoU of a pair.
    """
    overlaps = box_iou(reference.boxes, candidate.boxes)
    overlaps[reference.class_ids[:, None] != candidate.class_ids[None]] = 0.0
    rows, columns = np.nonzero(overlaps >= np.float32(iou))
    pairs: list[tuple[int, int]] = []
    taken_rows: set[int] = set()
    taken_columns: set[int] = set()
    for place in np.argsort(-overlaps[rows, columns], kind='stable'):
        row, column = int(rows[place]), int(columns[place])
        if row not in taken_rows and column not in taken_columns:
            pairs.append((row, column))
            taken_rows.add(row)
            taken_columns.add(column)
    index = np.array(pairs, int).reshape(-1, 2)
    return BoxMatches(
        index,
        overlaps[index[:, 0], index[:, 1]],
        candidate.scores[index[:, 1]] - reference.scores[index[:, 0]],
        tuple(row for row in range(len(reference)) if row not in taken_rows),
        tuple(column for column in range(len(candidate)) if column not in taken_columns),
    )


@dataclass(frozen=True, eq=False)
class ImageAgreement:
    """One image: what both models found in it.

    Attributes:
        name: the image's file or number.
        reference, candidate: boxes of each that count.
        ious: (P,) float32, the pairs of which at least one box counts, best first.
        score_differences: (P,) float32, candidate minus reference.
        counting: (P,) int, 2 where both boxes of the pair count, 1 where its other one lies in the margin.
        keypoint_px: (P,) float64, mean distance of the pair's keypoints in px; empty for models without.
    """

    name: str
    reference: int
    candidate: int
    ious: np.ndarray
    score_differences: np.ndarray
    counting: np.ndarray
    keypoint_px: np.ndarray

    @classmethod
    def of(cls, name: str, reference: Detections, candidate: Detections, score_threshold: float) -> ImageAgreement:
        """From all boxes of both, down to the margin below `score_threshold`."""
        matches = match_boxes(reference, candidate)
        least = np.float32(score_threshold)
        counts_reference, counts_candidate = reference.scores >= least, candidate.scores >= least
        rows, columns = matches.pairs[:, 0], matches.pairs[:, 1]
        counting = counts_reference[rows].astype(int) + counts_candidate[columns].astype(int)
        keep = counting > 0
        return cls(
            name,
            int(counts_reference.sum()),
            int(counts_candidate.sum()),
            matches.ious[keep],
            matches.score_differences[keep],
            counting[keep],
            _keypoint_distances(reference, candidate, rows[keep], columns[keep]),
        )

    def matched(self, iou: float, strict: bool = False) -> int:
        """Boxes of both sides that count and have a partner at that IoU; `strict`: whose partner counts, too."""
        found = self.counting[self.ious >= np.float32(iou)]
        return int(found[found == 2].sum() if strict else found.sum())

    @property
    def borderline(self) -> int:
        """Pairs whose one box counts while the other lies in the margin."""
        return int((self.counting == 1).sum())


def agreement(images: Iterable[ImageAgreement], iou: float, *, strict: bool = False) -> float:
    """Share of the boxes of both sides that have a partner at IoU >= `iou`: 2 * pairs / (reference + candidate) where
    no box is borderline. In [0, 1]; 1 when neither side found anything.

    Args:
        images: all images; every box has the same weight.
        iou: minimum IoU of a pair.
        strict: a partner must reach the score threshold itself.
    """
    seen = list(images)
    boxes = sum(image.reference + image.candidate for image in seen)
    return sum(image.matched(iou, strict) for image in seen) / boxes if boxes else 1.0


def _keypoint_distances(
    reference: Detections, candidate: Detections, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    if reference.keypoints is None or candidate.keypoints is None:
        return np.empty(0)
    apart = reference.keypoints[rows, :, :2].astype(float) - candidate.keypoints[columns, :, :2]
    return np.linalg.norm(apart, axis=2).mean(axis=1) if len(rows) else np.empty(0)
