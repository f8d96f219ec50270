# SPDX-License-Identifier: Apache-2.0
"""One known box in every format and with every activation that a decoder takes; the best score; one image's part."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.decoders import DECODERS
from isaac_inference.ops.decoders.base import one_image

WH = (64, 32)
CORNERS = [8.0, 4.0, 24.0, 12.0]
FORMATS = {
    'xyxy': [8, 4, 24, 12],
    'cxcywh': [16, 8, 16, 8],
    'xywh': [8, 4, 16, 8],
    'yxyx': [4, 8, 12, 24],
}
SCALES = {'yxyx': (32, 64, 32, 64)}
CLASS_ID, CLASSES, SCORE = 1, 2, 0.75
LOGIT = float(np.log(3.0))  # sigmoid: 0.75


def run(decoder: str, outputs: dict, **options: object) -> Detections:
    arrays = {role: np.asarray(array, np.float32) for role, array in outputs.items()}
    given = {'class_count': CLASSES, 'score_threshold': 0.5, **options}
    return DECODERS[decoder].decode(arrays, input_wh=WH, **given)


def outputs_of(decoder: str, box: list[float], scores: tuple[float, float] = (0.25, SCORE)) -> dict:
    return {
        'yolov5': {'predictions': [[*box, 1.0, *scores]]},
        'yolov8': {'predictions': np.transpose([[*box, *scores], *[[0] * 4 + [-99] * 2] * 2])},
        'detr': {'logits': [scores], 'boxes': [box]},
        'boxes_scores': {'boxes': [box], 'scores': [scores]},
        'boxes_scores_labels': {'boxes': [box], 'scores': [SCORE], 'labels': [CLASS_ID]},
        'efficient_nms': {'num_detections': 1, 'boxes': [box], 'scores': [SCORE], 'labels': [CLASS_ID]},
    }[decoder]


ACTIVATED = {'detr': {'activation': 'none'}}  # where scores are logits unless the card says otherwise
WITH_FORMATS = sorted(name for name, decoder in DECODERS.items() if 'box_format' in decoder.option_names)


@pytest.mark.parametrize('normalized', [False, True])
@pytest.mark.parametrize('box_format', FORMATS)
@pytest.mark.parametrize('decoder', WITH_FORMATS)
def test_a_known_box_in_every_format(decoder: str, box_format: str, normalized: bool) -> None:
    box = np.array(FORMATS[box_format], np.float64)
    if normalized:
        box = box / SCALES.get(box_format, (*WH, *WH))
    options = {'box_format': box_format, 'normalized': normalized, **ACTIVATED.get(decoder, {})}
    found = run(decoder, outputs_of(decoder, box.tolist()), **options)
    assert (found.boxes.tolist(), found.scores.tolist(), found.class_ids.tolist()) == ([CORNERS], [SCORE], [CLASS_ID])


@pytest.mark.parametrize('decoder', WITH_FORMATS)
def test_an_unknown_box_format(decoder: str) -> None:
    with pytest.raises(ConfigError, match="box_format: got 'wh'"):
        run(decoder, outputs_of(decoder, CORNERS), box_format='wh', **ACTIVATED.get(decoder, {}))


@pytest.mark.parametrize('decoder', ['yolov8', 'detr', 'boxes_scores'])
@pytest.mark.parametrize(
    ('activation', 'scores'), [('none', (0.25, SCORE)), ('sigmoid', (-9.0, LOGIT)), ('sigmoid', (-np.inf, LOGIT))]
)
def test_activations(decoder: str, activation: str, scores: tuple[float, float]) -> None:
    found = run(decoder, outputs_of(decoder, FORMATS['xyxy'], scores), activation=activation)
    assert found.scores.tolist() == pytest.approx([SCORE])
    assert found.class_ids.tolist() == [CLASS_ID]


@pytest.mark.parametrize('decoder', ['yolov8', 'detr', 'boxes_scores'])
def test_an_infinite_logit_is_noticed(decoder: str) -> None:
    with pytest.raises(FrameError, match='got NaN or infinity'):
        run(decoder, outputs_of(decoder, FORMATS['xyxy'], (np.inf, 0.0)), activation='sigmoid')


def test_scores_of_a_detr_that_are_activated_already_may_have_the_no_object_column() -> None:
    outputs = {'logits': [[0.1, 0.75, 0.8]], 'boxes': [[0.25, 0.25, 0.25, 0.25]]}
    found = run('detr', outputs, activation='none')
    assert (found.boxes.tolist(), found.class_ids.tolist()) == ([CORNERS], [CLASS_ID])


# The best score


@pytest.mark.parametrize('decoder', [*WITH_FORMATS])
@pytest.mark.parametrize('threshold', [0.1, 0.9])
def test_the_best_score_is_known_whatever_the_threshold(decoder: str, threshold: float) -> None:
    found = run(decoder, outputs_of(decoder, CORNERS), score_threshold=threshold, **ACTIVATED.get(decoder, {}))
    assert (len(found), found.best_score) == (int(threshold < 0.5), SCORE)
    assert found.select(np.zeros(len(found), bool)).best_score == SCORE


def test_the_best_of_no_rows_is_not_known() -> None:
    found = run('end_to_end', {'predictions': np.empty((0, 6))})
    assert np.isnan(found.best_score)


def test_with_an_objectness_the_best_is_the_product_where_that_is_highest() -> None:
    rows = [[8, 8, 4, 4, 0.5, 0.25, 0.5], [8, 8, 4, 4, 0.25, 0.9, 0.9]]
    assert run('yolov5', {'predictions': rows}, score_threshold=0.9).best_score == 0.25


# One image's part of an output


@pytest.mark.parametrize(
    ('shape', 'ranks', 'index', 'expected'),
    [
        ((2, 300, 6), (2,), 1, (300, 6)),
        ((300, 6), (2,), 0, (300, 6)),  # no batch axis
        ((1, 1, 200, 7), (2,), 0, (200, 7)),  # OpenVINO, Caffe
        ((1, 1, 1, 200, 7), (2,), 0, (200, 7)),
        ((1, 9, 1, 4), (2, 3), 0, (9, 1, 4)),
        ((1, 9, 4), (2, 3), 0, (9, 4)),  # what may have a batch axis has one
        ((9, 4), (2, 3), 0, (9, 4)),
        ((1, 3, 8, 8, 85), (3, 4), 0, (3, 8, 8, 85)),
        ((1, 255, 8, 8), (3, 4), 0, (255, 8, 8)),
        ((), (0, 1), 0, ()),
        ((2,), (0, 1), 1, ()),
        ((2, 1), (0, 1), 1, (1,)),
        ((3, 2, 300, 6), (2,), 0, (2, 300, 6)),  # for the decoder to refuse
    ],
)
def test_one_image(shape: tuple, ranks: tuple, index: int, expected: tuple) -> None:
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    image = one_image(array, ranks, index)
    assert image.shape == expected
    assert image.ravel().tolist() == array.ravel()[index * image.size : (index + 1) * image.size].tolist()


@pytest.mark.parametrize(
    ('shape', 'ranks', 'index', 'says'),
    [
        ((300, 6), (2,), 1, r'got shape \[300, 6\] without a batch axis, expected image 1 of a batch'),
        ((1, 300, 6), (2,), 1, r'got shape \[1, 300, 6\], expected 2 or more images'),
        ((0, 300, 6), (2,), 0, 'expected 1 or more images'),
        ((), (2,), 0, r'got shape \[\], expected 1 or more images'),
    ],
)
def test_there_is_no_such_image(shape: tuple, ranks: tuple, index: int, says: str) -> None:
    with pytest.raises(FrameError, match=says):
        one_image(np.zeros(shape), ranks, index)
