# SPDX-License-Identifier: Apache-2.0
"""The loss: classes, boxes, masks, first guesses of the corners, refined corners, the pose that follows from them, and
how far they are trusted.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from assign import Assignment, Targets, area, assign, box_iou
from model import MASK_STRIDE, PoseDetector, Raw, confidence
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
    pose: float = 2.0
    masks: float = 1.0


MASK_SLOTS = 2
"""Cells of each object whose masks are trained."""
POSE_UNIT = 0.05
"""Part of an object's diagonal up to which an error of the pose counts as a square."""
PRIOR = 10.0
"""What holds a pose where the corners leave it open, 1 / (part of the diagonal)^2."""


def total_loss(
    model: PoseDetector, raw: Raw, targets: Targets, weights: LossWeights, refined_factor: Tensor | float = 1.0
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a batch, to be called outside of autocast.

    Args:
        model: whose refiner is run.
        raw: what it says of the images.
        targets: the truth.
        weights: of the parts.
        refined_factor: on what is asked of the refined corners.

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
    inside = (truth[..., 0] <= model.settings.width) & (truth[..., 1] <= model.settings.height)
    seen = (inside & (truth >= 0).all(-1)).float() * 0.75 + 0.25  # corners outside matter less

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
        scale = 0.02 * area(extent).clamp(min=0).sqrt()[..., None] + 1.0
        error = (stages[-1].detach() - truth).norm(dim=-1)
        quality = functional.binary_cross_entropy_with_logits(logits, (-((error / scale) ** 2)).exp(), reduction='none')
        parts['quality'] = (quality.mean(-1) * slot_weights).sum() / norm
        refined = weights.refined * (parts['refined'] + weights.scale * parts['scale'])
        if weights.pose:
            bases = per_slot(targets.bases)
            solver = _pose_solver(bases, confidence(logits.detach()))
            off = torch.stack([((stage - truth).flatten(2)[..., None, :] @ solver)[..., 0, :] for stage in stages])
            square = off.square().sum(-1)
            parts['pose'] = ((square / POSE_UNIT**2).log1p() * slot_weights).mean(0).sum() / norm
            shown['near'] = ((square[-1] < 0.01).float() * slot_weights).sum() / norm
            refined = refined + weights.pose * parts['pose']
        loss = loss + refined_factor * refined + weights.quality * parts['quality']
    if model.settings.prototypes and weights.masks:
        chosen = assignment.cells[:, :, :MASK_SLOTS]
        parts['masks'] = _mask_loss(raw, chosen, assignment.weights[:, :, :MASK_SLOTS], targets)
        loss = loss + weights.masks * parts['masks']
    return loss, {'loss': loss.detach(), **{name: value.detach() for name, value in parts.items()}, **shown}


def _spread(corners: Tensor) -> Tensor:
    """Root mean square distance of an object's corners (..., 8, 2) from their middle, at least 1 px.

    An object's distance follows from it: a pixel that all corners are off to the same side moves a pose by a
    thousandth of its distance, a pixel that all are off to the outside by a fiftieth.
    """
    middle = corners.mean(-2, keepdim=True)
    return (corners - middle).square().sum(-1).mean(-1).add(1e-6).sqrt().clamp(min=1.0)


@torch.no_grad()
def _pose_solver(bases: Tensor, trust: Tensor) -> Tensor:
    """(..., 16, 6) what turns errors of the corners into the error of the pose that fits them best.

    Args:
        bases: (..., 16, 6), see `data.pose_basis`.
        trust: (..., 8), the corners' confidences: a corner's standard deviation is taken to be 1 px / confidence, as
            the pose node does.
    """
    weighted = bases * trust.square().repeat_interleave(2, -1)[..., None]
    left = weighted.transpose(-1, -2) @ bases
    left = left + PRIOR * torch.eye(6, device=left.device)
    both = torch.cat((left, weighted.transpose(-1, -2)), -1)
    for k in range(6):  # Gauss and Jordan; the matrix is positive definite, so nothing has to be swapped
        row = both[..., k : k + 1, :] / both[..., k : k + 1, k : k + 1]
        both = both - both[..., :, k : k + 1] * row
        both[..., k : k + 1, :] = row
    return both[..., 6:].transpose(-1, -2)


def _mask_loss(raw: Raw, cells: Tensor, weights: Tensor, targets: Targets) -> Tensor:
    """Cross entropy of each mask in its object's box, a box at a time, and one minus its Dice overlap.

    Args:
        raw: what the model says.
        cells: (B, M, S) whose masks are looked at.
        weights: (B, M, S).
        targets: the truth.
    """
    batch, objects, slots = cells.shape
    prototypes = raw.prototypes.float()
    height, width = prototypes.shape[2:]
    coefficients = _pick(raw.coefficients, cells.flatten(1))
    logits = (coefficients @ prototypes.flatten(2)).reshape(batch, objects, slots, height, width)
    rows = torch.arange(1, objects + 1, device=cells.device, dtype=torch.uint8)
    shown = (targets.instances[:, None] == rows[None, :, None, None]).to(torch.bfloat16)
    shown = functional.avg_pool2d(shown, 2).float()[:, :, None]
    x = (torch.arange(width, device=cells.device) + 0.5) * MASK_STRIDE
    y = (torch.arange(height, device=cells.device) + 0.5) * MASK_STRIDE
    low, high = (targets.boxes[..., :2] - MASK_STRIDE)[..., None], (targets.boxes[..., 2:] + MASK_STRIDE)[..., None]
    across = (x > low[:, :, 0]) & (x < high[:, :, 0])
    down = (y > low[:, :, 1]) & (y < high[:, :, 1])
    inside = (down[..., :, None] & across[..., None, :]).float()[:, :, None]
    entropy = functional.binary_cross_entropy_with_logits(logits, shown.expand_as(logits), reduction='none')
    entropy = (entropy * inside).sum((-1, -2)) / inside.sum((-1, -2)).clamp(min=1.0)
    found = logits.sigmoid() * inside
    dice = 1 - (2 * (found * shown).sum((-1, -2)) + 1) / (found.sum((-1, -2)) + (shown * inside).sum((-1, -2)) + 1)
    return ((entropy + dice) * weights).sum() / weights.sum().clamp(min=1.0)


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
    hull = area(high - low).clamp(min=1e-6)
    overlap = box_iou(predicted, truth)
    areas = area(predicted[..., 2:] - predicted[..., :2]) + area(truth[..., 2:] - truth[..., :2])
    union = areas / (1 + overlap)  # since overlap = shared / union and areas = union + shared
    size = (truth[..., 2:] - truth[..., :2]).clamp(min=4.0).repeat(1, 1, 2)
    return 1 - overlap + (hull - union) / hull + ((predicted - truth).abs() / size).mean(-1)
