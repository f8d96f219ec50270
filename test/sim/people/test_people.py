# SPDX-License-Identifier: Apache-2.0
"""People who walk: repeatable, of human proportions, without jumps, and true to what they say of themselves."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from isaac_inference.models.card.skeletons.published import COCO_17
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.sim import default_camera
from isaac_inference.sim.people import KEYPOINTS, PeopleFrame, PeopleScene, observed_keypoints
from isaac_inference.sim.people.body import Capsule, Posture, posed, random_figure
from isaac_inference.sim.people.capsules import CapsuleRays, draw_capsules
from isaac_inference.sim.renderer import Light
from isaac_inference.sim.sensor import SensorSettings

CLEAN = SensorSettings(blur=0.0, noise=0.0, depth_noise=0.0, depth_hole_edges=False)
AT = {name: index for index, name in enumerate(KEYPOINTS)}


@functools.lru_cache(maxsize=16)
def frame_of(seed: int, time_s: float = 0.0, distorted: bool = False) -> PeopleFrame:
    return PeopleScene(default_camera(distorted=distorted), seed, sensor=CLEAN).frame(time_s)


def test_the_joints_are_those_of_coco() -> None:
    assert COCO_17.names == KEYPOINTS


def test_equal_seeds_and_times_make_equal_frames() -> None:
    first, again = (PeopleScene(default_camera(160, 120), 5).frame(1.5) for _ in range(2))
    np.testing.assert_array_equal(first.color, again.color)
    np.testing.assert_array_equal(first.depth, again.depth)
    np.testing.assert_array_equal(first.instances, again.instances)
    np.testing.assert_array_equal([one.joints for one in first.truths], [one.joints for one in again.truths])


def test_another_seed_or_time_makes_another_frame() -> None:
    scene = PeopleScene(default_camera(160, 120), 5)
    assert (scene.frame(1.5).color != scene.frame(1.6).color).any()
    assert (scene.frame(1.5).color != PeopleScene(default_camera(160, 120), 6).frame(1.5).color).any()


def test_seeds_have_one_to_three_people_of_all_sizes() -> None:
    frames = [PeopleScene(default_camera(80, 60), seed).frame(0.0) for seed in range(20)]
    assert {len(frame.truths) for frame in frames} == {1, 2, 3}
    heights = [truth.height for frame in frames for truth in frame.truths]
    assert 1.5 <= min(heights) < 1.65
    assert 1.85 < max(heights) <= 2.0


def test_people_move_without_jumps_and_without_walking_through_each_other() -> None:
    scene = PeopleScene(default_camera(80, 60), 3, people=3)
    frames = [scene.frame(index / 15) for index in range(30)]
    path = np.array([[truth.joints for truth in frame.truths] for frame in frames])
    assert path.shape == (30, 3, 17, 3)
    steps = np.linalg.norm(np.diff(path, axis=0), axis=-1)
    assert steps.max() < 6.0 / 15, 'no joint is faster than a swinging hand'
    hips = path[:, :, AT['left_hip']]
    for one in range(3):
        for other in range(one):
            assert np.linalg.norm(hips[:, one] - hips[:, other], axis=1).min() > 0.5


def test_bones_keep_their_length_and_are_a_human_s() -> None:
    scene = PeopleScene(default_camera(80, 60), 8, people=2)
    for name, other, share in (
        ('left_shoulder', 'left_elbow', 0.186), ('right_elbow', 'right_wrist', 0.146),
        ('left_hip', 'left_knee', 0.245), ('right_knee', 'right_ankle', 0.246),
    ):  # fmt: skip
        for person in range(2):
            truths = [scene.frame(time_s).truths[person] for time_s in (0.0, 0.7, 1.9)]
            lengths = [np.linalg.norm(one.joints[AT[name]] - one.joints[AT[other]]) for one in truths]
            np.testing.assert_allclose(lengths, lengths[0], atol=1e-9)
            assert lengths[0] == pytest.approx(share * truths[0].height, rel=0.06)


def test_a_foot_is_on_the_floor_and_the_head_is_at_the_stature() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        figure = random_figure(rng)
        joints, parts = posed(figure, Posture(), Pose.identity())
        lowest = min(min(part.start[2], part.end[2]) - part.radius for part in parts)
        highest = max(max(part.start[2], part.end[2]) + part.radius for part in parts)
        assert abs(lowest) < 0.02
        assert highest == pytest.approx(figure.height, rel=0.08)
        assert joints[AT['left_hip'], 1] > 0 > joints[AT['right_hip'], 1], 'y is to their left'
        assert joints[AT['nose'], 0] > 0, 'x is forward'


@pytest.mark.parametrize('distorted', [False, True])
@pytest.mark.parametrize('seed', range(30, 34))
def test_visible_joints_are_behind_the_skin_that_depth_shows(seed: int, distorted: bool) -> None:
    frame = frame_of(seed, 0.8, distorted)
    for number, truth in enumerate(frame.truths, 1):
        columns, rows = truth.pixels[truth.visible].astype(int).T
        assert (frame.instances[rows, columns] == number).all()
        behind = truth.joints[truth.visible, 2] - frame.exact_depth[rows, columns]
        assert behind.min() > -0.03
        assert behind.max() < 0.25
        assert np.median(behind) < 0.1


@pytest.mark.parametrize('seed', range(30, 34))
def test_a_box_is_as_tight_as_the_mask_where_nothing_hides_it(seed: int) -> None:
    frame = frame_of(seed, 0.8)
    for number, truth in enumerate(frame.truths, 1):
        if truth.visibility < 0.999:
            continue
        rows, columns = np.nonzero(frame.instances == number)
        seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        np.testing.assert_allclose(truth.box, seen, atol=1.5)


def test_depth_of_a_capsule_is_exact() -> None:
    """A ray through a ball's middle meets it a radius before its centre; beside a cylinder's axis by Pythagoras."""
    camera = default_camera(160, 120)
    rays = CapsuleRays(camera)
    part = Capsule(np.array((0.0, -0.5, 2.0)), np.array((0.0, 0.5, 2.0)), 0.1, (200, 200, 200))
    depth = np.full((120, 160), np.nan, np.float32)
    color = np.zeros((120, 160, 3), np.uint8)
    count = draw_capsules(rays, [part], color, depth, None, 1, Light(), np.array((0.0, 0.0, -1.0)))
    assert count == np.isfinite(depth).sum() > 0
    for column in range(160):
        x = (column - camera.K[0, 2]) / camera.K[0, 0]
        # (x z)^2 + (z - 2)^2 = r^2 on the row through the middle
        root = 4.0 - (1 + x * x) * (4.0 - 0.01)
        expected = (2.0 - np.sqrt(root)) / (1 + x * x) if root > 0 else np.nan
        np.testing.assert_allclose(depth[60, column], expected, rtol=1e-6)


def test_what_is_before_a_person_hides_joints() -> None:
    """Of many people some are partly hidden, by others or by things: what is hidden is not called visible."""
    truths = [truth for seed in range(40, 60) for truth in frame_of(seed).truths]
    assert 0.5 < np.mean([truth.visible.mean() for truth in truths]) < 0.95
    assert any(truth.visibility < 0.9 for truth in truths)


def test_a_network_is_mostly_unsure_of_what_is_hidden() -> None:
    frame = frame_of(31)
    rows = np.concatenate([observed_keypoints(frame.truths, np.random.default_rng(k)) for k in range(30)])
    visible = np.concatenate([np.stack([truth.visible for truth in frame.truths])] * 30)
    assert rows[visible, 2].min() >= 0.45
    assert 0.5 < (rows[~visible, 2] < 0.45).mean() < 0.9
    pixels = np.concatenate([np.stack([truth.pixels for truth in frame.truths])] * 30)
    assert 2.0 < (rows[..., :2] - pixels).std() < 4.0


def test_people_who_keep_a_posture_are_where_they_would_walk() -> None:
    """Seated, all of the thighs are level; the way of a seed stays the same."""
    camera = default_camera()
    seated = PeopleScene(camera, 5, people=2, posture=Posture(hip=(1.57, 1.57), knee=(1.57, 1.57)))
    walking = PeopleScene(camera, 5, people=2)
    for time_s in (0.0, 1.0):
        frame, other = seated.frame(time_s), walking.frame(time_s)
        up = frame.T_world_camera.rotation[2]
        for truth, walker in zip(frame.truths, other.truths, strict=True):
            hip, knee = (truth.joints[KEYPOINTS.index(name)] @ up for name in ('left_hip', 'left_knee'))
            assert hip == pytest.approx(knee, abs=0.02)
            np.testing.assert_allclose(truth.pose.translation, walker.pose.translation)
