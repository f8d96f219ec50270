# SPDX-License-Identifier: Apache-2.0
"""The loss: classes, boxes, first guesses of the corners, refined corners, their scale and how far they are trusted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from assign import Assignment, Targets, assign, box_iou
from model import PoseDetector, Raw
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class LossWeights:
    """How much each part counts."""

    classes: float = 1.0
    boxes: float = 2.0
    guess: float = 1.0
    refined: float = 2.0
    scale: float = 4.0
    quality: float = 0.5


def total_loss(
    model: PoseDetector, raw: Raw, targets: Targets, weights: LossWeights
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a batch, to be called outside of autocast.

    Returns:
        The scalar to minimise, and its parts (detached, unweighted; `guess_px` and `refined_px` are mean absolute
        errors a coordinate in input px).
    """
    with torch.no_grad():
        assignment = assign(raw.class_logits, raw.boxes, model.centers, targets)
    batch, objects, slots = assignment.cells.shape
    cells = assignment.cells.reshape(batch, objects * slots)
    slot_weights = assignment.weights.reshape(batch, objects * slots)
    norm = slot_weights.sum().clamp(min=1.0)

    def per_slot(value: Tensor) -> Tensor:
        return value[:, :, None].expand(-1, -1, slots, *value.shape[2:]).flatten(1, 2)

    truth = per_slot(targets.keypoints)
    extent = truth.amax(2) - truth.amin(2)
    unit = (0.05 * extent.norm(dim=-1) + 1.0)[..., None, None]
    size = truth.new_tensor([model.settings.width, model.settings.height])
    seen = ((truth >= 0) & (truth <= size)).all(-1).float() * 0.75 + 0.25  # corners outside matter less

    def corner_loss(predicted: Tensor) -> tuple[Tensor, Tensor]:
        error = (predicted - truth).abs()
        loss = ((error / unit).sum(-1) * seen).mean(-1)
        return (loss * slot_weights).sum() / norm, (error.mean((-1, -2)) * slot_weights).sum() / norm

    spread = _spread(truth)

    def scale_loss(predicted: Tensor) -> Tensor:
        error = (_spread(predicted) / spread - 1).abs()
        return (error * slot_weights).sum() / norm

    guesses = _pick(raw.keypoints.flatten(2), cells).unflatten(2, (-1, 2))
    parts = {
        'classes': _class_loss(raw.class_logits, assignment),
        'boxes': (_box_loss(_pick(raw.boxes, cells), per_slot(targets.boxes)) * slot_weights).sum() / norm,
    }
    parts['guess'], guess_px = corner_loss(guesses)
    loss = weights.classes * parts['classes'] + weights.boxes * parts['boxes'] + weights.guess * parts['guess']
    shown = {'guess_px': guess_px.detach()}

    if model.settings.refine_steps:
        embedding, centers = _pick(raw.embedding, cells), model.centers[cells]
        stages, logits = model.refiner(raw.fine.float(), embedding, centers, guesses, model.settings.refine_steps)
        losses = [corner_loss(stage) for stage in stages]
        parts['refined'] = torch.stack([value for value, _ in losses]).mean()
        parts['scale'] = torch.stack([scale_loss(stage) for stage in stages]).mean()
        shown['refined_px'] = losses[-1][1].detach()
        scale = 0.02 * extent.prod(-1).clamp(min=0).sqrt()[..., None] + 1.0
        error = (stages[-1].detach() - truth).norm(dim=-1)
        quality = functional.binary_cross_entropy_with_logits(logits, (-((error / scale) ** 2)).exp(), reduction='none')
        parts['quality'] = (quality.mean(-1) * slot_weights).sum() / norm
        refined = parts['refined'] + weights.scale * parts['scale']
        loss = loss + weights.refined * refined + weights.quality * parts['quality']
    return loss, {'loss': loss.detach(), **{name: value.detach() for name, value in parts.items()}, **shown}


def _spread(corners: Tensor) -> Tensor:
    """Root mean square distance of an object's corners (..., 8, 2) from their middle, at least 1 px.

    An object's distance follows from it: a pixel that all corners are off to the same side moves a pose by a
    thousandth of its distance, a pixel that all are off to the outside by a fiftieth.
    """
    middle = corners.mean(-2, keepdim=True)
    return (corners - middle).square().sum(-1).mean(-1).add(1e-6).sqrt().clamp(min=1.0)


def _pick(values: Tensor, cells: Tensor) -> Tensor:
    """Rows (B, S, C) of dense values (B, A, C) at cells (B, S)."""
    return values.gather(1, cells[..., None].expand(-1, -1, values.shape[2]))


def _class_loss(logits: Tensor, assignment: Assignment) -> Tensor:
    """Cross entropy with soft targets, a unit of target at a time."""
    entropy = functional.binary_cross_entropy_with_logits(logits, assignment.class_targets, reduction='none')
    return (entropy * assignment.class_weights).sum() / assignment.class_targets.sum().clamp(min=1.0)


def _box_loss(predicted: Tensor, truth: Tensor) -> Tensor:
    """Generalised IoU (Rezatofighi et al., arXiv 1902.09630) plus the corners' error in parts of the size."""
    low = torch.minimum(predicted[..., :2], truth[..., :2])
    high = torch.maximum(predicted[..., 2:], truth[..., 2:])
    hull = (high - low).prod(-1).clamp(min=1e-6)
    overlap = box_iou(predicted, truth)
    areas = (predicted[..., 2:] - predicted[..., :2]).prod(-1) + (truth[..., 2:] - truth[..., :2]).prod(-1)
    union = areas / (1 + overlap)  # since overlap = shared / union and areas = union + shared
    size = (truth[..., 2:] - truth[..., :2]).clamp(min=4.0).repeat(1, 1, 2)
    return 1 - overlap + (hull - union) / hull + ((predicted - truth).abs() / size).mean(-1)
