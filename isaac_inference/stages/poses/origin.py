# SPDX-License-Identifier: Apache-2.0
"""Which point of an object its pose is of: the middle of its box, as all methods find it, or the origin of its mesh."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from isaac_inference.errors import ConfigError, ModelError
from isaac_inference.models import ObjectSpec
from isaac_inference.ops.geometry.mesh import load_mesh
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.geometry.symmetry import Symmetry
from isaac_inference.ops.pose.second_pose import SecondPose, either, first_alone
from isaac_inference.stages.poses.observation import ObjectPose

_NEAR = 0.001  # metres; a mesh whose origin is this near the middle of its box has it there
_ON_AXIS = 0.02  # of the object's longest side
_OPEN = 1.0  # rad^2 about an axis, on average; a rotation less sure than this does not say where the origin is


class Origins:
    """The objects as the methods take them, about the middle of their boxes, and the way back to the meshes' origins.

    Attributes:
        objects: class name -> its object, with keypoints measured from the middle of its box.
        remarks: where the origins of the meshes are that were read.
        doubts: which of them may be in another unit.
    """

    def __init__(self, objects: Mapping[str, ObjectSpec], *, reads_meshes: bool) -> None:
        """Reads the meshes whose origin counts.

        Args:
            objects: class name -> its object, as the card has it.
            reads_meshes: read the others too, for remarks and doubts.

        Raises:
            ModelError: a mesh that can't be used, or whose origin is off an axis of symmetry of the object.
        """
        self.objects = dict(objects)
        self.remarks: tuple[str, ...] = ()
        self.doubts: tuple[str, ...] = ()
        self._offsets: dict[str, np.ndarray] = {}
        for name, spec in objects.items():
            if spec.mesh is None or not (reads_meshes or spec.mesh_origin == 'file'):
                continue
            mesh = load_mesh(spec.mesh, spec.mesh_unit, spec.size)
            if mesh.doubt:
                self.doubts += (f'objects.{name}.mesh: {spec.mesh.name}: {mesh.doubt}',)
            if np.linalg.norm(mesh.offset) > _NEAR:
                self.remarks += (_whose_origin(name, spec, mesh.offset),)
            if spec.mesh_origin == 'file':
                _check_axes(name, spec, mesh.offset, float(mesh.extents.max()))
                self._offsets[name] = mesh.offset
                self.objects[name] = _centred(spec, mesh.offset)

    def check_exchangeable(self, turns: Mapping[str, Sequence[Symmetry]]) -> None:
        """Objects that depth may give in any of the poses that look alike must have one origin in all of them.

        Args:
            turns: class name -> the turns that depth cannot see.

        Raises:
            ConfigError: one has not, and its origin would be at either end.
        """
        for name, offset in self._offsets.items():
            for turn in turns.get(name, ()):
                off = float(np.linalg.norm(np.delete(offset, 'xyz'.index(turn.axis))))
                if off > _NEAR:
                    raise ConfigError(
                        f'registration.allow_geometric_symmetry: got true, but objects.{name}.mesh_origin is file, and '
                        f'that origin is {off * 1000:.1f} mm from the axis {turn.axis}: depth alone does not tell '
                        f'turns about it apart, so the origin would be taken for another place of the object, such '
                        f'as its other end; set mesh_origin: center, or allow_geometric_symmetry: false'
                    )

    def placed(self, found: ObjectPose) -> ObjectPose:
        """A pose of the middle of the box as the pose that is wanted.

        With r from the middle to the origin, camera axes, the origin moves by -r x w when the object turns by w: so
        does its covariance. Where the rotation is unknown, as from depth alone, the pose stays that of the middle, and
        its covariance says that the origin may be on any side of it.
        """
        offset = self._offsets.get(found.label)
        if offset is None:
            return found
        alone = found.covariance
        if found.other is not None:
            alone = first_alone(found.pose, found.covariance, found.other)
        if np.trace(alone[3:, 3:]) / 3 > _OPEN:
            spread = found.covariance.copy()
            spread[:3, :3] += np.eye(3) * (offset @ offset) / 3
            return dataclasses.replace(found, covariance=spread)
        if found.other is None:
            pose, spread = _at_origin(found.pose, found.covariance, offset)
            return dataclasses.replace(found, pose=pose, covariance=spread, box_center=offset)
        # the two poses turn the lever differently, so each is moved by itself
        pose, alone = _at_origin(found.pose, alone, offset)
        other = SecondPose(
            *_at_origin(found.other.pose, found.other.covariance, offset), probability=found.other.probability
        )
        spread = either(pose, alone, other)
        return dataclasses.replace(found, pose=pose, covariance=spread, box_center=offset, other=other)


def _at_origin(pose: Pose, covariance: np.ndarray, offset: np.ndarray) -> tuple[Pose, np.ndarray]:
    """The pose of the origin that `offset` (3,) m is measured from, and its (6, 6) covariance."""
    lever = pose.rotation @ -offset
    jacobian = np.eye(6)
    jacobian[:3, 3:] = -_cross(lever)
    return Pose(pose.rotation, pose.translation + lever), jacobian @ covariance @ jacobian.T


def _centred(spec: ObjectSpec, offset: np.ndarray) -> ObjectSpec:
    points = spec.keypoints
    if points is not None:
        points = tuple((x, y, z) for x, y, z in (np.array(points) - offset).tolist())
    return dataclasses.replace(spec, keypoints=points, mesh_origin='center')


def _whose_origin(name: str, spec: ObjectSpec, offset: np.ndarray) -> str:
    where = ', '.join(f'{value * 1000:.1f}' for value in offset)
    what = 'poses are of its origin' if spec.mesh_origin == 'file' else 'poses are of that middle'
    return (
        f'objects.{name}.mesh: the middle of {spec.mesh.name if spec.mesh else ""} is at ({where}) mm of the file; '
        f'mesh_origin is {spec.mesh_origin}, so {what}'
    )


def _check_axes(name: str, spec: ObjectSpec, offset: np.ndarray, longest: float) -> None:
    """Poses that look the same must have one origin.

    Raises:
        ModelError: they have not.
    """
    for axis, _ in spec.symmetries:
        off = np.delete(offset, 'xyz'.index(axis))
        if np.linalg.norm(off) > max(_NEAR, _ON_AXIS * longest):
            raise ModelError(
                f'objects.{name}.mesh_origin: got file, but the origin of {spec.mesh} is '
                f'{np.linalg.norm(off) * 1000:.1f} mm from the axis {axis} that the object is symmetric about, so '
                'poses that look the same would have it in different places; set mesh_origin: center, or move the '
                'origin of the file onto the axis'
            )


def _cross(vector: np.ndarray) -> np.ndarray:
    x, y, z = vector
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
