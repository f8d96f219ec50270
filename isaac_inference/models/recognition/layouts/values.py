# SPDX-License-Identifier: Apache-2.0
"""What the numbers of one run say about a layout: which column is which, px or fractions, corners or centres."""

from __future__ import annotations

import numpy as np

_ROUNDING = 1e-3
_MOST_FRACTION = 2.0  # a box in fractions of the input may reach over its edge, but not this far
_MOST_OFFSET = 32.0  # a raw head's offset from its cell is smaller than this; a centre in px somewhere is not
_SHARE = 0.98
_MOST_OF = 0.9


def are_normalized(boxes: np.ndarray) -> bool | None:
    """True for boxes in fractions of the input, False for px; None where all are zero or not finite.

    Args:
        boxes: (N, 4) in any order of corners or centres; a tenth of the numbers may be anything.
    """
    used = _used(boxes)
    return None if not len(used) else bool(np.quantile(np.abs(used), _MOST_OF) <= _MOST_FRACTION)


def box_format_of(boxes: np.ndarray) -> str | None:
    """'xyxy' where the second corner never lies before the first, else 'cxcywh'; None where all are zero.

    Args:
        boxes: (N, 4).
    """
    used = _used(boxes)
    if not len(used):
        return None
    ordered = (used[:, 2] >= used[:, 0] - _ROUNDING) & (used[:, 3] >= used[:, 1] - _ROUNDING)
    return 'xyxy' if ordered.mean() >= _SHARE else 'cxcywh'


def are_probabilities(scores: np.ndarray) -> bool:
    """True when every value lies in [0, 1], up to rounding."""
    return bool(np.isfinite(scores).all() and scores.min() >= -_ROUNDING and scores.max() <= 1 + _ROUNDING)


def sums_to_one(scores: np.ndarray) -> bool:
    """True for probabilities (N, C) that a softmax made: each row's sum is 1."""
    return scores.ndim == 2 and scores.shape[1] > 1 and bool(np.abs(scores.sum(axis=1) - 1).max() < 1e-2)


def columns_of(rows: np.ndarray) -> tuple[str, ...] | None:
    """What the columns of a table of 6 or 7 columns are, one row per box; None where the numbers do not say it.

    Args:
        rows: (N, 6) or (N, 7).
    """
    used = rows[np.isfinite(rows).all(axis=1) & (np.abs(rows).sum(axis=1) > 0)]
    if not len(used):
        return None
    width = rows.shape[1]
    whole = [bool((used[:, column] == np.trunc(used[:, column])).all()) for column in range(width)]
    unit = [are_probabilities(used[:, column]) for column in range(width)]
    for box_at, others in _ORDERS[width]:
        box = used[:, box_at : box_at + 4]
        roles = dict(zip(others, (index for index in range(width) if not box_at <= index < box_at + 4), strict=True))
        if not whole[roles['class']] or not unit[roles['score']] or not used[:, roles['score']].any():
            continue
        if 'image' in roles and not (whole[roles['image']] and len(np.unique(used[:, roles['image']])) == 1):
            continue
        if used[:, roles['class']].min() < -1 or (box < -_MOST_FRACTION).all():
            continue
        is_centered = 'angle' in roles or box_format_of(box) == 'cxcywh'
        corners = ('cx', 'cy', 'w', 'h') if is_centered else ('x1', 'y1', 'x2', 'y2')
        names = {index: name for name, index in roles.items()}
        names |= {box_at + index: name for index, name in enumerate(corners)}
        return tuple(names[index] for index in range(width))
    return None


def is_class_column(column: np.ndarray) -> bool:
    """True for a column of class ids: whole numbers of 0 or more. A column of zeros is one too."""
    used = column[np.isfinite(column)]
    return bool(len(used) and (used == np.trunc(used)).all() and used.min() >= 0)


def are_in_px(centers: np.ndarray) -> bool:
    """True when the first two columns are positions in the input, not offsets from a grid cell.

    Args:
        centers: (N, 2).
    """
    return bool(np.abs(centers[np.isfinite(centers).all(axis=1)]).max(initial=0.0) > _MOST_OFFSET)


def _used(boxes: np.ndarray) -> np.ndarray:
    """The rows that are finite and not all zero, (M, 4)."""
    if boxes.size % 4:
        return np.empty((0, 4), boxes.dtype)
    rows = boxes.reshape(-1, 4)
    return rows[np.isfinite(rows).all(axis=1) & (np.abs(rows).sum(axis=1) > 0)]


_ORDERS = {  # where the box begins, and what the other columns are; the usual order first
    6: ((0, ('score', 'class')), (0, ('class', 'score')), (2, ('class', 'score')), (2, ('score', 'class'))),
    7: (
        (1, ('image', 'class', 'score')),
        (1, ('image', 'score', 'class')),
        (3, ('image', 'class', 'score')),
        (0, ('score', 'class', 'angle')),
    ),
}
