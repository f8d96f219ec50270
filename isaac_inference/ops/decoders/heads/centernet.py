# SPDX-License-Identifier: Apache-2.0
"""CenterNet and TTFNet: objects are the peaks of a heatmap, with a size at each peak."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.formats import Activation, corners_from_centers, sigmoid
from isaac_inference.ops.decoders.base import (
    Decoder,
    bad_shape,
    check_thresholds,
    collect,
    find_candidates,
    highest,
    non_finite,
    take,
    take_floats,
)
from isaac_inference.ops.decoders.grid import boxes_around
from isaac_inference.ops.image.options import option

_NEIGHBOURS = np.ones((3, 3), np.uint8)


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
    activation: str = 'none',
) -> Detections:
    """Reads a box at each peak: a cell whose score no neighbour of the 3x3 around it exceeds (Zhou et al., arXiv
    1904.07850).

    Roles:
        heatmap: (class_count, H, W) or (H, W, class_count), a score for each class and cell.
        sizes: (2, H, W) or (H, W, 2), the box's (width, height) in cells; or (4, H, W) or (H, W, 4), the distances
            left, top, right and bottom from the cell's top-left corner in input pixels (TTFNet, Liu et al., arXiv
            1909.00700).
        offsets: optional, (2, H, W) or (H, W, 2), (x, y) of the box's centre in cells from the cell's corner; without
            it the centre is the cell's. Only for sizes of two channels.

    All maps have the same order of axes; where both fit, channels are first.

    Args:
        activation: 'sigmoid' for a heatmap of logits, 'none' where it is in [0, 1] already; softmax over the classes.

    Example: the only cell of a 4x4 input.
        >>> outputs = {'heatmap': np.full((1, 1, 1), 0.75), 'sizes': np.array([0.5, 1.0]).reshape(2, 1, 1)}
        >>> decode(outputs, input_wh=(4, 4), class_count=1, score_threshold=0.5).boxes.tolist()
        [[1.0, 0.0, 3.0, 4.0]]
    """
    kind = option(Activation, activation, 'activation')
    thresholds = check_thresholds(score_threshold, class_count)
    heatmap, sizes, offsets = take_maps(outputs, class_count)
    scores = _activated(heatmap, kind)
    is_peak = scores >= _neighbourhood_maximum(scores)
    flat = scores.ravel()
    index = find_candidates(flat, thresholds, 'heatmap')
    index = index[is_peak.ravel()[index]]
    class_ids, rows, columns = np.unravel_index(index, scores.shape)
    cells = np.stack((columns, rows), axis=1).astype(np.float32)
    stride = np.array([input_wh[0] / scores.shape[2], input_wh[1] / scores.shape[1]], np.float32)
    chosen = sizes[:, rows, columns].T
    if len(sizes) == 4:
        boxes = boxes_around(cells * stride, chosen)
    else:
        centers = cells + (np.float32(0.5) if offsets is None else offsets[:, rows, columns].T)
        boxes = corners_from_centers(np.concatenate((centers * stride, chosen * stride), axis=1))
    return collect(boxes, flat[index], class_ids, thresholds, 'sizes', best_score=highest(flat))


def take_maps(outputs: Mapping[str, np.ndarray], class_count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The outputs as `decode` describes them, channels first; the offsets are None where there are none.

    Raises:
        FrameError: 'missing_output', 'bad_output_shape' or 'bad_output_type'.

    Example:
        >>> heatmap, sizes, offsets = take_maps({'heatmap': np.zeros((4, 5, 80)), 'sizes': np.zeros((4, 5, 2))}, 80)
        >>> heatmap.shape, sizes.shape, offsets
        ((80, 4, 5), (2, 4, 5), None)
    """
    sides = 4 if 4 in take(outputs, 'sizes').shape[::2] and 2 not in outputs['sizes'].shape[::2] else 2
    channels = {'heatmap': class_count, 'sizes': sides}
    if 'offsets' in outputs:
        channels['offsets'] = 2
    maps = {role: take_floats(outputs, role) for role in channels}
    for role, array in maps.items():
        if array.ndim != 3 or not array.size:
            raise _bad_map(role, array, channels)
    if not all(len(maps[role]) == channels[role] for role in ('heatmap', 'sizes')):
        maps = {role: np.moveaxis(array, -1, 0) for role, array in maps.items()}
    for role, array in maps.items():
        if array.shape != (channels[role], *maps['heatmap'].shape[1:]):
            raise _bad_map(role, outputs[role], channels)
    return maps['heatmap'], maps['sizes'], maps.get('offsets')


def _bad_map(role: str, array: np.ndarray, channels: Mapping[str, int]) -> FrameError:
    return bad_shape(role, array, f'({channels[role]}, H, W) or (H, W, {channels[role]}), all maps alike')


def _activated(heatmap: np.ndarray, kind: Activation) -> np.ndarray:
    if kind is Activation.NONE:
        return heatmap
    if np.isposinf(heatmap).any():
        raise non_finite('heatmap')
    if kind is Activation.SIGMOID:
        return sigmoid(heatmap)
    powers = np.exp(heatmap - heatmap.max(axis=0))
    softmax: np.ndarray = powers / powers.sum(axis=0)
    return softmax


def _neighbourhood_maximum(scores: np.ndarray) -> np.ndarray:
    """The highest score of the 3x3 cells about each cell, class by class."""
    import cv2  # no other decoder needs it

    return np.stack([cv2.dilate(np.ascontiguousarray(plane), _NEIGHBOURS) for plane in scores])


DECODER = Decoder(
    'centernet',
    ('heatmap', 'sizes'),
    needs_nms=False,
    option_names=('activation',),
    decode=decode,
    ranks={'heatmap': 3, 'sizes': 3, 'offsets': 3},
    optional_roles=('offsets',),
)
