# SPDX-License-Identifier: Apache-2.0
"""Whether two images are a rectified pair in the right order: what the places of alike features in both say.

A rectified pair has the same features in the same rows, and never further right in the right image than in the left
one (but for what the principal points differ by). To look for them takes some 20 ms: for a pair now and then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from isaac_inference.errors import FrameError

FEATURES = 800
_WIDTH = 800  # px; larger images are made smaller for the look, so that it takes 30 ms and not 300
_RATIO = 0.8  # of the distances to the best and the second best descriptor: Lowe, IJCV 2004
_LEAST = 25  # matches that say anything
_SAME_ROW = 1.5  # px at the size of the look
_AGREE = 0.5  # part of the matches that must follow one rule to prove it
_BEHIND = 2.0  # px: beyond infinity by more is no rounding


@dataclass(frozen=True)
class PairLook:
    """What was seen.

    Attributes:
        matches: features that both images have.
        same_row: part of them that are in the same row, within 1.5 px.
        offset: px, how much lower the right image's features are in the middle of the image, by those that follow one
            affine rule; NaN without one.
        follows: part of the matches that follow it.
        behind: part of those in the same row that are further right in the right image, as no point in front is.
    """

    matches: int
    same_row: float
    offset: float
    follows: float
    behind: float


def look_at_pair(left: np.ndarray, right: np.ndarray, doffs: float = 0.0) -> PairLook:
    """Match features of two images of one size.

    Args:
        left, right: (H, W) uint8 grey.
        doffs: px, cx of the right image minus that of the left one.

    Example: a picture of squares, and the same six rows lower.
        >>> left = np.kron(np.random.default_rng(3).integers(0, 255, (24, 32), np.uint8), np.ones((10, 10), np.uint8))
        >>> look = look_at_pair(left, np.roll(left, 6, axis=0))
        >>> round(look.offset), look.same_row < 0.1, look.follows > 0.9
        (6, True, True)
    """
    scale = min(1.0, _WIDTH / left.shape[1])
    if scale < 1.0:
        wh = (_WIDTH, round(left.shape[0] * scale))
        left, right = (cv2.resize(image, wh, interpolation=cv2.INTER_AREA) for image in (left, right))
    finder = cv2.ORB.create(FEATURES, fastThreshold=7)
    everywhere = np.full(left.shape, 255, np.uint8)
    points, words = finder.detectAndCompute(left, everywhere)
    others, other_words = finder.detectAndCompute(right, everywhere)
    nothing = PairLook(0, 0.0, np.nan, 0.0, 0.0)
    if words is None or other_words is None or len(others) < 2:
        return nothing
    found = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(words, other_words, k=2)
    good = [pair[0] for pair in found if len(pair) == 2 and pair[0].distance < _RATIO * pair[1].distance]
    if len(good) < _LEAST:
        return replace(nothing, matches=len(good))
    from_xy = np.array([points[match.queryIdx].pt for match in good])
    to_xy = np.array([others[match.trainIdx].pt for match in good])
    dy = (to_xy - from_xy)[:, 1]
    level = np.abs(dy) < _SAME_ROW
    offset, follows = _affine_rule(from_xy - (left.shape[1] / 2, left.shape[0] / 2), dy)
    beyond = from_xy[:, 0] - to_xy[:, 0] + doffs * scale < -_BEHIND
    behind = float(beyond[level].mean()) if level.any() else 0.0
    return PairLook(len(good), float(level.mean()), offset / scale, follows, behind)


def check_pair(left: np.ndarray, right: np.ndarray, doffs: float = 0.0) -> PairLook:
    """Look at a pair, and refuse it where its features say that it is none.

    Images with few features say nothing, and pass.

    Args:
        left, right, doffs: as `look_at_pair` has them.

    Raises:
        FrameError: 'stereo_swapped', 'stereo_unrectified', or 'stereo_no_pair' (the features of one are not those of
            the other: other cameras, or other moments).

    Example: left and right are swapped.
        >>> left = np.kron(np.random.default_rng(3).integers(0, 255, (24, 32), np.uint8), np.ones((10, 10), np.uint8))
        >>> try:
        ...     check_pair(left, np.roll(left, 12, axis=1))
        ... except FrameError as error:
        ...     print(error.reason)
        stereo_swapped
    """
    look = look_at_pair(left, right, doffs)
    if look.matches < _LEAST:
        return look
    if look.same_row < _AGREE and look.follows >= _AGREE:
        raise FrameError(
            'stereo_unrectified',
            f'of {look.matches} features that both images have, {100 * (1 - look.same_row):.0f} % are in another row, '
            f'in the middle by {look.offset:+.1f} px: the pair is not rectified, its calibration is no longer true, or '
            'the images are not of the same moment. Raw images are rectified by CameraInfo with rectify: true; else '
            'calibrate the pair again, and have one camera trigger the other',
        )
    if look.same_row < _AGREE:
        raise FrameError(
            'stereo_no_pair',
            f'of {look.matches} features that look alike in both images only {100 * look.same_row:.0f} % are in the '
            'same row, and the others follow no rule: the images are not of one scene at one moment; check that both '
            'topics are of one pair, and that the cameras are triggered together',
        )
    if look.behind >= _AGREE:
        raise FrameError(
            'stereo_swapped',
            f'of {look.matches} features that both images have, {100 * look.behind:.0f} % are further right in the '
            'right image, which would be behind the camera: left and right are swapped; swap the two image topics',
        )
    return look


def _affine_rule(places: np.ndarray, dy: np.ndarray) -> tuple[float, float]:
    """(px at the middle, part of the matches that agree) of the rule dy = a + b x + c y that most follow (RANSAC)."""
    rows = np.column_stack((np.ones(len(dy)), places / 1000.0))
    rng = np.random.default_rng(0)
    best = np.zeros(len(dy), np.bool_)
    for _ in range(100):
        three = rng.choice(len(dy), 3, replace=False)
        try:
            rule = np.linalg.solve(rows[three], dy[three])
        except np.linalg.LinAlgError:
            continue
        agree = np.abs(rows @ rule - dy) < _SAME_ROW
        if agree.sum() > best.sum():
            best = agree
    if best.sum() < 3:
        return np.nan, 0.0
    rule = np.linalg.lstsq(rows[best], dy[best], rcond=None)[0]
    return float(rule[0]), float((np.abs(rows @ rule - dy) < _SAME_ROW).mean())
