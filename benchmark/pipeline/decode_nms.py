# SPDX-License-Identifier: Apache-2.0
"""Decode + NMS of an 84x8400 output (YOLOv8 and 11 at 640x640, 80 classes) with 100 or 1000 real candidates.

Real candidates are rows above the score threshold, in clusters around objects as detectors put them out; all other
rows are noise below the threshold. Ours is the package's decoder and NMS. The other way is the SAME decoder and then
`cv2.dnn.NMSBoxesBatched`, with what it needs: boxes as (x, y, width, height), given as lists, which it reads faster
than arrays (measured here), and the survivors picked from the arrays. Both are called in turn on outputs that
together don't fit into the caches. The bare decoder is timed too, so that NMS can be told from it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from benchmark.support.common import COLORS, STATS, Figure, Options, Result, Stats, Table, alternate, plt, save_plot
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.nms import nms
from isaac_inference.ops.decoders import DECODERS

TITLE = 'Decode and NMS'
SCORE, IOU, TOP_K, KEEP = 0.25, 0.45, 1000, 300
CLASSES, ROWS, INPUT_WH = 80, 8400, (640, 640)
OURS, OPENCV, ARRAYS, DECODE = (
    'isaac_inference: decode + nms',
    'same decode + cv2.dnn.NMSBoxesBatched (lists)',
    'same decode + cv2.dnn.NMSBoxesBatched (arrays)',
    'decode alone',
)


def run(options: Options) -> Result:
    """100 candidates, which count, and 1000 for information."""
    result = Result('decode_nms', TITLE)
    bars = {count: _measure(result, count, options.pick(2000, 300)) for count in (100, 1000)}
    _plot(result, options, bars)
    return result


def _measure(result: Result, candidates: int, rounds: int) -> dict[str, float]:
    outputs = [_output(candidates, seed) for seed in range(6)]
    ways: dict[str, Callable[[np.ndarray], Detections]] = {
        OURS: _ours,
        OPENCV: _opencv,
        ARRAYS: _opencv_arrays,
        DECODE: _decode,
    }
    agreed = all(_same(_ours(output), _opencv(output)) for output in outputs)
    spent = alternate({name: _with(way, outputs) for name, way in ways.items()}, rounds)
    stats = {name: Stats.of(samples) for name, samples in spent.items()}
    table = Table(f'84x8400, {candidates} real candidates [ms]', ['way', *STATS])
    for name, values in stats.items():
        table.add(name, *values.cells())
    result.tables.append(table)
    ours, other = stats[OURS].p50, min(stats[OPENCV].p50, stats[ARRAYS].p50)
    measured = (
        f'{ours:.2f} ms against {other:.2f} ms, {ours / other:.2f} times; of that the shared decode '
        f'{stats[DECODE].p50:.2f} ms; {"same boxes kept" if agreed else "DIFFERENT boxes kept"}'
    )
    counts = candidates == 100
    result.figures.append(
        Figure(
            f'Decode + NMS, 84x8400, {candidates} candidates',
            'under 2 ms, and faster than the same decode + cv2.dnn.NMSBoxesBatched' if counts else 'for information',
            measured,
            ours < 2.0 and ours < other if counts else None,
        )
    )
    result.data[str(candidates)] = {
        **{name: values.as_json() for name, values in stats.items()},
        'same_boxes': agreed,
        'kept': [len(_ours(output)) for output in outputs],
    }
    return {name: values.p50 for name, values in stats.items()}


def _output(candidates: int, seed: int) -> np.ndarray:
    """(84, 8400) float32: clusters of ten rows around objects, spread over the rows, and noise."""
    random = np.random.default_rng(seed)
    output = np.empty((4 + CLASSES, ROWS), np.float32)
    output[:2], output[2:4] = random.uniform(0, 640, (2, ROWS)), random.uniform(8, 200, (2, ROWS))
    output[4:] = random.uniform(0, 0.02, (CLASSES, ROWS))
    rows = random.choice(ROWS, candidates, replace=False)
    objects = max(1, candidates // 10)
    of = np.arange(candidates) % objects
    center, size = random.uniform(60, 580, (objects, 2)), random.uniform(20, 160, (objects, 2))
    classes = random.integers(0, CLASSES, objects)
    output[:2, rows] = (center[of] + random.normal(0, 0.08, (candidates, 2)) * size[of]).T
    output[2:4, rows] = (size[of] * random.uniform(0.85, 1.15, (candidates, 2))).T
    output[4 + classes[of], rows] = random.uniform(SCORE + 0.01, 0.95, candidates)
    return output


def _with(way: Callable[[np.ndarray], Detections], outputs: list[np.ndarray]) -> Callable[[int], None]:
    def call(index: int) -> None:
        way(outputs[index % len(outputs)])

    return call


def _decode(output: np.ndarray) -> Detections:
    return DECODERS['yolov8'].decode(
        {'predictions': output}, input_wh=INPUT_WH, class_count=CLASSES, score_threshold=SCORE
    )


def _ours(output: np.ndarray) -> Detections:
    return nms(_decode(output), iou_threshold=IOU, top_k=TOP_K, max_detections=KEEP)


def _opencv(output: np.ndarray) -> Detections:
    found = _decode(output)
    keep = cv2.dnn.NMSBoxesBatched(
        _xywh(found).tolist(), found.scores.tolist(), found.class_ids.tolist(), SCORE, IOU, top_k=TOP_K
    )
    return found.select(np.asarray(keep, np.intp)[:KEEP])


def _opencv_arrays(output: np.ndarray) -> Detections:
    found = _decode(output)
    boxes: Any = _xywh(found).astype(np.float64)  # OpenCV's type hints know lists only
    scores: Any = found.scores
    classes: Any = found.class_ids
    keep = cv2.dnn.NMSBoxesBatched(boxes, scores, classes, SCORE, IOU, top_k=TOP_K)
    return found.select(np.asarray(keep, np.intp)[:KEEP])


def _xywh(found: Detections) -> np.ndarray:
    boxes = found.boxes.copy()
    boxes[:, 2:] -= boxes[:, :2]
    return boxes


def _same(ours: Detections, other: Detections) -> bool:
    """The same boxes, in whatever order."""

    def rows(found: Detections) -> np.ndarray:
        table = np.column_stack((found.class_ids, found.scores, found.boxes))
        return table[np.lexsort(table.T)]

    return len(ours) == len(other) and bool((rows(ours) == rows(other)).all())


def _plot(result: Result, options: Options, bars: dict[int, dict[str, float]]) -> None:
    figure, axes = plt.subplots(figsize=(10, 3.8))
    height = 0.36
    names = [OURS, OPENCV, ARRAYS, DECODE]
    for index, (count, values) in enumerate(bars.items()):
        drawn = axes.barh(
            np.arange(len(names)) + (index - 0.5) * height,
            [values[name] for name in names],
            height,
            color=COLORS[index],
            label=f'{count} candidates',
        )
        axes.bar_label(drawn, fmt=' %.2f')
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel('p50 [ms]')
    axes.set_title('Decode and NMS of an 84x8400 output')
    axes.legend()
    axes.grid(axis='x', alpha=0.3)
    save_plot(figure, options, 'decode_nms', result)
