# SPDX-License-Identifier: Apache-2.0
"""What a CameraInfo makes of the image beside it, and what it cannot mean."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.calibration import Calibration, StereoFrame, rectified_by_name
from isaac_inference.ops.geometry.camera_model import CameraModel

K = (600.0, 0, 321.5, 0, 610, 243.25, 0, 0, 1)
P = (560.0, 0, 325.0, 0, 0, 565, 240.0, 0, 0, 0, 1, 0)
D = (-0.28, 0.07, 0.0002, 0.0018, 0.0)
POINTS = np.random.default_rng(0).uniform((-0.1, -0.08, 0.8), (0.1, 0.08, 1.2), (20, 3))


def said(**fields: Any) -> Calibration:
    return Calibration(
        **{'width': 640, 'height': 480, 'distortion_model': 'plumb_bob', 'd': D, 'k': K, 'p': P, **fields}
    )


def raw_pixels() -> np.ndarray:
    """Where OpenCV sees the points in the full raw image."""
    zero = np.zeros(3)
    return cv2.projectPoints(POINTS, zero, zero, np.reshape(K, (3, 3)), np.array(D))[0][:, 0]


def rectified_pixels() -> np.ndarray:
    """Where P, as the message's definition has it, sees the points."""
    u, v, w = np.reshape(P, (3, 4)) @ np.column_stack((POINTS, np.ones(len(POINTS)))).T
    return np.column_stack((u / w, v / w))


@pytest.mark.parametrize('rectified', [False, True])
@pytest.mark.parametrize('roi', [(0, 0, 0, 0), (0, 0, 640, 480), (120, 80, 400, 300), (121, 81, 399, 301)])
@pytest.mark.parametrize('binning', [(0, 0), (1, 1), (2, 2), (4, 1), (3, 2)])
def test_pixels_of_the_part_that_is_read_out(
    rectified: bool, roi: tuple[int, int, int, int], binning: tuple[int, int]
) -> None:
    camera = said(roi=roi, binning=binning).camera(rectified)
    joined = np.maximum(binning, 1)
    full = rectified_pixels() if rectified else raw_pixels()
    # a pixel's centre is a half from its edge, before and after pixels are joined
    expected = (full - roi[:2] + 0.5) / joined - 0.5
    np.testing.assert_allclose(camera.project(POINTS), expected, atol=1e-9)
    size = np.array(roi[2:] if any(roi) else (640, 480)) // joined
    assert (camera.width, camera.height) == tuple(size)


def test_joined_pixels_are_those_of_an_averaged_image() -> None:
    """A dot, averaged over 2x2 pixels, is where the model says."""
    x, y = raw_pixels()[0]
    columns, rows = np.meshgrid(np.arange(640), np.arange(480))
    image = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 6.0**2))
    small = image.reshape(240, 2, 320, 2).mean(axis=(1, 3))
    columns, rows = np.meshgrid(np.arange(320), np.arange(240))
    centre = np.array([(small * columns).sum(), (small * rows).sum()]) / small.sum()
    found = said(binning=(2, 2)).camera(False).project(POINTS[:1])[0]
    np.testing.assert_allclose(found, centre, atol=0.01)


def test_a_size_that_is_the_part_s_does_not_change_it() -> None:
    usual = said(roi=(120, 80, 400, 300)).camera(False)
    other = said(roi=(120, 80, 400, 300), width=400, height=300).camera(False)
    assert (other.width, other.height, other.K.tolist()) == (usual.width, usual.height, usual.K.tolist())


@pytest.mark.parametrize(
    'fields, error',
    [
        ({'roi': (0, 0, 700, 480)}, 'not a part of 640x480'),
        ({'roi': (300, 0, 400, 300)}, 'not a part of 640x480'),
        ({'roi': (16, 16, 0, 0)}, 'not a part of 640x480'),
        # K is already that of the part
        ({'roi': (600, 400, 320, 240), 'width': 320, 'height': 240, 'k': (600.0, 0, 160, 0, 610, 120, 0, 0, 1)}, 'K'),
        ({'width': 320, 'height': 240}, 'is it the K of a larger image'),
    ],
)
def test_size_roi_and_k_that_do_not_belong_together(fields: dict[str, Any], error: str) -> None:
    with pytest.raises(FrameError, match=error) as caught:
        said(**fields).camera(False)
    assert caught.value.reason == 'camera_info_roi'


K_OF_THE_PART = (500.0, 0, 319.5, 0, 500.0, 239.5, 0, 0, 1)


@pytest.mark.parametrize('roi', [(80, 60, 640, 480), (8, 0, 640, 480), (0, 200, 640, 480)])
def test_a_k_that_is_already_that_of_the_part_is_not_shifted_in_silence(roi: tuple[int, int, int, int]) -> None:
    with pytest.raises(FrameError) as caught:
        said(roi=roi, k=K_OF_THE_PART).camera(False)
    assert caught.value.reason == 'camera_info_roi'
    assert 'leave roi empty if K is already that of the part' in str(caught.value)


def test_a_part_that_is_the_whole_is_read_as_without_one() -> None:
    odd = (500.0, 0, 192.0, 0, 500.0, 239.5, 0, 0, 1)
    whole, none = (said(roi=roi, k=odd).camera(False) for roi in ((0, 0, 640, 480), (0, 0, 0, 0)))
    assert np.array_equal(whole.K, none.K)


@pytest.mark.parametrize(
    'size, is_doubted', [((640, 480), False), ((500, 480), False), ((400, 480), True), ((640, 300), True)]
)
def test_a_centre_far_from_the_middle_is_doubted(size: tuple[int, int], is_doubted: bool) -> None:
    made = said(width=size[0], height=size[1])
    assert bool(made.doubt()) == is_doubted
    assert made.camera(False).width == size[0]
    assert not said(roi=(0, 0, *size)).doubt(), 'the roi explains it'


def test_only_one_of_two() -> None:
    assert said().only() is None
    assert said(k=(0.0,) * 9).only() is True
    assert said(p=(0.0,) * 12, d=()).only() is False
    assert said(p=(0.0,) * 12).only() is None, 'a rectified image may come without its P; it is then refused'
    same = np.column_stack((np.reshape(K, (3, 3)), np.zeros(3))).ravel()
    assert said(d=(), p=tuple(same)).only() is False
    same[3] = -50.0
    assert said(d=(), p=tuple(same)).only() is True, 'the second camera of a pair: P says where it is'


@pytest.mark.parametrize(
    'p, reason', [((0.0,) * 12, 'no_intrinsics'), ((-1.0,) * 12, 'bad_intrinsics'), ((1.0,) * 3, 'bad_intrinsics')]
)
def test_a_p_that_cannot_be_used(p: tuple[float, ...], reason: str) -> None:
    with pytest.raises(FrameError, match='P') as caught:
        said(p=p).camera(True)
    assert caught.value.reason == reason


def test_a_straight_lens_needs_no_p() -> None:
    assert said(p=(0.0,) * 12, d=()).camera(True).K.ravel().tolist() == list(K)


def test_a_lens_that_is_not_known_does_not_matter_to_p() -> None:
    made = said(distortion_model='unheard of')
    assert made.camera(True).project(POINTS) == pytest.approx(rectified_pixels())
    with pytest.raises(FrameError):
        made.camera(False)


@pytest.mark.parametrize('binning', [(1, 1), (2, 2)])
def test_the_second_camera_of_a_pair_is_where_p_says(binning: tuple[int, int]) -> None:
    """[u v w] = P [X Y Z 1] holds for points of the first camera's frame."""
    p = np.reshape(P, (3, 4)).copy()
    p[0, 3] = -0.12 * p[0, 0]
    made = said(p=tuple(p.ravel()), binning=binning)
    np.testing.assert_allclose(made.origin(True), (0.12, 0, 0))
    assert not made.origin(False).any()
    u, _, w = p @ np.append(POINTS[0], 1.0)
    seen = made.camera(True).project(POINTS[:1] - made.origin(True))[0, 0]
    assert seen == pytest.approx((u / w + 0.5) / binning[0] - 0.5)
    assert made.is_second
    assert not said().is_second


@pytest.mark.parametrize(
    'topic, expected',
    [
        ('/camera/image_rect', True),
        ('/camera/image_rect_color/compressed', True),
        ('/zed/rgb/color/rect/image', True),
        ('/left/rectified', True),
        ('/camera/depth/image_rect_raw', True),
        ('/camera/image_raw', False),
        ('/camera/rgb/raw/image', False),
        ('/camera/image', None),
        ('/direct/corrected/rectangle', None),
        ('/unrect/image', None),
    ],
)
def test_what_a_name_tells(topic: str, expected: bool | None) -> None:
    assert rectified_by_name(topic) is expected


@pytest.mark.parametrize(
    'frame_id, is_own',
    [('camera_infra2_optical_frame', True), ('right_camera', True), ('left', False), ('bright', False), ('', False)],
)
def test_a_frame_named_after_the_second_camera_is_its_own(frame_id: str, is_own: bool) -> None:
    assert StereoFrame.AUTO.is_own(frame_id) is is_own
    assert StereoFrame.OWN.is_own(frame_id)
    assert not StereoFrame.FIRST.is_own(frame_id)


def test_a_window_of_a_window_is_a_window() -> None:
    full = CameraModel.from_camera_info(640, 480, 'plumb_bob', D, K)
    once, twice = full.window(30, 20, 400, 300), full.window(10, 5, 500, 400).window(20, 15, 400, 300)
    np.testing.assert_allclose(once.K, twice.K)
