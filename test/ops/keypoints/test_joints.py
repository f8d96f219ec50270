# SPDX-License-Identifier: Apache-2.0
"""Joints in space: where depth shows this body; else left out, under the right reason."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.models.card.skeletons.published import COCO_17
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.keypoints.body import body_of
from isaac_inference.ops.keypoints.joint_depth import surfaces_at
from isaac_inference.ops.keypoints.joints import (
    NO_BODY,
    NO_BONE,
    NO_DEPTH,
    OUTSIDE,
    UNSURE,
    JointSettings,
    joints_in_space,
)
from isaac_inference.sim import default_camera
from isaac_inference.sim.people import PeopleFrame, PeopleScene, PersonTruth, observed_keypoints
from isaac_inference.sim.sensor import SensorSettings

CLEAN = SensorSettings(blur=0.0, noise=0.0, depth_noise=0.0, depth_hole_edges=False)
CAMERA = default_camera()
BODY = body_of(COCO_17.names, COCO_17.edges)
AT = {name: index for index, name in enumerate(COCO_17.names)}
# a T-pose that faces the camera, m, at 3 m; y is down
PLANE = {
    'nose': (0.0, -0.65), 'left_eye': (0.03, -0.69), 'right_eye': (-0.03, -0.69), 'left_ear': (0.08, -0.68),
    'right_ear': (-0.08, -0.68), 'left_shoulder': (0.2, -0.45), 'right_shoulder': (-0.2, -0.45),
    'left_elbow': (0.52, -0.45), 'right_elbow': (-0.52, -0.45), 'left_wrist': (0.78, -0.45),
    'right_wrist': (-0.78, -0.45), 'left_hip': (0.12, 0.06), 'right_hip': (-0.12, 0.06), 'left_knee': (0.12, 0.49),
    'right_knee': (-0.12, 0.49), 'left_ankle': (0.12, 0.92), 'right_ankle': (-0.12, 0.92),
}  # fmt: skip


@functools.lru_cache(maxsize=32)
def frame_of(seed: int, time_s: float = 0.0) -> PeopleFrame:
    return PeopleScene(CAMERA, seed, people=1, sensor=CLEAN).frame(time_s)


def rows_of(truth: PersonTruth) -> np.ndarray:
    return np.column_stack((truth.pixels, np.where(truth.visible, 0.9, 0.1)))


def flat_person(distance: float = 3.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(17, 3) keypoints, (4,) box, and (H, W) depth of a board in the shape of somebody, before a far wall."""
    points = np.array([(*PLANE[name], distance) for name in COCO_17.names])
    pixels = CAMERA.project(points) + 0.5
    depth = np.full((CAMERA.height, CAMERA.width), 8.0, np.float32)
    ys, xs = np.mgrid[: CAMERA.height, : CAMERA.width]
    reach = 0.07 * CAMERA.focal / distance
    for x, y in pixels:
        depth[(xs - x) ** 2 + (ys - y) ** 2 <= reach**2] = distance
    box = np.concatenate((pixels.min(axis=0) - 10, pixels.max(axis=0) + 10))
    return np.column_stack((pixels, np.full(17, 0.9))), box, depth


def surface_body() -> object:
    return body_of(COCO_17.names, COCO_17.edges, dict.fromkeys(COCO_17.names, 0.0))


@pytest.mark.parametrize('seed', range(60, 68))
def test_joints_of_simulated_people_are_where_they_are(seed: int) -> None:
    frame = frame_of(seed, 0.6)
    truth = frame.truths[0]
    found = joints_in_space(rows_of(truth), truth.box, CAMERA, DepthImage(frame.depth, 1.0), BODY)
    off = np.linalg.norm(found.positions - truth.joints, axis=1)
    assert np.nanmedian(off) < 0.03
    assert (found.found <= truth.visible).all()
    assert found.height == pytest.approx(truth.height, rel=0.12)
    assert all(bool(reason) != there for reason, there in zip(found.left_out, found.found, strict=True))


def test_the_surface_of_a_board_is_had_exactly() -> None:
    rows, box, depth = flat_person()
    body = surface_body()
    found = joints_in_space(rows, box, CAMERA, DepthImage(depth, 1.0), body)
    expected = np.array([(*PLANE[name], 3.0) for name in COCO_17.names])
    np.testing.assert_allclose(found.positions, expected, atol=1e-3)


def test_a_joint_lies_behind_the_skin_along_its_ray() -> None:
    rows, box, depth = flat_person()
    shown = joints_in_space(rows, box, CAMERA, DepthImage(depth, 1.0), surface_body()).positions
    inside = joints_in_space(rows, box, CAMERA, DepthImage(depth, 1.0), BODY).positions
    np.testing.assert_allclose(np.linalg.norm(inside - shown, axis=1), BODY.behind, atol=1e-6)
    np.testing.assert_allclose(np.cross(inside, shown), 0.0, atol=1e-6)


def test_lens_distortion_is_undone() -> None:
    camera = default_camera(distorted=True)
    frame = PeopleScene(camera, 61, people=1, sensor=CLEAN).frame(0.0)
    truth = frame.truths[0]
    found = joints_in_space(rows_of(truth), truth.box, camera, DepthImage(frame.depth, 1.0), BODY)
    assert np.nanmedian(np.linalg.norm(found.positions - truth.joints, axis=1)) < 0.03


def test_a_wrist_beside_the_arm_has_no_place_on_the_wall() -> None:
    rows, box, depth = flat_person()
    rows[AT['left_wrist'], 0] += 40
    found = joints_in_space(rows, box, CAMERA, DepthImage(depth, 1.0), BODY)
    assert found.left_out[AT['left_wrist']] == NO_BODY
    assert found.found.sum() == 16


def test_where_limb_and_wall_are_both_seen_the_limb_is_taken() -> None:
    rows, box, depth = flat_person()
    rows[AT['left_wrist'], 0] += 13  # at the edge of what shows the wrist, 14 px across
    found = joints_in_space(rows, box, CAMERA, DepthImage(depth, 1.0), surface_body())
    assert found.positions[AT['left_wrist'], 2] == pytest.approx(3.0, abs=1e-3)


def test_what_hides_a_leg_is_not_the_leg() -> None:
    rows, box, depth = flat_person()
    depth[330:] = 1.6  # a table before knees and ankles
    found = joints_in_space(rows, box, CAMERA, DepthImage(depth, 1.0), BODY)
    for name in ('left_ankle', 'right_ankle'):
        assert found.left_out[AT[name]] in (NO_BODY, NO_BONE)
    assert found.found[: AT['left_hip']].all()


def test_a_shoulder_that_hides_the_other_leaves_one() -> None:
    """In profile a network guesses the far shoulder at the near one's pixels: there is no bone of that length."""
    rows, box, depth = flat_person()
    rows[AT['right_shoulder']] = (*rows[AT['left_shoulder'], :2] + 1.0, 0.5)
    found = joints_in_space(rows, box, CAMERA, DepthImage(depth, 1.0), BODY)
    assert found.left_out[AT['right_shoulder']] in (NO_BODY, NO_BONE)
    assert found.found[AT['left_shoulder']]


def test_an_elbow_far_before_its_shoulder_and_wrist_is_left_out() -> None:
    rows, box, depth = flat_person()
    x, y = rows[AT['left_elbow'], :2].astype(int)
    depth[y - 30 : y + 30, x - 30 : x + 30] = 2.3
    found = joints_in_space(rows, box, CAMERA, DepthImage(depth, 1.0), BODY)
    assert found.left_out[AT['left_elbow']] in (NO_BODY, NO_BONE)
    assert found.found.sum() == 16


def test_each_joint_that_is_left_out_says_why() -> None:
    rows, box, depth = flat_person()
    rows[AT['nose'], 2] = 0.1
    rows[AT['left_ear'], 0] = CAMERA.width + 5.0
    x, y = rows[AT['left_hip'], :2].astype(int)
    depth[y - 30 : y + 30, x - 25 : x + 25] = np.nan
    found = joints_in_space(rows, box, CAMERA, DepthImage(depth, 1.0), BODY)
    told = {name: found.left_out[AT[name]] for name in ('nose', 'left_ear', 'left_hip', 'left_knee')}
    assert told == {'nose': UNSURE, 'left_ear': OUTSIDE, 'left_hip': NO_DEPTH, 'left_knee': ''}
    assert np.isnan(found.positions[AT['left_hip']]).all()
    assert np.isnan(found.covariances[AT['left_hip']]).all()


def test_a_keypoint_that_is_not_finite_has_no_place() -> None:
    rows, box, depth = flat_person()
    rows[AT['nose'], 0] = np.nan
    found = joints_in_space(rows, box, CAMERA, DepthImage(depth, 1.0), BODY)
    assert found.left_out[AT['nose']] == OUTSIDE
    assert found.found.sum() == 16


def test_the_covariance_is_long_along_the_ray_and_grows_with_the_distance() -> None:
    near, far = (
        joints_in_space(rows, box, CAMERA, DepthImage(depth, 1.0), BODY)
        for rows, box, depth in (flat_person(3.0), flat_person(5.0))
    )
    for found in (near, far):
        for position, covariance in zip(found.positions, found.covariances, strict=True):
            values, vectors = np.linalg.eigh(covariance)
            assert values.min() > 0
            ray = position / np.linalg.norm(position)
            assert min(np.linalg.norm(vectors.T @ ray - axis) for axis in (*np.eye(3), *-np.eye(3))) < 0.3
    assert (np.trace(far.covariances, axis1=1, axis2=2) > np.trace(near.covariances, axis1=1, axis2=2)).all()


@pytest.mark.parametrize(
    ('scale', 'reason'), [(4.0, 'person_distance'), (2.0, 'person_height'), (0.3, 'person_height')]
)
def test_who_cannot_be_a_person_has_no_joints(scale: float, reason: str) -> None:
    rows, box, depth = flat_person()
    settings = JointSettings(max_distance=10.0)
    with pytest.raises(FrameError) as caught:
        joints_in_space(rows, box, CAMERA, DepthImage(depth * np.float32(scale), 1.0), BODY, settings)
    assert caught.value.reason == reason


def test_too_few_joints_tell_nothing() -> None:
    rows, box, depth = flat_person()
    rows[2:, 2] = 0.0
    with pytest.raises(FrameError, match='joint_unsure 15') as caught:
        joints_in_space(rows, box, CAMERA, DepthImage(depth, 1.0), BODY)
    assert caught.value.reason == 'person_joints'


@pytest.mark.parametrize('fill', [np.nan, 0.0])
def test_depth_without_readings_gives_nobody(fill: float) -> None:
    rows, box, depth = flat_person()
    with pytest.raises(FrameError) as caught:
        joints_in_space(rows, box, CAMERA, DepthImage(np.full_like(depth, fill), 1.0), BODY)
    assert caught.value.reason == 'person_joints'


def test_keypoints_unlike_the_skeleton_are_refused() -> None:
    rows, box, depth = flat_person()
    with pytest.raises(FrameError, match='17 points') as caught:
        joints_in_space(rows[:13], box, CAMERA, DepthImage(depth, 1.0), BODY)
    assert caught.value.reason == 'keypoint_count'


def test_a_face_and_a_chest_are_enough() -> None:
    rows, box, depth = flat_person()
    rows[AT['left_elbow'] :, 2] = 0.0
    found = joints_in_space(rows, box, CAMERA, DepthImage(depth, 1.0), BODY)
    assert found.found.tolist() == [True] * 7 + [False] * 10


def test_points_of_any_skeleton_are_brought_into_space() -> None:
    """Of points that no table knows each is as the surface shows it."""
    body = body_of(['tip', 'middle', 'end'], [(0, 1), (1, 2)])
    depth = np.full((480, 640), 2.0, np.float32)
    rows = np.array([[300.0, 200, 1], [320, 240, 1], [340, 280, 1]])
    found = joints_in_space(rows, np.array([290.0, 190, 350, 290]), CAMERA, DepthImage(depth, 1.0), body)
    np.testing.assert_allclose(found.positions[:, 2], 2.0, atol=1e-6)
    assert np.isnan(found.height)


def test_nothing_of_what_is_given_is_changed() -> None:
    rows, box, depth = flat_person()
    before = [array.copy() for array in (rows, box, depth)]
    joints_in_space(rows, box, CAMERA, DepthImage(depth, 1.0), BODY)
    for array, copy in zip((rows, box, depth), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize('seed', range(40))
def test_whatever_is_seen_it_ends_with_joints_that_fit_each_other_or_none(seed: int) -> None:
    """Keypoints at random before blocks of depth at random."""
    rng = np.random.default_rng(seed)
    blocks = rng.uniform(1.5, 4.0, (24, 32)).astype(np.float32)
    depth = np.repeat(np.repeat(blocks, 20, axis=0), 20, axis=1)
    center = rng.uniform((200, 150), (440, 330))
    rows = np.column_stack((rng.normal(center, 60, (17, 2)), rng.uniform(0.3, 1.0, 17)))
    try:
        found = joints_in_space(rows, np.array([100.0, 50, 500, 450]), CAMERA, DepthImage(depth, 1.0), BODY)
    except FrameError as error:
        assert error.reason in ('person_joints', 'person_height', 'person_distance', 'person_layers')
        return
    for (first, second), share in zip(BODY.bones.tolist(), BODY.lengths.tolist(), strict=True):
        apart = np.linalg.norm(found.positions[first] - found.positions[second])
        assert np.isnan(apart) or apart < 1.35 * share * 2.3 + 0.3


# Surfaces at a pixel


def test_stray_readings_between_two_surfaces_are_none() -> None:
    image = np.full((40, 40), 3.0, np.float32)
    image[:, :20] = 2.0
    image[::7, 19] = 2.5  # mixed pixels
    assert [round(one.depth, 1) for one in surfaces_at(DepthImage(image, 1.0), (19.0, 20.0), 6.0, 0.05)] == [2.0, 3.0]


def test_a_slanted_surface_is_one_with_its_spread() -> None:
    image = np.tile(np.linspace(2.0, 2.4, 40, dtype=np.float32), (40, 1))
    (one,) = surfaces_at(DepthImage(image, 1.0), (20.0, 20.0), 10.0, 0.05)
    assert one.depth == pytest.approx(2.2, abs=0.01)
    assert 0.02 < one.spread < 0.08


@pytest.mark.parametrize('pixel', [(-1.0, 5.0), (5.0, 40.0), (np.nan, 5.0)])
def test_outside_the_image_there_is_no_surface(pixel: tuple[float, float]) -> None:
    assert surfaces_at(DepthImage(np.ones((40, 40), np.float32), 1.0), pixel, 3.0, 0.05) == []


def test_at_the_corner_what_there_is_is_taken() -> None:
    (one,) = surfaces_at(DepthImage(np.ones((40, 40), np.float32), 1.0), (0.2, 0.2), 5.0, 0.05)
    assert one.depth == 1.0


def test_a_camera_without_a_ray_for_the_corner_leaves_that_out() -> None:
    rows, box, depth = flat_person()
    camera = CameraModel(640, 480, CAMERA.K, (-0.9, 0.0, 0.0, 0.0, 0.0), 'plumb_bob')
    rows[AT['nose'], :2] = (1.0, 1.0)
    assert np.isnan(camera.undistort(rows[AT['nose'], None, :2] - 0.5)).any()
    found = joints_in_space(rows, box, camera, DepthImage(depth, 1.0), replace(BODY))
    assert found.left_out[AT['nose']] == OUTSIDE


def test_joints_whose_good_bones_outweigh_a_bad_one_come_to_an_end() -> None:
    """Of such joints once the first was taken, which was gone already, again and again."""
    frame = PeopleScene(CAMERA, 9704019).frame(0.0)
    rows = observed_keypoints(frame.truths, np.random.default_rng([23, 9704019, 0]))
    for truth, row in zip(frame.truths, rows.astype(float), strict=True):
        found = joints_in_space(row, truth.box.astype(float), CAMERA, DepthImage(frame.depth, 1.0), BODY)
        assert np.isfinite(found.positions).any()
