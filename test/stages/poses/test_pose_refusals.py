# SPDX-License-Identifier: Apache-2.0
"""Detections that have no pose: the reason and the words of each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from support.ros.pose_views import Card, View, view_of

from isaac_inference.errors import FrameError
from isaac_inference.models import ModelCard, read_card
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.stages.poses import DepthView, Observed, PoseEstimator, PoseMethod


@pytest.fixture(scope='module')
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return read_card(Card().write(tmp_path_factory.mktemp('card')))


@pytest.fixture(scope='module')
def view() -> View:
    return view_of()


def _line(keypoints: np.ndarray) -> np.ndarray:
    x = np.linspace(40, 200, 8)
    return np.column_stack((x, 0.5 * x, np.ones(8)))


def _around_the_camera(keypoints: np.ndarray) -> np.ndarray:
    """What the pinhole equations say of a cereal box that the camera is inside of."""
    corners = Pose(so3_exp((0, 1, 0)), np.array((0.02, 0.01, 0.08))).apply(cuboid_corners((0.16, 0.06, 0.24)))
    pixels = corners @ view_of().camera.K.T
    return np.column_stack((pixels[:, :2] / pixels[:, 2:] + 0.5, np.ones(8)))


@pytest.mark.parametrize(
    'reason, says, spoil',
    [
        ('degenerate_keypoints', 'spread over 0.0 px', lambda keypoints: np.full((8, 3), 100.0)),
        ('degenerate_keypoints', 'not a line', _line),
        ('bad_keypoints', 'not finite', lambda keypoints: np.where(np.eye(8, 3, dtype=bool), np.nan, keypoints)),
        ('bad_keypoints', 'not finite', lambda keypoints: np.where(np.eye(8, 3, dtype=bool), np.inf, keypoints)),
        ('bad_keypoints', r'got \(5, 3\)', lambda keypoints: keypoints[:5]),
        ('too_few_keypoints', '0 of 8 have a confidence', lambda keypoints: keypoints * (1, 1, 0.05)),
        ('too_few_inliers', 'agree on a pose', lambda keypoints: keypoints[[3, 5, 0, 6, 1, 7, 2, 4]]),
        ('behind_camera', 'behind the camera', _around_the_camera),
    ],
)
def test_unusable_keypoints_give_no_pose(
    card: ModelCard, view: View, reason: str, says: str, spoil: Callable[[np.ndarray], np.ndarray]
) -> None:
    item = view.item('cereal_box')
    seen = Observed(item.label, 0.9, item.box, np.float32(spoil(item.keypoints)))
    with pytest.raises(FrameError, match=says) as caught:
        PoseEstimator(card, PoseMethod.KEYPOINTS).estimate(seen, view.camera)
    assert caught.value.reason == reason


@pytest.mark.parametrize('method', [PoseMethod.KEYPOINTS, PoseMethod.DEPTH])
@pytest.mark.parametrize('shift', [(-1000.0, 0.0), (0.0, -1000.0)])
def test_a_box_far_outside_the_image_has_no_pose(
    card: ModelCard, view: View, method: PoseMethod, shift: tuple[float, float]
) -> None:
    estimator, depth = PoseEstimator(card, method), DepthView(DepthImage(view.depth, 1.0), view.camera)
    first, second, *_ = view.items
    away = Observed(first.label, 0.9, first.box + np.float32((*shift, *shift)), first.keypoints)
    with pytest.raises(FrameError, match='lies outside the image of 320x240') as caught:
        estimator.estimate(away, view.camera, depth)
    assert caught.value.reason == 'box_outside'
    found = estimator.estimate(Observed(second.label, 0.9, second.box, second.keypoints), view.camera, depth)
    assert found.label == second.label
