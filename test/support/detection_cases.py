# SPDX-License-Identifier: Apache-2.0
"""Raw outputs of all detector families that have GPU kernels, to compare them with the CPU ops: random and crafted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from isaac_inference.models import DetectionSpec, ImageInput, KeypointDetectionSpec, KeypointSpec, ModelCard, TensorSpec
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.stages.detection.postprocess import DetectionSettings, detection_settings

NAME = 'output0'
FAMILIES = ('yolov8', 'yolov8_last', 'yolov8_pose', 'yolov8_pose2', 'yolov5', 'yolox', 'nanodet')
EXACT = tuple(family for family in FAMILIES if family not in ('yolox', 'nanodet'))  # without an exponential
_POINTS, _BINS = 5, 8


@dataclass
class Case:
    """One frame: a card, its output (1, ...), settings and letterbox."""

    name: str
    card: ModelCard
    output: np.ndarray
    settings: DetectionSettings
    letterbox: Letterbox
    index: int = 0
    reason: str = ''  # of the FrameError that is expected
    exact: bool = field(default=True)

    def __str__(self) -> str:
        return self.name


def strides_of(family: str) -> tuple[int, ...]:
    return (8, 16, 32, 64) if family == 'nanodet' else (8, 16, 32)


def anchors_of(family: str, wh: tuple[int, int]) -> int:
    return sum(-(-wh[0] // stride) * -(-wh[1] // stride) for stride in strides_of(family))


def card_of(
    family: str, *, classes: int = 4, wh: tuple[int, int] = (128, 96), dtype: str = 'float32', batch: int | None = 1
) -> ModelCard:
    decoder = {'yolov8_last': 'yolov8', 'yolov8_pose2': 'yolov8_pose'}.get(family, family)
    keypoints = KeypointSpec(_POINTS, 2 if family.endswith('2') else 3) if decoder == 'yolov8_pose' else None
    anchors = anchors_of(family, wh)
    channels = {'yolov8': 4, 'yolov8_pose': 4, 'yolov5': 5, 'yolox': 5, 'nanodet': 4 * _BINS}[decoder] + classes
    if keypoints is not None:
        channels += keypoints.count * keypoints.dims
    is_first = family in ('yolov8', 'yolov8_pose', 'yolov8_pose2')
    shape = (batch, channels, anchors) if is_first else (batch, anchors, channels)
    roles = {'predictions': NAME}
    options = {'strides': strides_of(family)} if decoder in ('yolox', 'nanodet') else {}
    if keypoints is None:
        spec = DetectionSpec(roles, decoder, options)
    else:
        spec = KeypointDetectionSpec(roles, decoder, options, keypoints)
    return ModelCard(
        name=family,
        path=Path('/nowhere.onnx'),
        sha256='0' * 64,
        inputs=(ImageInput(TensorSpec('images', 'float32', (batch, 3, wh[1], wh[0])), 'NCHW', wh),),
        outputs=(TensorSpec(NAME, dtype, shape),),
        spec=spec,
        labels=tuple(f'class {i}' for i in range(classes)),
    )


def rows_of(output: np.ndarray, card: ModelCard) -> np.ndarray:
    """(anchors, channels) view of an output's first image."""
    return output[0].T if card.name in ('yolov8', 'yolov8_pose', 'yolov8_pose2') else output[0]


def first_score(card: ModelCard) -> int:
    """Channel of the first class score."""
    return {'yolov8': 4, 'yolov8_pose': 4, 'yolov5': 5, 'yolox': 5, 'nanodet': 0}[card.detection.decoder]


def random_output(card: ModelCard, rng: np.random.Generator, share: float = 0.3, levels: int = 0) -> np.ndarray:
    """An output where about `share` of the anchors has a score over 0.25.

    Boxes are large enough to overlap; with `levels`, scores take that many values only, for ties.
    """
    output = np.zeros((1, *card.outputs[0].shape[1:]), np.float32)
    rows = rows_of(output, card)
    count, (width, height) = len(rows), card.image.wh
    scores = rng.uniform(0, 0.2, (count, card.class_count)).astype(np.float32)
    is_object = rng.random(count) < share
    scores[is_object, rng.integers(0, card.class_count, count)[is_object]] = rng.uniform(0.25, 1, is_object.sum())
    if levels:
        scores = np.round(scores * levels) / np.float32(levels)
    start = first_score(card)
    rows[:, start : start + card.class_count] = scores
    if start == 5:
        rows[:, 4] = np.where(is_object, 1.0 if levels else rng.uniform(0.8, 1, count), 0.05)
    if card.detection.decoder == 'yolox':
        rows[:, :2], rows[:, 2:4] = rng.uniform(-1, 2, (count, 2)), rng.uniform(-0.5, 1.2, (count, 2))
    elif card.detection.decoder == 'nanodet':
        rows[:, card.class_count :] = rng.normal(0, 2, (count, 4 * _BINS))
    else:
        rows[:, :2] = rng.uniform(0, (width, height), (count, 2))
        rows[:, 2:4] = rng.uniform(4, 50, (count, 2))
    if card.keypoints is not None:
        rows[:, 4 + card.class_count :] = rng.uniform(-9, width, (count, card.keypoints.count * card.keypoints.dims))
        rows[:, 6 + card.class_count :: 3] = rng.uniform(-0.1, 1.1, rows[:, 6 + card.class_count :: 3].shape)
    return output.astype(card.outputs[0].dtype)


def random_case(family: str, dtype: str, seed: int, **settings: Any) -> Case:
    card = card_of(family, dtype=dtype)
    output = random_output(card, np.random.default_rng(seed))
    letterbox = Letterbox.between((320, 180), card.image.wh)
    said = {'iou_threshold': 0.45, **settings}
    return Case(f'{family}-{dtype}', card, output, detection_settings(card, **said), letterbox, exact=family in EXACT)


def crafted(family: str, dtype: str = 'float32') -> Iterator[Case]:
    """All that may go wrong or be a special case, for one family."""
    base = random_case(family, dtype, 5)
    card, start = base.card, first_score(base.card)
    all_classes = slice(start, start + card.class_count)

    def case(name: str, change: Callable[[np.ndarray], None] | None = None, reason: str = '', **settings: Any) -> Case:
        output = base.output.copy()
        if change is not None:
            change(rows_of(output, card))
        return replace(
            base,
            name=f'{base.name}-{name}',
            output=output,
            settings=detection_settings(card, **settings),
            reason=reason,
        )

    def put(rows: np.ndarray, where: Any, channels: Any, value: float) -> None:
        rows[where, channels] = value

    def sure(rows: np.ndarray, anchor: int) -> None:
        rows[anchor, all_classes] = 0.1
        rows[anchor, start + 1] = 0.9
        if start == 5:
            rows[anchor, 4] = 1.0

    def change_sure(channels: Any, value: float) -> Callable[[np.ndarray], None]:
        def change(rows: np.ndarray) -> None:
            sure(rows, 17)
            put(rows, 17, channels, value)

        return change

    box = slice(card.class_count, None) if card.detection.decoder == 'nanodet' else slice(0, 4)
    nan, inf = float('nan'), float('inf')
    yield case('none', lambda rows: put(rows, slice(None), all_classes, 0.0))
    yield case('all', score_threshold=0.0, top_k=5000, max_detections=5000)
    yield case('all-agnostic', score_threshold=0.0, class_aware=False)
    yield case('top_k', top_k=40)
    yield case('top_k-of-one', top_k=1)
    yield case('max_detections', max_detections=7)
    yield case('nothing-overlaps-by-more-than-all', iou_threshold=1.0, max_detections=1000)
    yield case('touching', iou_threshold=0.0)
    yield case('class-thresholds', class_thresholds=['class 1: 0.9', 'class 2: 0.0'], score_threshold=0.4)
    yield case('class-filter', classes=['class 3'])
    yield case('class-filter-and-all', classes=['class 0', 'class 2'], score_threshold=0.0, class_aware=False)
    yield case('nan-score', lambda rows: put(rows, 20, start if start < 5 else 4, nan), 'non_finite_output')
    yield case('nan-class-of-an-object', change_sure(start + 2, nan), 'non_finite_output')
    yield case('inf-class', change_sure(start + 2, inf), 'non_finite_output')
    yield case('inf-box', change_sure(box, inf), 'non_finite_output')
    yield case('nan-box', change_sure(box.start + 2, nan), 'non_finite_output')
    yield case('inf-box-of-a-filtered-class', change_sure(box, inf), 'non_finite_output', classes=['class 0'])
    yield case('minus-inf-score', lambda rows: put(rows, 3, all_classes, -inf))
    ties = replace(
        case('ties', top_k=30, max_detections=300), output=random_output(card, np.random.default_rng(8), 0.9, 4)
    )
    yield ties
    yield replace(ties, name=f'{base.name}-ties-all', settings=detection_settings(card, score_threshold=0.0))
    yield replace(
        ties, name=f'{base.name}-equal-to-the-threshold', settings=detection_settings(card, score_threshold=0.5)
    )
    own = detection_settings(card, score_threshold=0.5, class_thresholds=['class 1: 0.75', 'class 3: 1.0'])
    yield replace(ties, name=f'{base.name}-equal-to-the-class-threshold', settings=own)
    if card.detection.decoder != 'nanodet':
        yield case('inf-box-of-no-object', lambda rows: (put(rows, 9, all_classes, 0.0), put(rows, 9, box, inf)))
    if start == 5:

        def halve(rows: np.ndarray) -> None:
            rows[:, 4], rows[:, start : start + 2] = 0.5, (0.25, 1.0)

        yield case('objectness-equal-to-the-threshold', halve, score_threshold=0.5)
        yield case('nan-class-of-no-object', lambda rows: (put(rows, 9, 4, 0.0), put(rows, 9, 6, nan)))
        yield case('inf-objectness', change_sure(4, inf), 'non_finite_output')
    if card.detection.decoder in ('yolov8', 'yolov8_pose', 'yolov5'):
        yield case('zero-width', lambda rows: put(rows, slice(0, 60), 2, 0.0))
        yield case('inverted', lambda rows: put(rows, slice(0, 60), slice(2, 4), -8.0), 'boxes_inverted')
        yield case('one-inverted', change_sure(2, -8.0), 'boxes_inverted')
        yield case('hardly-inverted', change_sure(2, -0.5))

        def divide(rows: np.ndarray) -> None:
            rows[:, :4] /= 128

        yield case('fractions-of-the-input', divide, 'boxes_below_one_pixel')
        yield case('pixels-taken-for-fractions', lambda rows: put(rows, slice(None), slice(0, 2), 500), 'boxes_outside')
        yield case('one-far-outside', change_sure(0, 5000.0))
        yield case('logits', change_sure(all_classes, 2.5), 'scores_above_one')
        yield case('logits-of-a-filtered-class', change_sure(start + 1, 2.5), 'scores_above_one', classes=['class 0'])
        if dtype == 'float32':

            def shrink(rows: np.ndarray) -> None:
                rows[:60, :2], rows[:60, 2:4] = 0.0, 1e-18  # the union is so small that all overlap counts as none

            yield case('tiny', shrink, max_detections=300)
            yield case('area-overflows', lambda rows: put(rows, slice(0, 60), slice(2, 4), 1e30))
    if card.keypoints is not None:
        first = 4 + card.class_count
        yield case('nan-keypoint', change_sure(first + 3, nan), 'non_finite_output')
        yield case('inf-keypoint', change_sure(-1, -inf), 'non_finite_output')
        yield case('nan-keypoint-of-no-object', lambda rows: (put(rows, 9, all_classes, 0.0), put(rows, 9, first, nan)))
    for fit in ('letterbox', 'stretch', 'crop'):
        for source in ((333, 97), (40, 500)):
            yield replace(
                case(f'{fit}-{source[0]}x{source[1]}'), letterbox=Letterbox.between(source, card.image.wh, fit)
            )


def assert_same(got: Detections, expected: Detections, exact: bool) -> None:
    """Same boxes in the same order; an exponential may differ in its last bits."""
    np.testing.assert_array_equal(got.class_ids, expected.class_ids)
    np.testing.assert_array_equal(got.scores, expected.scores)
    if exact:
        np.testing.assert_array_equal(got.boxes, expected.boxes)
    else:
        np.testing.assert_allclose(got.boxes, expected.boxes, rtol=1e-5, atol=2e-3)
    assert (got.keypoints is None) == (expected.keypoints is None)
    if expected.keypoints is not None:
        np.testing.assert_array_equal(got.keypoints, expected.keypoints)
