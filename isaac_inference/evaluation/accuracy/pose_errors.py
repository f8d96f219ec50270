# SPDX-License-Identifier: Apache-2.0
"""How far an estimated pose is from the true one: ADD, ADD-S, translation, rotation."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from isaac_inference.errors import ConfigError
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.geometry.surface import checked_size, diameter, surface_points
from isaac_inference.ops.geometry.symmetry import AXES, Symmetry, rotation_error

ADD_LIMIT = 0.1  # of the diameter
_GRID = 5  # points along an edge of a face
_TURN = 64  # points around a cylinder
_BALL = 500  # points on a ball


@dataclass(frozen=True, eq=False)
class ObjectGeometry:
    """The geometry used to measure errors of one class.

    Attributes:
        points: (P, 3) float64, the object's surface in its own frame, metres.
        symmetries: rotations that leave the object unchanged; () for an object without any.
    """

    points: np.ndarray
    symmetries: tuple[Symmetry, ...] = ()

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.points.shape[1] != 3 or not len(self.points):
            raise ConfigError(f'model points: got shape {self.points.shape}, expected (P, 3) with P > 0, in metres')
        if not np.isfinite(self.points).all():
            raise ConfigError('model points: some are not finite; check the mesh')

    @classmethod
    def from_size(cls, size: Sequence[float], symmetries: tuple[Symmetry, ...] = ()) -> ObjectGeometry:
        """The points of a solid with edges `size` (metres): a cuboid's corners and a grid on its faces; a cylinder
        about the axis of rotational symmetry; a ball if there are two such axes."""
        axes = sorted({symmetry.axis for symmetry in symmetries if symmetry.order == 0})
        if len(axes) > 1:
            return cls(surface_points('sphere', size, _BALL)[0], symmetries)
        return cls(cylinder_points(size, axes[0]) if axes else cuboid_points(size), symmetries)

    @functools.cached_property
    def diameter(self) -> float:
        """The largest distance between two points, metres."""
        return diameter(self.points)

    @functools.cached_property
    def tree(self) -> cKDTree:
        """Nearest-neighbour search among the points."""
        return cKDTree(self.points)


def add(truth: np.ndarray, estimate: np.ndarray, model: ObjectGeometry) -> float:
    """Mean distance of the model's points under both poses, metres (Hinterstoisser et al., 'Model Based Training,
    Detection and Pose Estimation of Texture-Less 3D Objects in Heavily Cluttered Scenes', ACCV 2012, eq. 3).

    truth, estimate: (4, 4) T_camera_object.
    """
    moved = np.linalg.inv(truth) @ estimate
    difference = model.points @ (moved[:3, :3] - np.eye(3)).T + moved[:3, 3]
    return float(np.linalg.norm(difference, axis=1).mean())


def add_s(truth: np.ndarray, estimate: np.ndarray, model: ObjectGeometry) -> float:
    """Mean distance of each true point to the closest estimated one, metres (the same paper, eq. 4)."""
    moved = np.linalg.inv(estimate) @ truth  # true points as the estimated object sees itself: one tree for all poses
    distances, _ = model.tree.query(model.points @ moved[:3, :3].T + moved[:3, 3])
    return float(distances.mean())


def add_or_add_s(truth: np.ndarray, estimate: np.ndarray, model: ObjectGeometry) -> float:
    """ADD-S for an object with symmetries, ADD for any other, metres."""
    return (add_s if model.symmetries else add)(truth, estimate, model)


def translation_error(truth: np.ndarray, estimate: np.ndarray) -> float:
    """Distance of the two origins, metres."""
    return float(np.linalg.norm(estimate[:3, 3] - truth[:3, 3]))


def relative_translation_error(truth: np.ndarray, estimate: np.ndarray) -> float:
    """Distance of the two origins as part of the true distance to the camera."""
    return translation_error(truth, estimate) / max(float(np.linalg.norm(truth[:3, 3])), 1e-9)


def rotation_error_deg(truth: np.ndarray, estimate: np.ndarray, model: ObjectGeometry) -> float:
    """Angle between the two orientations in degrees, the minimum over the object's symmetries; exact for any angle."""
    error = rotation_error(Pose.from_matrix(estimate), Pose.from_matrix(truth), model.symmetries)
    return float(np.degrees(error))


def cuboid_points(size: Sequence[float]) -> np.ndarray:
    """(98, 3) grid on the six faces of a cuboid about the origin, corners and edges once each."""
    line = np.linspace(-0.5, 0.5, _GRID)
    grid = np.stack(np.meshgrid(line, line, line, indexing='ij'), axis=-1).reshape(-1, 3)
    return grid[np.abs(grid).max(axis=1) == 0.5] * checked_size('cuboid', size)  # type: ignore[no-any-return]


def cylinder_points(size: Sequence[float], axis: str) -> np.ndarray:
    """Points of a cylinder about the origin along `axis`: rings on its side, and one half-way to the axis at each
    end with the end's centre."""
    along = AXES.index(axis)
    rings = [(height, 0.5) for height in np.linspace(-0.5, 0.5, _GRID)] + [(-0.5, 0.25), (0.5, 0.25)]
    angle = np.linspace(0.0, 2 * np.pi, _TURN, endpoint=False)
    points = [np.stack([r * np.cos(angle), r * np.sin(angle), np.full(_TURN, h)], axis=1) for h, r in rings]
    points.append(np.array([[0.0, 0.0, -0.5], [0.0, 0.0, 0.5]]))
    return np.roll(np.concatenate(points), along - 2, axis=1) * checked_size('cylinder', size)  # type: ignore[no-any-return]
