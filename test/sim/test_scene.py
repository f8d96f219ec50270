# SPDX-License-Identifier: Apache-2.0
"""Scenes: repeatable, in motion, and true to what they say of themselves."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.sim import LABELS, OBJECTS, Scene, default_camera, samples, training_sample
from isaac_inference.sim.placement import resting
from isaac_inference.sim.sensor import SensorSettings, sense_color, sense_depth

CLEAN = SensorSettings(blur=0.0, noise=0.0, depth_noise=0.0, depth_hole_edges=False)


@pytest.fixture(scope='module')
def scene() -> Scene:
    return Scene(default_camera(), seed=5)


def test_there_are_five_kinds_or_more_and_all_are_on_the_table(scene):
    assert len(OBJECTS) >= 5
    assert {kind.name for _, kind, _ in scene.object_poses(0.0)} == set(LABELS)


def test_equal_seeds_and_times_make_equal_frames(scene):
    first, again = scene.frame(1.5), Scene(default_camera(), seed=5).frame(1.5)
    np.testing.assert_array_equal(first.color, again.color)
    np.testing.assert_array_equal(first.depth, again.depth)
    assert [item.instance for item in first.truths] == [item.instance for item in again.truths]


def test_another_seed_or_time_makes_another_frame(scene):
    assert (scene.frame(1.5).color != scene.frame(1.6).color).any()
    assert (scene.frame(1.5).color != Scene(default_camera(), seed=6).frame(1.5).color).any()


def test_camera_and_objects_move_without_jumps(scene):
    def positions(time_s):
        return np.array(
            [scene.camera_pose(time_s).translation] + [pose.translation for *_, pose in scene.object_poses(time_s)]
        )

    path = np.array([positions(index / 30) for index in range(90)])
    steps = np.linalg.norm(np.diff(path, axis=0), axis=2)
    assert steps[:, 0].min() > 0, 'the camera stands still'
    assert (steps[:, 1:].sum(axis=0) > 0.01).any(), 'no object moves'
    assert steps.max() < 0.5 / 30, 'something jumps'


def test_truth_is_where_the_depth_is():
    """A truth's centre, pushed to its surface, meets the measured depth: an object of known pose at each truth."""
    camera = default_camera()
    frame = Scene(camera, seed=5, sensor=CLEAN).frame(2.0)
    for item in frame.truths:
        if item.visibility < 0.9:
            continue
        corners = item.pose.apply(cuboid_corners(item.kind.size))
        u, v = camera.project(item.pose.translation[None])[0].round().astype(int)
        assert corners[:, 2].min() - 1e-3 < frame.depth[v, u] < item.pose.translation[2]


def test_objects_lie_on_the_table():
    for kind in OBJECTS:
        for side in range(6):
            corners = resting(kind, side, 0.1, -0.2, 0.7).apply(cuboid_corners(kind.size))
            assert corners[:, 2].min() == pytest.approx(0.0, abs=1e-9)
            np.testing.assert_allclose(corners.mean(axis=0)[:2], (0.1, -0.2), atol=1e-9)


def test_a_symmetric_object_s_pose_is_turned_to_the_camera(scene):
    cans = [item for item in scene.frame(0.0).truths if item.kind.symmetries]
    assert cans
    for item in cans:
        viewer = item.pose.inverse().translation
        assert np.arctan2(viewer[1], viewer[0]) == pytest.approx(0.0, abs=1e-6)


def test_samples_are_labelled_in_their_own_picture():
    rng = np.random.default_rng(0)
    for _ in range(5):
        sample = training_sample(rng)
        assert sample.image.shape == (480, 640, 3)
        assert sample.boxes.shape == (len(sample.class_ids), 4)
        assert sample.keypoints.shape == (len(sample.class_ids), 8, 2)
        for box, corners, name in zip(sample.boxes, sample.keypoints, sample.class_ids, strict=True):
            low, high = corners.min(axis=0), corners.max(axis=0)
            hull = np.clip((*low, *high), 0, (640, 480, 640, 480))
            slack = 0.5 * (hull[2:] - hull[:2]).max() if OBJECTS[name].shape == 'cylinder' else 0.01
            assert np.abs(box - hull).max() <= slack


def test_samples_say_which_pixels_and_which_pose_each_object_has():
    rng = np.random.default_rng(4)
    seen = 0
    for _ in range(8):
        sample = training_sample(rng)
        assert sample.instances.shape == (480, 640)
        assert sample.instances.max() <= len(sample.class_ids) == len(sample.poses)
        for row, (box, corners, pose) in enumerate(zip(sample.boxes, sample.keypoints, sample.poses, strict=True)):
            y, x = np.nonzero(sample.instances == row + 1)
            assert len(x), 'an object that is named is seen'
            assert x.min() >= box[0] - 1 and x.max() + 1 <= box[2] + 1
            assert y.min() >= box[1] - 1 and y.max() + 1 <= box[3] + 1
            size = OBJECTS[sample.class_ids[row]].size
            placed = sample.camera.project(pose.apply(cuboid_corners(size))) + 0.5
            np.testing.assert_allclose(placed, corners, atol=1e-3)
            if sample.visibility[row] > 0.99:  # the outline is all there: it reaches the box on every side
                assert max(x.min() - box[0], box[2] - x.max() - 1, y.min() - box[1], box[3] - y.max() - 1) <= 1.5
                seen += 1
    assert seen >= 3


def test_look_alikes_have_a_named_shape_and_size_and_another_paint():
    for number in range(12):
        other, named = samples._look_alike(number), OBJECTS[number % len(OBJECTS)]
        assert (other.shape, other.size) == (named.shape, named.size)
        assert other.name not in LABELS and other.title != named.title and other.palette != named.palette


def test_half_of_the_samples_are_crowded():
    rng = np.random.default_rng(1)
    counts = [len(training_sample(rng).boxes) for _ in range(40)]
    assert 0.3 < np.mean([count >= 4 for count in counts]) < 0.9
    assert max(counts) <= 8, 'a training example holds no more'


def test_samples_follow_from_their_seed():
    first, again = (training_sample(np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.keypoints, again.keypoints)


def test_sensor_noise_has_the_size_that_was_asked_for():
    gray = np.full((480, 640, 3), 120, np.uint8)
    noisy = sense_color(gray, SensorSettings(blur=0, noise=4.0), np.random.default_rng(0)).astype(float)
    assert noisy.std() == pytest.approx(4.0, rel=0.1)
    assert noisy.mean() == pytest.approx(120, abs=0.5)
    flat = np.full((480, 640), 1.5, np.float32)
    measured = sense_depth(flat, SensorSettings(depth_noise=0.002), np.random.default_rng(0))
    assert measured.std() == pytest.approx(0.002 * 1.5**2, rel=0.1)


def test_depth_has_holes_along_jumps():
    step = np.full((40, 60), 1.0, np.float32)
    step[:, 30:] = 1.2
    measured = sense_depth(step, SensorSettings(depth_noise=0), np.random.default_rng(0))
    assert np.isnan(measured[:, 29:31]).all()
    assert np.isfinite(measured[:, :28]).all()


def test_a_distorted_lens_bends_the_table_s_edge():
    straight = Scene(default_camera(), seed=5, sensor=CLEAN).frame(0.0)
    bent = Scene(default_camera(distorted=True), seed=5, sensor=CLEAN).frame(0.0)
    moved = [
        np.abs(a.box - b.box).max()
        for a, b in zip(straight.truths, bent.truths, strict=False)
        if a.instance == b.instance and a.visibility > 0.9
    ]
    assert max(moved) > 2.0


def test_samples_need_no_more_than_numpy_and_opencv():
    camera = default_camera(320, 240)
    assert isinstance(camera, CameraModel)
    assert Scene(camera, seed=1).frame(0.0).color.shape == (240, 320, 3)


def test_frames_say_which_pixels_each_object_has():
    for seed in range(3):
        frame = Scene(default_camera(), seed).frame(0.5)
        assert set(np.unique(frame.instances)) - {0} == set(range(1, len(frame.truths) + 1))
        for number, truth in enumerate(frame.truths, 1):
            y, x = np.nonzero(frame.instances == number)
            assert x.min() >= truth.box[0] - 1 and x.max() + 1 <= truth.box[2] + 1
            assert y.min() >= truth.box[1] - 1 and y.max() + 1 <= truth.box[3] + 1
