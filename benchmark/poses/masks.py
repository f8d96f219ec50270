# SPDX-License-Identifier: Apache-2.0
"""Masks of the demo model on simulated table tops that nothing was chosen on, whose truth is exact.

Preprocessing, ONNX Runtime, decoding and masks as the nodes do them, in one process, without topics. Average precision
as COCO defines it, over the pixels of the masks; objects of which less than a quarter is visible are ignored. Time is
CPU time of one thread, of the masks alone.
"""

from __future__ import annotations

import time

import cv2
import numpy as np

from benchmark.support.common import Figure, Options, Result, Table
from isaac_inference.engines import create_engine
from isaac_inference.evaluation import Boxes
from isaac_inference.evaluation.accuracy.average_precision import mean_average_precision, overlap_of_masks
from isaac_inference.evaluation.tasks.masks import true_masks
from isaac_inference.models import ModelCard, read_card
from isaac_inference.sim import Scene, default_camera
from isaac_inference.stages import Postprocessor, Preprocessor

TITLE = 'Masks on the simulator'
_FIRST_SEED = 9500
_AP50, _AP = 0.95, 0.80  # asked


def run(options: Options) -> Result:
    """One frame of each of many scenes."""
    cv2.setNumThreads(1)
    result = Result('masks', TITLE)
    card = read_card(options.pose_model_path())
    preprocess, postprocess = Preprocessor(card), Postprocessor(card)
    pairs, spent = [], []
    with create_engine(card) as engine:
        for number in range(options.pick(500, 20)):
            frame = Scene(default_camera(), _FIRST_SEED + number).frame(0.1 * (number % 30))
            tensors, letterbox = preprocess(frame.color)
            outputs = engine.infer(tensors)
            begin = time.process_time()
            postprocess(outputs, letterbox, masks=False)
            middle = time.process_time()
            found = postprocess(outputs, letterbox)
            spent.append(1e3 * (time.process_time() - middle - (middle - begin)))
            names = tuple(card.labels[index] for index in found.class_ids)
            boxes = found.boxes.astype(np.float64)
            pairs.append(
                (true_masks(frame), Boxes(boxes, names, found.scores.astype(float), ('',) * len(names), found.masks))
            )
    _tabulate(result, card, pairs, spent)
    return result


def _tabulate(result: Result, card: ModelCard, pairs: list[tuple[Boxes, Boxes]], spent: list[float]) -> None:
    by_masks, by_boxes = mean_average_precision(pairs, overlap=overlap_of_masks), mean_average_precision(pairs)
    table = Table(f'{len(pairs)} frames, 640x480', ['class', 'objects', 'AP50', 'AP50:95', 'AP50:95 of boxes'])
    for name in card.labels:
        one = by_masks.classes[name]
        table.add(name, one.truths, one.ap50, one.ap50_95, by_boxes.classes[name].ap50_95)
    result.tables.append(table)
    for what, value, asked in (('AP50', by_masks.map50, _AP50), ('AP50:95', by_masks.map50_95, _AP)):
        figure = Figure(
            f'Mask {what}, simulator', f'at least {asked:.2f}', f'{value:.3f}', bool(value and value >= asked)
        )
        result.figures.append(figure)
    median, slowest = np.percentile(spent, (50, 95))
    said = f'p50 {median:.2f}, p95 {slowest:.2f} ms of CPU'
    result.figures.append(Figure('Masks of a frame of six objects', 'for information', said, None))
    result.data = {'map50': by_masks.map50, 'map50_95': by_masks.map50_95, 'first_seed': _FIRST_SEED}
