# SPDX-License-Identifier: Apache-2.0
"""mAP by hand, and against COCO's own implementation."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from support.frame_records import boxes

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.evaluation import Boxes
from isaac_inference.evaluation.accuracy.average_precision import mean_average_precision, overlap_of_masks
from isaac_inference.ops.masks.masks import Masks

BOX, FAR = (0, 0, 100, 100), (300, 300, 400, 400)


def shifted(part):
    """BOX and the returned one overlap with an IoU of (1 - part) / (1 + part)."""
    return (100 * part, 0, 100 + 100 * part, 100)


def test_everything_found_is_one():
    truth = boxes(('cup', 1, BOX), ('can', 1, FAR))
    found = boxes(('can', 0.3, FAR), ('cup', 0.9, BOX))
    scores = mean_average_precision([(truth, found)] * 3)
    assert (scores.map50, scores.map50_95) == (1.0, 1.0)
    assert scores.classes['cup'].truths == 3
    assert scores.classes['cup'].false_positives == 0


def test_a_better_scored_false_positive_costs_half_the_precision():
    scores = mean_average_precision([(boxes(('cup', 1, BOX)), boxes(('cup', 0.9, FAR), ('cup', 0.8, BOX)))])
    assert scores.map50 == pytest.approx(0.5)
    assert (scores.classes['cup'].recall, scores.classes['cup'].false_positives) == (1.0, 1)


def test_a_worse_scored_false_positive_costs_nothing():
    scores = mean_average_precision([(boxes(('cup', 1, BOX)), boxes(('cup', 0.7, FAR), ('cup', 0.8, BOX)))])
    assert scores.map50 == 1.0


def test_half_of_the_truths_reach_51_of_101_recalls():
    truth = boxes(('cup', 1, BOX), ('cup', 1, FAR))
    assert mean_average_precision([(truth, boxes(('cup', 0.9, BOX)))]).map50 == pytest.approx(51 / 101)


@pytest.mark.parametrize(('part', 'thresholds'), [(0.0, 10), (0.2, 4), (1 / 3, 1), (0.35, 0)])
def test_the_iou_decides_at_how_many_thresholds_a_box_counts(part, thresholds):
    scores = mean_average_precision([(boxes(('cup', 1, BOX)), boxes(('cup', 0.9, shifted(part))))])
    assert scores.map50_95 == pytest.approx(thresholds / 10)
    assert scores.map50 == (thresholds > 0)


def test_a_second_box_on_the_same_truth_is_false():
    scores = mean_average_precision([(boxes(('cup', 1, BOX)), boxes(('cup', 0.9, BOX), ('cup', 0.8, BOX)))])
    assert scores.classes['cup'].false_positives == 1


def test_the_wrong_class_is_missed_and_classes_count_alike():
    truth = boxes(('cup', 1, BOX), ('cup', 1, FAR), ('can', 1, BOX))
    scores = mean_average_precision([(truth, boxes(('cup', 0.9, BOX), ('cup', 0.9, FAR), ('jug', 0.9, BOX)))])
    assert scores.classes['can'].ap50 == 0.0
    assert scores.map50 == 0.5, 'a class that the truth has not is left out'
    assert set(scores.classes) == {'cup', 'can'}


def test_a_hidden_truth_is_neither_missed_nor_wrongly_found():
    truth = boxes(('cup', 1, BOX), ('cup', 0.24, FAR))
    assert mean_average_precision([(truth, boxes(('cup', 0.8, BOX)))]).map50 == 1.0
    found = boxes(('cup', 0.9, FAR), ('cup', 0.8, BOX))
    scores = mean_average_precision([(truth, found)])
    assert (scores.map50, scores.classes['cup'].truths, scores.classes['cup'].false_positives) == (1.0, 1, 0)
    assert mean_average_precision([(truth, found)], min_visibility=0.2).classes['cup'].truths == 2
    assert mean_average_precision([(truth, boxes())], min_visibility=0.2).map50 == 0.0


def test_a_detection_prefers_a_truth_that_counts():
    truth = boxes(('cup', 0.1, BOX), ('cup', 1, shifted(0.2)))
    assert mean_average_precision([(truth, boxes(('cup', 0.9, BOX)))]).map50 == 1.0


def test_without_truth_or_with_hidden_ones_only_there_is_no_figure():
    assert mean_average_precision([]).map50 is None
    assert mean_average_precision([(Boxes.empty(), boxes(('cup', 1, BOX)))]).map50_95 is None
    assert mean_average_precision([(boxes(('cup', 0.1, BOX)), Boxes.empty())]).classes == {}


def test_nothing_found_is_zero():
    scores = mean_average_precision([(boxes(('cup', 1, BOX)), Boxes.empty())])
    assert (scores.map50, scores.map50_95, scores.classes['cup'].recall) == (0.0, 0.0, 0.0)


def test_only_the_best_detections_of_an_image_are_looked_at():
    found = boxes(('cup', 0.9, FAR), ('cup', 0.8, BOX))
    assert mean_average_precision([(boxes(('cup', 1, BOX)), found)], max_detections=1).map50 == 0.0


def crowd(seed):
    """Random frames: near hits, misses, inventions, wrong classes, hidden truths, equal scores."""
    random = np.random.default_rng(seed)
    names = ['cup', 'can', 'box']

    def some(count):
        corner, size = random.uniform(0, 400, (count, 2)), random.uniform(40, 150, (count, 2))
        return np.concatenate([corner, corner + size], axis=1)

    def score():
        return float(random.integers(1, 20)) / 20

    frames = []
    for _ in range(25):
        truth = [
            (names[random.integers(3)], random.choice([0.1, 1.0, 1.0]), box) for box in some(random.integers(0, 8))
        ]
        near = [item for item in truth * 2 if random.random() < 0.5]
        found = [(name, score(), box + random.normal(0, 5, 4)) for name, _, box in near]
        found += [(names[random.integers(3)], score() / 2, box) for box in some(random.integers(0, 3))]
        frames.append((boxes(*truth), boxes(*found)))
    return frames


@pytest.mark.parametrize('seed', [1, 2, 3])
def test_it_agrees_with_coco(seed):
    coco = pytest.importorskip('pycocotools.coco', reason='pycocotools is in requirements/benchmark.txt')
    from pycocotools.cocoeval import COCOeval

    frames = crowd(seed)
    names = ['cup', 'can', 'box']

    def row(image, name, box, **more):
        x0, y0, x1, y1 = (float(value) for value in box)
        return {'image_id': image, 'category_id': names.index(name) + 1, 'bbox': [x0, y0, x1 - x0, y1 - y0], **more}

    # COCO ignores by area: a hidden truth gets one that no box has
    truths = [
        row(image, name, box, area=1e9 if visible < 0.25 else 100.0, iscrowd=0)
        for image, (truth, _) in enumerate(frames)
        for name, visible, box in zip(truth.classes, truth.scores, truth.boxes, strict=True)
    ]
    results = [
        row(image, name, box, score=float(score))
        for image, (_, found) in enumerate(frames)
        for name, score, box in zip(found.classes, found.scores, found.boxes, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        reference = coco.COCO()
        reference.dataset = {
            'images': [{'id': image} for image in range(len(frames))],
            'annotations': [{**item, 'id': number + 1} for number, item in enumerate(truths)],
            'categories': [{'id': number + 1, 'name': name} for number, name in enumerate(names)],
        }
        reference.createIndex()
        judge = COCOeval(reference, reference.loadRes(results), 'bbox')
        judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e8]], ['all']
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval['precision'][:, :, :, 0, -1]  # threshold, recall, class
    scores = mean_average_precision(frames)
    assert scores.map50 == pytest.approx(precision[0].mean(), abs=1e-9)
    assert scores.map50_95 == pytest.approx(precision.mean(), abs=1e-9)
    assert 0.2 < scores.map50_95 < 0.9, 'the data can tell right from wrong'
    for index, name in enumerate(names):
        assert np.allclose(scores.classes[name].curve, precision[0, :, index], atol=1e-9)


def masked(*items):
    """Boxes whose masks are the given pixels (x_min, y_min, x_max, y_max) of an image of 40 x 40."""
    crops = tuple(np.ones((y1 - y0, x1 - x0), np.bool_) for _, _, _, (x0, y0, x1, y1) in items)
    corners = np.array([area[:2] for *_, area in items], np.intp).reshape(-1, 2)
    plain = boxes(*(item[:3] for item in items))
    return Boxes(plain.boxes, plain.classes, plain.scores, plain.ids, Masks((40, 40), corners, crops))


def test_masks_count_where_the_boxes_say_the_same():
    truth = masked(('cup', 1, BOX, (0, 0, 10, 10)), ('can', 1, FAR, (20, 20, 30, 30)))
    found = masked(('cup', 0.9, BOX, (0, 0, 10, 7)), ('can', 0.8, FAR, (20, 20, 30, 24)))  # IoU 0.7 and 0.4
    by_boxes, by_masks = (
        mean_average_precision([(truth, found)], **how) for how in ({}, {'overlap': overlap_of_masks})
    )
    assert (by_boxes.map50, by_boxes.map50_95) == (1.0, 1.0)
    assert (by_masks.classes['cup'].ap50, by_masks.classes['can'].ap50) == (1.0, 0.0)
    assert by_masks.classes['cup'].ap50_95 == pytest.approx(0.5)  # at 0.5, 0.55, 0.6, 0.65 and 0.7


def test_masks_that_are_not_there_are_named():
    with pytest.raises(ConfigError, match='an image has none'):
        mean_average_precision([(boxes(('cup', 1, BOX)),) * 2], overlap=overlap_of_masks)
    with pytest.raises(FrameError, match='got 0 for 1 boxes'):
        Boxes(np.array([BOX], float), ('cup',), np.ones(1), ('',), Masks.empty((40, 40)))
