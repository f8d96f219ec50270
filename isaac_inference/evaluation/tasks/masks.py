# SPDX-License-Identifier: Apache-2.0
"""Masks of the simulator's objects: average precision, overlap and outlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.evaluation.accuracy.average_precision import mean_average_precision, overlap_of_masks
from isaac_inference.evaluation.accuracy.frame_record import Boxes
from isaac_inference.evaluation.measure import Measure, count, percent
from isaac_inference.evaluation.panels import Against, Bars, Histogram
from isaac_inference.evaluation.segmentation.instance_masks import FrameMasks, mean_of, score_masks
from isaac_inference.evaluation.tasks.base import SimTask
from isaac_inference.evaluation.tasks.pictures import FALSE, MISSED, marked, side_by_side
from isaac_inference.evaluation.tasks.result import Rows, TaskFigures
from isaac_inference.ops.drawing.boxes import draw_caption
from isaac_inference.ops.drawing.masks import fill_masks
from isaac_inference.ops.masks.masks import Masks
from isaac_inference.sim import Scene, SimFrame, default_camera

_IOU = percent('mean_iou', 'IoU', more_is_better=True)
_F = percent('boundary_f', 'boundary F', more_is_better=True)
_MISSED, _FALSE = count('misses', 'missed'), count('false_masks', 'false')


@dataclass(frozen=True, eq=False)
class MaskSample:
    """One frame: (H, W, 3) uint8 BGR, and its objects with their exact masks, scores being visible fractions."""

    color: np.ndarray
    truth: Boxes


def true_masks(frame: SimFrame) -> Boxes:
    """The objects of a simulated frame with their masks: the pixels that show them."""
    boxes = np.array([truth.box for truth in frame.truths], np.float64).reshape(-1, 4)
    return Boxes(
        boxes,
        tuple(truth.kind.name for truth in frame.truths),
        np.array([truth.visibility for truth in frame.truths], float),
        tuple(str(truth.instance) for truth in frame.truths),
        Masks.of_image(frame.instances.astype(np.uint16), boxes),
    )


class MaskTask(SimTask[MaskSample, Boxes, FrameMasks]):
    """AP as COCO defines it, over masks; the mean over objects of IoU and of boundary F, 0 for a missed object.

    Args:
        min_visibility: objects that are less visible need not be found.
    """

    name = 'masks'
    measures = (
        Measure('ap50', 'AP50', True),
        Measure('ap50_95', 'AP50:95', True),
        _IOU,
        _F,
        _MISSED,
        _FALSE,
    )

    def __init__(self, min_visibility: float = 0.25) -> None:
        self._min_visibility = min_visibility
        self._camera = default_camera()

    def sample(self, scene: int, time_s: float) -> MaskSample:
        frame = Scene(self._camera, scene).frame(time_s)
        return MaskSample(frame.color, true_masks(frame))

    def nothing(self, sample: MaskSample) -> Boxes:
        height, width = sample.color.shape[:2]
        return Boxes(np.empty((0, 4)), (), np.empty(0), (), Masks.empty((width, height)))

    def score(self, sample: MaskSample, answer: Boxes) -> FrameMasks:
        return score_masks(sample.truth, answer, self._min_visibility)

    def loss(self, score: FrameMasks) -> float:
        return score.loss

    def result(self, scores: Sequence[FrameMasks]) -> TaskFigures:
        precision = mean_average_precision(
            ((frame.truth, frame.found) for frame in scores),
            min_visibility=self._min_visibility,
            overlap=overlap_of_masks,
        )
        objects = [item for frame in scores for item in frame.objects]
        false = [frame.found.classes[column] for frame in scores for column in frame.false]
        rows = {}
        for name, one in precision.classes.items():
            own = [item for item in objects if item.name == name]
            rows[name] = {
                'truths': float(one.truths),
                'ap50': one.ap50,
                'ap50_95': one.ap50_95,
                'mean_iou': mean_of([item.iou for item in own]),
                'boundary_f': mean_of([item.boundary_f for item in own]),
                'misses': float(sum(not item.is_found for item in own)),
                'false_masks': float(false.count(name)),
            }
        values = {
            'ap50': _number(precision.map50),
            'ap50_95': _number(precision.map50_95),
            'mean_iou': mean_of([item.iou for item in objects]),
            'boundary_f': mean_of([item.boundary_f for item in objects]),
            'misses': float(sum(not item.is_found for item in objects)),
            'false_masks': float(len(false)),
        }
        panels = (
            Histogram([item.iou for item in objects], 'IoU of masks, 0 for none', 'objects'),
            Histogram([item.boundary_f for item in objects], 'boundary F, 0 for none', 'objects'),
            Against(
                [100 * item.visibility for item in objects],
                [item.iou for item in objects],
                'visible part of the object [%]',
                'IoU',
            ),
            Bars({name: row['ap50_95'] for name, row in rows.items()}, 'AP50:95'),
            Bars({name: row['boundary_f'] for name, row in rows.items()}, 'boundary F'),
        )
        columns = (count('truths', 'objects', more_is_better=True), *self.measures)
        return TaskFigures(values, Rows('classes', 'class', columns, rows), panels)

    def picture(self, sample: MaskSample, answer: Boxes, score: FrameMasks) -> np.ndarray:
        truth, found, seen = np.array(sample.color), np.array(sample.color), _union(sample.truth)
        for image, boxes in ((truth, sample.truth), (found, answer)):
            if boxes.masks is not None:
                fill_masks(image, boxes.masks, boxes.classes)
        claimed = _union(answer)
        wrong = marked(sample.color, [(seen & ~claimed, MISSED), (claimed & ~seen, FALSE)])
        for item in score.objects:
            x, y = sample.truth.boxes[item.row, :2].astype(int).tolist()
            text = f'IoU {item.iou:.2f}, F {item.boundary_f:.2f}' if item.is_found else 'missed'
            draw_caption(wrong, f'{item.name}: {text}', (x, y), (255, 255, 255))
        for column in score.false:
            x, y = answer.boxes[column, :2].astype(int).tolist()
            draw_caption(wrong, f'{answer.classes[column]}: false', (x, y), FALSE)
        return side_by_side(
            [
                ('input', sample.color),
                ('truth', truth),
                ('answer', found),
                ('error: blue not found, red nothing there', wrong),
            ]
        )


def _union(boxes: Boxes) -> np.ndarray:
    """(H, W) bool: pixels of any mask."""
    masks = boxes.masks
    if masks is None:
        raise ValueError('objects without masks')
    return np.asarray(masks.painted(np.ones(len(masks))) > 0)


def _number(value: float | None) -> float:
    return float('nan') if value is None else value
