# SPDX-License-Identifier: Apache-2.0
"""Keypoints that give no pose: each is refused under a name, and none becomes a wrong pose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.scenes.pnp_scenes import BOX, CAMERA, CARD, SETTINGS, STRAIGHT, refused, seen

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ops.pose.pnp import PnpSettings, estimate_pnp


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('column', [0, 1, 2])
def test_keypoints_that_are_no_numbers(value: float, column: int) -> None:
    keypoints = seen(STRAIGHT)
    keypoints[3, column] = value
    if column == 2 and value == -np.inf:
        assert not estimate_pnp(keypoints, BOX, CAMERA, SETTINGS).inliers[3]  # as unsure as can be
    else:
        assert 'row(s) [3] of 8' in refused('bad_keypoints', keypoints)


def test_keypoints_of_another_model() -> None:
    assert '(8, 3) for model points (5, 3)' in refused('bad_keypoints', seen(STRAIGHT), CARD)
    refused('bad_keypoints', seen(STRAIGHT)[:, :2])
    refused('bad_keypoints', seen(STRAIGHT), BOX * np.nan)


def test_too_few_keypoints() -> None:
    keypoints = seen(STRAIGHT)
    keypoints[3:, 2] = 0.19
    assert '3 of 8 have a confidence of 0.2 or more' in refused('too_few_keypoints', keypoints)
    refused('too_few_keypoints', np.empty((0, 3)), np.empty((0, 3)))
    refused('too_few_keypoints', seen(STRAIGHT), settings=replace(SETTINGS, min_keypoints=9))


def test_keypoints_where_the_lens_shows_nothing_are_too_few() -> None:
    bent = replace(CAMERA, distortion=(-0.3, 0.0, 0.0, 0.0), model='plumb_bob')
    keypoints = seen(STRAIGHT)
    keypoints[:5, 0] = 5000.0
    with pytest.raises(FrameError) as caught:
        estimate_pnp(keypoints, BOX, bent, SETTINGS)
    assert caught.value.reason == 'too_few_keypoints'


@pytest.mark.parametrize(
    'pixels',
    [
        np.full((8, 2), 200.0),
        np.full((8, 2), 200.0) + np.random.default_rng(0).normal(size=(8, 2)),
        np.linspace((100, 50), (500, 400), 8),
        np.concatenate((np.full((7, 2), 200.0), [[600, 10]])),
    ],
    ids=['one place', 'nearly one place', 'a line', 'one place but one'],
)
def test_keypoints_that_show_no_shape(pixels: np.ndarray) -> None:
    refused('degenerate_keypoints', np.concatenate((pixels, np.ones((8, 1))), axis=1))


def test_model_points_on_a_line() -> None:
    rod = np.linspace((-0.1, 0, 0), (0.1, 0, 0), 8)
    keypoints = seen(STRAIGHT)
    with pytest.raises(FrameError) as caught:
        estimate_pnp(keypoints, rod, CAMERA, SETTINGS)
    assert caught.value.reason in ('degenerate_keypoints', 'too_few_inliers')


def test_a_flat_object_seen_from_the_side() -> None:
    edge_on = Pose(so3_exp((np.pi / 2, 0, 0)), np.array([0, 0.0, 2.0]))
    refused('degenerate_keypoints', seen(edge_on, CARD), CARD)


def test_keypoints_at_random() -> None:
    rng = np.random.default_rng(11)
    for _ in range(60):
        keypoints = np.concatenate((rng.uniform((0, 0), (640, 480), (8, 2)), np.ones((8, 1))), axis=1)
        with pytest.raises(FrameError):
            estimate_pnp(keypoints, BOX, CAMERA, SETTINGS)


def test_mixed_up_keypoints() -> None:
    keypoints = seen(STRAIGHT)[[3, 6, 0, 5, 7, 2, 4, 1]]
    assert 'the keypoint order' in refused('too_few_inliers', keypoints)


NEAR = Pose(STRAIGHT.rotation, np.array([0.02, -0.03, 0.35]))
"""Near enough for perspective: far away, a mirror image is the image of a box turned the other way."""


def test_a_mirrored_image() -> None:
    keypoints = seen(NEAR)
    keypoints[:, 0] = 640 - keypoints[:, 0]
    refused('too_few_inliers', keypoints)


def test_an_object_behind_the_camera() -> None:
    """Dividing by a negative depth gives pixels, but no object in front of the camera gives the same."""
    behind = Pose(NEAR.rotation, -NEAR.translation).apply(BOX)
    assert behind[:, 2].max() < 0
    pixels = behind[:, :2] / behind[:, 2:] * (600, 610) + (320.5, 240.5)
    refused('too_few_inliers', np.concatenate((pixels, np.ones((8, 1))), axis=1))


def test_a_camera_inside_the_object() -> None:
    room = cuboid_corners((2, 2, 4))
    inside = Pose(so3_exp((0.05, 0.1, 0.0)), np.array([0.1, 0.0, 1.2]))
    keypoints = seen(inside, room)
    keypoints[~np.isfinite(keypoints[:, 0]), 2] = 0.0
    in_front = keypoints[:, 2] > 0
    assert in_front.sum() == 4
    assert 'm behind the camera' in refused('behind_camera', keypoints, room)


@pytest.mark.parametrize('limits', [{'min_distance': 1.5}, {'max_distance': 0.5}])
def test_implausible_distances(limits: dict[str, float]) -> None:
    message = refused('implausible_distance', seen(STRAIGHT), settings=replace(SETTINGS, **limits))
    assert '1.010 m from the camera' in message


def test_a_size_in_millimetres() -> None:
    message = refused('implausible_distance', seen(STRAIGHT), BOX * 1000.0)
    assert 'check that objects.<class>.size (or keypoints) is in metres' in message


def test_inliers_that_fit_badly() -> None:
    rng = np.random.default_rng(12)
    keypoints = seen(STRAIGHT, noise=3.0, rng=rng)
    settings = replace(SETTINGS, inlier_px=15.0, max_rms_extent=0.0)
    assert 'px RMS, expected at most 2.50' in refused('reprojection', keypoints, settings=settings)


def test_too_many_outliers() -> None:
    keypoints = seen(STRAIGHT)
    keypoints[::2, :2] += [[50, 10], [-40, 60], [-70, -30], [20, -90]]
    assert '50% of the confidence, expected 4 and 75%' in refused('too_few_inliers', keypoints)


@pytest.mark.parametrize(
    ('values', 'error'),
    [
        ({'min_keypoints': 3}, 'pnp, min_keypoints: got 3, expected a finite number at least 4'),
        ({'min_confidence': 1.5}, r'min_confidence: got 1\.5, expected a finite number at least 0 and at most 1'),
        ({'min_inliers': 0.0}, r'min_inliers: got 0\.0, expected a finite number above 0 and at most 1'),
        ({'pixel_noise': 0.0}, 'pixel_noise: got 0'),
        ({'max_rms_px': -1.0}, r'max_rms_px: got -1\.0, expected a finite number at least 0'),
        ({'inlier_px': np.nan}, 'inlier_px: got nan'),
        ({'min_distance': 5.0, 'max_distance': 5.0}, r'min_distance: got 5\.0 m, expected less'),
    ],
)
def test_wrong_settings(values: dict[str, float], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        PnpSettings(**values)  # type: ignore[arg-type]
