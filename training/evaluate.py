# SPDX-License-Identifier: Apache-2.0
"""How good the network is on the fixed validation set: detections and corner errors, in px of 640x480."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from assign import IGNORED, OBJECT, Targets
from model import KEYPOINTS, MASK_STRIDE, ExportModel
from torch import Tensor

SCORE = 0.25
LEAST_SCORE = 0.01
TRUSTED = 0.3
"""Confidence of a corner whose error is expected to be at most 0.83 in the quality's unit: a quality of 0.5."""
IOU = 0.5
REPORTED_WIDTH = 640


@torch.no_grad()
def evaluate(model: ExportModel, images: Tensor, targets: Targets, batch: int = 64) -> dict[str, Any]:
    """Figures of a model in eval mode.

    Args:
        model: what would be exported; runs in float32.
        images: (N, H, W, 3) uint8 RGB, on any device.
        targets: the truth of all N, on any device.

    Returns:
        ap50 (mean over the classes present), recall and precision at SCORE, and over all corners of the objects found:
        median_px, mean_px, p90_px, per_class median, `trusted` (part of the corners with confidence above TRUSTED) and
        trusted_median_px; `near` (part of these objects whose pose, as it follows from the corners and their
        confidences to first order, is off by less than a tenth of the diagonal); and mask_iou, its mean at twice the
        prototypes' size.
    """
    device = next(model.parameters()).device
    count, width = model.model.settings.class_count, model.model.settings.width
    found: list[np.ndarray] = []
    maps: list[np.ndarray] = []
    for start in range(0, len(images), batch):
        part = images[start : start + batch].to(device).permute(0, 3, 1, 2).float() / 255
        rows, prototypes = model(part)
        found.extend(rows.float().cpu().numpy().transpose(0, 2, 1))
        maps.extend(prototypes.float().cpu().numpy())
    truth = {name: value.cpu().numpy() for name, value in vars(targets).items()}
    rows: list[tuple[int, float, bool]] = []
    errors, trusts, classes, near, overlaps = [], [], [], [], []
    present = np.zeros(count, int)
    for index, output in enumerate(found):
        is_object = truth['states'][index] == OBJECT
        boxes, ids = truth['boxes'][index][is_object], truth['classes'][index][is_object]
        ignored = truth['boxes'][index][truth['states'][index] == IGNORED]
        np.add.at(present, ids, 1)
        detections = _suppress(output, count)
        taken = np.zeros(len(boxes), bool)
        numbers = np.flatnonzero(is_object)
        for box, score, kind, corners, coefficients in detections:
            overlap = np.where(taken | (ids != kind), 0, _iou(box, boxes))
            best = int(overlap.argmax()) if len(boxes) else -1
            if best >= 0 and overlap[best] >= IOU:
                taken[best] = True
                rows.append((kind, score, True))
                if score >= SCORE:
                    number = int(numbers[best])
                    error = np.linalg.norm(corners[:, :2] - truth['keypoints'][index][number], axis=1)
                    near.append(_pose_error(corners, truth['keypoints'][index][number], truth['bases'][index][number]))
                    if len(coefficients):
                        shown = truth['instances'][index] == number + 1
                        overlaps.append(_mask_iou(coefficients, maps[index], box, shown))
                    errors.append(error * REPORTED_WIDTH / width)
                    trusts.append(corners[:, 2])
                    classes.append(kind)
            elif not (len(ignored) and _iou(box, ignored).max() >= IOU):
                rows.append((kind, score, False))
    sure = [hit for _, score, hit in rows if score >= SCORE]
    precisions = [_average_precision(rows, kind, present[kind]) for kind in np.flatnonzero(present)]
    figures = {
        'ap50': float(np.mean(precisions or [0])),
        'recall': sum(sure) / max(1, int(present.sum())),
        'precision': sum(sure) / max(1, len(sure)),
        'objects': int(present.sum()),
    }
    figures['near'] = float(np.mean(np.array(near) < 0.1)) if near else 0.0
    if overlaps:
        figures['mask_iou'] = float(np.mean(overlaps))
    return figures | _corner_figures(errors, trusts, classes)


def _pose_error(corners: np.ndarray, truth: np.ndarray, basis: np.ndarray) -> float:
    """Root mean square distance of the cuboid's corners from the truth, in parts of its diagonal, to first order."""
    weights = np.repeat(corners[:, 2] ** 2, 2)[:, None]
    left = basis.T @ (basis * weights) + 1e-3 * np.eye(6)
    return float(np.linalg.norm(np.linalg.solve(left, (basis * weights).T @ (corners[:, :2] - truth).ravel())))


def _mask_iou(coefficients: np.ndarray, prototypes: np.ndarray, box: np.ndarray, shown: np.ndarray) -> float:
    """Overlap of one mask, cut to its box, with the truth at twice its resolution."""
    count, height, width = prototypes.shape
    found = np.kron((coefficients @ prototypes.reshape(count, -1)).reshape(height, width) > 0, np.ones((2, 2), bool))
    y, x = np.mgrid[: 2 * height, : 2 * width] * (MASK_STRIDE / 2) + MASK_STRIDE / 4
    found &= (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])
    return float((found & shown).sum() / max(1, (found | shown).sum()))


def _corner_figures(errors: list[Any], trusts: list[Any], classes: list[int]) -> dict[str, Any]:
    if not errors:
        return {'median_px': None, 'mean_px': None, 'p90_px': None}
    error, trusted, kinds = np.array(errors), np.array(trusts) > TRUSTED, np.array(classes)
    return {
        'median_px': float(np.median(error)),
        'mean_px': float(error.mean()),
        'p90_px': float(np.percentile(error, 90)),
        'trusted': float(trusted.mean()),
        'trusted_median_px': float(np.median(error[trusted])) if trusted.any() else None,
        'per_class': {int(kind): float(np.median(error[kinds == kind])) for kind in np.unique(kinds)},
    }


def _suppress(output: np.ndarray, count: int) -> list[tuple[np.ndarray, float, int, np.ndarray, np.ndarray]]:
    """Detections of one image, best first, without those that overlap a better one of their class."""
    scores = output[:, 4 : 4 + count]
    kinds, best = scores.argmax(1), scores.max(1)
    kept: list[tuple[np.ndarray, float, int, np.ndarray, np.ndarray]] = []
    end = 4 + count + 3 * KEYPOINTS
    for row in np.argsort(-best, kind='stable'):
        if best[row] < LEAST_SCORE:
            break
        half = output[row, 2:4] / 2
        box = np.concatenate((output[row, :2] - half, output[row, :2] + half))
        rivals = np.array([other[0] for other in kept if other[2] == kinds[row]])
        if len(rivals) and _iou(box, rivals).max() > IOU:
            continue
        corners = output[row, 4 + count : end].reshape(KEYPOINTS, 3)
        kept.append((box, float(best[row]), int(kinds[row]), corners, output[row, end:]))
    return kept


def _iou(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    if not len(others):
        return np.zeros(0)
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = sides.clip(0).prod(1)
    return shared / ((box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - shared).clip(1e-6)


def _average_precision(rows: list[tuple[int, float, bool]], kind: int, present: int) -> float:
    """Area under precision over recall, precision made falling."""
    mine = sorted(((score, hit) for other, score, hit in rows if other == kind), reverse=True)
    if not mine:
        return 0.0
    hits = np.cumsum([hit for _, hit in mine])
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    return float(np.sum(np.diff(np.concatenate(([0], hits / present))) * precision))
