# SPDX-License-Identifier: Apache-2.0
"""The turns that leave a surface as it is, or nearly so, found from the surface itself."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from isaac_inference.ops.geometry.rigid import Pose, rotation_angle, so3_exp
from isaac_inference.ops.geometry.symmetry import AXES, Symmetry, rotation_error

UNSEEN = 0.0015  # metres; depth cameras do not show a difference of this size
_SAME = 0.98  # part of the surface that must return onto itself; the rest is the sampling's own
_NEAR = 0.5  # the part from which on a turn is an alternative
_NEAR_DISTANCE = 0.04  # of the diameter; as far as a fit may be pulled to what is not quite the same
_COUNT = 600  # points that are turned
_CANDIDATES = 4
_ALIKE = 0.7  # cosine between the normals of places that count as the same
_ORDERS = (2, 3, 4, 6)
_ANY = (0.41, 1.13, 1.87, 2.61)  # radians that no small order has: all four leave a round body as it is
_STEPS = 20  # turns that stand for any turn
_DISTINCT = np.radians(12.0)


class LookAlikes(NamedTuple):
    """What a surface looks like after turns.

    Attributes:
        exact: turns about the frame's axes that depth cannot see.
        near: T_object_turned of the turns that leave most of the surface near itself; no exact ones.
    """

    exact: tuple[Symmetry, ...]
    near: tuple[Pose, ...]


def look_alikes(points: np.ndarray, normals: np.ndarray, spacing: float, diameter: float) -> LookAlikes:
    """Tries turns about the frame's axes and about the surface's own principal axes.

    Args:
        points, normals: (P, 3) each, spread evenly over the surface, object frame, metres.
        spacing: between neighbouring points.
        diameter: of the surface.

    Example: a closed cylinder whose axis is z can be turned by any angle, and upside down.
        >>> from isaac_inference.ops.geometry.surface import surface_points
        >>> points, normals = surface_points('cylinder', (0.1, 0.1, 0.3), 3000)
        >>> found = look_alikes(points, normals, spacing=0.006, diameter=0.32)
        >>> [(turn.axis, turn.order) for turn in found.exact]
        [('z', 0), ('x', 2)]
    """
    surface = _Surface(points, normals, spacing, diameter)
    exact = []
    for i, axis in enumerate(AXES):
        about = np.eye(3)[i]
        if all(surface.returns(_about(about, angle, np.zeros(3))) for angle in _ANY):
            exact.append(Symmetry(axis, 0))
        else:
            orders = [n for n in _ORDERS if surface.returns(_about(about, 2.0 * np.pi / n, np.zeros(3)))]
            if orders:
                exact.append(Symmetry(axis, max(orders)))
    exact = _compact(exact)
    centre = points.mean(axis=0)
    principal = np.linalg.eigh(np.cov((points - centre).T))[1].T
    frames = [(np.eye(3), np.zeros(3)), (np.eye(3), centre), (principal, centre)]
    tried: list[Pose] = []
    near: list[Pose] = []
    for axes, place in frames:
        for turn in _turns(axes):
            if tried and _closest(turn, tried) < _DISTINCT:
                continue
            candidate = Pose(turn, place - turn @ place)
            if surface.share(candidate, _NEAR_DISTANCE * diameter) >= _NEAR:
                tried.append(candidate)
                if all(rotation_error(candidate, other, exact) >= _DISTINCT for other in (Pose.identity(), *near)):
                    near.append(candidate)
    return LookAlikes(tuple(exact), tuple(near))


class _Surface:
    """A surface that can be compared with itself after a turn."""

    def __init__(self, points: np.ndarray, normals: np.ndarray, spacing: float, diameter: float) -> None:
        self._points, self._normals, self._spacing = points, normals, spacing
        self._tree = cKDTree(points)
        step = max(1, len(points) // _COUNT)
        self._some, self._some_normals = points[::step], normals[::step]
        self._limit = max(UNSEEN, 0.006 * diameter)

    def returns(self, turn: Pose) -> bool:
        """Whether nearly all of it lies on itself again."""
        return self.share(turn, self._limit) >= _SAME

    def share(self, turn: Pose, limit: float) -> float:
        """Part that lies within `limit` of itself."""
        moved = turn.apply(self._some)
        # the nearest sample of a thin wall may be on its other side: one of the nearest few must agree
        distance, index = self._tree.query(moved, k=_CANDIDATES, distance_upper_bound=limit + 2.0 * self._spacing)
        found = np.minimum(index, len(self._points) - 1)
        along = np.einsum('nki,nki->nk', moved[:, None] - self._points[found], self._normals[found])
        alike = np.einsum('ni,nki->nk', self._some_normals @ turn.rotation.T, self._normals[found])
        good = np.isfinite(distance) & (np.abs(along) <= limit)
        good &= (alike > _ALIKE) | (distance < self._spacing)
        return float(good.any(axis=1).mean())


def _about(axis: np.ndarray, angle: float, place: np.ndarray) -> Pose:
    turn = so3_exp(axis * angle)
    return Pose(turn, place - turn @ place)


def _turns(axes: np.ndarray) -> list[np.ndarray]:
    """Half and quarter turns of a frame, and turns about each of its axes before and after a half turn."""
    found: list[np.ndarray] = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            turn = np.zeros((3, 3))
            turn[list(order), range(3)] = signs
            if np.linalg.det(turn) > 0.0:
                found.append(axes.T @ turn @ axes)
    for i in range(3):
        flip = so3_exp(axes[(i + 1) % 3] * np.pi)
        for step in range(1, _STEPS):
            about = so3_exp(axes[i] * (2.0 * np.pi * step / _STEPS))
            found += [about, about @ flip]
    return [turn for turn in found if rotation_angle(turn) > _DISTINCT]


def _closest(turn: np.ndarray, others: list[Pose]) -> float:
    """The angle in radians to the nearest of the others."""
    traces = np.einsum('nij,ij->n', np.stack([other.rotation for other in others]), turn)
    return float(np.arccos(np.clip((traces.max() - 1.0) / 2.0, -1.0, 1.0)))


def _compact(exact: list[Symmetry]) -> list[Symmetry]:
    """A round body's half turns across its axis are one symmetry; more than one round axis makes a ball."""
    around = [turn for turn in exact if turn.order == 0]
    if len(around) > 1:
        return around[:2]
    if len(around) == 1:
        across = [turn for turn in exact if turn.order != 0]
        return [*around, Symmetry(across[0].axis, 2)] if across else around
    return exact
