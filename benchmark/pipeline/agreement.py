# SPDX-License-Identifier: Apache-2.0
"""The graph's detections against a direct computation, and COCO average precision, on photos with ground truth.

The graph is the real one: nodes in a container, pictures in as Image, detections out as Detection2DArray. The direct
computation shares no code with it and is written plainly: `cv2.resize` to whole pixels rounded down, top left on a
canvas of 114, raw BGR values, ONNX Runtime with its default session, the YOLOX grid decoded in float64 cell by cell,
class-aware greedy NMS box by box in float64, boxes brought back by the whole-pixel scales of each axis and clipped.

Detections are paired one to one: same class, best IoU first. The figure takes what both call detections at the default
threshold; the same is told for the low threshold of the average precision, where ties of equal scores and IoUs right
at the NMS threshold may fall either way. Ground truth: beside each photo a .txt of the same name, one line an object,
'class center_x center_y width height' in parts of the image's width and height. AP is pycocotools' on these photos
alone (so few that it says nothing about the model; it shows that graph and direct computation are equally good).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from rich.progress import track

from benchmark.support.common import Figure, Options, Result, SkippedError, Table, plt, save_plot
from benchmark.support.ros import ros, running_graph
from isaac_inference.models import read_card
from isaac_inference.pictures import SourceFrame

TITLE = 'Agreement with a direct computation'
AT_DEFAULT = {'score_threshold': 0.25, 'iou_threshold': 0.45, 'max_detections': 100, 'nms_top_k': 30000}
FOR_AP = {'score_threshold': 0.001, 'iou_threshold': 0.65, 'max_detections': 300, 'nms_top_k': 30000}
STRIDES, PAD = (8, 16, 32), 114
IOU_ASKED, SCORE_ASKED = 0.99, 0.001


@dataclass(frozen=True)
class Found:
    """One detection: class name, score, corners in source pixels."""

    name: str
    score: float
    box: tuple[float, float, float, float]


def run(options: Options) -> Result:
    """Pairs at the default threshold, then at a low one with AP."""
    result = Result('agreement', TITLE)
    model, paths = options.model_path(), options.image_paths()
    if options.quick:
        paths = paths[:6]
    direct = DirectYolox(model)
    pictures = {path: cv2.imread(str(path)) for path in paths}
    with ros():
        ours = [_through_graph(model, pictures, settings) for settings in (AT_DEFAULT, FOR_AP)]
    theirs = [_directly(direct, pictures, settings) for settings in (AT_DEFAULT, FOR_AP)]
    pairs, alone, missed = _compare(result, 'score 0.25', ours[0], theirs[0])
    _judge(result, pairs, alone, missed, len(paths))
    _compare(result, 'score 0.001', ours[1], theirs[1])
    _average_precision(result, pictures, ours[1], theirs[1], direct.labels)
    _plot(result, options, pairs)
    return result


class DirectYolox:
    """YOLOX in plain NumPy, slow and independent of the package but for the class names."""

    def __init__(self, model: str) -> None:
        self._session = onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider'])
        (given,) = self._session.get_inputs()
        self._input, (self._height, self._width) = given.name, given.shape[2:]
        self.labels = read_card(model).labels
        shape = self._session.get_outputs()[0].shape
        if len(shape) != 3 or shape[2] != 5 + len(self.labels):
            raise SkippedError(f'the direct computation knows YOLOX only, and the model has an output of {shape}')

    def __call__(self, picture: np.ndarray, settings: dict[str, Any]) -> list[Found]:
        """Everything from the picture to its detections, best first."""
        height, width = picture.shape[:2]
        ratio = min(self._width / width, self._height / height)
        small = (int(width * ratio), int(height * ratio))
        canvas = np.full((self._height, self._width, 3), PAD, np.uint8)
        canvas[: small[1], : small[0]] = cv2.resize(picture, small, interpolation=cv2.INTER_LINEAR)
        tensor = canvas.transpose(2, 0, 1)[None].astype(np.float32)
        output = self._session.run(None, {self._input: tensor})[0][0].astype(np.float64)
        scale = np.array([small[0] / width, small[1] / height] * 2)
        candidates = self._candidates(output, settings['score_threshold'])
        kept = _greedy_nms(candidates, settings['iou_threshold'])[: settings['max_detections']]
        limit = np.array([width, height] * 2)
        return [
            Found(self.labels[label], score, tuple(np.clip(np.array(box) / scale, 0, limit)))
            for score, label, box in kept
        ]

    def _candidates(self, output: np.ndarray, threshold: float) -> list[tuple[float, int, tuple[float, ...]]]:
        """(score, class, corners on the input) of every cell that reaches the threshold, best first."""
        found, row = [], 0
        for stride in STRIDES:
            for y in range(-(-self._height // stride)):
                for x in range(-(-self._width // stride)):
                    cell, row = output[row], row + 1
                    label = int(np.argmax(cell[5:]))
                    score = float(cell[4] * cell[5 + label])
                    if score < threshold:
                        continue
                    center_x, center_y = (cell[0] + x) * stride, (cell[1] + y) * stride
                    w, h = np.exp(cell[2]) * stride, np.exp(cell[3]) * stride
                    found.append((score, label, _corners(center_x, center_y, w, h)))
        return sorted(found, key=lambda candidate: -candidate[0])


def _greedy_nms(
    candidates: Sequence[tuple[float, int, tuple[float, ...]]], threshold: float
) -> list[tuple[float, int, tuple[float, ...]]]:
    kept: list[tuple[float, int, tuple[float, ...]]] = []
    for candidate in candidates:
        if all(other[1] != candidate[1] or _iou(other[2], candidate[2]) <= threshold for other in kept):
            kept.append(candidate)
    return kept


def _iou(a: Sequence[float], b: Sequence[float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def _through_graph(model: str, pictures: dict[Path, np.ndarray], settings: dict[str, Any]) -> dict[Path, list[Found]]:
    """Every photo through the nodes, once."""
    found = {}
    with running_graph(model, parameters={'detection': settings}) as (_, probe):
        for path, picture in track(pictures.items(), 'through the graph', transient=True):
            answer = probe.ask(SourceFrame(picture, path.name), 20.0)
            if answer.error:
                raise RuntimeError(f'{path.name}: {answer.error}')
            found[path] = [
                Found(item['class_id'], item['score'], _corners(*item['bbox'])) for item in answer.detections
            ]
    return found


def _directly(
    direct: DirectYolox, pictures: dict[Path, np.ndarray], settings: dict[str, Any]
) -> dict[Path, list[Found]]:
    return {
        path: direct(picture, settings)
        for path, picture in track(pictures.items(), 'direct computation', transient=True)
    }


def _corners(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _compare(
    result: Result, key: str, ours: dict[Path, list[Found]], theirs: dict[Path, list[Found]]
) -> tuple[list[tuple[Found, Found, float]], int, int]:
    """Pairs (graph, direct, IoU) over all photos, and how many of each side have no partner."""
    pairs, alone_ours, alone_theirs = [], 0, 0
    table = Table(
        f'Photo by photo, {key}', ['photo', 'graph', 'direct', 'paired', 'lowest IoU', 'largest score difference']
    )
    for index, path in enumerate(ours):
        found = _pair(ours[path], theirs[path])
        pairs += found
        alone_ours += len(ours[path]) - len(found)
        alone_theirs += len(theirs[path]) - len(found)
        table.add(index + 1, len(ours[path]), len(theirs[path]), len(found), *_extremes(found))
    table.add('all', sum(map(len, ours.values())), sum(map(len, theirs.values())), len(pairs), *_extremes(pairs))
    result.tables.append(table)
    iou, score = _extremes(pairs)
    result.data[key] = {
        'pairs': len(pairs),
        'graph_alone': alone_ours,
        'direct_alone': alone_theirs,
        'least_iou': iou,
        'largest_score_difference': score,
    }
    return pairs, alone_ours, alone_theirs


def _pair(ours: list[Found], theirs: list[Found]) -> list[tuple[Found, Found, float]]:
    """One to one, best IoU first, same class, IoU of at least one half."""
    options = sorted(
        (
            (_iou(a.box, b.box), i, j)
            for i, a in enumerate(ours)
            for j, b in enumerate(theirs)
            if a.name == b.name and abs(a.score - b.score) < 0.01
        ),
        reverse=True,
    )
    taken_i, taken_j, pairs = set(), set(), []
    for iou, i, j in options:
        if iou >= 0.5 and i not in taken_i and j not in taken_j:
            taken_i.add(i)
            taken_j.add(j)
            pairs.append((ours[i], theirs[j], iou))
    return pairs


def _extremes(pairs: Sequence[tuple[Found, Found, float]]) -> tuple[float, float]:
    """Least IoU, largest score difference."""
    if not pairs:
        return 1.0, 0.0
    return min(pair[2] for pair in pairs), max(abs(a.score - b.score) for a, b, _ in pairs)


def _average_precision(
    result: Result,
    pictures: dict[Path, np.ndarray],
    ours: dict[Path, list[Found]],
    theirs: dict[Path, list[Found]],
    labels: Sequence[str],
) -> None:
    missing = [path for path in pictures if not path.with_suffix('.txt').is_file()]
    if missing:
        result.notes.append(f'No AP: {len(missing)} photos have no ground truth beside them.')
        return
    truth = _ground_truth(pictures, len(labels))
    table = Table(
        f'COCO average precision on {len(pictures)} photos (IoU 0.65 in NMS, score from 0.001)',
        ['way', 'AP50:95', 'AP50', 'AP75', 'detections'],
    )
    for way, found in (('graph', ours), ('direct', theirs)):
        stats = _coco_stats(truth, found, list(pictures), labels)
        table.add(way, *(f'{value:.4f}' for value in stats[:3]), sum(map(len, found.values())))
        result.data[f'AP {way}'] = {'AP50:95': stats[0], 'AP50': stats[1], 'AP75': stats[2]}
    result.tables.append(table)
    ap, direct = result.data['AP graph'], result.data['AP direct']
    result.figures.append(
        Figure(
            f'COCO AP on {len(pictures)} photos',
            'printed',
            f'AP50:95 {ap["AP50:95"]:.3f}, AP50 {ap["AP50"]:.3f} (direct: '
            f'{direct["AP50:95"]:.3f}, {direct["AP50"]:.3f})',
            None,
        )
    )


def _ground_truth(pictures: dict[Path, np.ndarray], classes: int) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for index, (path, picture) in enumerate(pictures.items()):
        height, width = picture.shape[:2]
        for line in path.with_suffix('.txt').read_text().splitlines():
            label, x, y, w, h = (float(word) for word in line.split())
            box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
            annotations.append(
                {
                    'id': len(annotations) + 1,
                    'image_id': index,
                    'category_id': int(label),
                    'bbox': box,
                    'area': box[2] * box[3],
                    'iscrowd': 0,
                }
            )
    return {
        'images': [{'id': index} for index in range(len(pictures))],
        'annotations': annotations,
        'info': {},
        'categories': [{'id': index} for index in range(classes)],
    }


def _coco_stats(
    truth: dict[str, Any], found: dict[Path, list[Found]], order: list[Path], labels: Sequence[str]
) -> list[float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rows = [
        {
            'image_id': order.index(path),
            'category_id': labels.index(item.name),
            'score': item.score,
            'bbox': [item.box[0], item.box[1], item.box[2] - item.box[0], item.box[3] - item.box[1]],
        }
        for path, items in found.items()
        for item in items
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(rows), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats]


def _judge(result: Result, pairs: Sequence[tuple[Found, Found, float]], alone: int, missed: int, photos: int) -> None:
    iou, score = _extremes(pairs)
    result.figures.append(
        Figure(
            f'Graph against direct computation, {photos} photos',
            f'one to one, IoU above {IOU_ASKED}, score within {SCORE_ASKED}',
            f'{len(pairs)} pairs, {alone} only in the graph, {missed} only in the direct computation; least IoU '
            f'{iou:.6f}, largest score difference {score:.1e}',
            bool(pairs) and not alone and not missed and iou > IOU_ASKED and score <= SCORE_ASKED,
        )
    )


def _plot(result: Result, options: Options, pairs: Sequence[tuple[Found, Found, float]]) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
    left.plot([0, 1], [0, 1], color='black', linewidth=0.8)
    left.scatter([b.score for _, b, _ in pairs], [a.score for a, _, _ in pairs], s=18, alpha=0.7)
    left.set_xlabel('score, direct computation')
    left.set_ylabel('score, graph')
    left.set_title(f'{len(pairs)} pairs at score 0.25')
    right.hist([max(1 - iou, 1e-9) for *_, iou in pairs], bins=np.logspace(-9, -1, 33))
    right.axvline(1 - IOU_ASKED, color='black', linestyle='--', label=f'asked: below {1 - IOU_ASKED:.2f}')
    right.set_xscale('log')
    right.set_xlabel('1 - IoU of a pair')
    right.set_ylabel('pairs')
    right.set_title('How far the boxes are apart')
    right.legend()
    save_plot(figure, options, 'agreement', result)
