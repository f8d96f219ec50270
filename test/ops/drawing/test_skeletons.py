# SPDX-License-Identifier: Apache-2.0
"""Skeletons on a picture: sure joints and their bones, the sides apart."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.models.card.skeletons.published import COCO_17
from isaac_inference.ops.drawing.skeletons import draw_skeleton, side_color

AT = {name: index for index, name in enumerate(COCO_17.names)}


def canvas() -> np.ndarray:
    return np.full((240, 320, 3), 120, np.uint8)


def rows(**points: tuple[float, float, float]) -> np.ndarray:
    made = np.zeros((17, 3))
    for name, point in points.items():
        made[AT[name]] = point
    return made


def drawn(keypoints: np.ndarray) -> np.ndarray:
    image = canvas()
    draw_skeleton(image, keypoints, COCO_17.edges, COCO_17.left, COCO_17.right)
    return image


def test_sides_have_colours_of_their_own_and_what_is_between_a_third() -> None:
    image = drawn(
        rows(
            left_shoulder=(200.5, 40.5, 0.9), left_elbow=(200.5, 120.5, 0.9),
            right_shoulder=(100.5, 40.5, 0.9), right_elbow=(100.5, 120.5, 0.9),
        )
    )  # fmt: skip
    for place, side in (((80, 200), 1), ((80, 100), -1), ((40, 150), 0)):
        assert np.abs(image[place].astype(int) - side_color(side)).max() < 40  # lines are drawn smoothly
    assert len({side_color(side) for side in (-1, 0, 1)}) == 3


def test_an_unsure_joint_and_its_bones_are_not_drawn() -> None:
    image = drawn(rows(left_shoulder=(200, 40, 0.9), left_elbow=(200, 120, 0.2), left_wrist=(200, 200, 0.9)))
    np.testing.assert_array_equal(image[60:180], canvas()[60:180])
    assert (image[38:43, 198:203] != 120).any()


@pytest.mark.parametrize('bad', [(np.nan, 50.0, 0.9), (np.inf, 50.0, 0.9), (-20.0, 50.0, 0.9), (1e12, 50.0, 0.9)])
def test_a_joint_that_is_nowhere_in_the_picture_is_not_drawn(bad: tuple[float, float, float]) -> None:
    image = drawn(rows(left_shoulder=(200, 40, 0.9), left_elbow=bad))
    assert (image != 120).any()
    assert not (image[45:] != 120).any()


def test_nobody_leaves_the_picture_as_it_is() -> None:
    np.testing.assert_array_equal(drawn(np.zeros((17, 3))), canvas())


def test_a_joint_is_drawn_where_it_is() -> None:
    image = drawn(rows(nose=(100.5, 60.5, 0.9)))
    ys, xs = np.nonzero((image != 120).any(axis=2))
    assert (xs.mean(), ys.mean()) == pytest.approx((100.0, 60.0), abs=0.5)


def test_joints_that_are_close_do_not_cover_each_other() -> None:
    face = rows(
        nose=(100, 60, 0.9), left_eye=(106, 54, 0.9), right_eye=(94, 54, 0.9), left_ankle=(100, 230, 0.9),
        right_ankle=(90, 230, 0.9),
    )  # fmt: skip
    image = drawn(face)
    assert (image[55:65, 95:105].reshape(-1, 3) == side_color(0)).all(axis=1).any()
