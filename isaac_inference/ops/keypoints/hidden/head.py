# SPDX-License-Identifier: Apache-2.0
"""Which way a head looks, by where its points are in the image, and which of them it hides itself.

A network tells where the nose is of whom it sees from behind. Depth then shows the back of the head. The five points of
the face lie so that their places in the image tell which way the head is turned: the order of the ears says whether it
is seen from the front or from behind, and the nose's place between them to which side it looks.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

# nose, left eye, right eye, left ear, right ear over the stature: ahead, to the left, up from between the ears. A head
# is about 0.145 m wide at the ears, 63 mm between the pupils and 0.12 m from there to the tip of the nose.
_POINTS = np.array(
    [(0.063, 0.0, -0.006), (0.05, 0.0185, 0.012), (0.05, -0.0185, 0.012), (0.0, 0.046, 0.003), (0.0, -0.046, 0.003)]
)
_OUTWARD = np.array([(1.0, 0.0, -0.1), (0.9, 0.34, 0.2), (0.9, -0.34, 0.2), (0.0, 1.0, 0.0), (0.0, -1.0, 0.0)])
_OUTWARD /= np.linalg.norm(_OUTWARD, axis=1)[:, None]
_RADIUS = 0.05  # over the stature, of a head
_AWAY = 0.35  # cosine to the view from which on a point is so far round that depth shows something else
_YAWS = np.deg2rad(np.arange(0.0, 360.0, 7.5))
_PITCHES, _PITCH_SIGMA = np.deg2rad((-40.0, -20.0, 0.0, 20.0, 40.0)), np.deg2rad(25.0)
_ROLLS, _ROLL_SIGMA = np.deg2rad((-20.0, 0.0, 20.0)), np.deg2rad(15.0)
_FEWEST = 2  # points that tell anything
_FLOOR = 1e-12  # likelihood of points that fit no head
_TURNED = 0.94  # cosine between two directions of up from which on they are one


@dataclass(frozen=True, eq=False)
class HeadView:
    """How a head is seen.

    Attributes:
        away: (5,) probability that nose, left and right eye, left and right ear are on its far side.
        behind, square: (5,) m and m^2, the mean and mean square of how far each lies behind what depth shows of it.
        left: (3,) towards the head's left in the camera's frame; shorter than 1 by as much as that is unsure.
    """

    away: np.ndarray
    behind: np.ndarray
    square: np.ndarray
    left: np.ndarray


def head_view(points: np.ndarray, height: float, sigma: float, ups: np.ndarray) -> HeadView:
    """How a head is seen, over all ways in which it may be turned.

    Args:
        points: (5, 2) m, x and y of nose, left and right eye, left and right ear at the distance of the person; NaN
            for one that is not known.
        height: m, the stature.
        sigma: m, standard deviation of the points.
        ups: (N, 2) directions in the image in which the head may be upright, such as that of the trunk.

    Example: the right ear to the right in the image, the nose between them: seen from behind.
        >>> points = np.array([(0.0, 0.01), (np.nan, np.nan), (np.nan, np.nan), (-0.08, 0.0), (0.08, 0.0)])
        >>> view = head_view(points, 1.75, 0.02, np.array([(0.0, -1.0)]))
        >>> view.away.round(1).tolist()[0], view.left.round().tolist()[0]
        (1.0, -1.0)
    """
    turns, prior = _turned(ups)
    placed = turns @ (height * _POINTS.T)  # (N, 3, 5)
    facing = (turns[:, 2:] @ _OUTWARD.T)[:, 0]  # > 0: away from the camera
    known = np.isfinite(points).all(axis=1)
    weights = prior
    if known.sum() >= _FEWEST:
        off = points[known].T - placed[:, :2, known]
        off -= off.mean(axis=2, keepdims=True)
        weights = prior * (np.exp(-0.5 * (off**2).sum(axis=(1, 2)) / sigma**2) + _FLOOR)
    weights = weights / weights.sum()
    behind = 2.0 * _RADIUS * height * np.maximum(facing, 0.0)  # the chord through a ball
    return HeadView(weights @ (facing > _AWAY), weights @ behind, weights @ behind**2, weights @ turns[:, :, 1])


def _turned(ups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3, 3) rotations whose columns are ahead, left and up of a head in the camera's frame; (N,) their prior."""
    kept: list[np.ndarray] = []
    for up in ups / np.linalg.norm(ups, axis=1)[:, None]:
        if not any(up @ other > _TURNED for other in kept):
            kept.append(up)
    turns, prior = _upright()
    made = []
    for x, y in kept:  # the turn in the image that leads (0, -1) there
        roll = np.array(((-y, -x, 0.0), (x, -y, 0.0), (0.0, 0.0, 1.0)))
        made.append(roll @ turns)
    return np.concatenate(made), np.tile(prior, len(made))


@functools.lru_cache(maxsize=1)
def _upright() -> tuple[np.ndarray, np.ndarray]:
    yaw, pitch, roll = (grid.ravel() for grid in np.meshgrid(_YAWS, _PITCHES, _ROLLS, indexing='ij'))
    ahead = np.stack((np.sin(yaw) * np.cos(pitch), -np.sin(pitch), -np.cos(yaw) * np.cos(pitch)), axis=1)
    level = np.stack((np.cos(yaw), np.zeros_like(yaw), np.sin(yaw)), axis=1)
    above = np.cross(ahead, level)
    left = level * np.cos(roll)[:, None] + above * np.sin(roll)[:, None]
    up = above * np.cos(roll)[:, None] - level * np.sin(roll)[:, None]
    prior = np.exp(-0.5 * (pitch / _PITCH_SIGMA) ** 2 - 0.5 * (roll / _ROLL_SIGMA) ** 2)
    return np.stack((ahead, left, up), axis=2), prior
