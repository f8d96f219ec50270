# SPDX-License-Identifier: Apache-2.0
"""What is evaluated: the nodes of the graph, and the geometry that poses are measured with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isaac_inference.evaluation import ObjectGeometry
from isaac_inference.evaluation.accuracy.pose_errors import cuboid_points, cylinder_points
from isaac_inference.models import AnyCard, ObjectSpec
from isaac_inference.ops.geometry.mesh import load_mesh
from isaac_inference.ops.geometry.surface import surface_points
from isaac_inference.ops.geometry.symmetry import Symmetry
from isaac_inference.ros.bringup.graph import NodeSpec, perception_graph
from isaac_inference.sim import KINDS

_POINTS = 1000  # on a mesh or ball


def evaluation_graph(
    *,
    model: str,
    model_card: str = '',
    registration: bool = False,
    simulator: dict[str, Any] | None = None,
) -> tuple[NodeSpec, ...]:
    """Camera (simulated, unless a recording is fed), detection, pose and track nodes.

    Args:
        model: path of the ONNX model.
        model_card: path of its YAML card; '' for the one beside it.
        registration: whether poses are refined on depth with the objects' surfaces.
        simulator: parameters of the simulated camera; None for none.
    """
    return perception_graph(
        model=model,
        model_card=model_card,
        simulator=simulator,
        poses=True,
        track=True,
        annotate=False,
        pose_parameters={'method': 'registration'} if registration else {},
    )


def object_geometries(card: AnyCard, *, simulated: bool) -> dict[str, ObjectGeometry]:
    """By class name: the simulator's own objects, and what the card says of others.

    Raises:
        ModelError: a mesh can't be read.
    """
    made = {name: made for name, spec in card.objects.items() if (made := _of_card(spec)) is not None}
    if simulated:
        made.update({name: _of_shape(kind.shape, kind.size, kind.symmetries) for name, kind in KINDS.items()})
    return made


def _of_card(spec: ObjectSpec) -> ObjectGeometry | None:
    symmetries = tuple(Symmetry(axis, order) for axis, order in spec.symmetries)
    if spec.mesh is not None:
        mesh = load_mesh(Path(spec.mesh), spec.mesh_unit, spec.size)
        return ObjectGeometry(surface_points('mesh', None, _POINTS, mesh)[0], symmetries)
    return None if spec.size is None else _of_shape(spec.shape, spec.size, symmetries)


def _of_shape(shape: str, size: tuple[float, float, float], symmetries: tuple[Symmetry, ...]) -> ObjectGeometry:
    if shape == 'cylinder':
        return ObjectGeometry(cylinder_points(size, 'z'), symmetries)
    if shape == 'sphere':
        return ObjectGeometry(surface_points('sphere', size, _POINTS)[0], symmetries)
    return ObjectGeometry(cuboid_points(size), symmetries)
