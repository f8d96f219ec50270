# SPDX-License-Identifier: Apache-2.0
"""Which way a head looks: from the front nothing is hidden, from behind the face is, from the side one half."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.ops.keypoints.hidden.head import HeadView, head_view

HEIGHT = 1.75
UP = np.array([(0.0, -1.0)])
POINTS = HEIGHT * np.array([(0.06, 0, 0), (0.05, 0.02, 0.01), (0.05, -0.02, 0.01), (0, 0.045, 0), (0, -0.045, 0)])
NOSE, LEFT_EYE, RIGHT_EYE, LEFT_EAR, RIGHT_EAR = range(5)


def seen(yaw_deg: float, known: str = 'nlrLR', up: tuple[float, float] = (0.0, -1.0), ups: np.ndarray = UP) -> HeadView:
    """A head that looks into the camera at 0 degrees and to the right in the image at 90."""
    yaw = np.deg2rad(yaw_deg)
    ahead = np.array((np.sin(yaw), 0.0, -np.cos(yaw)))
    left = np.array((np.cos(yaw), 0.0, np.sin(yaw)))
    points = (POINTS @ np.stack((ahead, left, (0.0, -1.0, 0.0))))[:, :2]
    x, y = up
    points = points @ np.array(((-y, -x), (x, -y))).T + (0.4, -0.3)
    points[[name not in known for name in 'nlrLR']] = np.nan
    return head_view(points, HEIGHT, 0.015, ups)


def test_from_the_front_nothing_is_hidden_and_from_behind_the_face_is() -> None:
    assert (seen(0.0).away < 0.1).all() and (seen(0.0).behind < 0.02).all()
    back = seen(180.0)
    assert (back.away[:3] > 0.9).all() and (back.away[3:] < 0.2).all()
    assert back.behind[NOSE] == pytest.approx(0.1 * HEIGHT, rel=0.15), 'the head is between'


@pytest.mark.parametrize(('yaw', 'near', 'far'), [(90.0, RIGHT_EAR, LEFT_EAR), (-90.0, LEFT_EAR, RIGHT_EAR)])
def test_from_the_side_the_other_ear_is_hidden(yaw: float, near: int, far: int) -> None:
    view = seen(yaw)
    assert view.away[far] > 0.9 and view.away[near] < 0.1 and view.away[NOSE] < 0.4


def test_left_is_where_the_left_ear_is() -> None:
    for yaw, expected in ((0.0, (1, 0)), (180.0, (-1, 0)), (90.0, (0, 1)), (-90.0, (0, -1))):
        np.testing.assert_allclose(seen(yaw).left[[0, 2]], expected, atol=0.25)


def test_some_of_the_points_are_enough_and_without_any_nothing_is_known() -> None:
    assert seen(180.0, 'lr').away[LEFT_EYE] > 0.8, 'the eyes are the other way round'
    nothing = seen(0.0, '')
    assert (nothing.away > 0.2).all() and (nothing.away < 0.8).all()
    assert np.linalg.norm(nothing.left) < 0.05
    assert np.linalg.norm(seen(0.0).left) > 0.85


@pytest.mark.parametrize('up', [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0)])
def test_somebody_who_lies_is_upright_along_the_trunk(up: tuple[float, float]) -> None:
    ups = np.array([(0.0, -1.0), up])
    back, front = seen(180.0, up=up, ups=ups), seen(0.0, up=up, ups=ups)
    assert (back.away[:3] > 0.7).all()
    assert (front.away[:3] < 0.3).all()
