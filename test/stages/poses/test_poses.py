# SPDX-License-Identifier: Apache-2.0
"""The ways to a pose, on simulated views whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from support.ros.pose_views import Card, Item, View, distance, exact_keypoints, noisy, sim_object, turn_deg, view_of

from isaac_inference.errors import ConfigError, FrameError, ModelError
from isaac_inference.models import ModelCard, read_card
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ops.geometry.symmetry import Symmetry, canonical, rotation_error
from isaac_inference.ops.pose.registration_settings import RegistrationSettings
from isaac_inference.sim import KINDS, LABELS, OBJECT_SIZES
from isaac_inference.stages.poses import DepthView, ObjectPose, Observed, PoseEstimator, PoseMethod, PoseSettings

CEREAL = OBJECT_SIZES['cereal_box']


@pytest.fixture(scope='module')
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return read_card(Card().write(tmp_path_factory.mktemp('card')))


@pytest.fixture(scope='module')
def view() -> View:
    return view_of()


def depth_of(view: View) -> DepthView:
    return DepthView(DepthImage(view.depth, 1.0), view.camera)


def seen(item: Item, keypoints: bool = True, px: float = 0.0) -> Observed:
    return Observed(item.label, 0.9, item.box, noisy(item.keypoints, px) if keypoints else None)


def poses(estimator: PoseEstimator, view: View, *, depth: bool = True, **how: Any) -> list[tuple[ObjectPose, Item]]:
    there = depth_of(view) if depth else None
    return [(estimator.estimate(seen(item, **how), view.camera, there), item) for item in view.items]


# Keypoints


def test_exact_keypoints_give_the_exact_pose(card: ModelCard, view: View) -> None:
    for found, item in poses(PoseEstimator(card, PoseMethod.KEYPOINTS), view, depth=False):
        assert (found.label, found.score, tuple(found.size)) == (item.label, 0.9, item.size)
        assert distance(found.pose, item.pose) < 1e-5
        assert turn_deg(found.pose, item.pose) < 1e-3


@pytest.mark.parametrize('distorted', [False, True])
def test_noise_of_keypoints_stays_within_the_covariance(card: ModelCard, distorted: bool) -> None:
    estimator, squares = PoseEstimator(card, PoseMethod.KEYPOINTS), []
    view = view_of(distorted=distorted, wh=(640, 480))
    for seed in range(10):
        for item in view.items:
            rows = noisy(item.keypoints, 1.0, seed)
            found = estimator.estimate(Observed(item.label, 0.9, item.box, rows), view.camera)
            off = found.pose.translation - item.pose.translation
            squares.append(off @ np.linalg.solve(found.covariance[:3, :3], off))
            assert np.linalg.norm(off) < 0.03 * np.linalg.norm(item.pose.translation)
    assert 1.0 < np.mean(squares) < 6.0, 'expected about 3, the degrees of freedom'


def test_a_can_s_pose_is_canonical(card: ModelCard, view: View) -> None:
    can = view.item('soup_can')
    turned = Pose(can.pose.rotation @ so3_exp((0, 0, 2.0)), can.pose.translation)
    estimator = PoseEstimator(card, PoseMethod.KEYPOINTS)
    found = estimator.estimate(seen(can), view.camera)
    assert turn_deg(found.pose, can.pose) < 0.01
    assert turn_deg(found.pose, turned) > 90


# Depth


def test_depth_and_a_known_size_give_the_object_s_box(card: ModelCard, view: View) -> None:
    for found, item in poses(PoseEstimator(card, PoseMethod.DEPTH), view, keypoints=False):
        assert found.method == 'depth size'
        assert tuple(found.size) == item.size
        assert distance(found.pose, item.pose) < 0.02 * np.linalg.norm(item.size)
        # which end is which the depth of a box does not tell, but its edges lie along the object's
        cosines = np.abs(found.pose.rotation.T @ item.pose.rotation)
        assert (cosines.max(axis=0) > np.cos(np.radians(2.0))).all() or item.label == 'soup_can'
        assert np.linalg.det(found.pose.rotation) == pytest.approx(1.0)


def test_depth_without_a_size_gives_what_is_seen(view: View) -> None:
    for found, item in poses(PoseEstimator(None), view, keypoints=False):
        assert found.method == 'depth box'
        assert (np.diff(found.size) <= 1e-9).all(), 'longest first'
        assert distance(found.pose, item.pose) < np.linalg.norm(item.size) / 2
        assert np.linalg.norm(found.pose.translation) < np.linalg.norm(item.pose.translation) + 0.01


def test_depth_of_16_bits_gives_the_same_position(card: ModelCard) -> None:
    view = view_of(wh=(640, 480))
    whole = np.where(np.isfinite(view.depth), view.depth * 1000 + 0.5, 0).astype(np.uint16)
    millimetres = DepthView(DepthImage(whole, 0.001), view.camera)
    estimator = PoseEstimator(card, PoseMethod.DEPTH)
    for found, item in poses(estimator, view, keypoints=False):
        other = estimator.estimate(seen(item, keypoints=False), view.camera, millimetres)
        assert distance(found.pose, other.pose) < 0.001


# Registration


def test_registration_refines_noisy_keypoints(card: ModelCard, view: View) -> None:
    rough = poses(PoseEstimator(card, PoseMethod.KEYPOINTS), view, px=0.7)
    fine = poses(PoseEstimator(card, PoseMethod.REGISTRATION), view, px=0.7)
    for (before, _), (found, item) in zip(rough, fine, strict=True):
        assert found.method == 'registration: refined'
        assert distance(found.pose, item.pose) < 0.003
        assert turn_deg(found.pose, item.pose) < 2.0
        assert np.trace(found.covariance[:3, :3]) < np.trace(before.covariance[:3, :3])
    errors = [[distance(found.pose, item.pose) for found, item in some] for some in (rough, fine)]
    assert np.mean(errors[1]) < 0.4 * np.mean(errors[0])


def test_weak_keypoints_choose_among_the_poses_that_depth_finds(card: ModelCard, view: View) -> None:
    estimator = PoseEstimator(card, PoseMethod.REGISTRATION)
    for item in view.items:
        rows = noisy(item.keypoints, 1.0)
        rows[:, 2] = (0.9, 0.04, 0.04, 0.9, 0.04, 0.04, 0.9, 0.04)  # three are too few for a pose
        wild = rows.copy()
        wild[:, 2] = 0.01  # says nothing
        found = estimator.estimate(Observed(item.label, 0.9, item.box, rows), view.camera, depth_of(view))
        assert found.method == 'registration: weak keypoints'
        assert distance(found.pose, item.pose) < 0.005
        assert turn_deg(found.pose, item.pose) < 3.0
        wild[:, :2] = rows[:, :2].mean(axis=0)
        with pytest.raises(FrameError) as caught:
            estimator.estimate(Observed(item.label, 0.9, item.box, wild), view.camera, depth_of(view))
        assert caught.value.reason == 'too_few_keypoints'


def test_what_depth_can_not_see_stays_as_the_keypoints_have_it(card: ModelCard, view: View) -> None:
    estimator, item = PoseEstimator(card, PoseMethod.REGISTRATION), view.item('tea_box')
    by_keypoints = PoseEstimator(card, PoseMethod.KEYPOINTS).estimate(seen(item), view.camera)
    for there in (None, DepthView(DepthImage(np.full_like(view.depth, np.nan), 1.0), view.camera)):
        found = estimator.estimate(seen(item), view.camera, there)
        assert found.method == by_keypoints.method
        np.testing.assert_array_equal(found.pose.matrix(), by_keypoints.pose.matrix())


def test_what_is_hidden_stays_as_keypoints_have_it_that_are_as_uncertain_as_hidden_ones(
    card: ModelCard, view: View
) -> None:
    item = view.item('tea_box')
    hidden = seen(item, px=0.5)
    assert hidden.keypoints is not None
    hidden.keypoints[:, 2] = 0.4
    curtain = DepthView(DepthImage(np.full_like(view.depth, 0.6 * np.nanmin(view.depth)), 1.0), view.camera)
    found = PoseEstimator(card, PoseMethod.REGISTRATION).estimate(hidden, view.camera, curtain)
    by_keypoints = PoseEstimator(card, PoseMethod.KEYPOINTS).estimate(hidden, view.camera)
    assert (found.method, found.notes) == (by_keypoints.method, ())
    np.testing.assert_array_equal(found.pose.matrix(), by_keypoints.pose.matrix())


def test_depth_that_contradicts_the_keypoints_refuses_the_pose(card: ModelCard, view: View) -> None:
    item = view.item('tea_box')
    beyond = DepthView(DepthImage(view.depth * np.float32(1.3), 1.0), view.camera)
    with pytest.raises(FrameError) as caught:
        PoseEstimator(card, PoseMethod.REGISTRATION).estimate(seen(item), view.camera, beyond)
    assert caught.value.reason == 'registration_size'
    assert 'its size or mesh is 1.3 times too small' in str(caught.value)


def test_without_keypoints_poses_that_look_alike_are_an_error_or_allowed(card: ModelCard, view: View) -> None:
    item = view.item('cereal_box')
    with pytest.raises(FrameError) as caught:
        PoseEstimator(card, PoseMethod.REGISTRATION).estimate(seen(item, False), view.camera, depth_of(view))
    assert caught.value.reason == 'registration_ambiguous'
    allowed = PoseSettings(registration=RegistrationSettings(allow_geometric_symmetry=True))
    estimator = PoseEstimator(card, PoseMethod.REGISTRATION, allowed)
    found = estimator.estimate(seen(item, False), view.camera, depth_of(view))
    assert found.method == 'registration: global'
    assert distance(found.pose, item.pose) < 0.002


@pytest.mark.parametrize('symmetry', [None, [{'axis': 'z', 'order': 0}]])
def test_a_can_of_a_plain_detector_has_a_pose_by_its_shape(tmp_path: Path, view: View, symmetry: list | None) -> None:
    said = {'size': sim_object('soup_can')['size'], 'shape': 'cylinder'}
    if symmetry is not None:
        said['symmetry'] = symmetry
    card = read_card(Card(keypoints=False, objects={'soup_can': said}).write(tmp_path))
    item = view.item('soup_can')
    found = PoseEstimator(card, PoseMethod.REGISTRATION).estimate(seen(item, False), view.camera, depth_of(view))
    assert found.method == 'registration: global'
    assert distance(found.pose, item.pose) < 0.003
    # which of its ends is up depth can't tell, and nobody asks
    assert rotation_error(found.pose, item.pose, [Symmetry('z', 0), Symmetry('x', 2)]) < np.radians(2.0)
    np.testing.assert_allclose(
        canonical(found.pose, [Symmetry('z', 0), Symmetry('x', 2)]).rotation, found.pose.rotation, atol=1e-6
    )


@pytest.mark.parametrize('method', [PoseMethod.KEYPOINTS, PoseMethod.REGISTRATION])
def test_keypoints_tell_which_end_of_a_can_is_up(card: ModelCard, view: View, method: PoseMethod) -> None:
    item = view.item('soup_can')
    upside_down = item.pose @ Pose(so3_exp((np.pi, 0, 0)), np.zeros(3))
    kind = KINDS['soup_can']
    turned = canonical(upside_down, kind.symmetries)
    estimator = PoseEstimator(card, method)
    for truth in (item.pose, turned):
        keypoints = exact_keypoints(kind, truth, view.camera)
        there = Observed(item.label, 0.9, item.box, keypoints)
        assert turn_deg(estimator.estimate(there, view.camera, depth_of(view)).pose, truth) < 1.0


@pytest.mark.parametrize('unit, scale', [('m', 1.0), ('mm', 1000.0)])
@pytest.mark.parametrize('suffix', ['.ply', '.obj', '.stl'])
def test_a_mesh_registers_like_the_box_that_it_is(
    tmp_path: Path, view: View, unit: str, scale: float, suffix: str
) -> None:
    trimesh.creation.box(np.multiply(CEREAL, scale)).export(tmp_path / f'cereal{suffix}')
    said = {'mesh': f'cereal{suffix}', 'mesh_unit': unit, 'shape': 'mesh'}
    objects = {'cereal_box': {**sim_object('cereal_box'), **said}}
    card = read_card(Card(objects=objects).write(tmp_path))
    item = view.item('cereal_box')
    found = PoseEstimator(card, PoseMethod.REGISTRATION).estimate(seen(item, px=0.5), view.camera, depth_of(view))
    assert distance(found.pose, item.pose) < 0.003
    assert tuple(found.size) == pytest.approx(CEREAL)


def test_a_mesh_in_millimetres_is_told_from_the_size(tmp_path: Path) -> None:
    trimesh.creation.box(np.multiply(CEREAL, 1000.0)).export(tmp_path / 'cereal.ply')
    card = read_card(Card(objects={'cereal_box': {'size': list(CEREAL), 'mesh': 'cereal.ply'}}).write(tmp_path))
    with pytest.raises(ModelError, match='looks like millimetres.*set mesh_unit: mm'):
        PoseEstimator(card, PoseMethod.REGISTRATION)


# Which of them


def test_auto_takes_keypoints_where_the_card_has_the_size_and_depth_elsewhere(tmp_path: Path, view: View) -> None:
    sized = {name: sim_object(name) for name in LABELS if name != 'book'}
    estimator = PoseEstimator(read_card(Card(objects=sized).write(tmp_path)))
    assert estimator.uses_keypoints
    assert estimator.uses_depth
    for found, item in poses(estimator, view):
        assert found.method == ('depth box' if item.label == 'book' else 'sqpnp')


def test_auto_asks_for_no_depth_where_all_classes_have_keypoints(card: ModelCard) -> None:
    estimator = PoseEstimator(card)
    assert estimator.uses_keypoints
    assert not estimator.uses_depth


@pytest.mark.parametrize(
    'method, keypoints, depth',
    [(PoseMethod.KEYPOINTS, True, False), (PoseMethod.DEPTH, False, True), (PoseMethod.REGISTRATION, True, True)],
)
def test_each_method_says_what_it_needs(card: ModelCard, method: PoseMethod, keypoints: bool, depth: bool) -> None:
    estimator = PoseEstimator(card, method)
    assert (estimator.uses_keypoints, estimator.uses_depth) == (keypoints, depth)


@pytest.mark.parametrize('method', [PoseMethod.AUTO, PoseMethod.DEPTH])
def test_without_a_card_depth_serves(method: PoseMethod) -> None:
    estimator = PoseEstimator(None, method)
    assert (estimator.uses_keypoints, estimator.uses_depth) == (False, True)


@pytest.mark.parametrize('method', [PoseMethod.KEYPOINTS, PoseMethod.REGISTRATION])
def test_without_a_card_the_other_methods_are_refused(method: PoseMethod) -> None:
    with pytest.raises(ConfigError, match=f'{method.value} needs the objects of a model card'):
        PoseEstimator(None, method)


@pytest.mark.parametrize(
    'method, given, said',
    [
        (PoseMethod.KEYPOINTS, Card(keypoints=False), 'has no keypoints'),
        (PoseMethod.KEYPOINTS, Card(objects={}), 'has no objects'),
        (PoseMethod.REGISTRATION, Card(objects={}), r'add objects\.<class>\.size'),
    ],
)
def test_a_card_that_says_too_little_is_refused(tmp_path: Path, method: PoseMethod, given: Card, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        PoseEstimator(read_card(given.write(tmp_path)), method)


@pytest.mark.parametrize(
    'method, keypoints, depth, reason',
    [
        (PoseMethod.KEYPOINTS, False, True, 'no_keypoints'),
        (PoseMethod.DEPTH, True, False, 'no_depth'),
        (PoseMethod.REGISTRATION, False, False, 'no_depth'),
    ],
)
def test_what_is_missing_is_named(
    card: ModelCard, view: View, method: PoseMethod, keypoints: bool, depth: bool, reason: str
) -> None:
    there = depth_of(view) if depth else None
    with pytest.raises(FrameError, match='book') as caught:
        PoseEstimator(card, method).estimate(seen(view.item('book'), keypoints), view.camera, there)
    assert caught.value.reason == reason


@pytest.mark.parametrize('method', [PoseMethod.KEYPOINTS, PoseMethod.REGISTRATION])
def test_a_class_without_a_size_is_named(tmp_path: Path, view: View, method: PoseMethod) -> None:
    card = read_card(Card(objects={'tea_box': sim_object('tea_box')}).write(tmp_path))
    with pytest.raises(FrameError, match='book: the (model )?card') as caught:
        PoseEstimator(card, method).estimate(seen(view.item('book')), view.camera, depth_of(view))
    assert caught.value.reason == 'no_object_model'


@pytest.mark.parametrize('method', list(PoseMethod))
@pytest.mark.parametrize('box', [(-20, 10, 0, 30), (320, 10, 350, 30), (10, -20, 30, 0), (10, 240, 30, 260)])
def test_a_box_beside_the_image_has_no_pose(card: ModelCard, view: View, method: PoseMethod, box: tuple) -> None:
    item = view.item('book')
    beside = Observed(item.label, 0.9, np.array(box, float), item.keypoints)
    with pytest.raises(FrameError) as caught:
        PoseEstimator(card, method).estimate(beside, view.camera, depth_of(view))
    assert caught.value.reason == 'box_outside'
