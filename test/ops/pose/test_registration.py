# SPDX-License-Identifier: Apache-2.0
"""Refining and finding poses in exactly computed depth, with 2 mm of noise unless said otherwise."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import trimesh
from support.scenes.ray_scene import CAMERA, WH, box_around, cuboid, cylinder, noisy, perturbed, plane

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.depth.depth_image import DepthImage, RegionPoints, region_points
from isaac_inference.ops.depth.foreground import foreground_mask
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.mesh import Mesh
from isaac_inference.ops.geometry.object_model import ObjectModel, geometric_symmetries
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ops.geometry.symmetry import Symmetry, canonical, rotation_error
from isaac_inference.ops.pose import registration
from isaac_inference.ops.pose.registration import Registration, register, typical_covariance
from isaac_inference.ops.pose.registration_settings import FittingSettings, RegistrationSettings, SearchSettings
from isaac_inference.ops.pose.surface_fit import SeenDepth

SIZE = np.array((0.16, 0.06, 0.22))
CAN = (0.066, 0.066, 0.12)
BOX = ObjectModel.build('cuboid', SIZE)
ROUND = (Symmetry('z', 0),)
ALLOW = RegistrationSettings(allow_geometric_symmetry=True)


def standing(yaw, pitch, distance=0.8):
    """Upright (z up), seen from an elevation of `pitch`, turned by `yaw` about its height."""
    forward = -np.array((np.cos(pitch), 0, np.sin(pitch)))
    right = np.array((0.0, 1.0, 0.0))
    camera_world = np.stack((right, np.cross(forward, right), forward))
    return Pose(camera_world @ so3_exp((0, 0, yaw)), np.array((0.02, 0.01, distance)))


VIEWS = {'one face': standing(0, 0), 'two faces': standing(0.7, 0), 'three faces': standing(0.7, 0.5)}


def scene(shown, pose, height, hidden=0.0, seed=0, sigma=0.002, holes=0.05):
    """Depth of an object on a table before a wall, part of it behind something nearer; and its box."""
    up = pose.rotation[:, 2]
    depth = np.minimum(np.minimum(shown, plane(pose.translation - up * height / 2, up)), 1.6)
    box = box_around(np.isfinite(shown))
    if hidden:
        depth[:, : int(box[0] + (box[2] - box[0]) * hidden)] = 0.5
    return noisy(depth, sigma, holes, seed), box


class Crop(NamedTuple):
    """What is under a box, and the image that it is from."""

    region: RegionPoints
    depth: SeenDepth


def cut(depth, box, margin=0.1, encoding='32FC1'):
    image = DepthImage.check(depth, encoding)
    return Crop(region_points(image, CAMERA, box, WH, margin=margin), SeenDepth(image, CAMERA))


def fit(model: ObjectModel, seen: Crop, *more: Any, **settings: Any) -> Registration:
    return register(model, seen.region.points, seen.depth, *more, **settings)


def crop(pose, margin=0.1, **kwargs):
    return cut(*scene(cuboid(pose, SIZE), pose, SIZE[2], **kwargs), margin)


def errors(found, truth, symmetries=()):
    """Millimetres and degrees."""
    return (
        1000 * np.linalg.norm(found.translation - truth.translation),
        np.degrees(rotation_error(found, truth, symmetries)),
    )


# The limits are what the view leaves open: one face says nothing of the two shifts and the turn within it but by its
# outline, two faces nothing of the shift along their common edge.
@pytest.mark.parametrize(
    ('view', 'hidden', 'millimetres', 'degrees'),
    [
        ('one face', 0.0, 8, 4),
        ('one face', 0.3, 16, 6),
        ('two faces', 0.0, 4, 0.5),
        ('two faces', 0.3, 6, 1.2),
        ('three faces', 0.0, 0.8, 0.6),
        ('three faces', 0.3, 1.2, 1.5),
    ],
)
def test_eight_degrees_and_two_centimetres_are_taken_back(view, hidden, millimetres, degrees):
    truth = VIEWS[view]
    found = []
    for seed in range(6):
        result = fit(BOX, crop(truth, hidden=hidden, seed=seed), perturbed(truth, 0.02, 8, seed))
        found.append(errors(result.pose, truth))
        assert result.method == 'refined' and result.inlier_rmse < 0.004
    found = np.array(found)
    assert (found < (20, 8)).all()  # never worse than before
    assert (np.median(found, axis=0) < (millimetres, degrees)).all()


@pytest.mark.parametrize('view', VIEWS)
@pytest.mark.parametrize('hidden', [0.0, 0.3])
def test_a_good_pose_is_not_spoilt(view, hidden):
    """Keypoints err along the view; depth must correct that without shifting what it can't see."""
    truth = VIEWS[view]
    before, after = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        turn = so3_exp(rng.normal(0, np.radians(1.0), 3))
        start = Pose(turn @ truth.rotation, truth.translation + rng.normal(0, 1, 3) * (0.001, 0.001, 0.01))
        result = fit(BOX, crop(truth, hidden=hidden, seed=seed), start)
        for pose, kept in ((start, before), (result.pose, after)):
            kept.append(np.linalg.norm(pose.apply(BOX.points) - truth.apply(BOX.points), axis=1).mean())
    assert np.mean(after) < 0.6 * np.mean(before)
    assert (np.array(after) < np.array(before) + 0.001).all()


def test_the_exact_pose_stays_where_it_is():
    truth = VIEWS['one face']
    result = fit(BOX, crop(truth, sigma=0.0, holes=0.0), truth)
    assert errors(result.pose, truth) < (1.5, 0.5)


def test_what_is_not_seen_follows_the_prior():
    """A sure prior keeps the shift along the face; an unsure one lets the outline decide, which is not sure itself."""
    truth = VIEWS['one face']
    start = Pose(truth.rotation, truth.translation + (0.004, 0.0, 0.01))
    there = crop(truth, hidden=0.3)
    sure = np.diag((0.0005**2, 0.0005**2, 0.02**2, 0.01**2, 0.01**2, 0.01**2))
    exact = RegistrationSettings(bias=0.0, bend=0.0, misalignment_px=0.0)  # this camera has none of these faults
    result = fit(BOX, there, start, exact, sure)
    assert result.pose.translation[2] == pytest.approx(truth.translation[2], abs=0.001)
    assert result.pose.translation[:2] == pytest.approx(start.translation[:2], abs=0.003)
    spread = np.sqrt(np.diag(result.covariance))
    # across the face nothing but the prior tells, so the covariance is the prior's, too
    assert spread[2] < 0.002 and spread[:2] == pytest.approx(0.0005, rel=0.1)
    np.testing.assert_allclose(result.covariance, result.covariance.T, atol=1e-12)


def test_16_bit_and_float_depth_give_the_same_pose():
    truth = VIEWS['three faces']
    depth, box = scene(cuboid(truth, SIZE), truth, SIZE[2])
    millimetres = np.nan_to_num(depth * 1000).round().astype(np.uint16)
    start = perturbed(truth, 0.01, 4, 3)
    a, b = (
        fit(BOX, cut(image, box, 0.0, encoding), start).pose
        for image, encoding in ((depth, '32FC1'), (millimetres, '16UC1'))
    )
    assert errors(a, b) < (1.0, 0.2)


@pytest.mark.parametrize('size', [(0.08, 0.03, 0.11), (0.1, 0.1, 0.1), (0.22, 0.09, 0.3), (0.066, 0.066, 0.12)])
@pytest.mark.parametrize('view', VIEWS)
def test_another_object_is_refused(view, size):
    truth = VIEWS[view]
    wrong = ObjectModel.build('cuboid', size)
    scale = float(np.mean(np.array(size) / SIZE))  # a keypoint fit of the wrong size is off in distance
    for start in (truth, Pose(truth.rotation, truth.translation * scale)):
        with pytest.raises(FrameError) as caught:
            fit(wrong, crop(truth), start)
        assert caught.value.reason in ('registration_fit', 'registration_moved', 'registration_hidden')


def test_a_pose_beside_the_object_is_refused():
    truth = VIEWS['three faces']
    for shift in ((0.2, 0, 0), (0, 0, -0.3), (0, 0, 0.3)):
        with pytest.raises(FrameError) as caught:
            fit(BOX, crop(truth), Pose(truth.rotation, truth.translation + shift))
        assert caught.value.reason in ('registration_fit', 'registration_moved', 'registration_hidden')


def test_a_move_beyond_the_limit_is_refused():
    truth = VIEWS['three faces']
    settings = RegistrationSettings(max_turn_deg=3.0)
    with pytest.raises(FrameError, match='degrees') as caught:
        fit(BOX, crop(truth), perturbed(truth, 0.0, 8, 1), settings)
    assert caught.value.reason == 'registration_moved'


def test_mostly_hidden_is_neither_yes_nor_no():
    truth = VIEWS['three faces']
    with pytest.raises(FrameError) as caught:
        fit(BOX, crop(truth, hidden=0.93), truth)
    assert caught.value.reason == 'registration_hidden'


@pytest.mark.parametrize('start', [None, VIEWS['three faces']])
def test_no_depth_is_no_pose(start):
    nothing = SeenDepth(DepthImage(np.full((WH[1], WH[0]), np.nan, np.float32), 1.0), CAMERA)
    for points in (np.empty((0, 3), np.float32), np.full((20, 3), 0.8, np.float32)):
        with pytest.raises(FrameError) as caught:
            register(BOX, points, nothing, start)
        assert caught.value.reason == 'depth_missing'


@pytest.mark.parametrize('keep', [0.25, 0.5])
def test_what_lies_outside_the_image_does_not_count(keep):
    truth = VIEWS['three faces']
    depth, box = scene(cuboid(truth, SIZE), truth, SIZE[2])
    edge = int(box[0] + (box[2] - box[0]) * keep)
    image = DepthImage(np.ascontiguousarray(depth[:, :edge]), 1.0)
    camera = CameraModel(edge, WH[1], CAMERA.K, CAMERA.distortion, CAMERA.model)
    region = region_points(image, camera, np.minimum(box, (edge, WH[1], edge, WH[1])), (edge, WH[1]), margin=0.1)
    result = register(BOX, region.points, SeenDepth(image, camera), perturbed(truth, 0.005, 2, 1))
    assert result.fitness > 0.95
    assert errors(result.pose, truth) < (8, 3)


def test_holes_do_not_count():
    truth = VIEWS['three faces']
    result = fit(BOX, crop(truth, holes=0.6), perturbed(truth, 0.01, 4, 1))
    assert result.fitness > 0.95


@pytest.mark.parametrize('columns', range(96, 104))
def test_fitness_does_not_hang_on_the_width_of_the_crop(columns):
    truth = VIEWS['three faces']
    depth, box = scene(cuboid(truth, SIZE), truth, SIZE[2])
    center = (box[0] + box[2]) / 2
    box = np.array((center - columns, box[1], center + columns, box[3]))
    assert fit(BOX, cut(depth, box), truth).fitness > 0.95


def can_crop(truth, seed=0, margin=0.1):
    return cut(*scene(cylinder(truth, 0.033, 0.12), truth, 0.12, seed=seed), margin)


def test_a_cylinder_comes_back_canonical():
    model = ObjectModel.build('cylinder', CAN, symmetries=ROUND)
    truth = standing(0.9, 0.5)
    for seed in range(3):
        result = fit(model, can_crop(truth, seed), perturbed(truth, 0.02, 8, seed))
        assert errors(result.pose, truth, ROUND) < (1.5, 1.5)
        again = canonical(result.pose, ROUND)
        np.testing.assert_allclose(result.pose.rotation, again.rotation, atol=1e-9)


def search(model, seen, settings=ALLOW):
    region = seen.region
    points, around = region.points[region.inside], region.points[~region.inside]
    foreground = foreground_mask(points, around)
    return register(model, points, seen.depth, None, settings, foreground=foreground)


@pytest.mark.parametrize(('view', 'millimetres'), [('one face', 12), ('two faces', 8), ('three faces', 2)])
def test_a_box_is_found_from_nothing_but_for_its_half_turns(view, millimetres):
    truth = VIEWS[view]
    result = search(BOX, crop(truth, 0.15))
    assert result.method == 'global'
    assert errors(result.pose, truth, BOX.geometric) < (millimetres, 5)
    np.testing.assert_allclose(result.pose.rotation, canonical(result.pose, BOX.geometric).rotation, atol=1e-9)


def test_geometry_alone_does_not_choose_between_equal_poses():
    region = crop(VIEWS['three faces'], 0.15)
    with pytest.raises(FrameError, match='allow_geometric_symmetry') as caught:
        search(BOX, region, RegistrationSettings())
    assert caught.value.reason == 'registration_ambiguous'
    plain = ObjectModel.build('cuboid', SIZE, symmetries=[Symmetry(axis, 2) for axis in 'xyz'])
    assert errors(search(plain, region, RegistrationSettings()).pose, VIEWS['three faces'], plain.symmetries) < (2, 2)


def test_what_no_depth_can_tell_is_said_without_a_search(monkeypatch):
    """Also of a shape that does not fit: were the search to find it, it could not say which way it is turned."""
    monkeypatch.setattr(registration, 'pose_hypotheses', lambda *given: pytest.fail('it was looked for'))
    for model in (BOX, ObjectModel.build('cuboid', (0.3, 0.3, 0.3))):
        with pytest.raises(FrameError, match='allow_geometric_symmetry') as caught:
            search(model, crop(VIEWS['three faces'], 0.15), RegistrationSettings())
        assert caught.value.reason == 'registration_ambiguous'


def test_a_can_is_found_from_nothing():
    model = ObjectModel.build('cylinder', CAN, symmetries=ROUND)
    truth = standing(0.0, 0.5)
    result = search(model, can_crop(truth, margin=0.15))
    assert errors(result.pose, truth, model.geometric) < (2, 2)


def test_the_wrong_object_is_not_found_from_nothing():
    wrong = ObjectModel.build('cuboid', (0.3, 0.3, 0.3))
    with pytest.raises(FrameError) as caught:
        search(wrong, crop(VIEWS['three faces'], 0.15))
    assert caught.value.reason.startswith('registration_')


def step_mesh():
    """A body of two boxes, with no symmetry: 0.16 x 0.1 x 0.14 m."""
    low = trimesh.creation.box((0.16, 0.10, 0.06))
    high = trimesh.creation.box((0.06, 0.07, 0.08))
    parts = ((low, (0, 0, -0.04)), (high, (-0.05, -0.015, 0.03)))
    return parts, trimesh.util.concatenate([part.copy().apply_translation(at) for part, at in parts])


def step_depth(truth):
    parts, _ = step_mesh()
    return np.minimum(
        *(cuboid(Pose(truth.rotation, truth.apply(np.array([at]))[0]), part.extents) for part, at in parts)
    )


def step_model():
    made = step_mesh()[1]
    mesh = Mesh(np.asarray(made.vertices, np.float64), np.asarray(made.faces, np.int64), np.zeros(3))
    return ObjectModel.build('mesh', None, mesh)


def test_a_mesh_is_refined_and_found():
    model = step_model()
    np.testing.assert_allclose(model.size, (0.16, 0.1, 0.14))
    truth = standing(2.4, 0.6, 0.7)
    depth, box = scene(step_depth(truth), truth, 0.14)
    region = cut(depth, box, 0.15)
    refined = fit(model, region, perturbed(truth, 0.015, 6, 2))
    assert errors(refined.pose, truth) < (2, 2)
    found = search(model, region, RegistrationSettings())
    assert errors(found.pose, truth) < (2, 2)


def test_geometric_symmetries():
    def orders(*size):
        return {s.axis: s.order for s in geometric_symmetries('cuboid', np.array(size))}

    assert orders(0.1, 0.2, 0.3) == {'x': 2, 'y': 2, 'z': 2}
    assert orders(0.1, 0.1, 0.3) == {'x': 2, 'y': 2, 'z': 4}
    assert orders(0.1, 0.1, 0.1) == {'x': 4, 'y': 4, 'z': 4}
    assert geometric_symmetries('mesh', SIZE) == ()


@pytest.mark.parametrize('shape', ['cuboid', 'cylinder', 'sphere'])
def test_closest_points_are_on_the_surface_and_nearest(shape):
    model = ObjectModel.build(shape, (0.1, 0.1, 0.2))
    camera = np.array((0.5, 0.3, 0.8))
    points = np.random.default_rng(0).normal(0, 0.12, (300, 3))
    places, normals, beside = model.closest(points, camera)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0)
    seen = model.points[np.einsum('ij,ij->i', model.normals, camera - model.points) > 0]
    nearest = np.linalg.norm(points[:, None] - seen, axis=2).min(axis=1)
    assert (np.linalg.norm(points - places, axis=1) <= nearest + 1e-9).all()
    along = np.einsum('ij,ij->i', points - places, normals)
    np.testing.assert_allclose(np.abs(along[~beside]), np.linalg.norm(points - places, axis=1)[~beside], atol=1e-9)


def test_typical_covariance_is_longest_along_the_view():
    pose = Pose(np.eye(3), np.array((0.3, 0.0, 0.9)))
    values, vectors = np.linalg.eigh(typical_covariance(pose, 0.2)[:3, :3])
    assert abs(vectors[:, 2] @ pose.translation) / np.linalg.norm(pose.translation) == pytest.approx(1.0)
    assert values[2] > 4 * values[1]


@pytest.mark.parametrize(
    ('kind', 'wrong', 'expected'),
    [
        (RegistrationSettings, {'max_rmse': 0.0}, 'above 0'),
        (RegistrationSettings, {'max_shift': -0.1}, 'at least 0'),
        (RegistrationSettings, {'min_search_fitness': 1.1}, 'at least 0 and at most 1'),
        (RegistrationSettings, {'min_evidence': -1.0}, 'at least 0'),
        (RegistrationSettings, {'bias': -0.01}, 'at least 0'),
        (RegistrationSettings, {'max_turn_deg': 200.0}, 'at most 180'),
        (RegistrationSettings, {'noise': float('nan')}, 'finite'),
        (RegistrationSettings, {'min_points': 50, 'max_points': 49}, 'at least 50'),
        (FittingSettings, {'points_across': 0.0}, 'above 0'),
        (SearchSettings, {'refined_placements': 0}, 'at least 1'),
        (FittingSettings, {'max_spacing': 0.001}, 'at least 0.002'),
        (SearchSettings, {'full_support': 0.0}, 'above 0 and at most 1'),
    ],
)
def test_settings_out_of_range_are_refused(kind, wrong, expected):
    *_, name = wrong
    with pytest.raises(ConfigError, match=f'{name}: got {wrong[name]}.*{expected}'):
        kind(**wrong)


def test_a_larger_surface_in_front_is_not_taken_for_the_object():
    """The model's face lies well on it, but none of its ends are seen."""
    for name, hidden, seed in (('three faces', 0.9, 0), ('three faces', 0.9, 1), ('three faces', 0.9, 3)):
        with pytest.raises(FrameError) as caught:
            search(BOX, crop(VIEWS[name], 0.15, hidden=hidden, seed=seed))
        assert caught.value.reason in ('registration_ambiguous', 'registration_fit')


def test_unusable_models():
    with pytest.raises(ConfigError):
        ObjectModel.build('cuboid', None)
    with pytest.raises(ConfigError):
        ObjectModel.build('mesh', None)
