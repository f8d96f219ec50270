# SPDX-License-Identifier: Apache-2.0
"""One object of `mesh_shapes` on a table as a real depth camera sees it, with its true pose.

Stereo and structured-light cameras are wrong in more ways than by noise: depth is off by a part of the distance,
comes in steps that grow with its square, is missing beside near edges, on grazing surfaces and in specks, lies between
two surfaces along their edges, and is not quite registered to the colour image.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.cuboid import CUBOID_TRIANGLES, cuboid_corners
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ops.geometry.symmetry import canonical
from isaac_inference.sim.camera import default_camera
from isaac_inference.sim.mesh_shapes import MeshKind, mesh_kinds
from isaac_inference.sim.placement import orbit

_TABLE = 0.8  # m, half of the table's side
_WALL = 2.5  # m, depth of what is behind the table
_SEEN = 0.25  # an object that is less visible makes no scene


@dataclass(frozen=True)
class DepthFaults:
    """How a depth camera errs. The defaults are those of a stereo camera with a baseline of 50 mm.

    Attributes:
        noise: standard deviation at 1 m, in m; grows with the square of the distance and is alike in neighbours.
        bias: standard deviation of the scale error of a whole image, as a part of the distance.
        step: of depth at 1 m, in m; grows with the square of the distance, and is 1 mm at least.
        mixed: part of the pixels along an edge that lie between its two surfaces.
        holes: part of the pixels that are missing in specks.
        grazing: cosine between surface and view below which depth is missing.
        shadow_px: width of the hole at the left of an edge of 1 m before infinity, in px.
        shift_px: standard deviation of the misregistration to the colour image, in px.
    """

    noise: float = 0.0015
    bias: float = 0.005
    step: float = 0.002
    mixed: float = 0.5
    holes: float = 0.02
    grazing: float = 0.12
    shadow_px: float = 4.0
    shift_px: float = 0.7


NO_FAULTS = DepthFaults(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class DepthScene:
    """One view of one object.

    Attributes:
        kind: the object.
        depth: (H, W) float32 m, NaN for holes.
        camera: of colour and depth.
        pose: T_camera_object, canonical by the kind's symmetries.
        mask: (H, W) bool, where the object is seen in the colour image.
        box: (4,) float64 px, edge-based, around the mask.
        visibility: seen part of its outline inside the image, 0..1.
        bias: scale error of this image's depth, as a part of the distance.
    """

    kind: MeshKind
    depth: np.ndarray
    camera: CameraModel
    pose: Pose
    mask: np.ndarray
    box: np.ndarray
    visibility: float
    bias: float


def depth_scene(name: str, seed: int, faults: DepthFaults | None = None, *, clutter: bool = True) -> DepthScene:
    """A kind of object on a table; equal arguments make equal scenes.

    It stands in two scenes of three and lies on a side in the others, 0.45 to 1.1 m from a camera that looks down at 20
    to 70 degrees. With `clutter` half of the scenes have a box beside it, and a quarter one that covers a part of it.

    Args:
        name: of `mesh_kinds()`.
        seed: everything random follows from it.
        faults: the camera's; default: DepthFaults().
        clutter: whether other things may stand there.

    Example: its centre is where its pose says.
        >>> scene = depth_scene('ball', 7, NO_FAULTS, clutter=False)
        >>> rows, columns = np.nonzero(scene.mask)
        >>> off = scene.camera.project(scene.pose.translation[None])[0] - (columns.mean(), rows.mean())
        >>> bool(np.abs(off).max() < 1.0)
        True
    """
    faults = faults or DepthFaults()
    kind, camera = mesh_kinds()[name], default_camera()
    rng = np.random.default_rng([12, seed, *name.encode()])
    while True:
        rotation = so3_exp(np.array((0.0, 0.0, rng.uniform(0.0, 2.0 * np.pi)))) @ _side(rng)
        place = np.array((*rng.uniform(-0.08, 0.08, 2), 0.0))
        place[2] = -float((kind.mesh.vertices @ rotation[2]).min())
        T_world_object = Pose(rotation, place)
        target = np.array((*rng.uniform(-0.1, 0.1, 2), 0.05))
        T_world_camera = orbit(
            rng.uniform(0.0, 2.0 * np.pi), np.radians(rng.uniform(20.0, 70.0)), rng.uniform(0.45, 1.1), target,
            rng.normal(0.0, 0.1),
        )  # fmt: skip
        T_camera_world = T_world_camera.inverse()
        pose = T_camera_world @ T_world_object
        depth, cosine = _background(camera, T_world_camera)
        others = _clutter(rng, kind, T_world_object, T_world_camera) if clutter else []
        for vertices, faces in others:
            _draw(camera, T_camera_world.apply(vertices), faces, depth, cosine)
        behind = depth.copy()
        _draw(camera, pose.apply(kind.mesh.vertices), kind.mesh.faces, depth, cosine)
        mask = depth < behind
        whole = np.full_like(depth, np.inf)
        _draw(camera, pose.apply(kind.mesh.vertices), kind.mesh.faces, whole, np.ones_like(cosine))
        visibility = float(mask.sum() / max(1, int(np.isfinite(whole).sum())))
        rows, columns = np.nonzero(mask)
        if len(rows) > 300 and visibility >= _SEEN:
            break
    box = np.array((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1), np.float64)
    bias = float(rng.normal(0.0, 1.0)) * faults.bias
    measured = measured_depth(depth, cosine, faults, bias, rng)
    return DepthScene(kind, measured, camera, canonical(pose, kind.symmetries), mask, box, visibility, bias)


def _side(rng: np.random.Generator) -> np.ndarray:
    """(3, 3): how the object lies."""
    if rng.random() < 0.67:
        return np.eye(3)
    turn = ((np.pi / 2, 0, 0), (-np.pi / 2, 0, 0), (0, np.pi / 2, 0), (0, -np.pi / 2, 0), (np.pi, 0, 0))
    return so3_exp(np.array(turn[int(rng.integers(len(turn)))], float))


def _clutter(
    rng: np.random.Generator, kind: MeshKind, T_world_object: Pose, T_world_camera: Pose
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Boxes beside the object and, now and then, between it and the camera; (vertices, faces) in the world."""
    found = []
    to_camera = T_world_camera.translation - T_world_object.translation
    heading = np.arctan2(to_camera[1], to_camera[0])
    reach = float(np.linalg.norm(kind.mesh.extents)) / 2
    choice = rng.random()
    angles = []
    if choice < 0.5:
        angles.append((heading + np.pi + rng.uniform(-1.2, 1.2), reach + rng.uniform(0.05, 0.10)))
    if 0.25 < choice < 0.5:
        angles.append((heading + rng.uniform(-0.5, 0.5), reach + rng.uniform(0.04, 0.08)))
    for angle, distance in angles:
        sides = rng.uniform((0.03, 0.03, 0.04), (0.07, 0.07, 0.12))
        corners = cuboid_corners(sides) + (0.0, 0.0, sides[2] / 2)
        turn = so3_exp(np.array((0.0, 0.0, rng.uniform(0.0, np.pi))))
        middle = T_world_object.translation[:2] + distance * np.array((np.cos(angle), np.sin(angle)))
        found.append((corners @ turn.T + (*middle, 0.0), CUBOID_TRIANGLES))
    return found


def _background(camera: CameraModel, T_world_camera: Pose) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) depth of the table and of what is behind it, and the cosine at which each is seen."""
    x, y = _rays(camera)
    R, origin = T_world_camera.rotation, T_world_camera.translation
    down = R[2, 0] * x + R[2, 1] * y + R[2, 2]
    with np.errstate(divide='ignore'):
        depth = np.where(down < 0.0, -origin[2] / down, np.inf)
    length = np.sqrt(x * x + y * y + 1.0)
    places = [origin[i] + depth * (R[i, 0] * x + R[i, 1] * y + R[i, 2]) for i in (0, 1)]
    on_table = (np.abs(places[0]) < _TABLE) & (np.abs(places[1]) < _TABLE) & (depth < _WALL)
    return np.where(on_table, depth, _WALL), np.where(on_table, -down / length, 1.0)


def _rays(camera: CameraModel) -> tuple[np.ndarray, np.ndarray]:
    x = (np.arange(camera.width) - camera.K[0, 2]) / camera.K[0, 0]
    y = (np.arange(camera.height) - camera.K[1, 2]) / camera.K[1, 1]
    shape = (camera.height, camera.width)
    return np.broadcast_to(x[None], shape), np.broadcast_to(y[:, None], shape)


def _draw(camera: CameraModel, vertices: np.ndarray, faces: np.ndarray, depth: np.ndarray, cosine: np.ndarray) -> None:
    """Triangles, camera frame, into a depth image, exactly: each pixel's ray against each triangle's plane."""
    height, width = depth.shape
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    facing = np.einsum('ij,ij->i', normal, a) < 0.0
    a, b, c, normal = a[facing], b[facing], c[facing], normal[facing]
    u, v = (np.stack([camera.K[i, i] * p[:, i] / p[:, 2] + camera.K[i, 2] for p in (a, b, c)], axis=1) for i in (0, 1))
    left, right = (np.clip(f, 0, width - 1).astype(int) for f in (np.ceil(u.min(1)), np.floor(u.max(1))))
    top, bottom = (np.clip(f, 0, height - 1).astype(int) for f in (np.ceil(v.min(1)), np.floor(v.max(1))))
    wide, high = np.maximum(right - left + 1, 0), np.maximum(bottom - top + 1, 0)
    count = wide * high
    which = np.repeat(np.arange(len(a)), count)
    order = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    column, row = left[which] + order % wide[which], top[which] + order // wide[which]
    inside = np.ones(len(which), bool)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        cross = (u[which, j] - u[which, i]) * (row - v[which, i]) - (v[which, j] - v[which, i]) * (column - u[which, i])
        inside &= cross <= 1e-9  # the image's y points down: what faces the camera runs the other way round
    which, column, row = which[inside], column[inside], row[inside]
    ray = np.column_stack(
        (
            (column - camera.K[0, 2]) / camera.K[0, 0],
            (row - camera.K[1, 2]) / camera.K[1, 1],
            np.ones(len(row)),
        )
    )
    along = np.einsum('ij,ij->i', normal[which], ray)
    z = np.einsum('ij,ij->i', normal[which], a[which]) / along
    behind = np.lexsort((z, row * width + column))[::-1]  # the nearest comes last, and stays
    row, column, z, along, which = row[behind], column[behind], z[behind], along[behind], which[behind]
    nearer = z < depth[row, column]
    row, column = row[nearer], column[nearer]
    depth[row, column] = z[nearer]
    lengths = np.linalg.norm(normal[which[nearer]], axis=1) * np.linalg.norm(ray[behind][nearer], axis=1)
    cosine[row, column] = -along[nearer] / lengths


def measured_depth(
    depth: np.ndarray, cosine: np.ndarray, faults: DepthFaults, bias: float, rng: np.random.Generator
) -> np.ndarray:
    """What a depth camera makes of a true depth image.

    Args:
        depth: (H, W) m, exact.
        cosine: (H, W), between each pixel's surface and the ray that meets it; 1 for a surface that is seen flat on.
        faults: the camera's.
        bias: scale error of the whole image, as a part of the distance.
        rng: of noise and holes.

    Returns:
        (H, W) float32 m, NaN for holes.
    """
    height, width = depth.shape
    true: np.ndarray = depth.astype(np.float32)
    if faults.shift_px:
        dx, dy = rng.normal(0.0, faults.shift_px, 2)
        move = np.array([(1.0, 0.0, dx), (0.0, 1.0, dy)])
        true = cv2.warpAffine(true, move, (width, height), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        cosine = cv2.warpAffine(cosine, move, (width, height), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    seen = true.copy()
    low, high = cv2.erode(true, np.ones((3, 3), np.uint8)), cv2.dilate(true, np.ones((3, 3), np.uint8))
    edge = high - low > 0.02
    if faults.mixed:
        mix = edge & (rng.random((height, width)) < faults.mixed)
        share = rng.random((height, width)).astype(np.float32)
        seen[mix] = (low + share * (high - low))[mix]
    if faults.noise:
        noise = cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), (0, 0), 1.5)
        seen += noise / noise.std() * np.float32(faults.noise) * true**2
    seen *= np.float32(1.0 + bias)
    if faults.step:
        step = np.maximum(np.float32(faults.step) * seen**2, np.float32(0.001))
        seen = np.rint(seen / step) * step
    holes = cosine < faults.grazing
    if faults.shadow_px:
        jump = true[:, :-1] - true[:, 1:]  # a nearer surface begins at the right
        rows, columns = np.nonzero(jump > 0.02)
        gap = np.rint(faults.shadow_px * (1.0 / true[rows, columns + 1] - 1.0 / true[rows, columns])).astype(int)
        for row, column, count in zip(rows.tolist(), columns.tolist(), gap.tolist(), strict=True):
            holes[row, max(0, column + 1 - count) : column + 1] = True
    if faults.holes:
        specks: np.ndarray = cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), (0, 0), 1.2)
        holes = holes | (specks > np.quantile(specks, 1.0 - faults.holes))
    seen[holes] = np.nan
    return seen
