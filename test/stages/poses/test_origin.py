# SPDX-License-Identifier: Apache-2.0
"""Which point of a mesh its poses are of: the same for every method, with a covariance that knows the lever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
import yaml
from support.ros.pose_views import View, view_of

from isaac_inference.errors import ConfigError, ModelError
from isaac_inference.models import AnyCard, ObjectSpec, read_objects
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.rigid import Pose, so3_exp, so3_log
from isaac_inference.ops.pose.registration_settings import RegistrationSettings
from isaac_inference.stages.poses import DepthView, ObjectPose, Observed, PoseEstimator, PoseMethod, PoseSettings
from isaac_inference.stages.poses.origin import Origins

SIZE = np.array((0.16, 0.06, 0.24))
MIDDLE = np.array((0.3, -0.1, 0.12))  # of the box, in the mesh's file


def box_mesh(folder: Path, scale: float = 1.0) -> Path:
    mesh = trimesh.creation.box(SIZE)
    mesh.apply_translation(MIDDLE)
    mesh.apply_scale(scale)
    path = folder / 'box.ply'
    mesh.export(path)
    return path


def card_of(folder: Path, **said: Any) -> AnyCard:
    """A cereal box with its corners, measured in the mesh's file, as keypoints."""
    box_mesh(folder)
    origin = said.get('mesh_origin', 'center')
    points = cuboid_corners(SIZE) + (MIDDLE if origin == 'file' else 0.0)
    spec = {'mesh': 'box.ply', 'size': SIZE.tolist(), 'keypoints': points.tolist(), **said}
    path = folder / 'card.yaml'
    path.write_text(yaml.safe_dump({'objects': {'cereal_box': spec}}))
    card = read_objects('', path)
    assert card is not None
    return card


@pytest.fixture(scope='module')
def view() -> View:
    return view_of().only('cereal_box')


def found_by(card: AnyCard, method: PoseMethod, view: View) -> ObjectPose:
    item = view.items[0]
    seen = Observed(item.label, 0.9, item.box, None if method is PoseMethod.DEPTH else item.keypoints)
    depth = DepthView(DepthImage(view.depth, 1.0), view.camera)
    return PoseEstimator(card, method).estimate(seen, view.camera, depth)


@pytest.mark.parametrize('method', [PoseMethod.KEYPOINTS, PoseMethod.REGISTRATION, PoseMethod.AUTO])
def test_every_method_gives_the_origin_that_was_chosen(tmp_path: Path, view: View, method: PoseMethod) -> None:
    middle = view.items[0].pose
    found = found_by(card_of(tmp_path), method, view)
    np.testing.assert_allclose(found.pose.translation, middle.translation, atol=0.003)
    assert found.box_center is None
    found = found_by(card_of(tmp_path, mesh_origin='file'), method, view)
    np.testing.assert_allclose(found.pose.translation, middle.apply(-MIDDLE[None])[0], atol=0.006)
    np.testing.assert_allclose(found.box_center, MIDDLE, atol=1e-6)
    np.testing.assert_allclose(found.pose.apply(MIDDLE[None])[0], middle.translation, atol=0.003)
    np.testing.assert_allclose(found.size, SIZE, atol=1e-3)


def test_depth_alone_does_not_know_on_which_side_the_origin_is(tmp_path: Path, view: View) -> None:
    centred = found_by(card_of(tmp_path), PoseMethod.DEPTH, view)
    found = found_by(card_of(tmp_path, mesh_origin='file'), PoseMethod.DEPTH, view)
    np.testing.assert_array_equal(found.pose.translation, centred.pose.translation)
    added = np.diag(found.covariance - centred.covariance)
    np.testing.assert_allclose(added, [*np.full(3, MIDDLE @ MIDDLE / 3), 0, 0, 0], atol=1e-9)


def test_the_covariance_of_the_origin_is_that_of_many_poses(tmp_path: Path) -> None:
    card = card_of(tmp_path, mesh_origin='file')
    rng = np.random.default_rng(4000)
    mean = Pose(so3_exp((0.3, 1.0, -0.2)), np.array((0.1, 0.2, 1.0)))
    root = rng.normal(0.0, 1.0, (6, 6)) * np.array([0.002] * 3 + [0.01] * 3)[:, None]
    covariance = root @ root.T
    origins = Origins(card.objects, reads_meshes=False)
    placed = origins.placed(ObjectPose('cereal_box', 1.0, mean, SIZE, covariance, 'test'))
    samples = []
    for draw in rng.multivariate_normal(np.zeros(6), covariance, 20000):
        pose = Pose(so3_exp(draw[3:]) @ mean.rotation, mean.translation + draw[:3])
        moved = origins.placed(ObjectPose('cereal_box', 1.0, pose, SIZE, covariance, 'test')).pose
        turn = so3_log(moved.rotation @ placed.pose.rotation.T)
        samples.append(np.concatenate((moved.translation - placed.pose.translation, turn)))
    sampled = np.cov(np.array(samples).T)
    scale = np.sqrt(np.outer(np.diag(sampled), np.diag(sampled)))
    np.testing.assert_allclose(placed.covariance / scale, sampled / scale, atol=0.04)


def test_where_the_origin_lies_is_said(tmp_path: Path) -> None:
    card = card_of(tmp_path)
    (remark,) = PoseEstimator(card, PoseMethod.REGISTRATION).remarks
    assert 'the middle of box.ply is at (300.0, -100.0, 120.0) mm of the file' in remark
    assert 'mesh_origin is center, so poses are of that middle' in remark
    (remark,) = PoseEstimator(card_of(tmp_path, mesh_origin='file'), PoseMethod.KEYPOINTS).remarks
    assert 'mesh_origin is file, so poses are of its origin' in remark


def test_a_doubtful_unit_is_said(tmp_path: Path) -> None:
    mesh = box_mesh(tmp_path, 10.0)  # 2.4 as mm
    objects = {'cereal_box': ObjectSpec('cereal_box', mesh=mesh, mesh_unit='mm', shape='mesh')}
    (doubt,) = Origins(objects, reads_meshes=True).doubts
    assert 'are an object of 1.6 x 0.6 x 2.4 mm; looks like' in doubt
    assert Origins(objects, reads_meshes=False).doubts == ()


def test_a_symmetric_object_needs_its_origin_on_the_axis(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r'mesh_origin: got file, but .* is 316.2 mm from the axis z'):
        PoseEstimator(card_of(tmp_path, mesh_origin='file', symmetry=[{'axis': 'z', 'order': 2}]))
    standing = trimesh.creation.box(SIZE)
    standing.apply_translation((0.0, 0.0, 0.12))
    standing.export(tmp_path / 'standing.ply')
    spec = ObjectSpec('cup', mesh=tmp_path / 'standing.ply', mesh_origin='file', symmetries=(('z', 2),), shape='mesh')
    Origins({'cup': spec}, reads_meshes=False)
    spec = ObjectSpec('cup', mesh=tmp_path / 'standing.ply', mesh_origin='file', symmetries=(('x', 2),), shape='mesh')
    with pytest.raises(ModelError, match='120.0 mm from the axis x'):
        Origins({'cup': spec}, reads_meshes=False)


def test_an_origin_that_would_be_at_either_end_is_refused_where_poses_that_look_alike_are_allowed(
    tmp_path: Path,
) -> None:
    """A box looks the same upside down, and its file's origin is below it: it was published above it."""
    allowing = PoseSettings(registration=RegistrationSettings(allow_geometric_symmetry=True))
    with pytest.raises(ConfigError, match=r'objects\.cereal_box\.mesh_origin is file.*mm from the axis x') as caught:
        PoseEstimator(card_of(tmp_path, mesh_origin='file'), PoseMethod.REGISTRATION, allowing)
    assert 'set mesh_origin: center, or allow_geometric_symmetry: false' in str(caught.value)
    PoseEstimator(card_of(tmp_path, mesh_origin='center'), PoseMethod.REGISTRATION, allowing)
    PoseEstimator(card_of(tmp_path, mesh_origin='file'), PoseMethod.REGISTRATION)
    PoseEstimator(card_of(tmp_path, mesh_origin='file'), PoseMethod.KEYPOINTS, allowing)
