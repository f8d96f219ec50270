# SPDX-License-Identifier: Apache-2.0
"""What turns leave meshes as they are, or nearly so."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.ops.geometry.object_model import ObjectModel
from isaac_inference.ops.geometry.rigid import rotation_angle, so3_exp
from isaac_inference.ops.geometry.symmetry import Symmetry
from isaac_inference.ops.geometry.view_templates import distinct_rotations
from isaac_inference.sim.mesh_shapes import mesh_kinds


def model(name):
    return ObjectModel.build('mesh', None, mesh_kinds()[name].mesh)


@pytest.mark.parametrize(
    ('name', 'exact'),
    [
        ('bottle', {('z', 0)}),
        ('plate', {('z', 0)}),
        ('meat_can', {('z', 2)}),
        ('basket', {('z', 2)}),
        ('cracker_box', {('x', 2), ('y', 2), ('z', 2)}),
        ('drill', set()),
        ('mug', set()),
        ('jug', set()),
    ],
)
def test_symmetries_are_found_from_the_surface(name, exact):
    """Thin walls, whose other side is the nearest sample, included."""
    assert {(turn.axis, turn.order) for turn in model(name).geometric} == exact


def has_near(made, turn, degrees=12.0):
    return any(rotation_angle(other.rotation.T @ turn) < np.radians(degrees) for other in made.near)


def test_a_can_that_tapers_a_little_is_nearly_the_same_upside_down():
    made = model('meat_can')
    assert has_near(made, so3_exp((np.pi, 0, 0))) or has_near(made, so3_exp((0, np.pi, 0)))
    assert not has_near(made, so3_exp((0, 0, np.pi)))  # exactly the same, and so no alternative


def test_a_mug_is_nearly_the_same_after_any_turn():
    """All but the handle is round: a pose whose handle is hidden must be compared with the others."""
    made = model('mug')
    for degrees in range(30, 331, 30):
        assert has_near(made, so3_exp((0, 0, np.radians(degrees))), 15.0)


def test_near_turns_are_about_the_place_where_they_fit():
    """The mug's axis is not its frame's: its handle moves the middle of its box."""
    made = model('mug')
    turn = min(made.near, key=lambda pose: rotation_angle(pose.rotation.T @ so3_exp((0, 0, np.pi))))
    axis = np.array((turn.translation[0] / 2, turn.translation[1] / 2))
    centre = mesh_kinds()['mug'].mesh.vertices
    body = centre[np.abs(centre[:, 2]) > 0.039]  # rim and bottom have no handle
    middle = (body.max(axis=0) + body.min(axis=0))[:2] / 2
    assert np.linalg.norm(axis - middle) < 0.006


@pytest.mark.parametrize('order', [2, 3, 4])
def test_rotations_that_look_alike_are_tried_once(order):
    every, some = len(distinct_rotations([])), distinct_rotations([Symmetry('z', order)])
    assert len(some) < 1.6 * every / order
    # and none is missing: any rotation is near one of them, up to a symmetry
    turns = np.stack([so3_exp((0, 0, 2 * np.pi * k / order)) for k in range(order)])
    rng = np.random.default_rng(5)
    for _ in range(40):
        any_rotation = so3_exp(rng.normal(size=3) * 1.5)
        traces = np.einsum('nij,gij->ng', some, any_rotation @ turns)
        assert np.degrees(np.arccos(np.clip((traces.max() - 1) / 2, -1, 1))) < 32.0
