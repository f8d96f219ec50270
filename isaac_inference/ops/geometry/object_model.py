# SPDX-License-Identifier: Apache-2.0
"""An object's surface, prepared once for fitting it to depth."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from isaac_inference.errors import ConfigError
from isaac_inference.ops.geometry.look_alikes import LookAlikes, look_alikes
from isaac_inference.ops.geometry.mesh import Mesh
from isaac_inference.ops.geometry.rigid import Pose, dot
from isaac_inference.ops.geometry.surface import checked_size, diameter, surface_points
from isaac_inference.ops.geometry.symmetry import Symmetry, canonical, equivalents, rotation_error
from isaac_inference.ops.geometry.view_sphere import ViewSphere, unoccluded
from isaac_inference.ops.geometry.view_templates import ViewTemplates

_POINTS = {'cuboid': 1200, 'cylinder': 1200, 'sphere': 1000, 'mesh': 6000}
_EQUAL_SIDES = 0.04  # relative; depth cannot distinguish sides closer than this
_GRAZING = -0.05  # cosine; a face seen this edge-on may be matched, because the pose is not exact yet
_SAME_WAY = 0.5  # cosine between the normals of a point and of the surface that it may be on
_ROUGH = 2000  # points that suffice for rough distances
_AROUND = 8  # samples of a mesh among which one is looked for that faces the same way


@dataclass(frozen=True, eq=False)
class ObjectModel:
    """An object's surface as registration needs it; built at configure time, read-only afterwards.

    Attributes:
        shape: 'cuboid', 'cylinder', 'sphere' or 'mesh'.
        size: (3,) float64 metres, sides of the bounding box centred on the origin.
        points, normals: (P, 3) float64 each, spread evenly over the surface; object frame, outward.
        spacing: metres between neighbouring points.
        diameter: largest distance between two points of the surface, metres.
        symmetries: declared by the model card.
        geometric: the turns that depth cannot see, whatever is printed on the object; for a mesh found by turning its
            surface about the frame's axes.
        near: T_object_turned of turns after which a mesh looks nearly the same: which of them it is must be compared
            before anything is said; empty for the other shapes, all of whose look-alikes are in `geometric`.
        views: what of the surface is seen from where.
        templates: rotations to try in a search, with what should be seen.

    Example: seen from above, the point nearest to a place over a cube of 2 m lies on its top.
        >>> cube = ObjectModel.build('cuboid', (2, 2, 2))
        >>> places, normals, beside = cube.closest(np.array([[0.5, 0.0, 3.0]]), camera=np.array([0.0, 0.0, 9.0]))
        >>> places.tolist(), normals.tolist(), beside.tolist()
        ([[0.5, 0.0, 1.0]], [[0.0, 0.0, 1.0]], [False])
    """

    shape: str
    size: np.ndarray
    points: np.ndarray
    normals: np.ndarray
    spacing: float
    diameter: float
    symmetries: tuple[Symmetry, ...]
    geometric: tuple[Symmetry, ...]
    near: tuple[Pose, ...]
    views: ViewSphere
    templates: ViewTemplates

    @functools.cached_property
    def alike(self) -> tuple[Symmetry, ...]:
        """Declared and geometric symmetries together: poses that differ by them are the same for a bare surface."""
        both = tuple(dict.fromkeys((*self.geometric, *self.symmetries)))
        try:
            canonical(Pose.identity(), both)
        except ConfigError:  # they combine to infinitely many turns
            return self.geometric or self.symmetries
        return both

    @functools.cached_property
    def undeclared_turn(self) -> float:
        """The largest of the turns that depth cannot see, in rad from the nearest declared one."""
        middle = Pose.identity()
        alike = equivalents(middle, self.geometric, 8) if self.geometric else []
        return max((rotation_error(other, middle, self.symmetries) for other in alike), default=0.0)

    def distances(self, points: np.ndarray, reach: float) -> np.ndarray:
        """(N,) rough distances of (N, 3) points from the whole surface, metres; inf beyond the reach."""
        tree, apart = self._samples
        return np.maximum(tree.query(points, distance_upper_bound=reach + apart)[0] - apart, 0.0)

    @functools.cached_property
    def _samples(self) -> tuple[cKDTree, float]:
        """A part of the points, and how far a place on the surface is from them."""
        step = max(1, len(self.points) // _ROUGH)
        return cKDTree(self.points[::step]), self.spacing * step**0.5

    @property
    def blur(self) -> float:
        """Metres along the surface within which its edges are known: a mesh is matched by its samples."""
        return 2.0 * self.spacing if self.shape == 'mesh' else 0.0

    @classmethod
    def build(
        cls,
        shape: str,
        size: Sequence[float] | np.ndarray | None,
        mesh: Mesh | None = None,
        symmetries: Sequence[Symmetry] = (),
    ) -> ObjectModel:
        """Samples the surface and prepares what a search needs, in about half a second; the same on every call.

        Args:
            shape, size, mesh: as in `surface_points`; a mesh brings its own size.
            symmetries: declared ones, see ops/geometry/symmetry.py.

        Raises:
            ConfigError: an unusable shape or size, or a missing library.
        """
        sides = mesh.extents if shape == 'mesh' and mesh is not None else checked_size(shape, size)
        points, normals = surface_points(shape, sides, _POINTS[shape], mesh)
        order = np.random.default_rng(0).permutation(len(points))  # so that every n-th point is spread evenly, too
        points, normals = points[order], normals[order]
        spacing = float(np.median(cKDTree(points).query(points[:200], k=2)[0][:, 1]))
        extent = diameter(points)
        alike = LookAlikes(geometric_symmetries(shape, sides), ())
        if shape == 'mesh':
            alike = look_alikes(points, normals, spacing, extent)
        views = ViewSphere.build(points, normals, spacing)
        templates = ViewTemplates.build(points, normals, views, alike.exact)
        declared = tuple(symmetries)
        return cls(shape, sides, points, normals, spacing, extent, declared, *alike, views, templates)

    def closest(
        self, points: np.ndarray, camera: np.ndarray, reach: float = np.inf, facing: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The nearest points on the visible side of the surface.

        Exact for cuboid, cylinder and sphere; for a mesh the nearest sample of what the camera may see.

        Args:
            points: (N, 3) in the object's frame.
            camera: (3,) the camera's position in the object's frame.
            reach: metres; what is further from a mesh may get any point of it, which saves time.
            facing: (N, 3) which way the surface faces that each point is on, zeros where that is unknown: what is seen
                just past a face's edge is nearest to the side beside it, which may not even be visible, and belongs to
                the face.

        Returns:
            The nearest points (N, 3), their outward normals (N, 3), and (N,) bool: true where the given point lies
            beside the surface (past an edge), not above or below it.
        """
        if self.shape == 'cuboid':
            return _closest_on_cuboid(points, camera, self.size / 2, facing)
        if self.shape == 'cylinder':
            radius = (self.size[0] + self.size[1]) / 4
            return _closest_on_cylinder(points, camera, radius, self.size[2] / 2, facing)
        if self.shape == 'sphere':
            normals = points / np.maximum(np.linalg.norm(points, axis=1), 1e-9)[:, None]
            return normals * (self.size.mean() / 2), normals, np.zeros(len(points), np.bool_)
        part, tree = self.views.part(camera)
        found = tree.query(points, distance_upper_bound=reach)[1]
        index = part[np.minimum(found, len(part) - 1)]
        if facing is not None:
            self._turned_to(facing, points, index, found < len(part), part, tree, reach)
        places, normals = self.points.take(index, axis=0), self.normals.take(index, axis=0)
        gap = points - places
        along = dot(gap, normals)
        beside = dot(gap, gap) - along * along > self.blur**2
        return places, normals, beside

    def _turned_to(
        self, facing: np.ndarray, points: np.ndarray, index: np.ndarray, near: np.ndarray, part: np.ndarray,
        tree: cKDTree, reach: float,
    ) -> None:  # fmt: skip
        """Replaces the samples (N,) of those near points that are past the edge of what faces the same way."""
        same = dot(self.normals.take(index, axis=0), facing) > _SAME_WAY
        away = np.flatnonzero(near & ~same)
        away = away[facing[away].any(axis=1)]
        if len(away) == 0:
            return
        around = tree.query(points[away], k=range(1, 1 + min(_AROUND, len(part))), distance_upper_bound=reach)[1]
        around = part[np.minimum(around, len(part) - 1)]
        alike = np.einsum('nki,ni->nk', self.normals[around], facing[away]) > _SAME_WAY
        chosen = around[np.arange(len(away)), alike.argmax(axis=1)]
        gap = points[away] - self.points[chosen]
        along = dot(gap, self.normals[chosen])
        past = alike.any(axis=1) & (dot(gap, gap) - along**2 > self.blur**2)
        index[away[past]] = chosen[past]

    def visible(self, rotation: np.ndarray, translation: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
        """At most `limit` sample points that the camera sees under a pose, and their normals, in the camera's frame.

        A point is hidden when its surface faces away; for a mesh also when another part of it is in front.
        """
        points, normals = self.points, self.normals
        if self.shape == 'mesh':
            part, tree = self.views.part(-rotation.T @ translation)
            points, normals = tree.data, normals.take(part, axis=0)
        points, normals = points @ rotation.T + translation, normals @ rotation.T
        length = np.sqrt(dot(points, points))
        towards = -dot(points, normals) / np.maximum(length, 1e-9)
        seen = np.flatnonzero(towards > 0.1)
        if self.shape == 'mesh':
            facing = towards[seen]
            slope = np.sqrt(1.0 - np.minimum(1.0, facing) ** 2) / facing
            seen = seen[unoccluded(points.take(seen, axis=0), slope, self.spacing)]
        seen = seen[:: max(1, -(-len(seen) // limit))]
        return points.take(seen, axis=0), normals.take(seen, axis=0)


def geometric_symmetries(shape: str, size: np.ndarray) -> tuple[Symmetry, ...]:
    """The turns that map a bare surface onto itself; sides within 4 % count as equal.

    Even a cuboid with unequal sides has four poses that look alike in depth: it can make half a turn about each axis.

    Example: a box on a square base also looks the same after quarter turns about its height.
        >>> [(turn.axis, turn.order) for turn in geometric_symmetries('cuboid', np.array([0.1, 0.1, 0.3]))]
        [('x', 2), ('y', 2), ('z', 4)]
    """
    if shape == 'sphere':
        return Symmetry('z', 0), Symmetry('x', 0)
    if shape == 'cylinder':
        return Symmetry('z', 0), Symmetry('x', 2)
    if shape == 'mesh':
        return ()  # known only from its surface: see look_alikes

    def turns(i: int, j: int) -> int:
        return 4 if abs(size[i] - size[j]) <= _EQUAL_SIDES * max(size[i], size[j]) else 2

    return Symmetry('x', turns(1, 2)), Symmetry('y', turns(2, 0)), Symmetry('z', turns(0, 1))


def _closest_on_cuboid(
    points: np.ndarray, camera: np.ndarray, half: np.ndarray, facing: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    signs = np.where(camera >= 0.0, 1.0, -1.0)
    faces = signs * half
    # a face is seen only from beyond it; from inside the body all three are equally good
    hidden = np.abs(camera) - half < _GRAZING * float(np.linalg.norm(camera))
    inside = np.clip(points, -half, half)
    squares = (points - inside) ** 2
    to_face = (points - faces) ** 2
    total = squares.sum(axis=1, keepdims=True) - squares + to_face
    if not hidden.all():
        total[:, hidden] = np.inf
    axis = total.argmin(axis=1)
    rows = np.arange(len(points))
    if facing is not None:
        same = facing * signs > _SAME_WAY
        other = np.where(same, total, np.inf).argmin(axis=1)
        past = same[rows, other] & np.isfinite(total[rows, other]) & ~same[rows, axis]
        past &= total[rows, other] - to_face[rows, other] > 1e-12
        past &= total[rows, other] <= 2.0 * total[rows, axis]  # it is as near as the side
        axis = np.where(past, other, axis)
    beside = total[rows, axis] - to_face[rows, axis] > 1e-12
    inside[rows, axis] = faces[axis]
    return inside, np.diag(signs)[axis], beside


def _closest_on_cylinder(
    points: np.ndarray, camera: np.ndarray, radius: float, half: float, facing: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    flat = np.hypot(points[:, 0], points[:, 1])
    outward = np.zeros_like(points)
    outward[:, :2] = points[:, :2] / np.maximum(flat, 1e-9)[:, None]
    places = outward * radius
    places[:, 2] = np.clip(points[:, 2], -half, half)
    gap = np.hypot(flat - radius, points[:, 2] - places[:, 2])
    beside = np.abs(points[:, 2]) > half
    normals = outward
    if abs(camera[2]) > half * 0.8:  # an end is seen, or nearly
        sign = 1.0 if camera[2] >= 0.0 else -1.0
        end = outward * np.minimum(flat, radius)[:, None]
        end[:, 2] = sign * half
        past = np.maximum(flat - radius, 0.0)
        nearer = np.hypot(past, points[:, 2] - end[:, 2]) < gap
        if facing is not None:
            on_end, on_side = facing[:, 2] * sign > _SAME_WAY, dot(facing, outward) > _SAME_WAY
            nearer |= on_end & ~on_side & (past > 0.0)
            nearer &= ~(on_side & ~on_end & beside)
        places[nearer] = end[nearer]
        normals = np.where(nearer[:, None], np.array((0.0, 0.0, sign)), outward)
        beside = np.where(nearer, past > 0.0, beside)
    return places, normals, beside
