# SPDX-License-Identifier: Apache-2.0
"""What several cameras see becomes one object each: never a wrong merge, never an average with a wrong pose."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence

import numpy as np
import pytest

from isaac_inference.ops.fusion import CameraView, Fuser, FusionSettings, Round, Sighting
from isaac_inference.ops.geometry.rigid import Pose, rotation_angle, so3_exp
from isaac_inference.ops.geometry.symmetry import Symmetry
from isaac_inference.ops.pose.second_pose import SecondPose, either

SEED, STEP_S = 23, 0.1
POSITION, ROTATION = 0.002, 0.02
COVARIANCE = np.diag(np.repeat((POSITION**2, ROTATION**2), 3))
EYES = {'front': np.array([0.0, -0.9, 0.6]), 'left': np.array([-0.8, 0.5, 0.6]), 'right': np.array([0.8, 0.5, 0.6])}
EXACT = FusionSettings(extrinsic_sigma_m=0.0, extrinsic_sigma_rad=0.0)
FLIP = so3_exp((0.0, 0.0, np.pi))
BOX, CAN = (0.16, 0.06, 0.24), (0.06, 0.06, 0.12)
PLACE = Pose(so3_exp((0.0, 0.0, 0.4)), np.array([0.1, 0.05, 0.12]))


def at(x: float, y: float = 0.0, z: float = 0.06) -> Pose:
    return Pose(np.eye(3), np.array([x, y, z]))


def seen(
    rng: np.random.Generator | None,
    pose: Pose,
    label: str = 'box',
    size: tuple[float, float, float] = BOX,
    covariance: np.ndarray = COVARIANCE,
    **more: object,
) -> Sighting:
    """A measurement of an object at `pose`, with noise if there is a generator."""
    error = np.zeros(6) if rng is None else np.linalg.cholesky(covariance) @ rng.normal(size=6)
    placed = Pose(so3_exp(error[3:]) @ pose.rotation, pose.translation + error[:3])
    return Sighting(label, placed, covariance, 0.9, size, **more)


def moment(fuser: Fuser, frame: int, **by_camera: Sequence[Sighting]) -> Round:
    return fuser.update({name: CameraView(frame * STEP_S, items, EYES[name]) for name, items in by_camera.items()})


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(SEED)


def test_an_object_that_three_cameras_see_is_one_and_surer(rng):
    fuser = Fuser(EXACT)
    for frame in range(5):
        result = moment(fuser, frame, **{name: [seen(rng, PLACE)] for name in EYES})
        (fused,) = result.fused
        assert (fused.number, fused.streams, result.refusals) == (1, ('front', 'left', 'right'), ())
        np.testing.assert_allclose(fused.sighting.covariance, COVARIANCE / 3, rtol=0.05, atol=1e-12)
        assert np.linalg.norm(fused.sighting.pose.translation - PLACE.translation) < 4 * POSITION


def test_what_only_one_camera_sees_is_there_too(rng):
    fuser = Fuser(EXACT)
    for frame in range(3):
        front = [seen(rng, PLACE), seen(rng, at(-0.2))]
        result = moment(fuser, frame, front=front, left=[seen(rng, PLACE)], right=[])
        assert [(item.number, item.streams) for item in result.fused] == [(1, ('front', 'left')), (2, ('front',))]


def test_a_flip_in_one_camera_is_outvoted_and_not_averaged(rng):
    flipped = Pose(PLACE.rotation @ FLIP, PLACE.translation)
    result = moment(Fuser(EXACT), 0, front=[seen(rng, PLACE)], left=[seen(rng, flipped)], right=[seen(rng, PLACE)])
    (fused,), (refusal,) = result.fused, result.refusals
    assert fused.streams == ('front', 'right')
    assert rotation_angle(fused.sighting.pose.rotation.T @ PLACE.rotation) < 4 * ROTATION
    assert (refusal.reason, refusal.streams) == ('outlier', ('left',))
    degrees = float(refusal.text.split(' mm and ')[1].split(' degrees')[0])
    assert degrees == pytest.approx(180, abs=8), refusal.text


def test_one_against_one_neither_is_given_out(rng):
    flipped = Pose(PLACE.rotation @ FLIP, PLACE.translation)
    result = moment(Fuser(EXACT), 0, front=[seen(rng, PLACE)], left=[seen(rng, flipped)])
    assert result.fused == ()
    assert [(item.reason, item.streams) for item in result.refusals] == [('contradiction', ('front', 'left'))]


def test_one_against_one_where_it_just_was_decides(rng):
    fuser = Fuser(EXACT)
    moment(fuser, 0, front=[seen(rng, PLACE)], left=[seen(rng, PLACE)])
    flipped = Pose(PLACE.rotation @ FLIP, PLACE.translation)
    result = moment(fuser, 1, front=[seen(rng, flipped)], left=[seen(rng, PLACE)])
    assert [(item.number, item.streams) for item in result.fused] == [(1, ('left',))]
    alone = moment(fuser, 2, front=[seen(rng, flipped)])
    assert alone.fused == ()


def test_a_lone_camera_is_not_believed_against_what_two_just_saw_until_it_insists(rng):
    fuser, flipped = Fuser(EXACT), Pose(PLACE.rotation @ FLIP, PLACE.translation)
    moment(fuser, 0, front=[seen(rng, PLACE)], left=[seen(rng, PLACE)])
    reasons = []
    for frame in range(1, EXACT.takeover_hits + 2):
        result = moment(fuser, frame, front=[seen(rng, flipped)])
        reasons.append([item.reason for item in result.refusals])
    assert reasons[0] == ['unlike_before']
    assert reasons[-1] == [] and result.fused[0].number == 1


def test_neighbouring_equal_objects_are_never_merged(rng):
    """Cans side by side, measured to a few millimetres: always two, each with its own number."""
    fuser, places = Fuser(EXACT), [at(-0.032), at(0.032)]
    for frame in range(20):
        order = [rng.permutation(2) for _ in EYES]
        views = {
            name: [seen(rng, places[index], 'can', CAN, symmetries=[Symmetry('z', 0)]) for index in turn]
            for name, turn in zip(EYES, order, strict=True)
        }
        result = moment(fuser, frame, **views)
        xs = {item.number: float(item.sighting.pose.translation[0]) for item in result.fused}
        assert xs.keys() == {1, 2}
        if frame == 0:
            first = xs
        assert all(abs(xs[number] - first[number]) < 0.01 for number in xs)


def test_where_it_is_not_clear_which_neighbour_it_is_there_are_two_entries(rng):
    """One camera sees both; another, which is unsure where, only one."""
    unsure = np.diag(np.repeat((0.02**2, ROTATION**2), 3))
    front = [seen(None, at(-0.032), 'can', CAN), seen(None, at(0.032), 'can', CAN)]
    for x in (-0.004, 0.0, 0.004):
        result = moment(Fuser(EXACT), 0, front=front, left=[seen(None, at(x, 0.055), 'can', CAN, unsure)])
        places = sorted(float(item.sighting.pose.translation[0]) for item in result.fused)
        assert [item.streams for item in result.fused].count(('front', 'left')) == 0
        assert places[0] == pytest.approx(-0.032) and places[-1] == pytest.approx(0.032)


def test_each_camera_s_own_pose_of_a_can_is_as_good_as_any(rng):
    """Each camera calls another of the poses that look alike its own."""
    can = [Symmetry('z', 0)]
    turned = [Pose(PLACE.rotation @ so3_exp((0.0, 0.0, angle)), PLACE.translation) for angle in (0.0, 2.1, 4.2)]
    fuser = Fuser(EXACT)
    for frame in range(3):
        views = {name: [seen(rng, pose, 'can', CAN, symmetries=can)] for name, pose in zip(EYES, turned, strict=True)}
        (fused,) = moment(fuser, frame, **views).fused
        axis = fused.sighting.pose.rotation[:, 2]
        assert len(fused.streams) == 3
        assert math.acos(min(1.0, axis @ PLACE.rotation[:, 2])) < 4 * ROTATION
        turned = turned[1:] + turned[:1]


def test_square_boxes_turned_by_a_quarter_agree(rng):
    square = [Symmetry('z', 4)]
    turned = [Pose(PLACE.rotation @ so3_exp((0.0, 0.0, k * np.pi / 2)), PLACE.translation) for k in range(3)]
    views = {name: [seen(rng, pose, symmetries=square)] for name, pose in zip(EYES, turned, strict=True)}
    (fused,) = moment(Fuser(EXACT), 0, **views).fused
    assert len(fused.streams) == 3


def test_another_camera_tells_the_two_poses_of_a_flat_object_apart(rng):
    right, mirrored = at(0.0), Pose(so3_exp((0.6, 0.0, 0.0)), at(0.0).translation)
    second = SecondPose(right, COVARIANCE, 0.4)
    doubtful = Sighting('tag', mirrored, either(mirrored, COVARIANCE, second), 0.9, (0.1, 0.1, 0.001), second=second)
    views = {'front': [doubtful], 'left': [seen(rng, right, 'tag', (0.1, 0.1, 0.001))]}
    (fused,) = moment(Fuser(EXACT), 0, **views).fused
    assert fused.streams == ('front', 'left')
    assert rotation_angle(fused.sighting.pose.rotation) < 4 * ROTATION
    assert fused.sighting.second is None
    (alone,) = moment(Fuser(EXACT), 0, front=[doubtful]).fused
    assert alone.sighting.second is not None and rotation_angle(alone.sighting.pose.rotation) > 0.5


def test_two_classes_at_one_place_are_outvoted_or_refused(rng):
    boxes = {name: [seen(rng, PLACE)] for name in ('front', 'right')}
    wrong = [seen(rng, PLACE, 'carton', (0.08, 0.08, 0.2))]
    result = moment(Fuser(EXACT), 0, **boxes, left=wrong)
    assert [item.sighting.label for item in result.fused] == ['box']
    assert [item.reason for item in result.refusals] == ['outlier']
    result = moment(Fuser(EXACT), 0, front=boxes['front'], left=wrong)
    assert result.fused == ()
    assert 'box and carton at one place' in result.refusals[0].text


def test_numbers_stay_while_cameras_come_and_go(rng):
    fuser, places = Fuser(EXACT), {'box': at(0.0), 'tea': at(0.2), 'can': at(-0.2)}
    numbers: dict[str, set[int]] = {name: set() for name in places}
    for frame in range(30):
        views = {
            camera: [seen(rng, pose, name) for name, pose in places.items() if rng.random() < 0.8]
            for camera in EYES
            if rng.random() < 0.8
        }
        if not views:
            continue
        for item in moment(fuser, frame, **views).fused:
            numbers[item.sighting.label].add(item.number)
    assert all(len(found) == 1 for found in numbers.values()), numbers


def test_an_object_that_was_away_for_long_gets_a_new_number(rng):
    fuser = Fuser(EXACT)
    moment(fuser, 0, front=[seen(rng, PLACE)])
    later = round(EXACT.max_age_s / STEP_S) + 2
    assert [item.number for item in moment(fuser, later, front=[seen(rng, PLACE)]).fused] == [2]


def test_what_was_measured_earlier_counts_for_less():
    views = {
        'front': CameraView(0.0, [seen(None, at(0.0))], EYES['front']),
        'left': CameraView(0.05, [seen(None, at(0.004))], EYES['left']),
    }
    (fused,) = Fuser(EXACT).update(views).fused
    assert float(fused.sighting.pose.translation[0]) == pytest.approx(0.004, abs=0.0005)


@pytest.mark.parametrize('speed', [0.0, 0.05, 0.4])
def test_what_free_running_cameras_see_is_as_sure_as_the_object_is_slow(rng, speed):
    """Each camera sees it a third of the period later than the one before; the truth is where it is at last."""
    fuser, inside, sigmas = Fuser(EXACT), [], []
    for frame in range(60):
        times = {name: frame * STEP_S + place * STEP_S / 3 for place, name in enumerate(EYES)}
        views = {
            name: CameraView(time_s, [seen(rng, at(speed * time_s))], EYES[name]) for name, time_s in times.items()
        }
        (fused,) = fuser.update(views).fused
        if frame < 10:
            continue
        assert fused.streams == ('front', 'left', 'right')
        error = fused.sighting.pose.translation - at(speed * max(times.values())).translation
        sigma = np.sqrt(fused.sighting.covariance.diagonal()[:3])
        inside += (np.abs(error) <= 2 * sigma).tolist()
        sigmas.append(float(sigma[0]))
    assert np.mean(inside) > 0.9
    if speed == 0.0:
        assert np.mean(sigmas) < 0.7 * POSITION, 'what rests is as sure as of cameras with one trigger, nearly'
    if speed == 0.4:
        assert np.mean(sigmas) > 0.9 * POSITION, 'what was seen earlier says nothing of where it is'


def shifted(items: Sequence[Sighting], shift: Sequence[float]) -> list[Sighting]:
    return [
        Sighting(
            item.label, Pose(item.pose.rotation, item.pose.translation + shift), item.covariance, item.score, item.size
        )
        for item in items
    ]


OBJECTS = {'box': (at(0.0), BOX), 'book': (at(0.25, 0.1), (0.15, 0.22, 0.035)), 'can': (at(-0.25), CAN)}


def table(rng: np.random.Generator) -> list[Sighting]:
    return [seen(rng, pose, name, size) for name, (pose, size) in OBJECTS.items()]


def test_of_three_cameras_the_one_with_a_wrong_calibration_is_named_and_left_out(rng):
    fuser = Fuser(FusionSettings())
    for frame in range(12):
        views = {'front': table(rng), 'left': shifted(table(rng), (0.03, 0.0, 0.04)), 'right': table(rng)}
        result = moment(fuser, frame, **views)
        for item in result.fused:
            if len(item.streams) > 1:
                assert item.streams == ('front', 'right')
    assert result.left_out == ('left',)
    assert {item.streams for item in result.disagreements} == {('front', 'left'), ('left', 'right')}
    assert all(item.size_m == pytest.approx(0.05, abs=0.004) for item in result.disagreements)
    apart = r'(49|5[01]) mm apart \(\+[23]\d, [+-]\d, \+[34]\d mm along x, y, z; \d+ objects\)'
    told = f'front and left see the same objects {apart}'
    assert re.match(told, result.disagreements[0].text()), result.disagreements[0].text()
    assert sorted(item.sighting.label for item in result.fused) == ['book', 'box', 'can']
    for frame in range(12, 60):  # somebody has set it right
        result = moment(fuser, frame, **{name: table(rng) for name in EYES})
    assert result.left_out == () and all(len(item.streams) == 3 for item in result.fused)


def test_of_two_cameras_none_is_believed_where_both_see_an_object(rng):
    fuser = Fuser(FusionSettings())
    for frame in range(12):
        front = [*table(rng), seen(rng, at(0.0, -0.3), 'tea')]
        result = moment(fuser, frame, front=front, left=shifted(table(rng), (0.05, 0.0, 0.0)))
    assert result.left_out == ()
    assert [item.streams for item in result.disagreements] == [('front', 'left')]
    assert [item.sighting.label for item in result.fused] == ['tea']
    assert {item.reason for item in result.refusals} == {'contradiction'}


@pytest.mark.parametrize('axis', [0, 1, 2])
@pytest.mark.parametrize('degrees', [-9.0, 6.0, 10.0])
def test_of_two_cameras_of_which_one_is_turned_nothing_that_both_see_is_given_out(rng, axis, degrees):
    """Each object is off by another shift then, and none may pass as an object that only one camera sees."""
    turn, eye = so3_exp(np.radians(degrees) * np.eye(3)[axis]), EYES['left']
    places = [(0.1, 0.05), (-0.2, 0.1), (0.25, -0.2), (-0.05, -0.25)]
    wrong = Pose(turn, eye - turn @ eye)
    fuser = Fuser(FusionSettings())
    for frame in range(20):
        front, left = ([seen(rng, at(*place), name) for name, place in zip('abca', places, strict=True)] for _ in '12')
        left = [dataclasses.replace(item, pose=wrong @ item.pose) for item in left]
        result = moment(fuser, frame, front=front, left=left)
    assert [item.streams for item in result.disagreements] == [('front', 'left')]
    assert result.fused == ()


def test_a_right_calibration_is_never_blamed(rng):
    fuser = Fuser(FusionSettings())
    for frame in range(60):
        views = {'front': table(rng), 'left': shifted(table(rng), (0.004, 0.003, 0.0)), 'right': table(rng)}
        result = moment(fuser, frame, **views)
        assert result.disagreements == () and result.left_out == ()
    assert np.linalg.norm(fuser.shifts['front', 'left']) == pytest.approx(0.005, abs=0.002)


def test_a_camera_that_was_mounted_anew_starts_without_a_past(rng):
    fuser = Fuser(FusionSettings())
    for frame in range(12):
        moment(fuser, frame, front=table(rng), left=shifted(table(rng), (0.05, 0.0, 0.0)))
    fuser.forget_camera('left')
    assert fuser.shifts == {}
    assert moment(fuser, 12, front=table(rng), left=table(rng)).disagreements == ()


def test_nothing_at_all_is_no_trouble():
    fuser = Fuser()
    assert fuser.update({}) == Round((), (), (), ())
    assert fuser.update({'front': CameraView(0.0, [])}).fused == ()
