# SPDX-License-Identifier: Apache-2.0
"""Whether a frame's boxes can be what a model saw, or the model card reads its outputs wrongly.

A wrong box format, unit or activation seldom fails; it gives boxes that no model would give. These checks name it
before such a box is published. They look for mistakes that show in nearly every box of a frame, so a poor model, one
object that fills the picture, or a few boxes over the edge pass.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isaac_inference.ops.boxes.detections import Detections

ROUNDING_PX = 1.0  # by which a box without a size may come out inverted
CORNER_PX = 4.0  # a network's raw numbers, logarithms of sizes and the like, are seldom larger
_ROUNDING = 1e-3  # of scores
_MANY = 20  # boxes from which on their likeness means something
_NEARLY_ALL = 0.9
_EDGE = 0.01  # of the input's side: how close to the edge a box ends that covers it
_SAME_PX, _SAME_SCORE = 0.5, 1e-6
_FILLING = -1.0  # score of the rows that fill up an output
_ACTIVATION = ' and decoder_options.activation (sigmoid or softmax where the model outputs logits)'


class Implausible(NamedTuple):
    """Why a frame's boxes cannot be right.

    Attributes:
        reason: 'scores_above_one', 'scores_below_zero', 'boxes_inverted', 'boxes_outside', 'boxes_below_one_pixel',
            'boxes_all_whole_picture' or 'boxes_identical'.
        sentence: what arrived, what was expected, and where the model card may be wrong.
    """

    reason: str
    sentence: str


class Tally(NamedTuple):
    """What there is to count in a frame's candidates.

    Attributes:
        boxes: those with a score above 0; the others fill up an output and are not counted below either.
        inverted: boxes whose x_max or y_max is more than `ROUNDING_PX` below the minimum.
        outside: boxes that reach farther than one input size beyond the input on any side.
        tiny: boxes that are smaller than 1 px along both sides, or no farther than `CORNER_PX` from the input's
            top-left corner: fractions of the input, or of a cell, that are read as pixels.
        best_score: the highest score of the frame before any threshold, NaN for unknown.
    """

    boxes: int
    inverted: int
    outside: int
    tiny: int
    best_score: float


def tally(found: Detections, input_wh: tuple[int, int], best_score: float = np.nan) -> Tally:
    """Counts what `judge` needs, of boxes in input pixels before any clipping and NMS.

    Args:
        found: what a decoder returned.
        input_wh: the model input's (width, height) in pixels.
        best_score: as of `Tally`; NaN takes the highest of `found`.

    Example: a box, an inverted one, and a row that fills up the output.
        >>> boxes = np.array([[10, 20, 30, 40], [30, 40, 10, 20], [0, 0, 0, 0]], np.float32)
        >>> found = Detections(boxes, np.array([0.5, 0.25, 0], np.float32), np.zeros(3, np.int32))
        >>> tally(found, (64, 64))
        Tally(boxes=2, inverted=1, outside=0, tiny=1, best_score=0.5)
    """
    if not len(found):
        return Tally(0, 0, 0, 0, best_score)
    best = float(found.scores.max()) if np.isnan(best_score) else best_score
    if found.scores.min() <= 0:
        found = found.select(found.scores > 0)
    columns = np.ascontiguousarray(found.boxes.T)  # columns are quicker to compare than pairs
    low, high = columns[:2], columns[2:]
    size, limit = high - low, np.asarray(input_wh, np.float32)[:, None]
    reach_low, reach_high = np.minimum(low, high) < -limit, np.maximum(low, high) > 2 * limit
    return Tally(
        len(found),
        _count_any(size < -ROUNDING_PX),
        _count_any(reach_low | reach_high),
        len(found) - _count_any((size >= 1) & (np.abs(columns).max(axis=0) > CORNER_PX)),
        best,
    )


def judge(frame: Tally, input_wh: tuple[int, int]) -> Implausible | None:
    """What is wrong with a frame's scores and coordinates; None where nothing is.

    Example: normalised boxes that are read as pixels.
        >>> judge(Tally(boxes=9, inverted=0, outside=0, tiny=9, best_score=0.9), (640, 640)).reason
        'boxes_below_one_pixel'
        >>> judge(Tally(boxes=9, inverted=0, outside=0, tiny=0, best_score=4.5), (640, 640)).reason
        'scores_above_one'
    """
    count, size = frame.boxes, f'{input_wh[0]}x{input_wh[1]} px'
    if frame.best_score > 1 + _ROUNDING or frame.best_score < _FILLING - _ROUNDING:
        reason = 'scores_above_one' if frame.best_score > 1 else 'scores_below_zero'
        return _wrong(reason, f'the highest score is {frame.best_score:.4g}', 'scores from 0 to 1', _ACTIVATION)
    if frame.inverted:
        return _wrong(
            'boxes_inverted',
            f'{frame.inverted} of {count} boxes have their right or bottom edge before the left or top one',
            'x_min, y_min, x_max, y_max',
            ' and decoder_options.box_format (or columns)',
        )
    if 2 * frame.outside > count:
        return _wrong(
            'boxes_outside',
            f'{frame.outside} of {count} boxes reach more than an input size beyond the input of {size}',
            'boxes on it',
            ' and decoder_options.normalized (false for boxes in pixels) and box_format',
        )
    if count and frame.tiny >= _NEARLY_ALL * count:
        return _wrong(
            'boxes_below_one_pixel',
            f'{frame.tiny} of {count} boxes are smaller than one pixel of the input of {size}, or all within its first '
            'pixels',
            'boxes in pixels',
            ' (one for raw grids where the model outputs such), decoder_options.normalized (true for boxes in '
            'fractions of the input) and box_format',
        )
    return None


def implausible(found: Detections, input_wh: tuple[int, int], best_score: float = np.nan) -> Implausible | None:
    """What is wrong with what a decoder returned, before any clipping and NMS; None where nothing is.

    Args:
        found: boxes in input pixels.
        input_wh: the model input's (width, height) in pixels.
        best_score: highest score of the whole frame before any threshold; NaN for unknown.

    Example: fractions of the input that are read as pixels.
        >>> boxes = np.array([[0.1, 0.2, 0.4, 0.8], [0.5, 0.5, 0.9, 0.6]], np.float32)
        >>> found = Detections(boxes, np.array([0.9, 0.8], np.float32), np.zeros(2, np.int32))
        >>> implausible(found, (640, 640)).reason
        'boxes_below_one_pixel'
    """
    return judge(tally(found, input_wh, best_score), input_wh)


def implausibly_alike(kept: Detections, input_wh: tuple[int, int]) -> Implausible | None:
    """What is wrong with boxes that are too much alike, after NMS where there is one, before any clipping.

    Candidates of NMS may well be alike, as many of them are about one object.

    Args:
        kept: boxes in input pixels.
        input_wh: the model input's (width, height) in pixels.

    Returns:
        None where nothing is wrong, and for fewer than 20 boxes.

    Example: the same row again and again.
        >>> boxes = np.tile(np.array([[10, 20, 30, 40]], np.float32), (25, 1))
        >>> kept = Detections(boxes, np.full(25, 0.5, np.float32), np.zeros(25, np.int32))
        >>> implausibly_alike(kept, (640, 640)).reason
        'boxes_identical'
    """
    if len(kept) >= _MANY and kept.scores.min() <= 0:
        kept = kept.select(kept.scores > 0)
    count = len(kept)
    if count < _MANY:
        return None
    boxes, limit = kept.boxes, np.asarray(input_wh, np.float32)
    covers = (boxes[:, :2] <= _EDGE * limit) & (boxes[:, 2:] >= (1 - _EDGE) * limit)
    whole = np.count_nonzero(covers.all(axis=1))
    if whole >= _NEARLY_ALL * count:
        return _wrong(
            'boxes_all_whole_picture',
            f'{whole} of {count} boxes cover the whole input of {input_wh[0]}x{input_wh[1]} px',
            'boxes around objects',
            ' and decoder_options.normalized (false for boxes in pixels) and box_format',
        )
    other = count // 2  # where nearly all are alike, so is nearly any one that they are compared with
    alike = (np.abs(boxes - boxes[other]) <= _SAME_PX).all(axis=1)
    alike &= (kept.class_ids == kept.class_ids[other]) & (np.abs(kept.scores - kept.scores[other]) <= _SAME_SCORE)
    same = np.count_nonzero(alike)
    if same >= _NEARLY_ALL * count:
        return _wrong(
            'boxes_identical',
            f'{same} of {count} detections are the same box of the same class and score',
            'each object once',
            ', outputs and decoder_options.nms (true for a model without NMS of its own)',
        )
    return None


def _count_any(condition: np.ndarray) -> int:
    """Columns of (2, N) in which either is true."""
    return int(np.count_nonzero(condition[0] | condition[1]))


def _wrong(reason: str, got: str, expected: str, lines: str) -> Implausible:
    return Implausible(reason, f'{got}, expected {expected}; check decoder{lines} in the model card')
