# SPDX-License-Identifier: Apache-2.0
"""Mean average precision of 2-D boxes or masks, as COCO defines it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.accuracy.frame_record import Boxes
from isaac_inference.ops.boxes.nms import box_iou
from isaac_inference.ops.masks.overlap import mask_iou

IOU_THRESHOLDS = tuple(np.round(np.arange(0.5, 1.0, 0.05), 2).tolist())
RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, eq=False)
class ClassPrecision:
    """One class over all frames.

    Attributes:
        truths: objects that had to be found.
        ap50, ap50_95: average precision at IoU 0.5, and its mean over IoU 0.5, 0.55, ... 0.95.
        recall: fraction of the truths found at IoU 0.5, whatever the score.
        false_positives: detections that match no object, at IoU 0.5.
        curve: (101,) float64, precision at IoU 0.5 for each recall of `RECALLS`.
    """

    truths: int
    ap50: float
    ap50_95: float
    recall: float
    false_positives: int
    curve: np.ndarray


@dataclass(frozen=True)
class DetectionScores:
    """All classes that the truth has; the means are None if it has none."""

    map50: float | None
    map50_95: float | None
    classes: dict[str, ClassPrecision]


def overlap_of_boxes(found: Boxes, truth: Boxes) -> np.ndarray:
    """(D, T) float32 IoU of all boxes."""
    return box_iou(found.boxes, truth.boxes)


def overlap_of_masks(found: Boxes, truth: Boxes) -> np.ndarray:
    """(D, T) float32 IoU of all masks.

    Raises:
        ConfigError: one side has none.
    """
    if found.masks is None or truth.masks is None:
        raise ConfigError('average precision of masks: an image has none; the model, or the truth, does not tell them')
    return mask_iou(found.masks, truth.masks)


def mean_average_precision(
    frames: Iterable[tuple[Boxes, Boxes]],
    *,
    min_visibility: float = 0.25,
    max_detections: int = 100,
    overlap: Callable[[Boxes, Boxes], np.ndarray] = overlap_of_boxes,
) -> DetectionScores:
    """The figures of COCO's evaluation (Lin et al., 'Microsoft COCO: Common Objects in Context', and its definition
    of the metrics): per class, detections by falling score take the best-overlapping free truth of their image;
    precision is made monotonous and read at 101 recalls; all classes have the same weight.

    A truth of less than `min_visibility` is ignored: it need not be found, and a detection whose best match it is
    counts neither way. A detection prefers a truth that counts. Classes that only detections have are left out, as
    in COCO.

    Args:
        frames: (truth, found) of each image; the truth's scores are visible fractions.
        min_visibility: [0, 1].
        max_detections: number of best detections considered per class and image.
        overlap: of what, boxes or masks.
    """
    pairs = list(frames)
    overlaps = [overlap(found, truth) for truth, found in pairs]
    names = sorted({name for truth, _ in pairs for name in truth.classes})
    classes = {}
    for name in names:
        images = [
            _image(truth, found, shared, name, min_visibility, max_detections)
            for (truth, found), shared in zip(pairs, overlaps, strict=True)
        ]
        count = sum(int((~image.is_ignored).sum()) for image in images)
        if count:
            classes[name] = _class_precision(images, count)
    if not classes:
        return DetectionScores(None, None, {})
    return DetectionScores(
        float(np.mean([item.ap50 for item in classes.values()])),
        float(np.mean([item.ap50_95 for item in classes.values()])),
        classes,
    )


@dataclass(frozen=True, eq=False)
class _Image:
    """One class in one image: D detections by falling score, T truths with the ignored ones last."""

    scores: np.ndarray  # (D,)
    iou: np.ndarray  # (D, T)
    is_ignored: np.ndarray  # (T,)


def _image(
    truth: Boxes, found: Boxes, overlaps: np.ndarray, name: str, min_visibility: float, max_detections: int
) -> _Image:
    of_truth = np.flatnonzero([item == name for item in truth.classes])
    of_found = np.flatnonzero([item == name for item in found.classes])
    of_found = of_found[np.argsort(-found.scores[of_found], kind='stable')[:max_detections]]
    is_ignored = truth.scores[of_truth] < min_visibility
    order = np.argsort(is_ignored, kind='stable')
    return _Image(found.scores[of_found], overlaps[np.ix_(of_found, of_truth[order])], is_ignored[order])


def _class_precision(images: Sequence[_Image], truths: int) -> ClassPrecision:
    scores = np.concatenate([image.scores for image in images])
    order = np.argsort(-scores, kind='stable')
    curves, first = [], (0.0, 0)
    for threshold in IOU_THRESHOLDS:
        outcome = np.concatenate([_match(image, threshold) for image in images])[order]
        hits, wrong = np.cumsum(outcome == 1), np.cumsum(outcome == 0)
        curves.append(_precision_at_recalls(hits, wrong, truths))
        if threshold == IOU_THRESHOLDS[0] and len(order):
            first = (float(hits[-1]) / truths, int(wrong[-1]))
    averages = [float(curve.mean()) for curve in curves]
    return ClassPrecision(truths, averages[0], float(np.mean(averages)), first[0], first[1], curves[0])


def _match(image: _Image, threshold: float) -> np.ndarray:
    """(D,) int: 1 for a hit, 0 for a false positive, -1 for a detection that counts neither way."""
    minimum = np.float32(threshold)  # IoUs are float32: an exact 0.65 must not fall below
    outcome = np.zeros(len(image.scores), int)
    is_free = np.ones(len(image.is_ignored), bool)
    for row, overlaps in enumerate(image.iou):
        for group, value in ((~image.is_ignored, 1), (image.is_ignored, -1)):
            candidates = np.flatnonzero(group & is_free & (overlaps >= minimum))
            if len(candidates):
                is_free[candidates[np.argmax(overlaps[candidates])]] = False
                outcome[row] = value
                break
    return outcome


def _precision_at_recalls(hits: np.ndarray, wrong: np.ndarray, truths: int) -> np.ndarray:
    """(101,) the best precision at this recall or a higher one; 0 for a recall that is not reached."""
    precision = hits / np.maximum(hits + wrong, 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(hits / truths, RECALLS, side='left')
    return np.append(best, 0.0)[place]  # type: ignore[no-any-return]
