# SPDX-License-Identifier: Apache-2.0
"""Which of a frame's boxes are cropped for a top-down network, and why the others are not."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

PERSON = 'person'
"""The class of people, where nobody names another."""
MAX_PEOPLE = 'max_people'
_LOOKED_AT = 4  # times as many as are wanted, of the highest scores
_INSIDE = 0.9  # of a box's area within another: it is of somebody in front of, or behind, that one
_HULL = 0.75  # IoU of a box with what two others span: it is a box around both
_FILLED = 0.6  # of its area by these two: somebody near with small ones behind is not filled by them
_APART = 0.3  # IoU below which two boxes are of two people


@dataclass(frozen=True)
class ChosenPeople:
    """What becomes of a frame's boxes.

    Attributes:
        rows: which are cropped, the highest score first.
        left_out: (reason, sentence) of each that is not.
        noted: (reason, sentence) of each that is, although something speaks against it.
    """

    rows: tuple[int, ...]
    left_out: tuple[tuple[str, str], ...] = field(default=())
    noted: tuple[tuple[str, str], ...] = field(default=())


def choose_people(boxes: np.ndarray, scores: np.ndarray, source_wh: tuple[int, int], most: int) -> ChosenPeople:
    """The boxes to crop.

    A box is left out under one of these reasons:

    - 'empty_crop': nothing of it lies in the image;
    - 'several_people': two other boxes that are apart fill it: the network would make one skeleton of two people;
    - 'max_people': `most` others have a higher score.

    One that has another box wholly inside is noted, 'people_overlap': its keypoints may be that one's.

    Args:
        boxes: (N, 4) x_min, y_min, x_max, y_max in px, finite, of people only.
        scores: (N,).
        source_wh: the image's (width, height) in px.
        most: how many are cropped at most.

    Example: the second has the highest score; the third lies to the right of the image.
        >>> boxes = np.array([[0, 0, 10, 20], [30, 0, 40, 20], [70, 0, 80, 20]], float)
        >>> chosen = choose_people(boxes, np.array([0.5, 0.9, 0.8]), (64, 64), 8)
        >>> chosen.rows, [reason for reason, _ in chosen.left_out]
        ((1, 0), ['empty_crop'])
    """
    left_out: list[tuple[str, str]] = []
    inside = (boxes[:, 0] < source_wh[0]) & (boxes[:, 1] < source_wh[1]) & (boxes[:, 2:] > 0).all(axis=1)
    for row in np.flatnonzero(~inside).tolist():
        size = f'{source_wh[0]}x{source_wh[1]}'
        left_out.append(('empty_crop', f'{_text(boxes[row])} lies outside of the image of {size} px'))
    order = [row for row in np.argsort(-scores, kind='stable').tolist() if inside[row]]
    looked_at = order[: _LOOKED_AT * most]  # the others have no part in it: their scores are too low
    within = _within(boxes[looked_at])
    rows: list[int] = []
    noted = []
    for place, row in enumerate(looked_at):
        if len(rows) == most:
            break
        others = [other for other, is_inside in zip(looked_at, within[:, place].tolist(), strict=True) if is_inside]
        pair = _filled_by(boxes, row, others) if len(others) > 1 else None
        if pair:
            text = f'{_text(boxes[row])} is around two people, {_text(boxes[pair[0]])} and {_text(boxes[pair[1]])}'
            left_out.append(('several_people', text))
            continue
        rows.append(row)
        if others:
            text = f'{_text(boxes[row])} has {_text(boxes[others[0]])} inside: its keypoints may be of that one'
            noted.append(('people_overlap', text))
    spanning = sum(reason == 'several_people' for reason, _ in left_out)
    for row in order[len(rows) + spanning :]:
        left_out.append((MAX_PEOPLE, f'{_text(boxes[row])}: {most} people with a higher score are cropped'))
    return ChosenPeople(tuple(rows), tuple(left_out), tuple(noted))


def _within(boxes: np.ndarray) -> np.ndarray:
    """(N, N) bool: box i lies in box j, but for a tenth, and is not that box."""
    areas = _areas(boxes)
    shared = _areas(_overlaps(boxes[:, None], boxes[None]))
    smaller = areas[:, None] < areas[None, :] * _INSIDE  # of two alike neither is in the other
    return np.asarray((shared >= _INSIDE * areas[:, None]) & smaller)


def _filled_by(boxes: np.ndarray, row: int, inside: list[int]) -> tuple[int, int] | None:
    """Two boxes inside one that are apart, and together as large as it; None where there are none."""
    own, others = boxes[row], boxes[inside]
    first, second = others[:, None], others[None]
    hulls = np.concatenate(
        (np.minimum(first[..., :2], second[..., :2]), np.maximum(first[..., 2:], second[..., 2:])), axis=2
    )
    filled = _areas(first) + _areas(second) >= _FILLED * _areas(own)
    pairs = np.triu(filled & (_iou(first, second) < _APART) & (_iou(hulls, own) >= _HULL), 1)
    if not pairs.any():
        return None
    one, other = np.unravel_index(int(pairs.argmax()), pairs.shape)
    return inside[int(one)], inside[int(other)]


def _overlaps(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """What two boxes share, (..., 4); with negative sides where that is nothing."""
    return np.concatenate((np.maximum(one[..., :2], other[..., :2]), np.minimum(one[..., 2:], other[..., 2:])), axis=-1)


def _iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    common = _areas(_overlaps(one, other))
    return np.asarray(common / (_areas(one) + _areas(other) - common))


def _areas(boxes: np.ndarray) -> np.ndarray:
    """Areas along the last axis; 0 where a side is negative."""
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return np.asarray(sides[..., 0] * sides[..., 1])


def _text(box: np.ndarray) -> str:
    x0, y0, x1, y1 = box.round().astype(int).tolist()
    return f'box ({x0}, {y0}) to ({x1}, {y1})'
