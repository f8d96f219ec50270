# SPDX-License-Identifier: Apache-2.0
"""Matching against pairs with an exact disparity: simulated ones, and shifted random pictures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.evaluation.depth.errors import DisparityErrors, disparity_errors
from isaac_inference.ops.stereo.matcher import StereoMatcher, fill_rows
from isaac_inference.ops.stereo.settings import MatchMode, StereoSettings
from isaac_inference.sim.camera import default_camera
from isaac_inference.sim.stereo import StereoSample, stereo_sample

SEEDS = range(7200, 7204)  # not those that the defaults were chosen on


def grey(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


@pytest.fixture(scope='module')
def samples() -> list[StereoSample]:
    return [stereo_sample(seed) for seed in SEEDS]


@pytest.fixture(scope='module')
def picture() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 255, (100, 200), np.uint8)


def test_simulated_scenes_are_matched(samples: list[StereoSample]) -> None:
    found = []
    for sample in samples:
        disparity = StereoMatcher()(grey(sample.left), grey(sample.right)).pixels
        found.append(disparity_errors(disparity, sample.disparity, sample.visible))
    assert np.mean([item.mae for item in found]) < 1.2
    assert np.mean([item.bad for item in found]) < 10.0
    assert np.mean([item.completeness for item in found]) > 0.65


def test_the_check_from_the_other_side_drops_what_is_wrong(samples: list[StereoSample]) -> None:
    def bad(**settings: float) -> float:
        matcher = StereoMatcher(StereoSettings(min_confidence=0.0, **settings))
        return float(
            np.mean([disparity_errors(matcher(grey(s.left), grey(s.right)).pixels, s.disparity).bad for s in samples])
        )

    assert bad(max_difference=1.0) < 0.8 * bad(max_difference=-1.0)


def test_what_the_right_camera_does_not_see_has_mostly_no_match(samples: list[StereoSample]) -> None:
    for sample in samples:
        known = np.isfinite(StereoMatcher()(grey(sample.left), grey(sample.right)).pixels)
        assert known[~sample.visible].mean() < 0.45 * known[sample.visible].mean()


def test_confidence_orders_pixels_by_how_wrong_they_are(samples: list[StereoSample]) -> None:
    for sample in samples:
        found = StereoMatcher()(grey(sample.left), grey(sample.right))
        known = (found.confidence > 0) & np.isfinite(sample.disparity)
        off, confidence = np.abs(found.pixels - sample.disparity)[known], found.confidence[known]
        best = off[confidence >= np.median(confidence)].mean()
        assert best < 0.75 * off.mean()
        np.testing.assert_array_equal(found.confidence == 0, np.isnan(found.pixels))


@pytest.mark.parametrize('shift', [1, 5, 15])
@pytest.mark.parametrize('colour', [False, True])
def test_columns_at_the_left_edge_are_matched_too(picture: np.ndarray, shift: int, colour: bool) -> None:
    """OpenCV alone leaves out as many columns as there are disparities."""
    left, right = picture, np.roll(picture, -shift, axis=1)
    if colour:
        left, right = (cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) for image in (left, right))
    found = StereoMatcher(StereoSettings(disparities=64))(left, right).pixels
    assert np.nanmax(np.abs(found[:, shift + 4 :] - shift)) <= 0.5
    assert np.isfinite(found[8:-8, shift + 4 : -8]).mean() > 0.97
    assert not np.isfinite(found[:, : max(0, shift - 2)]).any()  # their match is outside the right image


@pytest.mark.parametrize('shift', [-20, -3, 4])
def test_a_range_that_begins_below_zero(picture: np.ndarray, shift: int) -> None:
    found = StereoMatcher(StereoSettings(disparities=32))(picture, np.roll(picture, -shift, axis=1), lowest=-24)
    assert (found.lowest, found.highest) == (-24, 8)
    assert np.nanmedian(found.pixels) == shift
    assert np.isfinite(found.pixels[10:-10, 30:-30]).mean() > 0.95


def test_parts_of_a_pixel_are_found() -> None:
    rng = np.random.default_rng(2)
    fine = cv2.GaussianBlur(rng.integers(0, 255, (100, 800), np.uint8), (0, 0), 6.0)
    fine = cv2.normalize(fine, None, 0, 255, cv2.NORM_MINMAX)
    left, right = fine[:, 40:-40:4], fine[:, 40 + 30 : 760 + 30 : 4]  # 7.5 px of the smaller image
    found = StereoMatcher(StereoSettings(disparities=16))(np.ascontiguousarray(left), np.ascontiguousarray(right))
    assert np.nanmedian(found.pixels) == pytest.approx(7.5, abs=0.15)


@pytest.mark.parametrize('mode', list(MatchMode))
def test_every_mode_matches(picture: np.ndarray, mode: MatchMode) -> None:
    found = StereoMatcher(StereoSettings(disparities=16, mode=mode))(picture, np.roll(picture, -6, axis=1))
    assert np.nanmedian(found.pixels) == 6 and found.matched > 0.9


def test_images_without_texture_have_no_matches() -> None:
    flat = np.full((480, 640), 120, np.uint8)
    assert StereoMatcher()(flat, flat).matched == 0.0
    assert StereoMatcher()(flat, flat, lowest=-32).matched == 0.0
    noisy = np.random.default_rng(3).integers(118, 123, (2, 480, 640)).astype(np.uint8)
    assert StereoMatcher()(*noisy).matched < 0.02


def test_plain_surfaces_that_recede_have_no_depth_rather_than_a_wrong_one() -> None:
    """Both sides agree on the disparity of their rims: in this scene on nearly half of all pixels."""
    sample = stereo_sample(234)

    def errors(min_correlation: float) -> DisparityErrors:
        matcher = StereoMatcher(StereoSettings(min_correlation=min_correlation))
        return disparity_errors(matcher(grey(sample.left), grey(sample.right)).pixels, sample.disparity)

    assert errors(StereoSettings().min_correlation).bad < 0.6 * errors(-1.0).bad


def test_filling_is_off_unless_it_is_asked_for(samples: list[StereoSample]) -> None:
    left, right = grey(samples[0].left), grey(samples[0].right)
    found, filled = StereoMatcher()(left, right), StereoMatcher(StereoSettings(fill=True))(left, right)
    assert np.isnan(found.pixels).any() and np.isfinite(filled.pixels).mean() > 0.99
    known = np.isfinite(found.pixels)
    np.testing.assert_array_equal(filled.pixels[known], found.pixels[known])
    assert not filled.confidence[~known].any()


def test_rows_are_filled_from_the_far_side() -> None:
    rows = np.array([[np.nan, 7, np.nan, 3, np.nan], [np.nan] * 5], np.float32)
    np.testing.assert_array_equal(fill_rows(rows), [[7, 7, 3, 3, 3], [np.nan] * 5])


@pytest.mark.parametrize(
    'left, right, reason',
    [
        ((100, 200), (100, 201), 'stereo_size'),
        ((100, 200), (90, 200), 'stereo_size'),
        ((100, 200), (100, 200, 3), 'stereo_size'),
        ((0, 0), (0, 0), 'stereo_size'),
        ((50, 60), (50, 60), 'stereo_narrow'),
    ],
)
def test_images_that_are_no_pair_are_refused(left: tuple[int, ...], right: tuple[int, ...], reason: str) -> None:
    with pytest.raises(FrameError) as error:
        StereoMatcher(StereoSettings(disparities=64))(np.zeros(left, np.uint8), np.zeros(right, np.uint8))
    assert error.value.reason == reason


@pytest.mark.parametrize('wrong', [{'block': 4}, {'block': 0}, {'disparities': -1}, {'disparities': 5000}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match='expected'):
        StereoSettings(**wrong)


def test_the_range_follows_the_width() -> None:
    assert [StereoSettings().range_for(width) for width in (320, 640, 741, 1280)] == [64, 128, 160, 256]


def test_a_smaller_camera_works_with_its_own_range() -> None:
    sample = stereo_sample(7210, left_camera=default_camera(320, 240))
    found = StereoMatcher()(grey(sample.left), grey(sample.right))
    assert disparity_errors(found.pixels, sample.disparity, sample.visible).mae < 1.5
