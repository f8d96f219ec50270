# SPDX-License-Identifier: Apache-2.0
"""Several cameras around one scene: one truth, each its own view, its own faults and its own calibration."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import ConfigError
from isaac_inference.ops.geometry.rigid import rotation_angle
from isaac_inference.ops.geometry.symmetry import rotation_error
from isaac_inference.sim import Scene, default_camera
from isaac_inference.sim.placement import calibration_error

SMALL = default_camera(160, 120)


@pytest.fixture(scope='module')
def views() -> list[Scene]:
    return [Scene(SMALL, seed=7, view=view, views=3) for view in range(3)]


def test_the_first_view_is_the_scene_with_one_camera(views):
    alone, first = Scene(SMALL, seed=7).frame(1.25), views[0].frame(1.25)
    np.testing.assert_array_equal(alone.color, first.color)
    np.testing.assert_array_equal(alone.depth, first.depth)


@pytest.mark.parametrize('time_s', [0.0, 2.5])
def test_all_see_the_same_objects_at_the_same_places(views, time_s):
    places = [{instance: pose for instance, _, pose in view.object_poses(time_s)} for view in views]
    frames = [view.frame(time_s) for view in views]
    assert all(len(frame.truths) >= 4 for frame in frames)
    for place, frame in zip(places, frames, strict=True):
        for item in frame.truths:
            world = frame.T_world_camera @ item.pose
            expected = places[0][item.instance]
            np.testing.assert_allclose(world.translation, expected.translation, atol=1e-9)
            assert rotation_error(world, expected, item.kind.symmetries) < 1e-6
            np.testing.assert_array_equal(place[item.instance].rotation, expected.rotation)


def test_they_stand_around_the_table(views):
    azimuths = [np.arctan2(*view.camera_pose(0.0).translation[1::-1]) for view in views]
    apart = np.abs(np.angle(np.exp(1j * np.subtract.outer(azimuths, azimuths))))
    assert apart[np.triu_indices(3, 1)].min() > np.radians(50), 'their ways sway by 29 degrees to either side'


def test_equal_seeds_make_equal_views_and_noise_is_each_view_s_own(views):
    again = Scene(SMALL, seed=7, view=2, views=3).frame(1.5)
    np.testing.assert_array_equal(views[2].frame(1.5).color, again.color)
    assert views[1]._sensor != views[2]._sensor != views[0]._sensor


@pytest.mark.parametrize('view', [-1, 3])
def test_a_view_that_there_is_not_is_refused(view):
    with pytest.raises(ConfigError, match=f'view: got {view}, expected 0 to 2'):
        Scene(SMALL, seed=7, view=view, views=3)


def test_calibration_errors_have_the_size_that_is_asked_for():
    drawn = [calibration_error(seed, view, 0.01, 0.02) for seed in range(100) for view in range(3)]
    assert np.std([item.translation for item in drawn]) == pytest.approx(0.01, rel=0.1)
    turns = np.array([rotation_angle(item.rotation) for item in drawn])
    assert np.sqrt((turns**2).mean() / 3) == pytest.approx(0.02, rel=0.1)
    assert not np.allclose(drawn[0].translation, drawn[1].translation)
    none = calibration_error(1, 0, 0.0, 0.0)
    np.testing.assert_array_equal(none.matrix(), np.eye(4))
