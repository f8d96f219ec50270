# SPDX-License-Identifier: Apache-2.0
"""Keypoints in the image against their truth: PCK and OKS."""

from __future__ import annotations

import numpy as np

COCO17_SIGMAS = np.array(
    (0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89)
) / 10  # fmt: skip
"""By how much people differ in where they see each of COCO's 17 keypoints, over the square root of a person's area:
the constants of COCO's keypoint evaluation, in its order (nose, eyes, ears, shoulders, elbows, wrists, hips, knees,
ankles)."""


def pixel_errors(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N, K) px from the true keypoints; NaN where one was not found.

    Args:
        found: (N, K, 2) x, y in px, NaN for one that was not found.
        truth: (N, K, 2).

    Example:
        >>> pixel_errors(np.array([[[3.0, 4.0], [np.nan, 0.0]]]), np.zeros((1, 2, 2))).tolist()
        [[5.0, nan]]
    """
    if found.shape != truth.shape or found.ndim != 3 or found.shape[2] != 2:
        raise ValueError(f'keypoints: got {found.shape} for a truth of {truth.shape}, expected (N, K, 2) of both')
    return np.asarray(np.hypot(*np.moveaxis(found - truth, -1, 0)))


def reference_lengths(boxes: np.ndarray) -> np.ndarray:
    """(N,) px: the longer side of each person's box, of which PCK's tolerance is a share.

    That is the reference of Yang and Ramanan, "Articulated Human Detection with Flexible Mixtures of Parts", PAMI 2013;
    others take the torso (stricter) or the head (stricter still).

    Args:
        boxes: (N, 4) x_min, y_min, x_max, y_max px.

    Example:
        >>> reference_lengths(np.array([[10.0, 20.0, 40.0, 120.0]])).tolist()
        [100.0]
    """
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0.0))


def correct_keypoints(errors_px: np.ndarray, reference_px: np.ndarray, share: float) -> np.ndarray:
    """(N, K) bool: the keypoints of which PCK is the part: within `share` of the reference length of their person.

    Args:
        errors_px: (N, K) as `pixel_errors`; one that was not found is not correct.
        reference_px: (N,).
        share: 0.1 for PCK@0.1.

    Example:
        >>> correct_keypoints(np.array([[9.0, 11.0, np.nan]]), np.array([100.0]), 0.1).tolist()
        [[True, False, False]]
    """
    with np.errstate(invalid='ignore'):
        return np.asarray(errors_px <= share * reference_px[:, None])


def object_keypoint_similarity(
    errors_px: np.ndarray, areas: np.ndarray, visible: np.ndarray, sigmas: np.ndarray = COCO17_SIGMAS
) -> np.ndarray:
    """(N,) OKS of each person: the mean over the keypoints that count of exp(-d^2 / (2 s^2 k^2)), k being twice sigma
    and s^2 the area (COCO's keypoint evaluation); NaN for a person of whom none counts.

    Args:
        errors_px: (N, K) as `pixel_errors`; one that was not found has a similarity of 0.
        areas: (N,) px^2 of the person.
        visible: (N, K) bool, the keypoints that count.
        sigmas: (K,) of each keypoint.

    Example: one keypoint is right, one is not found.
        >>> similarity = object_keypoint_similarity(
        ...     np.array([[0.0, np.nan]]), np.array([100.0]), np.ones((1, 2), np.bool_), np.array([0.05, 0.05])
        ... )
        >>> similarity.tolist()
        [0.5]
    """
    if errors_px.shape != visible.shape or errors_px.shape[1:] != sigmas.shape:
        raise ValueError(
            f'OKS: errors of {errors_px.shape}, visibility of {visible.shape} and sigmas of {sigmas.shape} do not fit'
        )
    variance = (2.0 * sigmas) ** 2 * np.maximum(areas, 1e-9)[:, None]
    likeness = np.nan_to_num(np.exp(-np.square(errors_px) / (2.0 * variance)), nan=0.0)
    counted = visible.sum(axis=1)
    with np.errstate(invalid='ignore'):
        return np.asarray(np.where(visible, likeness, 0.0).sum(axis=1) / np.where(counted, counted, np.nan))
