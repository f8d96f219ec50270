# SPDX-License-Identifier: Apache-2.0
"""Reading meshes, and points on surfaces."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from isaac_inference.errors import ConfigError, ModelError
from isaac_inference.ops.geometry.mesh import Mesh, load_mesh
from isaac_inference.ops.geometry.surface import diameter, surface_points

SIZE = (0.16, 0.06, 0.22)


def write(path, scale=1.0, offset=(0, 0, 0), size=SIZE):
    mesh = trimesh.creation.box(np.array(size) * scale)
    mesh.apply_translation(np.array(offset) * scale)
    mesh.export(path)
    return path


@pytest.mark.parametrize('suffix', ['.obj', '.ply', '.stl'])
@pytest.mark.parametrize(('unit', 'scale'), [('m', 1.0), ('mm', 1000.0)])
def test_reads_each_format_in_each_unit(tmp_path, suffix, unit, scale):
    mesh = load_mesh(write(tmp_path / f'box{suffix}', scale, (0.5, 0, 0.11)), unit, SIZE)
    np.testing.assert_allclose(mesh.extents, SIZE, rtol=1e-5)
    np.testing.assert_allclose(mesh.vertices.min(axis=0), -np.array(SIZE) / 2, rtol=1e-5)
    np.testing.assert_allclose(mesh.offset, (0.5, 0, 0.11), atol=1e-6)
    assert len(mesh.faces) == 12


def test_millimetres_are_named(tmp_path):
    path = write(tmp_path / 'box.ply', 1000.0)
    with pytest.raises(
        ModelError, match=r'millimetres: extents 160 x 60 x 220 against size 0.16 x 0.06 x 0.22.*mesh_unit: mm'
    ):
        load_mesh(path, 'm', SIZE)
    with pytest.raises(ModelError, match='looks like millimetres'):
        load_mesh(path)
    with pytest.raises(ModelError, match='looks like metres.*mesh_unit: m$'):
        load_mesh(write(tmp_path / 'small.ply'), 'mm', SIZE)


UNITS = {'m': 1.0, 'cm': 0.01, 'mm': 0.001, 'in': 0.0254}


@pytest.mark.parametrize('longest', [0.03, 0.19, 2.0])
@pytest.mark.parametrize('written', UNITS)
@pytest.mark.parametrize('called', UNITS)
def test_a_wrong_unit_is_named_where_the_card_has_a_size(tmp_path, longest, written, called):
    size = np.array((0.3, 0.35, 1.0)) * longest
    path = write(tmp_path / 'box.ply', 1.0 / UNITS[written], size=size)
    if called == written:
        mesh = load_mesh(path, called, size)
        np.testing.assert_allclose(mesh.extents, size, rtol=1e-5)
        assert mesh.doubt == ''
        return
    with pytest.raises(
        ModelError, match=rf'against size .* \(m\), and mesh_unit is {called}; set mesh_unit: {written}$'
    ):
        load_mesh(path, called, size)


@pytest.mark.parametrize('longest', [0.03, 0.19, 2.0])
@pytest.mark.parametrize(('written', 'called'), [('m', 'mm'), ('mm', 'm')])
def test_metres_and_millimetres_are_never_mixed_up_in_silence(tmp_path, longest, written, called):
    """Without a size in the card: refused beyond what any object is, and else doubted."""
    path = write(tmp_path / 'box.ply', 1.0 / UNITS[written], size=np.array((0.3, 0.35, 1.0)) * longest)
    assert load_mesh(path, written).doubt == ''
    try:
        said = load_mesh(path, called).doubt
    except ModelError as error:
        said = str(error)
    assert 'are an object of' in said
    assert {'m': ' metres', 'mm': ' millimetres'}[written] in said.partition('looks like')[2]


def test_an_object_of_a_fifth_of_a_millimetre_is_none(tmp_path):
    path = write(tmp_path / 'drill.ply', size=(0.057, 0.0665, 0.19))
    with pytest.raises(
        ModelError, match=r'extents 0.057 x 0.0665 x 0.19 as mm are an object of 0.057 x 0.0665 x 0.19 mm; looks like '
        r'metres \(57 x 66.5 x 190 mm\): set mesh_unit: m$'
    ):  # fmt: skip
        load_mesh(path, 'mm')


@pytest.mark.parametrize(
    ('factor', 'said'),
    [(1000.0, 'is in millimetres'), (100.0, 'is in centimetres'), (0.001, 'was divided by 1000 twice')],
)
def test_a_size_in_another_unit_is_named(tmp_path, factor, said):
    path = write(tmp_path / 'box.ply')
    with pytest.raises(ModelError, match=rf'it looks as if size {said}: metres are \[0.16, 0.06, 0.22\]'):
        load_mesh(path, 'm', np.array(SIZE) * factor)


def test_mesh_and_size_may_agree_on_what_is_no_object(tmp_path):
    path = write(tmp_path / 'box.ply')
    with pytest.raises(ModelError, match='looks like metres.*set mesh_unit: m, and correct size, which is in metres'):
        load_mesh(path, 'mm', np.array(SIZE) / 1000)


def test_a_tiny_object_may_not_be_off_by_its_own_size(tmp_path):
    """2 mm are allowed for sides given in whole millimetres, not for an object of 2 mm."""
    with pytest.raises(ModelError, match='more than 10% apart|set mesh_unit'):
        load_mesh(write(tmp_path / 'box.ply', size=(0.004, 0.004, 0.004)), 'm', (0.003, 0.003, 0.003))


def test_a_point_cloud_is_said_to_be_one(tmp_path):
    path = tmp_path / 'scan.ply'
    trimesh.PointCloud(np.random.default_rng(0).uniform(-0.1, 0.1, (5880, 3))).export(path)
    with pytest.raises(ModelError, match='got 5880 points and 0 faces: a point cloud, expected a surface of triangles'):
        load_mesh(path)


@pytest.mark.parametrize(
    ('size', 'said'), [((0.16, 0.06, 0.3), 'correct size or the mesh'), ((0.22, 0.06, 0.16), 'axes are swapped')]
)
def test_another_size_is_refused(tmp_path, size, said):
    with pytest.raises(ModelError, match=said):
        load_mesh(write(tmp_path / 'box.ply'), 'm', size)


def ply(vertices, faces):
    lines = ['ply', 'format ascii 1.0', f'element vertex {len(vertices)}']
    lines += [f'property float {axis}' for axis in 'xyz']
    lines += [f'element face {len(faces)}', 'property list uchar int vertex_indices', 'end_header']
    lines += [' '.join(map(str, vertex)) for vertex in vertices] + [f'3 {a} {b} {c}' for a, b, c in faces]
    return '\n'.join(lines) + '\n'


CORNERS = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))


@pytest.mark.parametrize(
    ('name', 'content', 'said'),
    [
        ('empty.ply', '', 'file is empty'),
        ('broken.ply', 'ply\nthis is not a mesh', 'cannot read it|0 faces'),
        ('broken.stl', '\x00\x01garbage' * 20, 'cannot read it|0 faces'),
        ('words.obj', 'hello\nworld\n', 'cannot read it|0 faces'),
        ('points.ply', ply(CORNERS, ()), '0 faces'),
        ('flat.ply', ply(CORNERS, ((0, 1, 2),)), 'flat, expected a solid'),
        ('line.ply', ply(CORNERS, ((0, 1, 1),)), 'no area'),
        ('nan.ply', ply(((0, 0, 'nan'), *CORNERS[1:]), ((0, 1, 2), (0, 1, 3))), 'NaN'),
        ('short.ply', ply(CORNERS, ((0, 1, 9),)), 'cannot read it|names vertex 9'),
        ('box.step', 'ISO-10303-21;', 'expected one of .obj'),
    ],
)
def test_useless_files(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ModelError, match=said) as caught:
        load_mesh(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_an_unknown_unit(tmp_path):
    with pytest.raises(ModelError, match='no such file'):
        load_mesh(tmp_path / 'none.obj')
    with pytest.raises(ConfigError, match='mesh_unit'):
        load_mesh(write(tmp_path / 'box.obj'), 'inch')


def box_mesh():
    made = trimesh.creation.box(SIZE)
    return Mesh(np.asarray(made.vertices), np.asarray(made.faces, np.int64), np.zeros(3))


def test_mesh_and_cuboid_have_the_same_surface():
    for shape, mesh in (('cuboid', None), ('mesh', box_mesh())):
        points, normals = surface_points(shape, SIZE, 2000, mesh)
        axis = np.abs(normals).argmax(axis=1)
        np.testing.assert_allclose(
            (points * normals).sum(axis=1), np.array(SIZE)[axis] / 2, atol=1e-9
        )  # on its face, and the normal looks outward
        areas = np.array((0.06 * 0.22, 0.16 * 0.22, 0.16 * 0.06))
        np.testing.assert_allclose(np.bincount(axis) / 2000, areas / areas.sum(), atol=0.01)
        np.testing.assert_allclose(points.mean(axis=0), 0, atol=0.002)


def test_cylinder_and_sphere():
    points, normals = surface_points('cylinder', (0.066, 0.066, 0.12), 2000)
    side = np.abs(normals[:, 2]) < 0.5
    np.testing.assert_allclose(np.hypot(*points[side, :2].T), 0.033, atol=1e-9)
    np.testing.assert_allclose(np.abs(points[~side, 2]), 0.06, atol=1e-9)
    assert (np.hypot(*points[~side, :2].T) <= 0.033 + 1e-9).all()
    assert side.mean() == pytest.approx(0.12 / (0.12 + 0.033), abs=0.01)
    np.testing.assert_allclose((points * normals).sum(axis=1), np.where(side, 0.033, 0.06), atol=1e-9)
    points, normals = surface_points('sphere', (0.1, 0.1, 0.1), 500)
    np.testing.assert_allclose(points, normals * 0.05, atol=1e-12)


@given(st.sampled_from(('cuboid', 'cylinder', 'sphere')), st.integers(10, 500))
def test_as_many_as_asked_unit_normals_and_the_same_each_time(shape, n):
    points, normals = surface_points(shape, SIZE, n)
    assert points.shape == normals.shape == (n, 3)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0)
    np.testing.assert_array_equal(points, surface_points(shape, SIZE, n)[0])


def test_diameter():
    assert diameter(np.array(((0.0, 0, 0), (0, 3, 4)))) == 5.0
    assert diameter(surface_points('sphere', (0.1, 0.1, 0.1), 4000)[0]) == pytest.approx(0.1, rel=0.01)
    assert diameter(surface_points('cuboid', SIZE, 4000)[0]) == pytest.approx(np.linalg.norm(SIZE), rel=0.05)
    assert diameter(np.zeros((1, 3))) == 0.0


@pytest.mark.parametrize(
    ('shape', 'size', 'said'),
    [('cone', SIZE, 'cone'), ('cuboid', None, 'size'), ('sphere', (0, 1, 1), 'size'), ('mesh', None, 'no mesh')],
)
def test_unusable_shapes(shape, size, said):
    with pytest.raises(ConfigError, match=said):
        surface_points(shape, size, 10)
