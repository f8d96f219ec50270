# SPDX-License-Identifier: Apache-2.0
"""Which place of an object's surface a point is matched with."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.ops.geometry.cuboid import CUBOID_TRIANGLES, cuboid_corners
from isaac_inference.ops.geometry.mesh import Mesh
from isaac_inference.ops.geometry.object_model import ObjectModel


@pytest.mark.parametrize('shape', ['cuboid', 'mesh'])
def test_what_is_past_a_face_s_edge_belongs_to_the_face_and_not_to_the_side_beside_it(shape: str) -> None:
    """The nearest surface is the side, which the camera hardly sees; a point's own normal says which one it is on."""
    size, mesh = (0.2, 0.1, 0.3), None
    if shape == 'mesh':
        mesh = Mesh(cuboid_corners(size), CUBOID_TRIANGLES, np.zeros(3))
    model = ObjectModel.build(shape, size, mesh)
    camera = np.array((0.0, 0.06, 1.5))  # above the end z, and a little aside: the side +y may just be seen
    past = np.array([(x, 0.062, 0.15) for x in (-0.08, 0.0, 0.08)])
    assert model.closest(past, camera)[1][:, 1].max() > 0.9
    places, normals, beside = model.closest(past, camera, facing=np.tile((0.0, 0.0, 1.0), (3, 1)))
    assert beside.all() and (normals[:, 2] > 0.9).all()
    assert np.abs(past - places)[:, 1] == pytest.approx(0.012, abs=0.004)
    unknown = model.closest(past, camera, facing=np.zeros((3, 3)))
    assert all(np.array_equal(a, b) for a, b in zip(unknown, model.closest(past, camera), strict=True))


def test_points_within_a_face_are_on_the_nearest_surface_whatever_their_normals_say() -> None:
    model = ObjectModel.build('cuboid', (0.2, 0.1, 0.3))
    camera, inside = np.array((0.0, 0.6, 1.5)), np.array([(0.0, 0.02, 0.151)])
    places, _, beside = model.closest(inside, camera, facing=np.array([(0.0, 1.0, 0.0)]))  # an edge of something before
    assert places.tolist() == [[0.0, 0.02, 0.15]] and not beside.any()


def test_a_cylinder_s_end_keeps_what_is_past_its_rim() -> None:
    model = ObjectModel.build('cylinder', (0.1, 0.1, 0.2))
    camera, past = np.array((0.3, 0.0, 1.0)), np.array([(0.06, 0.0, 0.098)])
    assert not model.closest(past, camera)[2].any()
    places, normals, beside = model.closest(past, camera, facing=np.array([(0.0, 0.0, 1.0)]))
    assert beside.all() and normals[0].tolist() == [0.0, 0.0, 1.0] and places[0, 0] == pytest.approx(0.05)
