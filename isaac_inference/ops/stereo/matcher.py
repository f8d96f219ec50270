# SPDX-License-Identifier: Apache-2.0
"""Disparities of a rectified pair by semi-global matching, checked from both sides."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.stereo.settings import MatchMode, StereoSettings

STEP = 1.0 / 16.0  # px, of OpenCV's fixed-point disparities
_FIXED = 16
_NOTHING = np.int16(-32768)
_CAP = 63  # of the prefilter's gradients, as OpenCV's samples have it
_P1, _P2 = 8, 32  # penalties per channel and pixel of the window: OpenCV's own rule
_NEAR = 21  # px, side of the window in which a match is judged by how many others there are
_LEAST_SPREAD = 0.1  # grey levels to the fourth: rounding alone makes about as much
_MODES = {
    MatchMode.FAST: cv2.STEREO_SGBM_MODE_SGBM_3WAY,
    MatchMode.BALANCED: cv2.STEREO_SGBM_MODE_HH4,
    MatchMode.FULL: cv2.STEREO_SGBM_MODE_HH,
}


@dataclass(frozen=True, eq=False)
class Disparity:
    """What a pair's matching gives, in the view of its left image.

    Attributes:
        pixels: (H, W) float32 px, x in the left image minus x in the right one; NaN where nothing matches.
        confidence: (H, W) uint8, 0 without a match, 1..255: the part of the pixels around that have a match, less up to
            half of it where the two sides hardly agree. It orders pixels by how wrong they are; it is no probability.
        lowest, highest: px, the range that was searched.
    """

    pixels: np.ndarray
    confidence: np.ndarray
    lowest: int
    highest: int

    @property
    def matched(self) -> float:
        """Part of the pixels that have a match, 0..1."""
        return float(np.count_nonzero(self.confidence)) / self.confidence.size


class StereoMatcher:
    """Matches pairs with the same settings; keeps nothing from one to the next.

    Example: a random picture that is shifted by four pixels.
        >>> left = np.random.default_rng(0).integers(0, 255, (60, 120), np.uint8)
        >>> found = StereoMatcher(StereoSettings(disparities=16))(left, np.roll(left, -4, axis=1))
        >>> float(np.nanmedian(found.pixels))
        4.0
    """

    def __init__(self, settings: StereoSettings | None = None) -> None:
        self.settings = settings or StereoSettings()

    def __call__(self, left: np.ndarray, right: np.ndarray, lowest: int = 0) -> Disparity:
        """Match a rectified pair.

        Args:
            left, right: (H, W) uint8 grey, or (H, W, 3) uint8; colour takes a third more time and is hardly better.
            lowest: px, the disparity of what is infinitely far away: 0 unless the principal points differ.

        Raises:
            FrameError: 'stereo_size', the images differ in size or have none; 'stereo_narrow', they are narrower than
                the range that is to be searched.
        """
        check_sizes(left, right)
        chosen, width = self.settings, left.shape[1]
        count = chosen.range_for(width)
        highest = lowest + count
        if width <= count:
            raise FrameError(
                'stereo_narrow',
                f'images of {width} px width, but {count} disparities are to be searched: lower disparities below '
                f'{width}, or take larger images',
            )
        found = self._match(left, right, lowest, count)
        differ = None
        if chosen.max_difference >= 0.0:
            differ = self._differences(found, left, right, lowest, count)
            found[~(differ <= chosen.max_difference * _FIXED)] = _NOTHING
        if chosen.min_correlation > -1.0:
            found[self._correlations(found, left, right) < chosen.min_correlation] = _NOTHING
        if chosen.speckle_size:
            cv2.filterSpeckles(found, int(_NOTHING), chosen.speckle_size, round(chosen.speckle_range * _FIXED))
        known = found != _NOTHING
        confidence = _confidence(known, differ, max(chosen.max_difference, STEP) * _FIXED)
        confidence[confidence < chosen.min_confidence * 255.0] = 0
        missing = confidence == 0
        pixels = found.astype(np.float32)
        pixels *= np.float32(STEP)
        pixels[missing] = np.nan
        return Disparity(fill_rows(pixels) if chosen.fill else pixels, confidence, lowest, highest)

    def _match(self, left: np.ndarray, right: np.ndarray, lowest: int, count: int) -> np.ndarray:
        """(H, W) int16, sixteenths of a px; `_NOTHING` where there is no match inside the right image.

        OpenCV leaves out the columns whose largest disparity would lie outside the image. A margin on both sides makes
        it look there, too; what it then finds in the margin is dropped.
        """
        chosen, width = self.settings, left.shape[1]
        window = chosen.smoothness * chosen.block**2 * (left.shape[2] if left.ndim == 3 else 1)
        p1 = max(1, round(_P1 * window))
        matcher = cv2.StereoSGBM.create(
            lowest, count, chosen.block, p1, max(p1 + 1, round(_P2 * window)), -1, _CAP, chosen.uniqueness, 0, 0,
            _MODES[chosen.mode],
        )  # fmt: skip
        before, after = max(0, lowest + count), max(0, -lowest)
        first, second = (
            cv2.copyMakeBorder(image, 0, 0, before, after, cv2.BORDER_REPLICATE) for image in (left, right)
        )
        found = matcher.compute(first, second)[:, before : before + width].astype(np.int16)
        there = np.arange(width, dtype=np.int32) * _FIXED - found
        outside = (there < -_FIXED // 2) | (there > (width - 1) * _FIXED + _FIXED // 2)
        found[outside | (found <= lowest * _FIXED)] = _NOTHING  # the lowest is what images without texture get
        return found

    def _correlations(self, found: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        pixels = found.astype(np.float32) * np.float32(STEP)
        pixels[found == _NOTHING] = np.nan
        return correlation(_grey(left), _grey(right), pixels)

    def _differences(
        self, found: np.ndarray, left: np.ndarray, right: np.ndarray, lowest: int, count: int
    ) -> np.ndarray:
        """(H, W) float32, sixteenths of a px: how far the right image's match of each match is away; inf for none."""
        height, width = found.shape
        other = cv2.flip(self._match(cv2.flip(right, 1), cv2.flip(left, 1), lowest, count), 1)
        rows = np.repeat(np.arange(height, dtype=np.float32)[:, None], width, axis=1)
        there = np.arange(width, dtype=np.float32) - found * np.float32(STEP)
        back = cv2.remap(other, there, rows, cv2.INTER_NEAREST, borderValue=(float(_NOTHING),))
        differ = np.abs(back.astype(np.float32) - found)
        differ[(found == _NOTHING) | (back == _NOTHING)] = np.inf
        return differ


def _grey(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def check_sizes(left: np.ndarray, right: np.ndarray) -> None:
    """Raises FrameError 'stereo_size' where two images cannot be a pair, or are empty.

    Example:
        >>> check_sizes(np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.uint8))
    """
    if left.shape[:2] != right.shape[:2] or left.ndim != right.ndim or 0 in left.shape:
        sizes = [f'{image.shape[1]}x{image.shape[0]}' for image in (left, right)]
        raise FrameError(
            'stereo_size',
            f'the left image has {sizes[0]} pixels, the right one {sizes[1]}: the images of a pair are of one size; '
            'set both cameras to the same resolution, region and binning',
        )


def fill_rows(disparity: np.ndarray) -> np.ndarray:
    """Pixels without a match get the farther (smaller) one of the nearest matches at their left and right.

    Args:
        disparity: (H, W) float32 px, NaN for unknown.

    Returns:
        A new array; rows without any match stay NaN.

    Example:
        >>> fill_rows(np.array([[np.nan, 9, np.nan, np.nan, 4]], np.float32)).tolist()
        [[9.0, 9.0, 4.0, 4.0, 4.0]]
    """
    known = np.isfinite(disparity)
    columns = np.arange(disparity.shape[1])
    at_left = np.maximum.accumulate(np.where(known, columns, -1), axis=1)
    at_right = np.minimum.accumulate(np.where(known, columns, len(columns))[:, ::-1], axis=1)[:, ::-1]
    padded = np.pad(disparity, ((0, 0), (0, 1)), constant_values=np.nan)  # -1 and the end both lead there
    return np.fmin(np.take_along_axis(padded, at_left, axis=1), np.take_along_axis(padded, at_right, axis=1))


def correlation(left: np.ndarray, right: np.ndarray, disparity: np.ndarray) -> np.ndarray:
    """How alike the two images are around each match: normalised cross-correlation over the matches in 21 px.

    On plain surfaces matching continues the disparity of their rims, which is wrong where they recede, and both sides
    agree on it. But there the images share nothing: the noise of one is not that of the other.

    Args:
        left, right: (H, W) uint8 grey.
        disparity: (H, W) float32 px, NaN where nothing matches.

    Returns:
        (H, W) float32 in [-1, 1], by every other row and column; 0 where nothing around matches.

    Example: what both images show alike, beside what they do not.
        >>> left, right = np.random.default_rng(0).integers(90, 110, (2, 60, 120), np.uint8)
        >>> right[:, :60] = left[:, :60]
        >>> found = correlation(left, right, np.zeros((60, 120), np.float32))
        >>> bool(found[:, :45].min() > 0.99), bool(np.abs(found[:, 75:]).max() < 0.4)
        (True, True)
    """
    height, width = disparity.shape
    pixels = disparity[::2, ::2]
    known = np.isfinite(pixels)
    columns = np.arange(0, width, 2, dtype=np.float32) - np.where(known, pixels, np.float32(0.0))
    rows = np.repeat(np.arange(0, height, 2, dtype=np.float32)[:, None], pixels.shape[1], axis=1)
    a = left[::2, ::2].astype(np.float32) - np.float32(128.0)
    b = cv2.remap(right, columns, rows, cv2.INTER_LINEAR).astype(np.float32) - np.float32(128.0)
    a[~known] = b[~known] = 0.0
    size = (_NEAR // 2 + 1, _NEAR // 2 + 1)
    sums = [cv2.blur(part, size) for part in (known.astype(np.float32), a, b, a * a, b * b, a * b)]
    count, mean_a, mean_b, aa, bb, ab = sums[0], *(part / np.maximum(sums[0], np.float32(1e-6)) for part in sums[1:])
    spread = np.maximum((aa - mean_a * mean_a) * (bb - mean_b * mean_b), np.float32(_LEAST_SPREAD))
    found = (ab - mean_a * mean_b) / np.sqrt(spread)
    found[count < 1e-6] = 0.0
    return np.asarray(np.repeat(np.repeat(found, 2, axis=0), 2, axis=1)[:height, :width])


def _confidence(known: np.ndarray, differ: np.ndarray | None, most: float) -> np.ndarray:
    """(H, W) uint8, see `Disparity`; `most` and `differ` are in the same units."""
    share = cv2.blur(known.astype(np.float32), (_NEAR, _NEAR), borderType=cv2.BORDER_REFLECT)
    confidence: np.ndarray = np.asarray(share, np.float32)
    if differ is not None:
        confidence *= 1.0 - 0.5 * np.minimum(differ, np.float32(most)) / np.float32(most)
    confidence[~known] = 0.0
    return np.ceil(confidence * np.float32(255.0)).astype(np.uint8)
