# SPDX-License-Identifier: Apache-2.0
"""A class for each pixel of the simulator's pictures: mIoU and pixel accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.evaluation.measure import count, percent
from isaac_inference.evaluation.panels import Bars, Histogram
from isaac_inference.evaluation.segmentation.confusion import ConfusionMatrix
from isaac_inference.evaluation.tasks.base import SimTask
from isaac_inference.evaluation.tasks.pictures import WRONG, marked, side_by_side
from isaac_inference.evaluation.tasks.result import Rows, TaskFigures
from isaac_inference.ops.drawing.classes import BACKGROUND, draw_classes
from isaac_inference.sim import LABELS, Scene, default_camera

CLASSES = (BACKGROUND, *LABELS)
"""The classes of the simulator's pixels, by id."""
UNLABELLED = 255
"""Of an answer: no class."""
_NAMES = dict(enumerate(CLASSES))
_IOU = percent('mean_iou', 'mIoU', more_is_better=True)
_ACCURACY = percent('pixel_accuracy', 'pixel accuracy', more_is_better=True)
_UNLABELLED = percent('unlabelled', 'unlabelled', more_is_better=False)


@dataclass(frozen=True, eq=False)
class ClassSample:
    """One frame: (H, W, 3) uint8 BGR, and (H, W) uint8, ids into `CLASSES`."""

    color: np.ndarray
    classes: np.ndarray


def check_labels(labels: Sequence[str]) -> None:
    """Whether a model knows the simulator's classes; it may know others, too.

    Raises:
        ConfigError: it does not.
    """
    missing = [name for name in LABELS if name not in labels]
    if missing:
        raise ConfigError(
            f"--task segmentation: the model has no class {', '.join(missing)}; it needs the simulator's "
            f'{", ".join(LABELS)}, and {BACKGROUND!r} or no class at all for the rest; it has '
            f'{", ".join(labels) or "none"}; no such model comes with the package: train one on the simulator, and '
            'name its classes so by `labels` in its card'
        )


def common_ids(mask: np.ndarray, names: Mapping[int, str]) -> np.ndarray:
    """A model's class ids as ids into `CLASSES`.

    Args:
        mask: (H, W) uint8 or uint16.
        names: the model's, by its ids. Where none of them is 'background', what is unlabelled is background: so says
            such a model that nothing is there.

    Returns:
        (H, W) uint8; `UNLABELLED` where the model says no class, or one that the simulator does not have.

    Example:
        >>> common_ids(np.array([[0, 1, 255]], np.uint8), {0: 'book', 1: 'person'}).tolist()
        [[6, 255, 0]]
    """
    table = np.full(int(np.iinfo(mask.dtype).max) + 1, UNLABELLED, np.uint8)
    if BACKGROUND not in names.values():
        table[-1] = CLASSES.index(BACKGROUND)
    for number, name in names.items():
        if name in CLASSES:
            table[number] = CLASSES.index(name)
    return np.asarray(table[mask])


class SegmentationTask(SimTask[ClassSample, np.ndarray, ConfusionMatrix]):
    """An answer is (H, W) uint8, ids into `CLASSES`; what it says no class of is wrong, and counted besides."""

    name = 'segmentation'
    measures = (_IOU, _ACCURACY, _UNLABELLED)

    def __init__(self) -> None:
        self._camera = default_camera()

    def sample(self, scene: int, time_s: float) -> ClassSample:
        frame = Scene(self._camera, scene).frame(time_s)
        table = np.zeros(256, np.uint8)
        for number, truth in enumerate(frame.truths, start=1):
            table[number] = CLASSES.index(truth.kind.name)
        return ClassSample(frame.color, np.asarray(table[frame.instances]))

    def nothing(self, sample: ClassSample) -> np.ndarray:
        return np.full_like(sample.classes, UNLABELLED)

    def score(self, sample: ClassSample, answer: np.ndarray) -> ConfusionMatrix:
        if answer.shape != sample.classes.shape:
            raise FrameError(
                'mask_size',
                f'class mask: got {answer.shape[1]}x{answer.shape[0]} pixels, expected '
                f'{sample.classes.shape[1]}x{sample.classes.shape[0]}, those of the image',
            )
        matrix = ConfusionMatrix(CLASSES)
        matrix.add(answer, sample.classes)
        return matrix

    def loss(self, score: ConfusionMatrix) -> float:
        return 1.0 - score.mean_iou

    def result(self, scores: Sequence[ConfusionMatrix]) -> TaskFigures:
        total = ConfusionMatrix(CLASSES)
        for one in scores:
            total.merge(one)
        counts = total.counts
        rows = {
            name: {
                'iou': score.iou,
                'recall': score.recall,
                'precision': score.precision,
                'pixels': float(score.pixels),
                'unlabelled': int(counts[number, -1]) / score.pixels if score.pixels else math.nan,
            }
            for number, (name, score) in enumerate(total.scores().items())
        }
        pixels = int(counts.sum())
        values = {
            'mean_iou': total.mean_iou,
            'pixel_accuracy': total.pixel_accuracy,
            'unlabelled': int(counts[:, -1].sum()) / pixels if pixels else math.nan,
        }
        columns = (
            percent('iou', 'IoU', more_is_better=True),
            percent('recall', 'pixel accuracy', more_is_better=True),
            percent('precision', 'precision', more_is_better=True),
            _UNLABELLED,
            count('pixels', 'pixels', more_is_better=True),
        )
        panels = (
            Histogram([one.mean_iou for one in scores], 'mIoU of a frame'),
            Bars({name: row['iou'] for name, row in rows.items()}, 'IoU'),
            Bars({name: row['recall'] for name, row in rows.items()}, 'pixel accuracy'),
        )
        return TaskFigures(values, Rows('classes', 'class', columns, rows), panels)

    def picture(self, sample: ClassSample, answer: np.ndarray, score: ConfusionMatrix) -> np.ndarray:
        truth, found = np.array(sample.color), np.array(sample.color)
        draw_classes(truth, sample.classes, _NAMES)
        draw_classes(found, answer, _NAMES)
        wrong = marked(sample.color, [(answer != sample.classes, WRONG), (answer == UNLABELLED, (0, 0, 0))])
        title = f'error: mIoU {score.mean_iou:.2f}; red another class, black none'
        return side_by_side([('input', sample.color), ('truth', truth), ('answer', found), (title, wrong)])
