# SPDX-License-Identifier: Apache-2.0
"""Class masks against their truth: the confusion matrix, IoU of each class and their mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isaac_inference.errors import ConfigError


@dataclass(frozen=True)
class ClassScore:
    """One class over all pictures.

    Attributes:
        iou: pixels that are of the class and were found so, of all that are or were; NaN for a class that is nowhere.
        recall: of the pixels that are of the class, those that were found so; NaN where there are none.
        precision: of the pixels that were found so, those that are; NaN where there are none.
        pixels: how many are of the class.
    """

    iou: float
    recall: float
    precision: float
    pixels: int


class ConfusionMatrix:
    """Counts pixels by what they are and what they were found to be, picture by picture.

    Pixels whose truth is no class, such as Cityscapes' 255, are not counted. Pixels that were found to be no class
    (unlabelled) are wrong ones of their true class: they count against recall and IoU, and in `counts`' last column.

    Args:
        names: of the classes, by id.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._counts = np.zeros((len(names), len(names) + 1), np.int64)

    @property
    def counts(self) -> np.ndarray:
        """(classes, classes + 1) int64: pixels of the row's class that were found to be of the column's, the last of
        which is no class. A copy.
        """
        return self._counts.copy()

    def add(self, found: np.ndarray, truth: np.ndarray) -> None:
        """Count one picture.

        Args:
            found: (H, W) class ids of any integer type; an id that is no class is unlabelled.
            truth: the same of the true classes.

        Raises:
            ConfigError: they differ in size, or are no integers.
        """
        if found.shape != truth.shape or found.dtype.kind not in 'iu' or truth.dtype.kind not in 'iu':
            raise ConfigError(
                f'class masks: got {found.dtype} {found.shape} against a truth of {truth.dtype} {truth.shape}, '
                'expected two of whole numbers and the same size'
            )
        classes = len(self._names)
        known = (truth >= 0) & (truth < classes)
        rows = truth[known].astype(np.int64)
        columns = found[known].astype(np.int64)
        columns[(columns < 0) | (columns >= classes)] = classes
        flat = np.bincount(rows * (classes + 1) + columns, minlength=self._counts.size)
        self._counts += flat.reshape(self._counts.shape)

    def merge(self, other: ConfusionMatrix) -> None:
        """Add the pixels that another matrix of the same classes has counted."""
        if other._names != self._names:
            raise ConfigError(f'confusion matrices of {other._names} and {self._names}: expected the same classes')
        self._counts += other._counts

    def scores(self) -> dict[str, ClassScore]:
        """Each class's, by name, in the order of the ids."""
        right = np.diag(self._counts[:, :-1])
        are, were = self._counts.sum(axis=1), self._counts[:, :-1].sum(axis=0)
        return {
            name: ClassScore(
                _share(right[index], are[index] + were[index] - right[index]),
                _share(right[index], are[index]),
                _share(right[index], were[index]),
                int(are[index]),
            )
            for index, name in enumerate(self._names)
        }

    @property
    def mean_iou(self) -> float:
        """mIoU: the mean over the classes that are or were found somewhere; NaN before the first picture.

        Example: half of the road was found, and nothing else was taken for it; of the wall all, and too much.
            >>> matrix = ConfusionMatrix(['wall', 'road'])
            >>> matrix.add(np.array([[0, 0, 0, 1]]), np.array([[0, 0, 1, 1]]))
            >>> round(matrix.mean_iou, 4)  # of 2/3 and 1/2
            0.5833
        """
        known = [score.iou for score in self.scores().values() if not math.isnan(score.iou)]
        return float(np.mean(known)) if known else math.nan

    @property
    def pixel_accuracy(self) -> float:
        """The share of all pixels that were found to be what they are; NaN before the first picture."""
        return _share(np.trace(self._counts[:, :-1]), self._counts.sum())

    def as_json(self) -> Mapping[str, Any]:
        """For a report: mIoU, pixel accuracy, and each class's figures; null for what there is nothing to say of."""
        return {
            'mean_iou': _null(self.mean_iou),
            'pixel_accuracy': _null(self.pixel_accuracy),
            'classes': {
                name: {
                    'iou': _null(score.iou),
                    'recall': _null(score.recall),
                    'precision': _null(score.precision),
                    'pixels': score.pixels,
                }
                for name, score in self.scores().items()
            },
            'confusion': self._counts.tolist(),
        }


def _share(part: np.integer[Any] | int, whole: np.integer[Any] | int) -> float:
    return int(part) / int(whole) if whole else math.nan


def _null(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)
