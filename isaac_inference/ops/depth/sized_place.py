# SPDX-License-Identifier: Apache-2.0
"""Where the centre of an object of known size is, and how sure that is, from how far its visible side reaches.

In every direction that points towards the camera the outermost point of an object is seen, whatever its shape: its
reach there is measured. The sides of the detection box and the supporting plane bound it in further directions. A body
of the known size in a given rotation predicts all of these, up to its place. Rotations and a few bodies (cuboid,
cylinder, ellipsoid) are tried; each finds its place by weighted least squares, and the places are averaged by how well
they fit. Where rotations that fit as well disagree about the place, their spread is in the covariance.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from isaac_inference.ops.depth.settings import DepthSettings
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.geometry.symmetry import Symmetry, equivalents

_RINGS = ((0.0, 1), (35.0, 6), (72.0, 10))  # degrees from the line of sight, and directions there
_YAWS = 24  # over half a turn, of an object that stands on one of its sides
_TURNS = 300  # of one that does not
_LEANING = 40  # of these, where it probably stands
_RANK = 0.004  # of the points lie further out than what counts as the outermost: what loose edges amount to
_OUTERMOST_SIGMAS = 2.3  # by so much noise brings the outermost points nearer
_NOISE = 0.002  # m, of a reach by depth
_SLACK = 0.12  # of what lies between an ellipsoid's and a cuboid's reach: bodies are neither
_SHORT = 3.0  # a reach may fall short of the body's by so many times what it may exceed it: holes, tapering
_ROUNDS = 3
_TEMPER = 2.0  # neighbouring directions share points: so many count as one measurement
_ALONE = 12.0  # of the misfit: what stands on no side must fit better than what does by this much
_PRIOR = {
    # of cuboid, cylinder about x, y, z, ellipsoid: as misfit; a card's shape may be what it says when nothing is said
    'cuboid': (0.0, 6.0, 6.0, 6.0, 12.0),
    'cylinder': (12.0, 30.0, 30.0, 0.0, 12.0),
    'sphere': (60.0, 60.0, 60.0, 60.0, 0.0),
    'mesh': (0.0, 0.0, 0.0, 0.0, 6.0),
}
_NO_BODY = 30.0  # of the misfit: what has this against it needs no trying
_LISTED, _MOST_POSES = 40, 2
_DIFFERENT = 0.35  # of the shortest side: how far the extents of different rotations differ
_BALL = (Symmetry('z', 0), Symmetry('x', 0))


@dataclass(frozen=True, eq=False)
class Reaches:
    """How far an object reaches: rows of directions, camera frame.

    Attributes:
        directions: (D, 3) unit.
        measured: (D,) m from the camera's centre to the outermost point along each.
        sigma: (D,) m.
        open: (D,) bool, where the object may reach further than was measured.
        floor: whether the last row is the plane that the object probably stands on.
    """

    directions: np.ndarray
    measured: np.ndarray
    sigma: np.ndarray
    open: np.ndarray
    floor: bool = False

    def joined(self, *others: Reaches) -> Reaches:
        """All rows."""
        parts = (self, *others)
        return Reaches(
            np.concatenate([part.directions for part in parts]),
            np.concatenate([part.measured for part in parts]),
            np.concatenate([part.sigma for part in parts]),
            np.concatenate([part.open for part in parts]),
            parts[-1].floor,
        )


class Middles(NamedTuple):
    """What is known of an object's centre itself, rows of directions, camera frame.

    Attributes:
        directions: (K, 3) unit.
        measured: (K,) m from the camera's centre to the object's along each.
        sigma: (K,) m.
    """

    directions: np.ndarray
    measured: np.ndarray
    sigma: np.ndarray


NO_MIDDLES = Middles(np.empty((0, 3)), np.empty(0), np.empty(0))


@dataclass(frozen=True, eq=False)
class SizedPlace:
    """The object's centre.

    Attributes:
        center: (3,) m, camera frame.
        covariance: (3, 3) m^2.
        poses: the rotations that fit best, each with its own place; the best first, clearly different ones only.
        misfit: mean square of the best one's residuals, in standard deviations.
    """

    center: np.ndarray
    covariance: np.ndarray
    poses: tuple[Pose, ...]
    misfit: float


def point_reaches(
    points: np.ndarray,
    cut: np.ndarray | None,
    view: np.ndarray,
    pixel: float,
    up: np.ndarray | None = None,
    noise: float = 0.0,
) -> Reaches:
    """How far points reach in the directions towards the camera, and in that of the object's top.

    Args:
        points: (N, 3) of the object, m.
        cut: (N,) bool, points beside which something nearer hides what may follow; None for none.
        view: (3, 3) of `frame_towards`.
        pixel: m between neighbours.
        up: (3,) away from the plane that it stands on, where there is one.
        noise: m, standard deviation of depth, of points that were not averaged.

    Example: a face at 1 m reaches -1 m towards the camera, and upwards 0.05 m and half a pixel of 0.01 m.
        >>> face = np.array([[x / 100, y / 100, 1.0] for x in range(-5, 6) for y in range(-5, 6)])
        >>> reaches = point_reaches(face, None, np.eye(3), pixel=0.01, up=np.array((0.0, -1.0, 0.0)))
        >>> (reaches.directions[[0, -1]] + 0.0).tolist()
        [[0.0, 0.0, -1.0], [0.0, -1.0, 0.0]]
        >>> reaches.measured[[0, -1]].round(3).tolist()
        [-1.0, 0.055]
    """
    local = _directions()
    if up is not None:
        local = np.concatenate((local, (view.T @ up)[None]))
    directions = local @ view.T
    along = np.asarray(points, np.float32) @ directions.T.astype(np.float32)
    rank = min(len(points) - 1, int(_RANK * len(points)) + min(2, len(points) // 250))
    measured = -np.partition(-along.T, rank, axis=1)[:, rank].astype(np.float64)
    measured += 0.5 * pixel * np.hypot(local[:, 0], local[:, 1]) + _OUTERMOST_SIGMAS * noise * local[:, 2]
    is_open = np.zeros(len(local), np.bool_)
    if cut is not None and cut.any():
        outermost = along > measured[None].astype(np.float32) - np.float32(3.0 * pixel)
        is_open = (outermost & cut[:, None]).sum(axis=0) > 0.2 * outermost.sum(axis=0)
        is_open &= local[:, 2] > -0.7  # what lies before the object hides no nearer part of it
    sigma = np.hypot(_NOISE, pixel * np.hypot(local[:, 0], local[:, 1]))
    return Reaches(directions, measured, sigma, is_open)


def sized_place(
    reaches: Reaches, middles: Middles, size: np.ndarray, shape: str, start: np.ndarray, view: np.ndarray,
    settings: DepthSettings,
) -> SizedPlace:  # fmt: skip
    """The centre of an object of known size.

    Args:
        reaches: what was measured.
        middles: what is known of the centre itself.
        size: (3,) m along the object's axes.
        shape: 'cuboid', 'cylinder', 'sphere' or 'mesh'.
        start: (3,) m, roughly where it is.
        view: (3, 3) of `frame_towards`.
        settings: how sure sizes are.

    Example: a ball of 0.1 m reaches 0.05 m from its centre: to the camera, to the right and down.
        >>> directions = np.array(((0.0, 0.0, -1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
        >>> measured = np.array((-0.95, 0.15, 0.25))
        >>> reaches = Reaches(directions, measured, np.full(3, 0.002), np.zeros(3, np.bool_))
        >>> size, start = np.full(3, 0.1), np.array((0.0, 0.0, 0.95))
        >>> place = sized_place(reaches, NO_MIDDLES, size, 'sphere', start, np.eye(3), DepthSettings())
        >>> place.center.round(2).tolist()
        [0.1, 0.2, 1.0]
    """
    turns = 1 if shape == 'sphere' else _LEANING if reaches.floor else _TURNS
    # a side towards the floor, or else towards the camera, is likelier than chance
    aligned = _standing(-reaches.directions[-1] if reaches.floor else -view[:, 2])[: turns if turns == 1 else None]
    others = view @ _turns()[:turns]
    rotations = np.concatenate((aligned, others))
    prior = np.repeat((0.0, _ALONE if reaches.floor else 0.0), (len(aligned), len(others)))
    bodies = _bodies(shape)
    tried = _tried(rotations, prior, bodies, reaches, middles, size, start, settings, shape)
    best = int(tried.misfit.argmin())
    weights = np.exp(-(tried.misfit - tried.misfit[best]) / (2.0 * _TEMPER))
    likely = np.flatnonzero(weights > 1e-4)
    weights = weights[likely] / weights[likely].sum()
    centers = tried.centers[likely]
    center = weights @ centers
    off = centers - center
    covariance = (off * weights[:, None]).T @ off
    covariance += np.einsum('h,hij->ij', weights, np.linalg.inv(tried.information[likely]))
    misfit = float(tried.squares[best]) / len(reaches.measured)
    return SizedPlace(center, covariance, _distinct(tried, size), misfit)


@dataclass(frozen=True, eq=False)
class _Tried:
    """H rotations and bodies, those of one rotation side by side."""

    rotations: np.ndarray  # (H, 3, 3)
    centers: np.ndarray  # (H, 3) m
    information: np.ndarray  # (H, 3, 3) of the centres
    squares: np.ndarray  # (H,) of the residuals in standard deviations
    misfit: np.ndarray  # (H,) squares and what is held against rotation and body


def _bodies(shape: str) -> np.ndarray:
    """Numbers of the bodies that an object of that shape may be."""
    against = np.array(_PRIOR[shape])
    return np.flatnonzero(against < against.min() + _NO_BODY)


def _tried(
    rotations: np.ndarray, prior: np.ndarray, bodies: np.ndarray, reaches: Reaches, middles: Middles, size: np.ndarray,
    start: np.ndarray, settings: DepthSettings, shape: str,
) -> _Tried:  # fmt: skip
    """Every body in every rotation, at its best place."""
    reach, slack = _body_reaches(rotations, reaches.directions, size, bodies)
    reach, slack = reach.reshape(-1, reach.shape[2]), np.repeat(slack, len(bodies), axis=0)
    hovers = np.repeat(prior >= _ALONE, len(bodies)) & reaches.floor
    centers, squares, information = _places(reaches, middles, reach, slack, hovers, start, size, settings)
    against = (prior[:, None] + np.array(_PRIOR[shape])[bodies][None]).ravel()
    return _Tried(np.repeat(rotations, len(bodies), axis=0), centers, information, squares, squares + against)


def _places(
    reaches: Reaches, middles: Middles, reach: np.ndarray, slack: np.ndarray, hovers: np.ndarray, start: np.ndarray,
    size: np.ndarray, settings: DepthSettings,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """(H, 3) centres, (H,) sums of squared residuals, (H, 3, 3) information of each centre."""
    A = reaches.directions.astype(np.float32)
    products = (A[:, :, None] * A[:, None, :]).reshape(-1, 9)
    free = reaches.measured - reaches.directions @ start  # relative to the start, where the numbers are small
    target = free.astype(np.float32)[None] - reach
    outward = 1.0 / (
        (reaches.sigma**2).astype(np.float32) + _square(_SLACK * slack) + _square(settings.size_error * reach)
    )
    outward[hovers, -1] = 0.0
    inward = outward * np.where(reaches.open, 0.0, 1.0 / _SHORT**2).astype(np.float32)
    weights = outward * np.where(reaches.open, 0.2, 1.0).astype(np.float32)
    limit = 3.0 / np.sqrt(np.maximum(outward, np.float32(1e-6)))
    known = middles.directions / middles.sigma[:, None]
    pulled = ((middles.measured - middles.directions @ start) / middles.sigma) @ known
    known = known.T @ known + np.eye(3) / (float(np.linalg.norm(size)) / 2) ** 2
    for _ in range(_ROUNDS):
        normal = (weights @ products).reshape(-1, 3, 3) + known
        centers = np.linalg.solve(normal, ((weights * target) @ A + pulled)[..., None])[..., 0]
        residual = target - centers.astype(np.float32) @ A.T
        weights = np.where(residual > 0.0, outward, inward)
        # one loose edge must not decide
        weights *= np.minimum(np.float32(1.0), limit / np.maximum(np.abs(residual), np.float32(1e-6)))
    return centers + start, np.einsum('hd,hd,hd->h', weights, residual, residual), normal


def _square(values: np.ndarray) -> np.ndarray:
    return values * values


def _body_reaches(
    rotations: np.ndarray, directions: np.ndarray, size: np.ndarray, bodies: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(R, B, D) m from the centre, of each body in each rotation, and (R, D) how much a cuboid's exceeds an
    ellipsoid's."""
    columns = rotations.astype(np.float32).transpose(2, 0, 1) @ directions.T.astype(np.float32)  # (3, R, D)
    parts = np.abs(columns) * (size / 2).astype(np.float32)[:, None, None]
    x, y, z = parts
    squares = parts**2
    cuboid, ellipsoid = x + y + z, np.sqrt(squares.sum(axis=0))
    made = (
        lambda: cuboid,
        lambda: np.sqrt(squares[1] + squares[2]) + x,
        lambda: np.sqrt(squares[0] + squares[2]) + y,
        lambda: np.sqrt(squares[0] + squares[1]) + z,
        lambda: ellipsoid,
    )
    return np.stack([made[body]() for body in bodies], axis=1), cuboid - ellipsoid


def _distinct(tried: _Tried, size: np.ndarray) -> tuple[Pose, ...]:
    """The best few poses that differ."""
    kept: list[Pose] = []
    extents: list[np.ndarray] = []
    for index in np.argsort(tried.misfit)[:_LISTED].tolist():
        extent = np.abs(tried.rotations[index]) * size
        if all(np.abs(extent - other).max() > _DIFFERENT * size.min() for other in extents):
            kept.append(Pose(tried.rotations[index], tried.centers[index]))
            extents.append(extent)
        if len(kept) == _MOST_POSES:
            break
    return tuple(kept)


@functools.cache
def _directions() -> np.ndarray:
    """(D, 3) towards the camera, in the view's frame."""
    made = []
    for degrees, count in _RINGS:
        turn = 2.0 * np.pi * np.arange(count) / count
        side = np.sin(np.radians(degrees))
        made.append(
            np.column_stack((side * np.cos(turn), side * np.sin(turn), np.full(count, -np.cos(np.radians(degrees)))))
        )
    return np.concatenate(made)


@functools.cache
def _turns() -> np.ndarray:
    return np.stack([pose.rotation for pose in equivalents(Pose.identity(), _BALL, _TURNS)])


def _standing(up: np.ndarray) -> np.ndarray:
    """(R, 3, 3) rotations with one axis along the direction."""
    helper = np.eye(3)[int(np.abs(up).argmin())]
    x = np.cross(helper, up)
    x /= np.linalg.norm(x)
    y = np.cross(up, x)
    turn = np.pi * np.arange(_YAWS) / _YAWS
    first = np.cos(turn)[:, None] * x + np.sin(turn)[:, None] * y
    second = np.cross(up, first)
    upright = np.stack((first, second, np.broadcast_to(up, first.shape)), axis=2)
    return np.concatenate([upright[:, :, np.roll(np.arange(3), shift)] for shift in range(3)])
