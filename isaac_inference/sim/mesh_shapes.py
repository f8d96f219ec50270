# SPDX-License-Identifier: Apache-2.0
"""Meshes of household objects whose shapes are hard for pose estimation: nearly symmetric, hollow, thin, tapering.

All are made here from profiles and outlines. As everywhere in this package, an object's frame has its origin in the
centre of its bounding box; z is its height as it stands.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.geometry.cuboid import CUBOID_TRIANGLES, cuboid_corners
from isaac_inference.ops.geometry.mesh import Mesh
from isaac_inference.ops.geometry.symmetry import Symmetry

_AROUND = 48  # facets of a round shape


@dataclass(frozen=True, eq=False)
class MeshKind:
    """One kind of object.

    Attributes:
        name: its class name.
        mesh: its surface, m; hollow things have an inner and an outer wall.
        shape: what a card without the mesh would call it: 'cuboid', 'cylinder' (axis z) or 'sphere'.
        symmetries: the turns that leave its shape exactly unchanged.
    """

    name: str
    mesh: Mesh
    shape: str
    symmetries: tuple[Symmetry, ...] = ()

    @property
    def size(self) -> tuple[float, float, float]:
        """(x, y, z) sides of its bounding box, m."""
        x, y, z = self.mesh.extents.tolist()
        return x, y, z


@functools.cache
def mesh_kinds() -> dict[str, MeshKind]:
    """Every kind by its name; made once."""
    made: dict[str, tuple[Callable[[], Mesh], str, tuple[Symmetry, ...]]] = {
        'bottle': (_bottle, 'cylinder', (Symmetry('z', 0),)),
        'soda_can': (_soda_can, 'cylinder', (Symmetry('z', 0),)),
        'meat_can': (_meat_can, 'cuboid', (Symmetry('z', 2),)),
        'squeeze_bottle': (_squeeze_bottle, 'cuboid', ()),
        'mug': (_mug, 'cylinder', ()),
        'basket': (_basket, 'cuboid', (Symmetry('z', 2),)),
        'bowl': (_bowl, 'cylinder', (Symmetry('z', 0),)),
        'plate': (_plate, 'cylinder', (Symmetry('z', 0),)),
        'spatula': (_spatula, 'cuboid', ()),
        'drill': (_drill, 'cuboid', ()),
        'cracker_box': (_cracker_box, 'cuboid', (Symmetry('x', 2), Symmetry('y', 2), Symmetry('z', 2))),
        'ball': (_ball, 'sphere', (Symmetry('z', 0), Symmetry('x', 0))),
        'banana': (_banana, 'cuboid', ()),
        'jug': (_jug, 'cylinder', ()),
    }
    return {name: MeshKind(name, build(), shape, turns) for name, (build, shape, turns) in made.items()}


def revolved(profile: Sequence[tuple[float, float]], around: int = _AROUND) -> Mesh:
    """The surface that a line of (radius, z) points sweeps about z, radius 0 at both ends or closed in itself; seen
    from outside it runs upwards.

    Example: a cone of 2 m diameter and 1 m height.
        >>> revolved([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]).extents.round(6).tolist()
        [2.0, 2.0, 1.0]
    """
    ring = np.asarray(profile, float)
    return _swept(lambda i, turn: (ring[i, 0] * np.cos(turn), ring[i, 0] * np.sin(turn), ring[i, 1]), len(ring), around)


def extruded(outline: Sequence[tuple[float, float]], thickness: float) -> Mesh:
    """A counter-clockwise outline (x, z) as a plate of a thickness along y.

    Example: a plate of 2 x 1 m, 0.1 m thick.
        >>> extruded([(0, 0), (2, 0), (2, 1), (0, 1)], 0.1).extents.round(6).tolist()
        [2.0, 0.1, 1.0]
    """
    flat = np.asarray(outline, float)
    count = len(flat)
    front = np.column_stack((flat[:, 0], np.full(count, -thickness / 2), flat[:, 1]))
    back = front * (1.0, -1.0, 1.0)
    caps = np.array(_ears(flat))
    i = np.arange(count)
    j = (i + 1) % count
    sides = np.concatenate((np.stack((i, i + count, j), 1), np.stack((j, i + count, j + count), 1)))
    return _centred(np.concatenate((front, back)), np.concatenate((caps, caps[:, ::-1] + count, sides)))


def _bottle() -> Mesh:
    return revolved(
        [(0.0, 0.0), (0.030, 0.0), (0.034, 0.006), (0.033, 0.06), (0.030, 0.11), (0.022, 0.145), (0.014, 0.165),
         (0.014, 0.188), (0.0, 0.190)]
    )  # fmt: skip


def _soda_can() -> Mesh:
    return revolved(
        [(0.0, 0.002), (0.026, 0.0), (0.033, 0.008), (0.033, 0.108), (0.027, 0.120), (0.026, 0.122), (0.024, 0.119),
         (0.0, 0.119)]
    )  # fmt: skip


def _meat_can() -> Mesh:
    """A can with rounded corners whose body tapers a little: in depth nearly a box with quarter turns about x."""
    rings = [(0.0, 0.0), (0.96, 0.0), (1.0, 0.004), (0.975, 0.078), (0.93, 0.084), (0.90, 0.081), (0.0, 0.081)]

    def place(i: int, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        scale, z = rings[i]
        c, s = np.cos(turn), np.sin(turn)
        radius = (np.abs(c) ** 5 + np.abs(s) ** 5) ** (-1 / 5)  # a superellipse
        return scale * 0.051 * radius * c, scale * 0.030 * radius * s, np.full_like(turn, z)

    return _swept(place, len(rings), 64)


def _squeeze_bottle() -> Mesh:
    """Flattened, with a nozzle that sits 4 mm off its middle: all that tells its front from its back."""
    rings = [
        (0.0, 0.0, 0.0, 0.0), (0.040, 0.024, 0.0, 0.0), (0.046, 0.028, 0.005, 0.0), (0.048, 0.029, 0.06, 0.0),
        (0.045, 0.027, 0.11, 0.0), (0.033, 0.023, 0.145, 0.001), (0.017, 0.016, 0.158, 0.003),
        (0.012, 0.012, 0.160, 0.004), (0.008, 0.008, 0.180, 0.004), (0.004, 0.004, 0.192, 0.004),
        (0.0, 0.0, 0.192, 0.004),
    ]  # fmt: skip

    def place(i: int, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        a, b, z, shift = rings[i]
        return a * np.cos(turn) + shift, b * np.sin(turn), np.full_like(turn, z)

    return _swept(place, len(rings), _AROUND)


def _mug() -> Mesh:
    body = revolved(
        [(0.0, 0.0), (0.040, 0.0), (0.042, 0.004), (0.043, 0.082), (0.0415, 0.084), (0.040, 0.082), (0.039, 0.006),
         (0.0, 0.006)]
    )  # fmt: skip
    arc = np.linspace(-np.pi / 2, np.pi / 2, 12)
    handle = np.column_stack((0.041 + 0.028 * np.cos(arc), np.zeros(12), 0.026 * np.sin(arc)))
    return _joined(body, _tube(handle, np.full(12, 0.006)))


def _basket() -> Mesh:
    """Open at the top, wider there, with a wall of 4 mm."""
    rings = [
        (0.0, 0.0, 0.0), (0.080, 0.050, 0.0), (0.105, 0.070, 0.10), (0.101, 0.066, 0.10), (0.076, 0.046, 0.004),
        (0.0, 0.0, 0.004),
    ]  # fmt: skip

    def place(i: int, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        a, b, z = rings[i]
        c, s = np.cos(turn), np.sin(turn)
        radius = (np.abs(c) ** 8 + np.abs(s) ** 8) ** (-1 / 8)
        return a * radius * c, b * radius * s, np.full_like(turn, z)

    return _swept(place, len(rings), 64)


def _bowl() -> Mesh:
    arc = np.linspace(np.radians(15), np.radians(88), 10)
    outer = [(0.080 * np.sin(a), 0.080 * (1 - np.cos(a)) * 0.75) for a in arc]
    inner = [(0.076 * np.sin(a), 0.003 + 0.076 * (1 - np.cos(a)) * 0.75) for a in arc[::-1]]
    return revolved([(0.0, outer[0][1]), *outer, *inner, (0.0, inner[-1][1])])


def _plate() -> Mesh:
    return revolved(
        [(0.0, 0.0), (0.070, 0.0), (0.085, 0.006), (0.130, 0.024), (0.130, 0.027), (0.084, 0.010), (0.069, 0.004),
         (0.0, 0.004)]
    )  # fmt: skip


def _spatula() -> Mesh:
    """A thin blade, and a handle hardly thicker: 9 mm at most over 0.33 m."""
    blade = _boxed((-0.165, -0.035, -0.001), (-0.055, 0.035, 0.001))
    handle = _boxed((-0.075, -0.011, -0.0045), (0.165, 0.011, 0.0045))
    return _joined(blade, handle)


def _drill() -> Mesh:
    """A pistol outline: a body with a chuck, a grip that leans back, and a battery foot."""
    outline = [
        (-0.030, 0.0), (0.055, 0.0), (0.055, 0.030), (0.022, 0.034), (0.034, 0.110), (0.070, 0.112), (0.080, 0.128),
        (0.118, 0.132), (0.118, 0.150), (0.080, 0.154), (0.070, 0.172), (-0.062, 0.172), (-0.070, 0.120),
        (-0.024, 0.110), (-0.016, 0.034), (-0.030, 0.030),
    ]  # fmt: skip
    return extruded(outline, 0.052)


def _cracker_box() -> Mesh:
    return _boxed((-0.079, -0.030, -0.105), (0.079, 0.030, 0.105))


def _ball() -> Mesh:
    arc = np.linspace(0.0, np.pi, 20)
    return revolved([(0.036 * np.sin(a), -0.036 * np.cos(a)) for a in arc])


def _banana() -> Mesh:
    arc = np.linspace(-0.95, 0.95, 14)
    line = np.column_stack((0.11 * np.sin(arc), np.zeros(14), 0.11 * (1 - np.cos(arc))))
    thickness = 0.018 * (1.0 - 0.65 * np.abs(arc / 0.95) ** 3)
    thickness[0] *= 0.6  # the stem
    return _joined(_tube(line, thickness))


def _jug() -> Mesh:
    """A hollow body with a spout at +x and a handle at -x."""
    rings = [
        (0.0, 0.0, 0.0), (0.052, 0.0, 0.0), (0.058, 0.010, 0.0), (0.060, 0.10, 0.0), (0.045, 0.17, 0.0),
        (0.048, 0.20, 0.5), (0.045, 0.20, 0.5), (0.042, 0.17, 0.0), (0.056, 0.10, 0.0), (0.054, 0.010, 0.0),
        (0.0, 0.008, 0.0),
    ]  # fmt: skip

    def place(i: int, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        radius, z, spout = rings[i]
        r = radius * (1.0 + spout * np.maximum(0.0, np.cos(turn)) ** 6)
        return r * np.cos(turn), r * np.sin(turn), np.full_like(turn, z)

    arc = np.linspace(-np.pi / 2, np.pi / 2, 12)
    handle = np.column_stack((-0.056 - 0.040 * np.cos(arc), np.zeros(12), 0.115 + 0.055 * np.sin(arc)))
    body = _swept(place, len(rings), _AROUND)
    handle[:, 2] -= 0.10  # the body's frame is at its middle
    return _joined(body, _tube(handle, np.full(12, 0.008)))


def _swept(
    place: Callable[[int, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]], rings: int, around: int
) -> Mesh:
    """Rings of points about z, from the outside's bottom on, joined by triangles."""
    turn = np.linspace(0.0, 2.0 * np.pi, around, endpoint=False)
    vertices = np.concatenate([np.column_stack(np.broadcast_arrays(*place(i, turn))) for i in range(rings)])
    return _centred(vertices, _between_rings(rings, around))


def _tube(line: np.ndarray, radius: np.ndarray, around: int = 12) -> Mesh:
    """A tube about a line in the plane y = 0, closed at both ends; not centred."""
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1)[:, None]
    side = np.array((0.0, 1.0, 0.0))
    up = np.cross(along, side)
    turn = np.linspace(0.0, 2.0 * np.pi, around, endpoint=False)
    rings = [
        line[i] + radius[i] * (np.cos(turn)[:, None] * up[i] + np.sin(turn)[:, None] * side) for i in range(len(line))
    ]
    ends = [np.repeat(line[:1], around, 0), *rings, np.repeat(line[-1:], around, 0)]
    faces = _between_rings(len(ends), around)
    return _outward(Mesh(*_cleaned(np.concatenate(ends), faces), np.zeros(3)))


def _between_rings(rings: int, around: int) -> np.ndarray:
    """(F, 3) triangles that join each ring of `around` vertices to the next one."""
    i, k = np.meshgrid(np.arange(rings - 1), np.arange(around), indexing='ij')
    a, b = (i * around + k).ravel(), (i * around + (k + 1) % around).ravel()
    return np.concatenate((np.stack((a, b, b + around), 1), np.stack((a, b + around, a + around), 1)))


def _boxed(low: tuple[float, float, float], high: tuple[float, float, float]) -> Mesh:
    """A cuboid between two corners; not centred."""
    first, last = np.array(low), np.array(high)
    return Mesh(cuboid_corners(last - first) + (first + last) / 2, CUBOID_TRIANGLES, np.zeros(3))


def _joined(*parts: Mesh) -> Mesh:
    counts = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    vertices = np.concatenate([part.vertices for part in parts])
    return _centred(vertices, np.concatenate([part.faces + count for part, count in zip(parts, counts, strict=True)]))


def _centred(vertices: np.ndarray, faces: np.ndarray) -> Mesh:
    vertices, faces = _cleaned(vertices, faces)
    return _outward(Mesh(vertices - (vertices.min(axis=0) + vertices.max(axis=0)) / 2, faces, np.zeros(3)))


def _cleaned(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Without the triangles of no area, such as those at a ring of radius 0."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    faces = faces[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-12]
    used, compact = np.unique(faces, return_inverse=True)
    return vertices[used], compact.reshape(-1, 3).astype(np.int64)


def _outward(mesh: Mesh) -> Mesh:
    """Triangles wound so that the enclosed volume is positive."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    volume = np.einsum('ij,ij->', a, np.cross(b, c))
    return mesh if volume > 0.0 else Mesh(mesh.vertices, mesh.faces[:, ::-1], mesh.offset)


def _ears(outline: np.ndarray) -> list[tuple[int, int, int]]:
    """A counter-clockwise polygon's triangles, by cutting off one convex corner after the other."""
    left, triangles = list(range(len(outline))), []

    def area(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
        return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))

    while len(left) > 3:
        for k in range(len(left)):
            i, j, m = left[k - 1], left[k], left[(k + 1) % len(left)]
            a, b, c = outline[i], outline[j], outline[m]
            inside = any(
                min(area(a, b, outline[p]), area(b, c, outline[p]), area(c, a, outline[p])) >= 0.0
                for p in left
                if p not in (i, j, m)
            )
            if area(a, b, c) > 0.0 and not inside:
                triangles.append((i, j, m))
                left.pop(k)
                break
        else:
            break
    return [*triangles, (left[0], left[1], left[2])]
