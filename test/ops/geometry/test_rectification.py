# SPDX-License-Identifier: Apache-2.0
"""Rectification against what OpenCV computes from the same calibration, and calibrations that contradict themselves."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.calibration import Calibration
from isaac_inference.ops.geometry.rectification import Rectification

WH = (640, 480)
K = (420.0, 0, 325.5, 0, 424, 236.25, 0, 0, 1)
FLAT = (380.0, 0, 318.0, 0, 0, 384, 241.0, 0, 0, 0, 1, 0)
LENSES = {
    'plumb_bob': (-0.28, 0.07, 0.0012, -0.0018, -0.006),
    'rational_polynomial': (0.6, -0.2, 0.0004, -0.0003, 0.01, 0.9, -0.1, 0.02),
    'thin prism': (0.6, -0.2, 0.0004, -0.0003, 0.01, 0.9, -0.1, 0.02, 0.001, -0.0005, 0.0008, 0.0003),
    'tilted sensor': (0.6, -0.2, 0.0004, -0.0003, 0.01, 0.9, -0.1, 0.02, 0.001, -0.0005, 0.0008, 0.0003, 0.01, -0.008),
    'equidistant': (-0.03, 0.012, -0.011, 0.003),
}
TURNED = tuple(cv2.Rodrigues(np.array((0.02, -0.05, 0.01)))[0].ravel().tolist())


def said(lens: str = 'plumb_bob', **fields: Any) -> Calibration:
    model = lens if lens in ('plumb_bob', 'equidistant') else 'rational_polynomial'
    values = {'width': 640, 'height': 480, 'distortion_model': model, 'd': LENSES[lens], 'k': K, 'p': FLAT}
    return Calibration(**{**values, **fields})


def pixels(made: Rectification) -> np.ndarray:
    return made.raw_pixels(np.arange(made.rectified.width), np.arange(made.rectified.height))


def opencv_s(calibration: Calibration, wh: tuple[int, int] = WH) -> np.ndarray:
    """(H, W, 2), of the whole image."""
    k, r = np.reshape(calibration.k, (3, 3)), np.reshape(calibration.r, (3, 3))
    p, d = np.reshape(calibration.p, (3, 4))[:, :3], np.array(calibration.d)
    if calibration.distortion_model == 'equidistant':
        maps = cv2.fisheye.initUndistortRectifyMap(k, d, r, p, wh, cv2.CV_32FC1)
    else:
        maps = cv2.initUndistortRectifyMap(k, d, r, p, wh, cv2.CV_32FC1)
    return np.stack(maps[:2], axis=-1)


@pytest.mark.parametrize('lens', LENSES)
@pytest.mark.parametrize('r', [(1.0, 0, 0, 0, 1, 0, 0, 0, 1), TURNED])
def test_every_pixel_is_where_opencv_has_it(lens: str, r: tuple[float, ...]) -> None:
    calibration = said(lens, r=r)
    found = pixels(Rectification.between(calibration, WH))
    np.testing.assert_allclose(found, opencv_s(calibration), atol=2e-3)


@pytest.mark.parametrize('lens', ['plumb_bob', 'equidistant'])
@pytest.mark.parametrize('roi', [(0, 0, 0, 0), (96, 64, 480, 360)])
@pytest.mark.parametrize('binning', [(1, 1), (2, 2), (4, 1)])
def test_parts_and_joined_pixels(lens: str, roi: tuple[int, int, int, int], binning: tuple[int, int]) -> None:
    """The same part of the sensor, before and after: what OpenCV has of the whole, in the pixels of the part."""
    calibration = said(lens, roi=roi, binning=binning)
    begin, size = np.array(roi[:2]), np.array(roi[2:] if any(roi) else WH)
    joined = np.array(binning)
    made = Rectification.between(calibration, tuple((size // joined).tolist()))
    assert (made.rectified.width, made.rectified.height) == tuple(size // joined)
    found = pixels(made)
    rows, columns = 7, 9
    # the centre of a joined pixel is in the middle of its parts, between centres of the whole image
    place = begin + (np.array((columns, rows)) + 0.5) * joined - 0.5
    shifted = np.array(calibration.p).reshape(3, 4)
    shifted[:2, 2] -= place  # so that this place is OpenCV's pixel (0, 0)
    whole = opencv_s(said(lens, p=tuple(shifted.ravel())), (1, 1))[0, 0]
    np.testing.assert_allclose(found[rows, columns], (whole - begin + 0.5) / joined - 0.5, atol=2e-3)


def test_an_image_of_the_whole_beside_a_roi_is_the_whole() -> None:
    calibration = said(roi=(96, 64, 480, 360))
    np.testing.assert_allclose(pixels(Rectification.between(calibration, WH)), opencv_s(calibration), atol=2e-3)


def test_do_rectify_shows_all_of_what_the_raw_part_shows() -> None:
    part = (160, 120, 320, 240)
    same = Rectification.between(said(roi=part), part[2:])
    made = Rectification.between(said(roi=part, do_rectify=True), part[2:])
    assert (same.rectified.width, same.rectified.height) == part[2:]
    corners = np.array([[-0.5, -0.5], [319.5, -0.5], [-0.5, 239.5], [319.5, 239.5]])
    for one, shows_all in ((same, False), (made, True)):
        shown = one.rectified_pixels(corners)
        inside = (shown >= -0.51) & (shown <= (one.rectified.width - 0.49, one.rectified.height - 0.49))
        assert bool(inside.all()) is shows_all
    # a direction is one direction, whichever window shows it
    ray = np.array([[0.05, -0.03, 1.0]])
    for one in (same, made):
        x, y = one.rectified.project(ray)[0]
        np.testing.assert_allclose(
            one.raw_pixels(np.array([x]), np.array([y]))[0, 0], one.raw.project(ray)[0], atol=1e-3
        )


def test_do_rectify_of_the_whole_image_changes_nothing() -> None:
    made = Rectification.between(said(do_rectify=True), WH)
    assert (made.rectified.width, made.rectified.height) == WH


def test_there_and_back() -> None:
    made = Rectification.between(said('equidistant', r=TURNED), WH)
    points = np.random.default_rng(0).uniform((60, 60), (580, 420), (50, 2))
    raw = np.array([made.raw_pixels(point[:1], point[1:])[0, 0] for point in points])
    np.testing.assert_allclose(made.rectified_pixels(raw.astype(np.float64)), points, atol=5e-3)


def test_what_the_lens_model_never_shows_is_nothing() -> None:
    """Beyond the fold of its polynomial OpenCV's map shows the middle of the image a second time."""
    wide = said(d=(-0.35, 0.0, 0.0, 0.0, 0.0), p=(150.0, 0, 319.5, 0, 0, 150, 239.5, 0, 0, 0, 1, 0))
    found = pixels(Rectification.between(wide, WH))
    again = opencv_s(wide)
    beyond = 240, 320 + 180
    is_shown_again = (again[beyond] > 0).all() and (again[beyond] < WH).all()
    assert is_shown_again, 'the case is one'
    assert np.isnan(found[beyond]).all()
    np.testing.assert_allclose(found[240, 320 + 120], again[240, 320 + 120], atol=2e-3)


def test_r_of_zeros_is_no_rotation() -> None:
    found = pixels(Rectification.between(said(r=(0.0,) * 9), WH))
    np.testing.assert_allclose(found, opencv_s(said()), atol=2e-3)


def with_p(**changed: float) -> tuple[float, ...]:
    places = {'fx': 0, 'cx': 2, 'Tx': 3, 'fy': 5, 'cy': 6, 'Tz': 11}
    p = list(FLAT)
    for name, value in changed.items():
        p[places[name]] = value
    return tuple(p)


NAN = float('nan')
BAD = [
    ({'p': (0.0,) * 12}, 'no_intrinsics', 'P is all zeros'),
    ({'k': (0.0,) * 9}, 'no_intrinsics', 'K is all zeros'),
    ({'k': (420.0, 0, 325, 0, 0, 236, 0, 0, 1)}, 'bad_intrinsics', 'focal lengths'),
    ({'k': (420.0, 0, 325, 0, 420, 236, 0, 0, 0)}, 'bad_intrinsics', 'row by row'),
    ({'k': (NAN, *K[1:])}, 'bad_intrinsics', 'finite'),
    ({'p': with_p(cx=NAN)}, 'bad_intrinsics', 'finite'),
    ({'p': with_p(Tx=NAN)}, 'bad_intrinsics', 'last column of P'),
    ({'p': with_p(Tz=1.0)}, 'bad_intrinsics', 'last column of P'),
    ({'p': with_p(Tx=-380 * 120.0)}, 'stereo_baseline', 'millimetres'),
    ({'p': FLAT[:9]}, 'bad_intrinsics', '9 numbers of P'),
    ({'d': (NAN, 0, 0, 0, 0)}, 'bad_intrinsics', 'finite'),
    ({'d': (0.1, 0.2, 0.3)}, 'bad_intrinsics', '3 coefficients'),
    ({'d': (*LENSES['rational_polynomial'], 1.0)}, 'bad_intrinsics', '9 coefficients'),
    ({'distortion_model': 'equidistant'}, 'bad_intrinsics', '5 coefficients'),
    ({'distortion_model': 'fov'}, 'unknown_distortion', 'fov'),
    ({'distortion_model': ''}, 'unknown_distortion', 'names no model'),
    ({'r': (2.0, 0, 0, 0, 1, 0, 0, 0, 1)}, 'bad_rectification', 'a rotation'),
    ({'r': (-1.0, 0, 0, 0, 1, 0, 0, 0, 1)}, 'bad_rectification', 'a rotation'),
    ({'r': (NAN, 0, 0, 0, 1, 0, 0, 0, 1)}, 'bad_rectification', 'a rotation'),
    ({'r': (-1.0, 0, 0, 0, 1, 0, 0, 0, -1)}, 'bad_rectification', 'the axis of the lens'),
    ({'p': tuple(2 * value for value in FLAT[:10]) + (1.0, 0.0)}, 'bad_rectification', 'different size'),
    ({'p': tuple(value / 2 for value in FLAT[:10]) + (1.0, 0.0)}, 'bad_rectification', 'different size'),
    ({'p': with_p(fx=20 * 420.0, fy=20 * 424.0)}, 'bad_rectification', 'different size'),
    ({'p': with_p(fx=40.0, fy=40.0)}, 'field_of_view', 'degrees off its axis'),
    ({'d': (-1.5, 0.0, 0.0, 0.0)}, 'bad_rectification', 'distortion_model to equidistant'),
    ({'k': (0.66, 0, 0.5, 0, 0.88, 0.5, 0, 0, 1)}, 'bad_intrinsics', 'parts of the width'),
    ({'k': (1e300, 0, 325, 0, 1e300, 240, 0, 0, 1)}, 'bad_intrinsics', 'focal lengths'),
    ({'d': (1e300, 1e300, 0, 0, 0)}, 'bad_rectification', 'light reaches'),
    ({'binning': (641, 1)}, 'camera_info_roi', 'binning 641x1'),
    ({'roi': (0, 0, 4, 4), 'binning': (8, 8)}, 'camera_info_roi', 'binning 8x8 of 4x4'),
    ({'roi': (200, 100, 500, 300)}, 'camera_info_roi', 'not a part'),
    ({'roi': (700, 0, 100, 100)}, 'camera_info_roi', 'not a part'),
    ({'roi': (0, 0, 0, 100)}, 'camera_info_roi', 'not a part'),
    ({'width': 1280, 'height': 960, 'k': (840.0, 0, 651, 0, 848, 472, 0, 0, 1)}, 'camera_info_size', '1280x960'),
    ({'binning': (2, 2)}, 'camera_info_size', '320x240'),
]


@pytest.mark.parametrize('fields, reason, text', BAD)
def test_what_cannot_be_is_named(fields: dict[str, Any], reason: str, text: str) -> None:
    with pytest.raises(FrameError, match=text) as caught:
        Rectification.between(said(**fields), WH)
    assert caught.value.reason == reason


@pytest.mark.parametrize('lens', LENSES)
def test_nothing_speaks_against_good_calibrations(lens: str) -> None:
    assert Rectification.between(said(lens, r=TURNED), WH).doubt() == ''


def test_a_fisheye_s_coefficients_as_those_of_another_model_are_doubted() -> None:
    """What a real one of 180 degrees has; a plumb_bob lens may be like that, so it is not refused."""
    fisheye = (-0.0436, 0.0217, -0.0264, 0.0084)
    wide = {'k': (200.0, 0, 325, 0, 200, 236, 0, 0, 1), 'p': (120.0, 0, 320, 0, 0, 120, 240, 0, 0, 0, 1, 0)}
    assert 'fisheye' in Rectification.between(said(d=fisheye, **wide), WH).doubt()
    assert Rectification.between(said('equidistant', d=fisheye, **wide), WH).doubt() == ''


@pytest.mark.parametrize('roi', [(0, 0, 64, 48), (300, 220, 40, 40), (575, 431, 65, 49), (320, 240, 1, 1)])
@pytest.mark.parametrize('do_rectify', [False, True])
def test_small_parts_anywhere(roi: tuple[int, int, int, int], do_rectify: bool) -> None:
    """A part is small, so what K and P differ by, and what the lens does to it, is large in its terms."""
    calibration = said(roi=roi, do_rectify=do_rectify)
    try:
        made = Rectification.between(calibration, roi[2:])
    except FrameError as error:
        assert not do_rectify
        assert error.reason == 'bad_rectification'
        assert 'do_rectify' in str(error)
    else:
        assert made.seen_share > 0.1
