# SPDX-License-Identifier: Apache-2.0
"""Which of several measurements of one object agree, and whether those that do are to be believed.

A pose that is turned by half a turn is not a bit of noise: its average with the right one is wrong in any case. So
measurements are not averaged but counted first, by what each is worth.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.fusion.combine import combine, squared_distance
from isaac_inference.ops.fusion.settings import FusionSettings
from isaac_inference.ops.fusion.sighting import Sighting
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.geometry.symmetry import nearest, rotation_error
from isaac_inference.ops.pose.second_pose import first_alone

_ROUNDING = 1e-9  # of votes
_WORTH = 2.0  # times the median: more or less than that no camera's vote is worth, however sure it is of itself


@dataclass(frozen=True, eq=False)
class Before:
    """Where an object just was, with the covariance of where it may be now; `votes` of a camera's worth."""

    label: str
    pose: Pose
    covariance: np.ndarray
    votes: float


@dataclass(frozen=True, eq=False)
class Verdict:
    """What was found of measurements of one object.

    Attributes:
        pose, covariance: of those that agree.
        agreeing: their numbers, in order.
        believed: whether they are the majority.
        refuted: whether it is the object's former pose alone that speaks against them.
        apart: (m, rad) to the farthest of those that do not agree; 0, 0 where all do.
    """

    pose: Pose
    covariance: np.ndarray
    agreeing: tuple[int, ...]
    believed: bool
    refuted: bool
    apart: tuple[float, float]


def agree(sightings: Sequence[Sighting], before: Before | None, settings: FusionSettings) -> Verdict:
    """The largest group that agrees, combined.

    Args:
        sightings: of one object, each of another camera, with all covariance that they need.
        before: where the object just was; None where that is not known. It votes, but is in no result.
        settings: gates, and what a majority is.

    Example: of three cameras one sees the box the other way round; two against one, and no average.
        >>> poses = [Pose.identity(), Pose.identity(), Pose.from_quaternion((0, 0, 1, 0))]
        >>> boxes = [Sighting('box', pose, 1e-5 * np.eye(6), 0.9, (0.2, 0.1, 0.1)) for pose in poses]
        >>> verdict = agree(boxes, None, FusionSettings())
        >>> verdict.agreeing, verdict.believed, round(math.degrees(verdict.apart[1]))
        ((0, 1), True, 180)
        >>> agree(boxes[1:], None, FusionSettings()).believed
        False
    """
    limit, worth = settings.gate**2, _worth(sightings)
    alternatives = [_alternatives(item) for item in sightings]
    best: tuple[float, list[int], list[tuple[Pose, np.ndarray]]] = (-1.0, [], [])
    all_votes = sum(worth) + (before.votes if before is not None else 0.0)
    for item, pose, covariance in (
        (item, *one) for item, options in zip(sightings, alternatives, strict=True) for one in options
    ):
        chosen = [
            _nearest_of(pose, covariance, item, other, options)
            for other, options in zip(sightings, alternatives, strict=True)
        ]
        group = [index for index, (square, *_) in enumerate(chosen) if square <= limit]
        votes = sum(worth[index] for index in group)
        if before is not None and _is_like(before, item, pose, covariance, limit):
            votes += before.votes
        if votes > best[0] + _ROUNDING:
            best = votes, group, [(chosen[index][1], chosen[index][2]) for index in group]
        if votes >= all_votes - _ROUNDING:  # nobody contradicts, as mostly
            break
    votes, group, parts = best
    lead = sightings[group[0]]
    if len(group) == 1 and len(sightings) == 1:  # nothing to tell two poses apart by
        parts = [(lead.pose, lead.covariance)] if before is None or lead.second is None else parts
    pose, covariance = combine(*zip(*parts, strict=True), correlated=settings.correlated)
    is_as_before = before is None or _is_like(before, lead, pose, covariance, limit)
    believed = votes > settings.majority * all_votes or (is_as_before and len(group) == len(sightings))
    others = [index for index in range(len(sightings)) if index not in group]
    return Verdict(
        pose,
        covariance,
        tuple(group),
        believed,
        not believed and not others,
        _apart(pose, lead, [sightings[index].pose for index in others] or _places(before)),
    )


def _worth(sightings: Sequence[Sighting]) -> list[float]:
    """Of each vote, relative to the median: the information on the position, within bounds."""
    values = [1.0 / float(np.trace(item.covariance[:3, :3])) for item in sightings]
    middle = statistics.median(values)
    return [min(max(value / middle, 1.0 / _WORTH), _WORTH) for value in values]


def _alternatives(item: Sighting) -> list[tuple[Pose, np.ndarray]]:
    if item.second is None:
        return [(item.pose, item.covariance)]
    alone = first_alone(item.pose, item.covariance, item.second)
    return [(item.pose, alone), (item.second.pose, item.second.covariance)]


def _nearest_of(
    pose: Pose, covariance: np.ndarray, item: Sighting, other: Sighting, options: list[tuple[Pose, np.ndarray]]
) -> tuple[float, Pose, np.ndarray]:
    """Of another measurement's poses the one that is nearest to a pose: (squared distance, it, its covariance)."""
    if other.label != item.label:
        return math.inf, *options[0]
    turned = [(nearest(one, pose, item.symmetries), given) for one, given in options]
    squares = [squared_distance(pose, covariance, one, given) for one, given in turned]
    return (squares[place := int(np.argmin(squares))], *turned[place])


def _is_like(before: Before, item: Sighting, pose: Pose, covariance: np.ndarray, limit: float) -> bool:
    if before.label != item.label:
        return False
    return squared_distance(pose, covariance, before.pose, before.covariance, item.symmetries) <= limit


def _places(before: Before | None) -> list[Pose]:
    return [] if before is None else [before.pose]


def _apart(pose: Pose, lead: Sighting, others: Sequence[Pose]) -> tuple[float, float]:
    shifts = [float(np.linalg.norm(other.translation - pose.translation)) for other in others]
    turns = [rotation_error(other, pose, lead.symmetries) for other in others]
    return max(shifts, default=0.0), max(turns, default=0.0)
