# SPDX-License-Identifier: Apache-2.0
"""The depth method on objects that are hard for it, as real depth cameras see them."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.models import ObjectSpec
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.depth.settings import DepthSettings
from isaac_inference.sim.depth_scenes import NO_FAULTS, DepthScene, depth_scene
from isaac_inference.sim.mesh_shapes import mesh_kinds
from isaac_inference.stages.poses import DepthView, ObjectPose, Observed
from isaac_inference.stages.poses.by_depth import DepthMethod

KINDS = mesh_kinds()
SEEDS = (900, 901, 902, 903)  # of development
HOLLOW = ('mug', 'basket', 'bowl', 'plate', 'jug')


def spec(name: str, scale: float = 1.0) -> ObjectSpec:
    kind = KINDS[name]
    x, y, z = (side * scale for side in kind.size)
    turns = tuple((turn.axis, turn.order) for turn in kind.symmetries)
    return ObjectSpec(name, (x, y, z), kind.shape, symmetries=turns)


SIZED = DepthMethod({name: spec(name) for name in KINDS})
BARE = DepthMethod({})


@functools.lru_cache(maxsize=128)
def scene_of(name: str, seed: int) -> DepthScene:
    return depth_scene(name, seed)


def estimate(scene: DepthScene, method: DepthMethod = SIZED, scale: float = 1.0) -> ObjectPose:
    """With depth in 16 bits, whose unit is said to be so many millimetres long."""
    millimetres = np.nan_to_num(scene.depth * 1000.0).round().astype(np.uint16)
    view = DepthView(DepthImage(millimetres, 0.001 * scale), scene.camera)
    return method.estimate(Observed(scene.kind.name, 0.9, scene.box), scene.camera, view)


def off(found: ObjectPose, scene: DepthScene) -> np.ndarray:
    return found.pose.translation - scene.pose.translation


@pytest.mark.parametrize('name', HOLLOW)
def test_hollow_objects_have_a_position(name: str) -> None:
    for seed in SEEDS:
        scene = scene_of(name, seed)
        for method, most in ((SIZED, 0.03), (BARE, 0.09)):
            found = estimate(scene, method)
            assert np.linalg.norm(off(found, scene)) < most, seed
            assert 0.001 < np.sqrt(np.diag(found.covariance)[:3]).min() < 0.03


def test_the_position_of_every_kind_with_its_size() -> None:
    errors = {
        name: [np.linalg.norm(off(estimate(scene_of(name, seed)), scene_of(name, seed))) for seed in SEEDS]
        for name in KINDS
    }
    assert {name for name, some in errors.items() if np.median(some) > 0.02} == set()
    every = np.concatenate(list(errors.values()))
    assert np.median(every) < 0.01
    assert np.percentile(every, 90) < 0.025


def test_the_size_makes_no_position_worse() -> None:
    ratios = []
    for name in KINDS:
        with_size, without = (
            np.median(
                [np.linalg.norm(off(estimate(scene_of(name, seed), method), scene_of(name, seed))) for seed in SEEDS]
            )
            for method in (SIZED, BARE)
        )
        ratios.append(with_size / without)
        assert with_size < without + 0.004, name
    assert np.median(ratios) < 0.7


@pytest.mark.parametrize('method', [SIZED, BARE], ids=['size known', 'size unknown'])
def test_errors_are_as_large_as_the_covariance_says(method: DepthMethod) -> None:
    inside, sigmas = [], []
    for name in KINDS:
        for seed in SEEDS:
            found = estimate(scene_of(name, seed), method)
            sigma = np.sqrt(np.diag(found.covariance)[:3])
            inside.append(np.abs(off(found, scene_of(name, seed))) <= 2.0 * sigma)
            sigmas.append(np.sqrt(np.trace(found.covariance[:3, :3])))
            assert np.linalg.eigvalsh(found.covariance).min() > 0.0
    assert 0.9 <= np.mean(inside) <= 0.995
    assert np.median(sigmas) < (0.015 if method is SIZED else 0.05)  # and not by saying nothing


def test_what_is_unseen_is_along_the_line_of_sight() -> None:
    scene = scene_of('ball', 900)
    found = estimate(scene, BARE)
    view = found.pose.translation / np.linalg.norm(found.pose.translation)
    across = np.linalg.eigvalsh(found.covariance[:3, :3])[0]
    assert view @ found.covariance[:3, :3] @ view > 4.0 * across


def test_the_camera_s_scale_error_is_in_the_covariance() -> None:
    scene = scene_of('cracker_box', 900)
    distance = float(np.linalg.norm(scene.pose.translation))
    variances = []
    for error in (0.0, 0.03):
        found = estimate(scene, DepthMethod({'cracker_box': spec('cracker_box')}, DepthSettings(depth_error=error)))
        view = found.pose.translation / np.linalg.norm(found.pose.translation)
        variances.append(view @ found.covariance[:3, :3] @ view)
    assert variances[1] - variances[0] == pytest.approx((0.03 * distance) ** 2, rel=0.1)


def test_a_rotation_that_the_shape_and_its_symmetries_fix_is_sure_and_others_are_open() -> None:
    """A cuboid looks alike after half turns; where the card has these as symmetries, its rotation is known."""
    scene = depth_scene('cracker_box', 900, NO_FAULTS, clutter=False)
    bare = ObjectSpec('cracker_box', spec('cracker_box').size, 'cuboid')
    open_turn = estimate(scene, DepthMethod({'cracker_box': bare})).covariance[3:, 3:]
    np.testing.assert_allclose(open_turn, np.eye(3) * (np.pi / 2) ** 2)
    sure = estimate(scene)
    assert np.sqrt(np.diag(sure.covariance)[3:]).max() < np.radians(10.0)
    cosines = np.abs(sure.pose.rotation.T @ scene.pose.rotation)
    assert (cosines.max(axis=0) > np.cos(np.radians(2.0))).all()


# Units


@pytest.mark.parametrize('scale', [10.0, 25.4, 4.0, 2.54, 0.1, 1 / 25.4, 0.001, 1000.0])
def test_depth_in_another_unit_is_refused_and_the_unit_named(scale: float) -> None:
    for name in ('bottle', 'soda_can', 'mug', 'bowl', 'cracker_box'):
        with pytest.raises(FrameError, match='times what an object of') as caught:
            estimate(scene_of(name, 900), scale=scale)
        assert caught.value.reason == 'depth_size'
        assert f'objects.{name}.size' in str(caught.value) or 'depth_unit_scale' in str(caught.value)


def test_the_unit_that_is_named_is_the_right_one_and_gives_the_pose() -> None:
    """A camera with steps of 0.1 mm whose image is taken for millimetres."""
    scene = scene_of('bottle', 902)
    tenths = np.nan_to_num(scene.depth * 10000.0).round().astype(np.uint16)
    seen = Observed('bottle', 0.9, scene.box)

    def taken(scale: float) -> ObjectPose:
        return SIZED.estimate(seen, scene.camera, DepthView(DepthImage(tenths, scale), scene.camera))

    with pytest.raises(FrameError, match=r'depth_unit_scale: 0\.0001 if its unit is 0\.1 mm') as caught:
        taken(0.001)
    assert caught.value.reason == 'depth_size'
    assert np.linalg.norm(off(taken(0.0001), scene)) < 0.02


@pytest.mark.parametrize('scale', [0.01, 0.001])
def test_without_a_size_depth_nearer_than_cameras_see_is_refused_and_the_unit_named(scale: float) -> None:
    with pytest.raises(FrameError, match='depth_unit_scale, which is') as caught:
        estimate(scene_of('mug', 900), BARE, scale)
    assert caught.value.reason == 'depth_unit'


def test_whatever_depth_shows_there_is_a_pose_or_a_reason() -> None:
    """Noise, holes, steps and boxes of any kind."""
    scene, outcomes = scene_of('mug', 900), set()
    for seed in range(150):
        rng = np.random.default_rng(seed)
        depth = rng.uniform(0.3, 3.0) + rng.normal(0.0, 10.0 ** rng.uniform(-4, 0), scene.depth.shape)
        depth = np.where(rng.random(depth.shape) < rng.choice((0.0, 0.5, 0.99)), np.nan, depth).astype(np.float32)
        depth[: rng.integers(1, 480)] *= np.float32(rng.choice((1.0, 0.5, 1.01)))
        low = rng.uniform(-20.0, (630.0, 470.0))
        box = np.concatenate((low, low + 10.0 ** rng.uniform(0.0, 2.8, 2)))
        seen = Observed('mug', 0.9, box, mask=rng.random(depth.shape) < 0.5 if seed % 5 == 0 else None)
        for method in (SIZED, BARE):
            try:
                found = method.estimate(seen, scene.camera, DepthView(DepthImage(depth, 1.0), scene.camera))
            except FrameError as error:
                outcomes.add(error.reason)
                continue
            outcomes.add(found.method)
            assert np.isfinite(found.pose.matrix()).all()
            assert np.linalg.eigvalsh(found.covariance).min() > 0.0
            assert np.linalg.det(found.pose.rotation) == pytest.approx(1.0)
    assert {'depth box', 'depth_size', 'depth_missing'} <= outcomes


@pytest.mark.parametrize(('unit', 'metres'), [('cm', 0.01), ('inches', 0.0254), ('mm', 0.001)])
def test_a_size_in_another_unit_is_refused_and_what_to_write_is_said(unit: str, metres: float) -> None:
    scene = scene_of('soda_can', 901)
    sides = ', '.join(f'{side:.4g}' for side in spec('soda_can').size or ())
    with pytest.raises(FrameError) as caught:
        estimate(scene, DepthMethod({'soda_can': spec('soda_can', 1.0 / metres)}))
    assert caught.value.reason == 'depth_size'
    assert f'objects.soda_can.size: [{sides}] if it is in {unit}' in str(caught.value)


@pytest.mark.parametrize(
    ('name', 'seed'),
    [
        ('meat_can', 2), ('meat_can', 3), ('meat_can', 7), ('soda_can', 2), ('ball', 3), ('ball', 9), ('ball', 20),
        ('bowl', 11), ('spatula', 36), ('squeeze_bottle', 37), ('plate', 45), ('cracker_box', 3), ('drill', 0),
    ],
)  # fmt: skip
def test_what_is_partly_hidden_or_cut_off_is_not_refused_for_its_size(name: str, seed: int) -> None:
    scene = scene_of(name, seed)
    assert scene.visibility < 0.85 or scene.box[:2].min() < 1.0
    found = estimate(scene)
    error, sigma = off(found, scene), np.sqrt(np.diag(found.covariance)[:3])
    assert np.linalg.norm(error) < 0.04
    assert (np.abs(error) < 5.0 * sigma).all()


def test_no_message_advises_what_cannot_be_done() -> None:
    scene = scene_of('cracker_box', 900)
    halves = scene.depth.copy()
    x = round(float(scene.box[[0, 2]].mean()))
    y_min, y_max = (round(float(v)) for v in scene.box[1::2])
    halves[y_min:y_max, x:] = np.where(scene.mask[y_min:y_max, x:], 0.2, halves[y_min:y_max, x:])
    view = DepthView(DepthImage(halves, 1.0), scene.camera)
    with pytest.raises(FrameError) as caught:
        SIZED.estimate(Observed('cracker_box', 0.9, scene.box), scene.camera, view)
    assert caught.value.reason == 'depth_ambiguous'
    assert 'at 0.20 m' in str(caught.value)
    assert 'mask' not in str(caught.value)
