# SPDX-License-Identifier: Apache-2.0
"""Which estimated pose belongs to which true object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from isaac_inference.evaluation.accuracy.frame_record import Poses


@dataclass(frozen=True)
class PoseMatches:
    """One frame's assignment, by index into its truth and its estimates.

    Attributes:
        pairs: (truth, estimate) that belong together, the truth visible enough to count.
        missed: truths that count and have no estimate.
        false: estimates that match no object.
        ignored: (truth, estimate) where the truth is too hidden to count; neither right nor wrong.
    """

    pairs: tuple[tuple[int, int], ...]
    missed: tuple[int, ...]
    false: tuple[int, ...]
    ignored: tuple[tuple[int, int], ...]


def match_poses(
    truth: Poses, found: Poses, *, limit: Callable[[int], float], min_visibility: float = 0.25
) -> PoseMatches:
    """Pairs truths and estimates of the same class so that the sum of their centre distances is minimal.

    Two centres that are at least `limit(truth index)` metres apart never pair; the evaluation takes the object's
    diameter: an estimate further away does not touch the object. All truths take part, so that an estimate of a
    hidden object isn't given to its neighbour.

    Args:
        truth: scores are visible fractions.
        limit: the largest centre distance of each truth, metres.
        min_visibility: truths below it need not be found.
    """
    pairs: list[tuple[int, int]] = []
    for name in sorted(set(truth.classes)):
        rows = np.flatnonzero([item == name for item in truth.classes])
        columns = np.flatnonzero([item == name for item in found.classes])
        pairs += _assign(truth, found, rows, columns, np.array([limit(int(row)) for row in rows]))
    is_counted = truth.scores >= min_visibility
    paired_truths, paired_found = {row for row, _ in pairs}, {column for _, column in pairs}
    return PoseMatches(
        tuple(pair for pair in pairs if is_counted[pair[0]]),
        tuple(row for row in range(len(truth)) if is_counted[row] and row not in paired_truths),
        tuple(column for column in range(len(found)) if column not in paired_found),
        tuple(pair for pair in pairs if not is_counted[pair[0]]),
    )


def _assign(
    truth: Poses, found: Poses, rows: np.ndarray, columns: np.ndarray, limits: np.ndarray
) -> list[tuple[int, int]]:
    centres, guesses = truth.poses[rows][:, :3, 3], found.poses[columns][:, :3, 3]
    distance = np.linalg.norm(centres[:, None] - guesses[None], axis=2)
    # cut off at the limit: a pair beyond it costs as much as no pair, so it can't affect the pairs within
    chosen = zip(*linear_sum_assignment(np.minimum(distance, limits[:, None])), strict=True)
    return [(int(rows[i]), int(columns[j])) for i, j in chosen if distance[i, j] < limits[i]]
