# SPDX-License-Identifier: Apache-2.0
"""Objects that look alike in several poses: one of them is called canonical, and errors are measured to the nearest.

A can looks the same however it is turned about its axis. Of all poses that look alike, the canonical one is
turned so that the camera's azimuth about the symmetry axis, seen in the object's frame, is nearest 0. Azimuth is
atan2(y, x) about z, atan2(z, y) about x, atan2(x, z) about y. With it, two cameras' or two frames' poses of a
symmetric object can be compared, averaged and smoothed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.ops.geometry.rigid import Pose, rotation_angle, so3_exp

AXES = 'xyz'
MAX_ORDER = 360
_TIE = 1e-9  # of a direction's components; closer ones are equal up to rounding


@dataclass(frozen=True)
class Symmetry:
    """A turn about one of an object's own axes that leaves its look unchanged.

    Attributes:
        axis: 'x', 'y' or 'z' of the object's frame, through its origin.
        order: 0 for any angle (can, bottle), n >= 2 for n equal turns (2: half turns, 4: square box).

    Raises:
        ConfigError: another axis or order.
    """

    axis: str
    order: int

    def __post_init__(self) -> None:
        if self.axis not in tuple(AXES):
            raise ConfigError(f'symmetry axis: got {self.axis!r}, expected one of x, y, z')
        if isinstance(self.order, bool) or not isinstance(self.order, int) or not _is_order(self.order):
            raise ConfigError(
                f'symmetry order about {self.axis}: got {self.order!r}, expected 0 (any angle) or a whole number of '
                f'equal turns from 2 to {MAX_ORDER}'
            )


def canonical(pose: Pose, symmetries: Sequence[Symmetry]) -> Pose:
    """The one pose that represents all that look alike; the same whichever of them is given.

    With several symmetries their whole group is searched, and the axis given first takes precedence. What the camera's
    position leaves open (when it lies on an axis) is decided by how the object's axes lie along the camera's. A ball
    (any angle about two axes) gets the camera's axes. Translation and covariance do not change, because the turns are
    about the object's origin.

    Args:
        pose: `T_camera_object`.
        symmetries: of the object; without any the pose is returned unchanged.

    Raises:
        ConfigError: symmetries that combine to infinitely many turns, such as thirds about z and quarters about x.

    Example: however a can is turned about its axis, its canonical pose is the same.
        >>> can = [Symmetry('z', 0)]
        >>> a, b = (Pose(so3_exp((1, 0, 0)) @ so3_exp((0, 0, turn)), np.array([0, 0, 1.0])) for turn in (0.0, 2.0))
        >>> np.allclose(canonical(a, can).rotation, canonical(b, can).rotation)
        True
    """
    if not symmetries:
        return pose
    group = _group(tuple(symmetries))
    if group.every_rotation:
        return Pose(np.eye(3), pose.translation)
    if len(group.turns) == 1 and group.axis >= 0:  # a can; the one that every track of one asks for in every frame
        return Pose(_turned_to_camera(pose.rotation, pose.translation, group.axis), pose.translation)
    rotations = pose.rotation @ group.turns
    if group.axis >= 0:
        rotations = np.stack([_turned_to_camera(R, pose.translation, group.axis) for R in rotations])
    return Pose(_first(rotations, pose.translation, group.order_of_axes), pose.translation)


def equivalents(pose: Pose, symmetries: Sequence[Symmetry], steps: int = 64) -> list[Pose]:
    """All poses that look alike, the given one first; a continuous symmetry is cut into `steps` equal turns.

    A ball gets `steps` rotations spread evenly over all rotations.

    Args:
        pose: `T_camera_object`.
        symmetries: of the object.
        steps: how many turns represent "any angle".

    Raises:
        ConfigError: no steps, or symmetries that combine to infinitely many turns.

    Example: a square box has four.
        >>> box = equivalents(Pose.identity(), [Symmetry('z', 4)])
        >>> sorted(round(float(np.degrees(rotation_angle(pose.rotation)))) for pose in box)
        [0, 90, 90, 180]
    """
    if steps < 1:
        raise ConfigError(f'steps: got {steps}, expected 1 or more')
    group = _group(tuple(symmetries))
    turns = group.turns
    if group.every_rotation:
        turns = _spread_rotations(steps)
    elif group.axis >= 0:
        around = np.stack([_turn(group.axis, 2.0 * np.pi * i / steps) for i in range(steps)])
        turns = (turns[:, None] @ around[None]).reshape(-1, 3, 3)
    return [Pose(pose.rotation @ turn, pose.translation) for turn in turns]


def nearest(pose: Pose, reference: Pose, symmetries: Sequence[Symmetry]) -> Pose:
    """Of all poses that look like `pose`, the one turned least from `reference`; exact for any angle, too.

    Args:
        pose: `T_camera_object`.
        reference: in the same frame, such as the last pose of a track or the truth.
        symmetries: of the object.

    Example: a square box turned by 100 degrees looks as if it were turned by 10.
        >>> turned = Pose(so3_exp((0, 0, np.radians(100))), np.zeros(3))
        >>> found = nearest(turned, Pose.identity(), [Symmetry('z', 4)])
        >>> round(float(np.degrees(rotation_angle(found.rotation))), 6)
        10.0
    """
    if not symmetries:
        return pose
    group = _group(tuple(symmetries))
    if group.every_rotation:
        return Pose(reference.rotation, pose.translation)
    if group.axis >= 0:
        around = [_turned_to(pose.rotation @ turn, reference.rotation, group.axis) for turn in group.turns]
        if len(around) == 1:
            return Pose(around[0], pose.translation)
        rotations = np.stack(around)
    else:
        rotations = pose.rotation @ group.turns
    traces = np.einsum('ij,nij->n', reference.rotation, rotations)
    return Pose(rotations[int(traces.argmax())], pose.translation)


def rotation_error(pose: Pose, truth: Pose, symmetries: Sequence[Symmetry] = ()) -> float:
    """The angle in radians between two poses' rotations, to the nearest pose that looks alike; in [0, pi].

    Example: a can is tilted by 0.1 rad and turned about its axis, which does not count.
        >>> pose = Pose(so3_exp((0.1, 0, 0)) @ so3_exp((0, 0, 2)), np.zeros(3))
        >>> round(rotation_error(pose, Pose.identity(), [Symmetry('z', 0)]), 6)
        0.1
    """
    return rotation_angle(truth.rotation.T @ nearest(pose, truth, symmetries).rotation)


@dataclass(frozen=True, eq=False)
class _Group:
    """What a set of symmetries amounts to: finite turns (n, 3, 3), times any angle about `axis` when it is >= 0."""

    turns: np.ndarray
    axis: int
    every_rotation: bool
    order_of_axes: tuple[int, ...]


@functools.lru_cache(maxsize=256)
def _group(symmetries: tuple[Symmetry, ...]) -> _Group:
    given = tuple(dict.fromkeys(AXES.index(symmetry.axis) for symmetry in symmetries))
    order = given + tuple(axis for axis in range(3) if axis not in given)
    identity = np.eye(3)[None]
    round_axes = {AXES.index(symmetry.axis) for symmetry in symmetries if symmetry.order == 0}
    if not round_axes:
        return _Group(_closure(symmetries), -1, False, order)
    axis = min(round_axes)
    others = [symmetry for symmetry in symmetries if AXES.index(symmetry.axis) != axis]
    # Any turn other than a half turn moves the round axis to a second position, and two round axes make a ball.
    if len(round_axes) > 1 or any(symmetry.order != 2 for symmetry in others):
        return _Group(identity, -1, True, order)
    if not others:
        return _Group(identity, axis, False, order)
    flip = _turn(AXES.index(others[0].axis), np.pi)[None]
    return _Group(np.concatenate((identity, flip)), axis, False, order)


def _closure(symmetries: tuple[Symmetry, ...]) -> np.ndarray:
    """All products of the given turns; (n, 3, 3) with the identity first."""
    generators = [_turn(AXES.index(symmetry.axis), 2.0 * np.pi / symmetry.order) for symmetry in symmetries]
    # The largest finite groups of turns about perpendicular axes are a cube's (24) and a prism's of twice the order.
    limit = max([24] + [4 * symmetry.order for symmetry in symmetries])
    found = [np.eye(3)]
    for element in found:  # grows while it is walked
        for generator in generators:
            product = element @ generator
            if np.abs(np.stack(found) - product).max(axis=(1, 2)).min() > 1e-6:
                found.append(product)
        if len(found) > limit:
            listed = ', '.join(f'{symmetry.order} about {symmetry.axis}' for symmetry in symmetries)
            raise ConfigError(
                f'symmetries: got {listed}, which combine to infinitely many turns; list those that the '
                f'object has, or order 0 about two axes for a ball'
            )
    return np.stack(found)


def _turned_to_camera(rotation: np.ndarray, translation: np.ndarray, axis: int) -> np.ndarray:
    """Turns the object about its round axis until the camera's azimuth is 0."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    seen = (-rotation.T @ translation).tolist()  # the camera's position in the object's frame
    if math.hypot(seen[i], seen[j]) <= 1e-6 * math.hypot(*seen):
        # Seen along the axis there is no azimuth, so the camera's x axis serves as the mark, or y where x is parallel.
        seen = rotation[0].tolist()
        if math.hypot(seen[i], seen[j]) < 0.5:
            seen = rotation[1].tolist()
    return np.asarray(rotation @ _turn(axis, math.atan2(seen[j], seen[i])))


def _turned_to(rotation: np.ndarray, reference: np.ndarray, axis: int) -> np.ndarray:
    """Turns the object about its round axis until it is nearest to another rotation."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    between = (reference.T @ rotation).tolist()
    # The trace of `between` times a turn is largest, so the angle smallest, here.
    angle = math.atan2(between[i][j] - between[j][i], between[i][i] + between[j][j])
    return np.asarray(rotation @ _turn(axis, angle))


def _first(rotations: np.ndarray, translation: np.ndarray, order_of_axes: tuple[int, ...]) -> np.ndarray:
    """The rotation with the largest key, component after component, ties within rounding resolved by the next one."""
    if len(rotations) == 1:
        return rotations[0]
    seen = np.einsum('nij,i->nj', rotations, -translation / max(float(np.linalg.norm(translation)), 1e-12))
    # The azimuth about an axis is nearest 0 where the component along the next axis is largest.
    columns = [seen[:, (axis + 1) % 3] for axis in order_of_axes]
    columns.extend(rotations.reshape(-1, 9).T)
    left = np.arange(len(rotations))
    for column in columns:
        values = column[left]
        left = left[values >= values.max() - _TIE]
        if len(left) == 1:
            break
    return rotations[left[0]]


def _turn(axis: int, angle: float) -> np.ndarray:
    vector = [0.0, 0.0, 0.0]
    vector[axis] = angle
    return so3_exp(vector)


def _spread_rotations(count: int) -> np.ndarray:
    """(count, 3, 3): the identity first, the others spread evenly over all rotations.

    Quaternions on a spiral with two irrational windings: M. Alexa, "Super-Fibonacci Spirals: Fast, Low-Discrepancy
    Sampling of SO(3)", CVPR 2022.
    """
    s = np.arange(count) + 0.5
    inner, outer = np.sqrt(s / count), np.sqrt(1.0 - s / count)
    # sqrt(2), and the positive root of x^4 = x + 4
    alpha, beta = 2.0 * np.pi * s / np.sqrt(2.0), 2.0 * np.pi * s / 1.533751168755204288118041
    quaternions = np.stack(
        (inner * np.sin(alpha), inner * np.cos(alpha), outer * np.sin(beta), outer * np.cos(beta)), axis=1
    )
    rotations = np.stack([Pose.from_quaternion(quaternion).rotation for quaternion in quaternions])
    return rotations[0].T @ rotations


def _is_order(order: int) -> bool:
    return order == 0 or 2 <= order <= MAX_ORDER
