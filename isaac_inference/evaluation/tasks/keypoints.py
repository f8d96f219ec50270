# SPDX-License-Identifier: Apache-2.0
"""Keypoints of the simulator's people, in the image and in space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from isaac_inference.evaluation.keypoints.in_image import (
    correct_keypoints,
    object_keypoint_similarity,
    pixel_errors,
    reference_lengths,
)
from isaac_inference.evaluation.keypoints.in_space import joint_distances, joint_errors
from isaac_inference.evaluation.measure import Measure, count, percent
from isaac_inference.evaluation.panels import Against, Bars, Histogram
from isaac_inference.evaluation.tasks.base import SimTask
from isaac_inference.evaluation.tasks.pictures import error_map, pale, side_by_side
from isaac_inference.evaluation.tasks.result import Rows, TaskFigures
from isaac_inference.models.card.skeletons.published import COCO_17
from isaac_inference.ops.boxes.nms import box_iou
from isaac_inference.ops.drawing.boxes import draw_caption
from isaac_inference.sim import default_camera
from isaac_inference.sim.people import KEYPOINTS, PeopleFrame, PeopleScene

_FOUND_IOU = 0.5  # of a person's box with the one that was found
_SHARES = {'pck_10': 0.1, 'pck_20': 0.2}
_POINTS = len(KEYPOINTS)
_MM = {'unit': 'mm', 'factor': 1000.0, 'digits': 1}
_SEEN, _HIDDEN, _OFF = (80, 220, 80), (160, 160, 160), (60, 60, 255)  # BGR
_FAR_MM = 150.0  # red in pictures
_UNSURE = 0.25  # confidence below which a keypoint is not drawn

_PCK = tuple(percent(key, f'PCK@{share:g}', more_is_better=True) for key, share in _SHARES.items())
_OKS = Measure('oks', 'OKS', True)
_P50, _P90, _WORST = (
    Measure('p50_m', 'joints p50', False, **_MM),  # type: ignore[arg-type]
    Measure('p90_m', 'joints p90', False, **_MM),  # type: ignore[arg-type]
    Measure('worst_m', 'joints worst', False, **_MM),  # type: ignore[arg-type]
)
_KNOWN = percent('joints_known', 'visible joints in space', more_is_better=True)


@dataclass(frozen=True, eq=False)
class PeopleSample:
    """One frame, and where its number generator for noise begins."""

    frame: PeopleFrame
    seed: tuple[int, int]

    @property
    def boxes(self) -> np.ndarray:
        """(N, 4) px."""
        return np.array([truth.box for truth in self.frame.truths], np.float64).reshape(-1, 4)


@dataclass(frozen=True, eq=False)
class PeopleAnswer:
    """What was found of M people.

    Attributes:
        boxes: (M, 4) px.
        keypoints: (M, 17, 3) x, y in px, 0 at the image's edge, and confidence.
        joints: (M, 17, 3) m in the camera's frame, NaN where one is left out.
    """

    boxes: np.ndarray
    keypoints: np.ndarray
    joints: np.ndarray


@dataclass(frozen=True, eq=False)
class PeopleScore:
    """The people of one frame who count, found or not.

    Attributes:
        errors_px, distances_m: (N, 17), NaN for what was not found.
        visible: (N, 17) bool.
        correct: (N, 17) bool for each share of PCK.
        oks: (N,) 0 for somebody who was not found, NaN for one of whom no joint is visible.
        distance_m: (N,) from the camera.
        missed, false: people.
    """

    errors_px: np.ndarray
    distances_m: np.ndarray
    visible: np.ndarray
    correct: dict[str, np.ndarray]
    oks: np.ndarray
    distance_m: np.ndarray
    missed: int
    false: int


class KeypointTask(SimTask[PeopleSample, PeopleAnswer, PeopleScore]):
    """PCK by the longer side of the true box, and OKS, of visible keypoints, with nothing found of missed people;
    distances in space of all joints that were published, visible or not.

    Args:
        min_visibility: people who are less visible need not be found.
    """

    name = 'keypoints'
    measures = (*_PCK, _OKS, _P50, _P90, _WORST, _KNOWN, count('misses', 'missed'), count('false_people', 'false'))

    def __init__(self, min_visibility: float = 0.25) -> None:
        self._min_visibility = min_visibility
        self._camera = default_camera()

    def sample(self, scene: int, time_s: float) -> PeopleSample:
        return PeopleSample(PeopleScene(self._camera, scene).frame(time_s), (scene, round(1e6 * time_s)))

    def nothing(self, sample: PeopleSample) -> PeopleAnswer:
        none = np.empty((0, _POINTS, 3))
        return PeopleAnswer(np.empty((0, 4)), none, none)

    def score(self, sample: PeopleSample, answer: PeopleAnswer) -> PeopleScore:
        pairs = _pairs(sample.boxes, answer.boxes)
        truths = sample.frame.truths
        rows = [row for row, truth in enumerate(truths) if truth.visibility >= self._min_visibility]
        keypoints = np.full((len(rows), _POINTS, 2), np.nan)
        joints = np.full((len(rows), _POINTS, 3), np.nan)
        for place, row in enumerate(rows):
            if row in pairs:
                keypoints[place] = answer.keypoints[pairs[row], :, :2]
                joints[place] = answer.joints[pairs[row]]
        counted = [truths[row] for row in rows]
        true_pixels = np.array([truth.pixels for truth in counted]).reshape(-1, _POINTS, 2)
        true_joints = np.array([truth.joints for truth in counted]).reshape(-1, _POINTS, 3)
        visible = np.array([truth.visible for truth in counted], bool).reshape(-1, _POINTS)
        areas = np.array([np.count_nonzero(sample.frame.instances == row + 1) for row in rows], float)
        errors = pixel_errors(keypoints, true_pixels)
        reference = reference_lengths(sample.boxes[rows])
        return PeopleScore(
            errors,
            joint_distances(joints, true_joints),
            visible,
            {key: correct_keypoints(errors, reference, share) for key, share in _SHARES.items()},
            object_keypoint_similarity(errors, areas, visible),
            np.array([truth.pose.translation[2] for truth in counted]),
            sum(row not in pairs for row in rows),
            len(answer.boxes) - len(pairs),
        )

    def loss(self, score: PeopleScore) -> float:
        wrong = np.nan_to_num(score.distances_m, nan=0.0).sum()
        return float(wrong + (1.0 - score.oks[np.isfinite(score.oks)]).sum() + score.false)

    def result(self, scores: Sequence[PeopleScore]) -> TaskFigures:
        visible = _together([score.visible for score in scores], bool)
        distances = _together([score.distances_m for score in scores])
        correct = {key: _together([score.correct[key] for score in scores], bool) for key in _SHARES}
        oks = np.concatenate([score.oks for score in scores]) if scores else np.empty(0)
        rows = {
            name: {
                **{key: _share(correct[key][:, place], visible[:, place]) for key in _SHARES},
                **_in_space(distances[:, place], visible[:, place]),
            }
            for place, name in enumerate(KEYPOINTS)
        }
        values = {
            **{key: _share(correct[key], visible) for key in _SHARES},
            'oks': float(np.nanmean(oks)) if np.isfinite(oks).any() else np.nan,
            **_in_space(distances, visible),
            'misses': float(sum(score.missed for score in scores)),
            'false_people': float(sum(score.false for score in scores)),
        }
        away = np.concatenate([score.distance_m for score in scores]) if scores else np.empty(0)
        far, off = np.repeat(away, _POINTS), 1000 * distances.ravel()
        panels = (
            Histogram(off, 'joints off [mm]', 'joints'),
            Against(far, off, 'distance of the person [m]', 'joints off [mm]'),
            Histogram(oks, 'OKS', 'people'),
            Bars({name: row['pck_10'] for name, row in rows.items()}, 'PCK@0.1'),
            Bars({name: 10 * row['p50_m'] for name, row in rows.items()}, 'joints p50 [dm]'),
            Bars({name: row['joints_known'] for name, row in rows.items()}, 'visible joints in space'),
        )
        columns = (*_PCK, _P50, _P90, _WORST, _KNOWN, count('joints', 'published', more_is_better=True))
        return TaskFigures(values, Rows('joints', 'joint', columns, rows), panels)

    def picture(self, sample: PeopleSample, answer: PeopleAnswer, score: PeopleScore) -> np.ndarray:
        color = sample.frame.color
        truth, found, wrong = np.array(color), np.array(color), pale(color)
        pairs = _pairs(sample.boxes, answer.boxes)
        for row, person in enumerate(sample.frame.truths):
            _draw(truth, person.pixels, person.visible, np.where(person.visible[:, None], _SEEN, _HIDDEN))
            if row in pairs:
                place = pairs[row]
                there = np.isfinite(answer.joints[place]).all(axis=1)
                off = 1000 * np.linalg.norm(answer.joints[place] - person.joints, axis=1)
                points = answer.keypoints[place]
                _draw(found, points, points[:, 2] >= _UNSURE, np.where(there[:, None], _SEEN, _HIDDEN))
                colors = error_map(np.where(there, off, np.nan)[None], 'mm', _FAR_MM)[0]
                _draw(wrong, person.pixels, np.ones(_POINTS, bool), colors)
                worst = int(np.argmax(np.where(there, off, -1.0)))
                text = f'{KEYPOINTS[worst]} {off[worst]:.0f} mm' if there.any() else 'no joint in space'
            else:
                text = 'not found'
            x, y = sample.boxes[row, :2].astype(int).tolist()
            draw_caption(wrong, text, (x, y), (255, 255, 255))
        title = f'error: blue 0, red {_FAR_MM:.0f} mm, grey left out'
        return side_by_side([('input', color), ('truth', truth), ('answer: green in space', found), (title, wrong)])


def _pairs(truth: np.ndarray, found: np.ndarray) -> dict[int, int]:
    """True person to found one, by boxes, so that the sum of the overlaps is largest."""
    overlap = box_iou(truth.astype(np.float32), found.astype(np.float32)).astype(float)
    overlap[overlap < _FOUND_IOU] = 0.0
    chosen = zip(*linear_sum_assignment(overlap, maximize=True), strict=True)
    return {int(row): int(column) for row, column in chosen if overlap[row, column]}


def _together(parts: Sequence[np.ndarray], dtype: type = float) -> np.ndarray:
    return np.concatenate(parts).astype(dtype) if parts else np.empty((0, _POINTS), dtype)


def _share(right: np.ndarray, of: np.ndarray) -> float:
    return float((right & of).sum() / of.sum()) if of.any() else np.nan


def _in_space(distances: np.ndarray, visible: np.ndarray) -> dict[str, float]:
    errors = joint_errors(distances, visible)
    return {
        'p50_m': errors.p50_m,
        'p90_m': errors.p90_m,
        'worst_m': errors.worst_m,
        'joints_known': errors.known,
        'joints': float(errors.count),
    }


def _draw(image: np.ndarray, points: np.ndarray, shown: np.ndarray, colors: np.ndarray) -> None:
    """Bones and joints, in place; a bone where both of its ends are shown."""
    height, width = image.shape[:2]
    with np.errstate(invalid='ignore'):
        inside = np.all((points[:, :2] > -width) & (points[:, :2] < 2 * width), axis=1) & shown
    pixels = np.where(inside[:, None], points[:, :2], 0.0).astype(int).tolist()
    for a, b in COCO_17.edges:
        if inside[a] and inside[b]:
            cv2.line(image, pixels[a], pixels[b], (200, 200, 200), 1, cv2.LINE_AA)
    for place in np.flatnonzero(inside).tolist():
        cv2.circle(image, pixels[place], 4, tuple(int(value) for value in colors[place]), cv2.FILLED, cv2.LINE_AA)
