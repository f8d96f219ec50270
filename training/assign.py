# SPDX-License-Identifier: Apache-2.0
"""Which cell answers for which object: task-aligned assignment (TOOD, Feng et al., arXiv 2108.07755).

Everything has a fixed shape and no result is read back on the CPU, so the GPU never waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from model import STRIDE
from torch import Tensor
from torch.nn import functional

NONE, OBJECT, IGNORED = 0, 1, 2
"""States of a row of `Targets`: padding, an object to find, an object too hidden to judge by."""
TOP_K = 10
SCORE_POWER = 0.5
IOU_POWER = 6.0
LEAST_SIDE = 1.5 * STRIDE
"""Cells within this box around a smaller object's centre are candidates too, so that each object has one."""


@dataclass
class Targets:
    """The truth of a batch of B images with up to M objects each, in input px.

    Attributes:
        boxes: (B, M, 4) corners.
        classes: (B, M) int64.
        keypoints: (B, M, 8, 2).
        states: (B, M) uint8, see NONE.
        bases: (B, M, 16, 6), how the corners move with the pose: see `data.pose_basis`.
        instances: (B, H / 2, W / 2) uint8, row + 1 of the object that each place shows, 0 for none.
    """

    boxes: Tensor
    classes: Tensor
    keypoints: Tensor
    states: Tensor
    bases: Tensor
    instances: Tensor

    def first(self, count: int) -> Targets:
        """Those of the first images."""
        return Targets(*(getattr(self, item.name)[:count] for item in fields(self)))


@dataclass
class Assignment:
    """Who answers for what; K = TOP_K slots an object.

    Attributes:
        cells: (B, M, K) cell of each slot.
        weights: (B, M, K) 0 for an empty slot, otherwise how well the cell is suited, 0.2..1.
        class_targets: (B, A, class_count) in 0..1.
        class_weights: (B, A, 1) 0 where an ignored object is and no other answers.
    """

    cells: Tensor
    weights: Tensor
    class_targets: Tensor
    class_weights: Tensor


@torch.no_grad()
def assign(class_logits: Tensor, boxes: Tensor, centers: Tensor, targets: Targets) -> Assignment:
    """Give each object the cells that already do best on it.

    Args:
        class_logits: (B, A, class_count).
        boxes: (B, A, 4) predicted corners, input px.
        centers: (A, 2) input px.
        targets: the truth.
    """
    count = class_logits.shape[2]
    is_object = targets.states == OBJECT
    low, high = targets.boxes.split(2, -1)
    middle, half = (low + high) / 2, ((high - low) / 2).clamp(min=LEAST_SIDE / 2)
    inside = ((centers - middle[:, :, None]).abs() < half[:, :, None]).all(-1)  # (B, M, A)
    candidate = inside & is_object[..., None]

    overlap = box_iou(targets.boxes[:, :, None], boxes[:, None])
    class_index = targets.classes[..., None].expand(-1, -1, class_logits.shape[1])
    score = class_logits.sigmoid().transpose(1, 2).gather(1, class_index)
    metric = score.pow(SCORE_POWER) * overlap.pow(IOU_POWER)
    # where nothing overlaps yet, the cells next to the centre go first
    distance = (centers - middle[:, :, None]).norm(dim=-1)
    metric = torch.where(candidate, metric + 1e-9 / (1 + distance), metric.new_full((), -1.0))

    best, cells = metric.topk(TOP_K, dim=2)
    selected = torch.zeros_like(candidate).scatter(2, cells, best > 0)
    owner = torch.where(selected, overlap, overlap.new_full((), -1.0)).argmax(1, keepdim=True)  # (B, 1, A)
    rows = torch.arange(selected.shape[1], device=owner.device)[None, :, None]
    selected &= owner == rows

    metric, overlap = metric * selected, overlap * selected
    quality = metric / metric.amax(2, keepdim=True).clamp(min=1e-12) * overlap.amax(2, keepdim=True)
    weights = quality.gather(2, cells).clamp(min=0.2) * selected.gather(2, cells)
    owned = targets.classes.gather(1, owner[:, 0])
    class_targets = functional.one_hot(owned, count) * quality.amax(1)[..., None]
    ignored = (inside & (targets.states == IGNORED)[..., None]).any(1) & ~selected.any(1)
    return Assignment(cells, weights, class_targets, (~ignored).float()[..., None])


def box_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of corner boxes, broadcast over all but the last axis."""
    sides = torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])
    shared = area(sides.clamp(min=0))
    areas = area(first[..., 2:] - first[..., :2]) + area(second[..., 2:] - second[..., :2])
    return shared / (areas - shared).clamp(min=1e-6)


def area(sides: Tensor) -> Tensor:
    """Width times height of sides (..., 2); the backward pass of `prod` would wait for the GPU."""
    return sides[..., 0] * sides[..., 1]
