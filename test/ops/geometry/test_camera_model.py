# SPDX-License-Identifier: Apache-2.0
"""Projection and back, against OpenCV's own functions and its resize, and CameraInfos that can't be used."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.camera_model import CameraModel

K = (600.0, 0, 321.5, 0, 610, 243.25, 0, 0, 1)
LENSES = {
    'none': ('', ()),
    'plumb_bob 4': ('plumb_bob', (-0.28, 0.07, 0.0002, 0.0018)),
    'plumb_bob 5': ('plumb_bob', (-0.3, 0.12, 0.001, -0.002, 0.01)),
    'rational_polynomial': ('rational_polynomial', (0.5, -0.3, 0.0005, 0.0002, 0.05, 0.8, -0.2, 0.02)),
    'equidistant': ('equidistant', (-0.02, 0.01, -0.003, 0.001)),
    'equidistant 0': ('equidistant', (0, 0, 0, 0)),
}
every_lens = pytest.mark.parametrize('lens', LENSES)


def camera(lens: str = 'none', width: int = 640, height: int = 480) -> CameraModel:
    model, d = LENSES[lens]
    return CameraModel.from_camera_info(width, height, model, d, K)


def grid(width: int = 640, height: int = 480) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0, width - 1, 9), np.linspace(0, height - 1, 7))
    return np.stack((x.ravel(), y.ravel()), axis=1)


@every_lens
def test_pixels_come_back(lens: str) -> None:
    flat = camera(lens).undistort(grid())
    points = np.concatenate((flat, np.ones((len(flat), 1))), axis=1) * np.linspace(0.2, 5, len(flat))[:, None]
    np.testing.assert_allclose(camera(lens).project(points), grid(), atol=1e-6)


@every_lens
def test_projection_is_opencv_s(lens: str) -> None:
    points = np.random.default_rng(0).uniform((-0.4, -0.3, 1), (0.4, 0.3, 1.5), (20, 3))
    matrix, d, zero = np.array(K).reshape(3, 3), np.array(LENSES[lens][1], float), np.zeros(3)
    if lens.startswith('equidistant'):
        expected = cv2.fisheye.projectPoints(points[:, None], zero, zero, matrix, d)[0]
    else:
        expected = cv2.projectPoints(points, zero, zero, matrix, d)[0]
    np.testing.assert_allclose(camera(lens).project(points), expected.reshape(-1, 2), atol=1e-9)


def test_a_lens_bends() -> None:
    """Or else the round trips above would prove nothing."""
    point = np.array([[0.4, 0.3, 1.0]])
    straight = camera().project(point)
    for lens in LENSES:
        if lens != 'none':
            assert np.abs(camera(lens).project(point) - straight).max() > 5.0


def test_the_axis_meets_the_principal_point() -> None:
    for lens in LENSES:
        np.testing.assert_allclose(camera(lens).project(np.array([[0, 0, 2.0]])), [[321.5, 243.25]])
        np.testing.assert_allclose(camera(lens).undistort(np.array([[321.5, 243.25]])), [[0, 0]], atol=1e-12)


@every_lens
def test_points_that_aren_t_in_front_have_no_pixel(lens: str) -> None:
    points = np.array([[0.1, 0, 1], [0.1, 0, 0], [0.1, 0, -1], [np.nan, 0, 1]])
    pixels = camera(lens).project(points)
    assert np.isfinite(pixels[0]).all()
    assert np.isnan(pixels[1:3]).all()
    assert np.isnan(pixels[3]).any()


@every_lens
def test_nothing_to_do(lens: str) -> None:
    assert camera(lens).project(np.empty((0, 3))).shape == (0, 2)
    assert camera(lens).undistort(np.empty((0, 2))).shape == (0, 2)


def test_a_lens_model_that_folds_back_invents_no_pixels() -> None:
    # r (1 - 0.3 r^2) grows up to r = 1.054 and reaches 0.703 there
    folding = CameraModel.from_camera_info(1280, 960, 'plumb_bob', (-0.3, 0, 0, 0), (600, 0, 640, 0, 600, 480, 0, 0, 1))
    pixels = folding.project(np.array([[1.0, 0, 1], [1.2, 0, 1], [1.8, 0, 1]]))
    assert pixels[0] == pytest.approx([640 + 600 * 0.7, 480])
    assert np.isnan(pixels[1:]).all()
    flat = folding.undistort(np.array([[640 + 600 * 0.68, 480], [640 + 600 * 0.72, 480]]))
    assert flat[0, 0] * (1 - 0.3 * flat[0, 0] ** 2) == pytest.approx(0.68, abs=1e-4)
    assert np.isnan(flat[1]).all()


def test_a_fisheye_sees_no_further_than_half_a_turn() -> None:
    fisheye = CameraModel.from_camera_info(1280, 960, 'equidistant', (0, 0, 0, 0), (300, 0, 640, 0, 300, 480, 0, 0, 1))
    flat = fisheye.undistort(np.array([[640 + 300 * 1.2, 480], [640 + 300 * 1.6, 480]]))
    assert flat[0] == pytest.approx([np.tan(1.2), 0])
    assert np.isnan(flat[1]).all()


@pytest.mark.parametrize('size', [(320, 240), (1280, 960), (400, 200), (213, 161)])
def test_resized_agrees_with_cv2_resize(size: tuple[int, int]) -> None:
    """A ramp says where each pixel came from, so cv2.resize itself is the reference for the half pixel."""
    x, y = np.meshgrid(np.arange(640, dtype=np.float32), np.arange(480, dtype=np.float32))
    ramp = cv2.resize(np.dstack((x, y)), size, interpolation=cv2.INTER_LINEAR)
    smaller = camera().resized(*size)
    assert (smaller.width, smaller.height) == size
    for column, row in [(size[0] // 3, size[1] // 4), (size[0] // 2, size[1] // 2), (size[0] - 30, size[1] - 40)]:
        there = smaller.undistort(np.array([[column, row]], float))
        before = camera().undistort(ramp[row, column][None].astype(float))
        np.testing.assert_allclose(there, before, atol=1e-5)


def test_resized_finds_a_rendered_dot() -> None:
    model = camera('plumb_bob 5')
    point = np.array([[0.2, -0.1, 1.3]])
    x, y = model.project(point)[0]
    columns, rows = np.meshgrid(np.arange(640), np.arange(480))
    image = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 6.0**2)).astype(np.float32)
    small = cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA)
    columns, rows = np.meshgrid(np.arange(320), np.arange(240))
    centre = np.array([(small * columns).sum(), (small * rows).sum()]) / small.sum()
    np.testing.assert_allclose(model.resized(320, 240).project(point)[0], centre, atol=0.01)


@every_lens
def test_resized_there_and_back(lens: str) -> None:
    model = camera(lens)
    back = model.resized(213, 1001).resized(640, 480)
    np.testing.assert_allclose(back.K, model.K)
    assert (back.distortion, back.model) == (model.distortion, model.model)


def test_the_image_must_have_the_calibrated_size() -> None:
    camera().check_image(640, 480)
    with pytest.raises(FrameError, match='for 640x480 pixels, the image has 1280x960') as caught:
        camera().check_image(1280, 960)
    assert caught.value.reason == 'camera_info_size'


@pytest.mark.parametrize(
    ('k', 'reason', 'error'),
    [
        ([0] * 9, 'no_intrinsics', 'K is all zeros, so the camera is not calibrated'),
        ([], 'bad_intrinsics', 'expected nine'),
        (K[:8], 'bad_intrinsics', 'expected nine'),
        ((np.nan, *K[1:]), 'bad_intrinsics', 'finite'),
        ((-600, *K[1:]), 'bad_intrinsics', 'fx -600'),
        ((*K[:4], 0, *K[5:]), 'bad_intrinsics', 'fy 0'),
        ((600, 0, 0, 0, 610, 0, 320, 240, 1), 'bad_intrinsics', 'row by row'),  # column by column
        ((600, 3, *K[2:]), 'bad_intrinsics', 'row by row'),
    ],
)
def test_intrinsics_that_no_camera_has(k: list[float], reason: str, error: str) -> None:
    with pytest.raises(FrameError, match=error) as caught:
        CameraModel.from_camera_info(640, 480, 'plumb_bob', (), k)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ('model', 'd', 'reason', 'error'),
    [
        ('fov', (0.9,), 'unknown_distortion', "'fov'.* expected one of plumb_bob, rational_polynomial, equidistant"),
        ('', (0.1, 0, 0, 0), 'unknown_distortion', 'set the model that the calibration used'),
        ('none', (0.1,), 'unknown_distortion', 'none with no coefficients'),
        ('plumb_bob', (0.1, 0.2), 'bad_intrinsics', '2 coefficients .* for plumb_bob, expected 4 or 5'),
        ('plumb_bob', (0.1, 0, 0, 0, 0, 0.3), 'bad_intrinsics', '6 coefficients'),
        ('equidistant', (), 'bad_intrinsics', 'expected 4'),
        ('rational_polynomial', (np.nan,) * 8, 'bad_intrinsics', 'finite'),
    ],
)
def test_distortion_that_can_t_be_used(model: str, d: tuple[float, ...], reason: str, error: str) -> None:
    with pytest.raises(FrameError, match=error) as caught:
        CameraModel.from_camera_info(640, 480, model, d, K)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ('model', 'd', 'expected'),
    [
        ('', (), ('none', ())),
        ('', (0.0,) * 5, ('none', ())),
        ('plumb_bob', (0.0,) * 5, ('none', ())),  # the quick way for rectified images
        ('plumb_bob', (), ('none', ())),
        ('plumb_bob', (0.1, 0, 0, 0, 0, 0, 0, 0), ('plumb_bob', (0.1, 0, 0, 0))),
        ('rational_polynomial', (0.1,) * 8, ('rational_polynomial', (0.1,) * 8)),
        ('equidistant', (0.0,) * 4, ('equidistant', (0.0,) * 4)),  # still a fisheye
    ],
)
def test_distortion_as_drivers_write_it(model: str, d: tuple[float, ...], expected: tuple) -> None:
    found = CameraModel.from_camera_info(640, 480, model, d, K)
    assert (found.model, found.distortion) == expected


@pytest.mark.parametrize('size', [(0, 480), (640, 0), (0, 0)])
def test_a_camera_without_pixels(size: tuple[int, int]) -> None:
    with pytest.raises(FrameError, match=f'{size[0]}x{size[1]} pixels') as caught:
        CameraModel.from_camera_info(*size, 'plumb_bob', (), K)
    assert caught.value.reason == 'bad_intrinsics'
