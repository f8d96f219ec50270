# SPDX-License-Identifier: Apache-2.0
"""Rotations spread over all that an object may have, each with what a camera would see of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ops.geometry.symmetry import AXES, Symmetry, equivalents
from isaac_inference.ops.geometry.view_sphere import ViewSphere, evenly_directed, frame_towards

SAMPLES = 96  # points that stand for what is seen from a direction
_CLEAR, _LEAST = 0.3, 12  # cosine above which depth says something about a surface; such points that are needed
_ROTATIONS = 800
_AROUND = 120  # directions of the axis of a round body
_APART = np.radians(21.0)  # rotations closer than this lead to the same fit
_BALL = (Symmetry('z', 0), Symmetry('x', 0))


@dataclass(frozen=True, eq=False)
class ViewTemplates:
    """What is seen under each rotation; a camera looks along z of the view's frame.

    Attributes:
        rotations: (T, 3, 3) object to view, apart from exact symmetries.
        views: (T,) index of each one's direction in the ViewSphere.
        points: (D, SAMPLES, 3) float64, for each direction the points seen, spread evenly; object frame.
        normals: (D, SAMPLES, 3) theirs.
        low, high: (T, 3) extents of what is seen, view frame, relative to the object's origin, without the outermost
            2 per cent, metres.
    """

    rotations: np.ndarray
    views: np.ndarray
    points: np.ndarray
    normals: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def build(
        cls, points: np.ndarray, normals: np.ndarray, views: ViewSphere, exact: Sequence[Symmetry]
    ) -> ViewTemplates:
        """Prepares a surface's templates.

        Args:
            points, normals: (P, 3) each, in random order, object frame.
            views: of the same points.
            exact: symmetries that leave the surface as it is: one of the rotations that look alike is enough.
        """
        index = np.stack(
            [_some(seen, normals[seen] @ towards) for seen, towards in zip(views.seen, views.directions, strict=True)]
        )
        rotations = distinct_rotations(exact)
        chosen = views.nearest(-rotations[:, 2])
        shown = points[index]
        turned = np.einsum('tij,tkj->tki', rotations, shown[chosen])
        low, high = np.percentile(turned, (2.0, 98.0), axis=1)
        return cls(rotations, chosen, shown, normals[index], low, high)


def distinct_rotations(exact: Sequence[Symmetry]) -> np.ndarray:
    """(T, 3, 3) rotations spread evenly over all that differ for a body with these symmetries.

    Example: a ball has one, a round bottle as many as its axis has directions.
        >>> [len(distinct_rotations(turns)) for turns in ([Symmetry('z', 0), Symmetry('x', 0)], [Symmetry('z', 0)])]
        [1, 120]
    """
    axes = [AXES.index(turn.axis) for turn in exact if turn.order == 0]
    if len(axes) > 1:
        return np.eye(3)[None]
    if len(axes) == 1:
        directions = evenly_directed(_AROUND)
        if len(exact) > 1:  # upside down it is the same
            directions = directions[directions[:, 2] <= 0.0]
        # frame_towards has z along the direction; the round axis takes that place
        place = so3_exp(np.zeros(3)) if axes[0] == 2 else _moving(axes[0])
        return np.stack([frame_towards(direction) @ place for direction in directions])
    everywhere = np.stack([pose.rotation for pose in equivalents(Pose.identity(), _BALL, _ROTATIONS)])
    if not exact:
        return everywhere
    turns = np.stack([pose.rotation for pose in equivalents(Pose.identity(), exact)])
    least = 1.0 + 2.0 * np.cos(_APART)  # the trace of a turn by that angle
    kept = everywhere[:1]
    for rotation in everywhere[1:]:
        traces = np.einsum('kij,gij->kg', kept, rotation @ turns)
        if traces.max() < least:
            kept = np.concatenate((kept, rotation[None]))
    return kept


def _some(index: np.ndarray, facing: np.ndarray) -> np.ndarray:
    """SAMPLES of the indices of points that clearly face the camera; repeated where there are fewer."""
    clear = index[facing > _CLEAR] if np.count_nonzero(facing > _CLEAR) >= _LEAST else index
    if len(clear) == 0:
        return np.zeros(SAMPLES, np.intp)
    return np.resize(clear, SAMPLES) if len(clear) < SAMPLES else clear[:SAMPLES]


def _moving(axis: int) -> np.ndarray:
    """A rotation that takes an axis of the object to z."""
    turn = np.zeros((3, 3))
    for i in range(3):
        turn[(i + 2 - axis) % 3, i] = 1.0
    return turn
