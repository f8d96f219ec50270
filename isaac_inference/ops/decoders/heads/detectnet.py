# SPDX-License-Identifier: Apache-2.0
"""TAO DetectNet_v2 (PeopleNet, TrafficCamNet, DashCamNet): a coverage map and a box map for each class."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.decoders.base import (
    Decoder,
    bad_shape,
    check_thresholds,
    collect,
    find_candidates,
    highest,
    take_output,
)
from isaac_inference.ops.decoders.grid import boxes_around

_BOX_NORM = 35.0  # px of a distance of 1, as the networks are trained
_OFFSET = 0.5  # px from a cell's corner to its point


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
) -> Detections:
    """Decodes the distances from each cell's point to the sides of each class's box.

    The point is cell * stride + 0.5 px, the distances left, top, right and bottom are in units of 35 px; the stride is
    the input's size by the map's (DeepStream's parser of DetectNet_v2).

    Roles:
        scores: (class_count, H, W), the coverage of each cell, already after its sigmoid.
        boxes: (4 * class_count, H, W), the four distances of the first class, then those of the second, and so on.

    Each class of a cell that reaches its threshold is a box of its own.

    Example: the only cell of a 16x16 input; a fifth of 35 px to each side.
        >>> outputs = {'scores': np.full((1, 1, 1), 0.75), 'boxes': np.full((4, 1, 1), 0.2)}
        >>> decode(outputs, input_wh=(16, 16), class_count=1, score_threshold=0.5).boxes.tolist()
        [[-6.5, -6.5, 7.5, 7.5]]
    """
    thresholds = check_thresholds(score_threshold, class_count)
    scores = take_output(outputs, 'scores', (class_count, 'H', 'W'))
    _, height, width = scores.shape
    boxes = take_output(outputs, 'boxes', (4 * class_count, height, width))
    if not scores.size:
        raise bad_shape('scores', scores, f'({class_count}, H, W) with cells')
    flat = scores.ravel()
    index = find_candidates(flat, thresholds, 'scores')
    class_ids, rows, columns = np.unravel_index(index, scores.shape)
    strides = np.array([-(-input_wh[0] // width), -(-input_wh[1] // height)], np.float32)
    points = np.stack((columns, rows), axis=1).astype(np.float32) * strides + np.float32(_OFFSET)
    distances = boxes.reshape(class_count, 4, height, width)[class_ids, :, rows, columns] * np.float32(_BOX_NORM)
    corners = boxes_around(points, distances)
    return collect(corners, flat[index], class_ids, thresholds, 'boxes', best_score=highest(flat))


DECODER = Decoder(
    'detectnet',
    ('scores', 'boxes'),
    needs_nms=True,
    option_names=(),
    decode=decode,
    ranks={'scores': 3, 'boxes': 3},
)
