# SPDX-License-Identifier: Apache-2.0
"""Raw heads of anchor-free detectors (PicoDet, NanoDet, RTMDet, FCOS): scores and box sides, level by level."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.decoders.base import (
    Decoder,
    bad_shape,
    check_thresholds,
    collect,
    find_candidates,
    highest,
    rate,
)
from isaac_inference.ops.decoders.grid import boxes_around, expected_bins
from isaac_inference.ops.decoders.heads.levels import cell_points, grid_shape, join, level_strides, take_rows

_ROLES = ('scores', 'boxes')


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
    activation: str = 'none',
    cell_offset: float = 0.5,
    distances: str = 'strides',
) -> Detections:
    """Decodes the distances from each cell's point to the box's sides.

    Roles, for each level with its stride in pixels, N = H * W cells:
        scores_<stride>: (N, class_count), (class_count, H, W) or (H, W, class_count).
        boxes_<stride>: (N, C), (C, H, W) or (H, W, C): the distances left, top, right and bottom, C = 4; or the logits
            of their distributions over 0..R strides, C = 4 * (R + 1) (Generalized Focal Loss, Li et al., arXiv
            2006.04388).
        objectness_<stride>: optional, one number for each cell, such as FCOS's centre-ness; the score is then the
            product.

    Args:
        activation: what makes scores of the scores and the objectness, 'none' where they are in [0, 1] already.
        cell_offset: where a cell's point is, in cells from its top-left corner along x and y: 0.5 is the centre, 0 the
            corner.
        distances: unit of the distances where C = 4: 'strides' or 'px'.

    Example: the only cell of an 8x8 input; half a stride to each side.
        >>> outputs = {'scores_8': np.array([[0.75]]), 'boxes_8': np.full((1, 4), 0.5)}
        >>> decode(outputs, input_wh=(8, 8), class_count=1, score_threshold=0.5).boxes.tolist()
        [[0.0, 0.0, 8.0, 8.0]]
    """
    if distances not in ('strides', 'px'):
        raise ConfigError(f'distances: got {distances!r}, expected one of strides, px')
    thresholds = check_thresholds(score_threshold, class_count)
    parts = []
    for stride in level_strides(outputs, _ROLES):
        cells = grid_shape(input_wh, stride)
        scores_role, boxes_role, objectness_role = (f'{role}_{stride}' for role in (*_ROLES, 'objectness'))
        table = take_rows(outputs, scores_role, cells, class_count)
        sides = take_rows(outputs, boxes_role, cells, None)
        if not sides.shape[1] or sides.shape[1] % 4:
            raise bad_shape(boxes_role, outputs[boxes_role], f'({len(sides)}, 4) or ({len(sides)}, 4 * (R + 1))')
        scores = rate(table, scores_role, activation)
        if objectness_role in outputs:
            objectness = take_rows(outputs, objectness_role, cells, 1)
            scores = scores * rate(objectness, objectness_role, activation)
        index = find_candidates(scores, thresholds, scores_role)
        chosen = sides[index]
        if chosen.shape[1] > 4:
            chosen = expected_bins(chosen.reshape(len(index), 4, chosen.shape[1] // 4)) * np.float32(stride)
        elif distances == 'strides':
            chosen = chosen * np.float32(stride)
        points = (cell_points(index, cells) + np.float32(cell_offset)) * np.float32(stride)
        boxes = boxes_around(points, chosen)
        class_ids = table[index].argmax(axis=1)
        parts.append(collect(boxes, scores[index], class_ids, thresholds, boxes_role, best_score=highest(scores)))
    return join(parts)


DECODER = Decoder(
    'anchor_free_heads',
    (),
    needs_nms=True,
    option_names=('activation', 'cell_offset', 'distances'),
    decode=decode,
    ranks={'scores': 2, 'boxes': 2, 'objectness': 2},
    optional_roles=('objectness',),
    level_roles=_ROLES,
    other_ranks={'scores': (3,), 'boxes': (3,), 'objectness': (3,)},
)
