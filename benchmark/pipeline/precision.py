# SPDX-License-Identifier: Apache-2.0
"""What float16, int8 and mixed precision cost in accuracy, against FP32, with ONNX Runtime on the CPU.

The model is converted as `isaac-inference convert` does it by default: float16, int8 with ranges by each calibration
method, and mixed, which keeps layers in float32 until enough boxes match. Ranges and the mixed sweep use the photos of
the folder `calibration` beside the photos that are measured; no photo may be in both. Each file is then compared as
`isaac-inference validate` does it: photo to boxes through the pipeline's own stages, boxes of both models paired one to
one by class and IoU. A box that scores 0.25 counts, and its partner may score down to 0.20, so that rounding at the
threshold loses no box. The average precision takes boxes from a score of 0.001 and an IoU of 0.65 in NMS, and ground
truth from the .txt beside each photo. Times hold calibration, without its cache. An int8 file is no smaller: its
weights stay float32 behind Q/DQ, and become int8 when a backend loads it or builds an engine from it.

How far to trust it: 16 photos are few. One object found or lost moves the average precision, which swings by some
points between sets of this size; the table tells the difference on either half of the photos, every other one, for a
measure of that. And the default method, its percentile and the defaults of mixed were chosen on figures from these
very photos. So the figures show what was chosen and that it works here; they do not confirm it on unseen pictures. That
takes `convert` and `validate` on your own.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from benchmark.support.common import COLORS, ROOT, Figure, Options, Result, SkippedError, Table, plt, save_plot
from isaac_inference.cli.convert.command import MIXED_AGREEMENT
from isaac_inference.engines import create_engine
from isaac_inference.evaluation.accuracy.yolo_labels import LabelFolder
from isaac_inference.evaluation.agreement.boxes import agreement
from isaac_inference.evaluation.agreement.calibration import BoxAgreement
from isaac_inference.evaluation.agreement.compare import agreement_of
from isaac_inference.evaluation.agreement.validation_result import (
    AveragePrecision,
    ValidationResult,
    ValidationSettings,
)
from isaac_inference.models import ModelCard, read_card
from isaac_inference.models.precision import (
    CalibrationOptions,
    SweepOptions,
    calibrate,
    quantize,
    quantize_mixed,
    to_float16,
)
from isaac_inference.models.precision.int8.quantize import DEFAULT_METHOD
from isaac_inference.models.precision.int8.thresholds import METHODS
from isaac_inference.pictures import IMAGE_SUFFIXES, FrameSource, SourceFrame
from isaac_inference.ros.recording.calibration_images import CalibrationImages
from isaac_inference.stages.image.calibration import CalibrationSet

TITLE = 'Accuracy of float16, int8 and mixed precision on the CPU'
HALF, MIXED = 'float16', 'mixed'
MATCH_IOU, IOUS = 0.98, (0.5, 0.9, 0.98)
POINTS_ASKED = 1.0
Converter = Callable[[Path, CalibrationSet], str]  # writes the file; what there is to say of it


@dataclass(frozen=True, eq=False)
class Measured:
    """One converted file against FP32: on all photos, and on every other one from the first and from the second."""

    whole: ValidationResult
    halves: tuple[ValidationResult, ValidationResult]
    seconds: float


def run(options: Options) -> Result:
    """Convert, compare, tell."""
    result = Result('precision', TITLE)
    card = read_card(options.model_path())
    photos = options.image_paths()
    calibration = _calibration(photos)
    folder = ROOT / 'build' / 'benchmark' / 'models'
    folder.mkdir(parents=True, exist_ok=True)
    frames = [frame for frame in FrameSource(options.images) if isinstance(frame, SourceFrame)]
    if len(frames) != len(photos):
        raise SkippedError(f'{len(photos) - len(frames)} of {len(photos)} photos cannot be read')
    labels = LabelFolder(options.images, card.labels)
    found = {}
    for name, convert in track(_converters(card).items(), 'converting and comparing', transient=True):
        path = folder / f'{card.path.stem}.{name.replace(" ", "_")}.onnx'
        begin = time.perf_counter()
        told = convert(path, CalibrationSet(card, CalibrationImages(str(calibration[0].parent))))
        seconds = time.perf_counter() - begin
        if told:
            result.notes.append(told)
        found[name] = _compare(card, path, frames, labels, seconds)
    _tell(result, found, len(photos))
    _judge(result, found, len(photos), len(calibration))
    _plot(result, options, found)
    return result


def _calibration(photos: Sequence[Path]) -> list[Path]:
    """The calibration photos, or SkippedError."""
    unlabelled = [path for path in photos if not path.with_suffix('.txt').is_file()]
    if unlabelled:
        raise SkippedError(f'{len(unlabelled)} of {len(photos)} photos have no ground truth beside them')
    folder = photos[0].resolve().parent.parent / 'calibration'
    names = sorted(folder.iterdir()) if folder.is_dir() else []
    found = [path for path in names if path.suffix.lower() in IMAGE_SUFFIXES]
    if not found:
        raise SkippedError('no calibration photos: they belong in a folder "calibration" beside that of --images')
    shared = {_digest(path) for path in photos} & {_digest(path) for path in found}
    if shared:
        raise SkippedError(f'{len(shared)} of the calibration photos are among those that are measured')
    return found


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _converters(card: ModelCard) -> dict[str, Converter]:
    """What `isaac-inference convert` does for each way, without its cache of ranges."""

    def half(path: Path, feeds: CalibrationSet) -> str:
        to_float16(card.path, path, feeds=feeds)
        return ''

    def int8(method: str) -> Converter:
        def convert(path: Path, feeds: CalibrationSet) -> str:
            quantize(card.path, path, feeds, options=CalibrationOptions(method, cache=None))
            return ''

        return convert

    def mixed(path: Path, feeds: CalibrationSet) -> str:
        boxes = BoxAgreement(card)
        ready = calibrate(card.path, feeds, CalibrationOptions(cache=None))
        sweep = SweepOptions(MIXED_AGREEMENT, boxes.closeness, boxes.agreement)
        swept = quantize_mixed(ready, path, feeds, sweep)
        return (
            f'Mixed keeps {len(swept.kept)} of {len(swept.layers)} layers in float32, the last ones not counted, and '
            'may make depthwise ones int8, which int8 alone never does: '
            f'{swept.agreement:.3f} of the boxes match on the calibration photos (asked: {MIXED_AGREEMENT}); with all '
            f'of them in int8 {swept.all_int8:.3f}.'
        )

    return {HALF: half, **{_int8(method): int8(method) for method in METHODS}, MIXED: mixed}


def _int8(method: str) -> str:
    return f'int8 {method}'


def _compare(
    card: ModelCard, path: Path, frames: Sequence[SourceFrame], labels: LabelFolder, seconds: float
) -> Measured:
    settings = ValidationSettings(iou=MATCH_IOU, runs=0)
    with (
        create_engine(card, 'onnxruntime', providers=('cpu',)) as reference,
        create_engine(read_card(path), 'onnxruntime', providers=('cpu',)) as engine,
    ):
        whole, first, second = (
            agreement_of(engine, reference, part, settings, labels=labels)
            for part in (frames, frames[::2], frames[1::2])
        )
    return Measured(whole, (first, second), seconds)


def _ap(found: ValidationResult) -> AveragePrecision:
    if found.precision is None or found.precision.delta is None:
        raise SkippedError('the ground truth names no object')
    return found.precision


def _delta(found: ValidationResult) -> float:
    """AP50:95 of the candidate minus the reference's, in points."""
    return _ap(found).delta or 0.0


def _delta50(found: ValidationResult) -> float:
    ap = _ap(found)
    return 100.0 * ((ap.candidate50 or 0.0) - (ap.reference50 or 0.0))


def _tell(result: Result, found: dict[str, Measured], photos: int) -> None:
    first = next(iter(found.values())).whole
    reference = _ap(first)
    result.data['FP32'] = {
        'AP50:95': reference.reference,
        'AP50': reference.reference50,
        'bytes': first.bytes['reference'],
        'boxes': sum(image.reference for image in first.images),
    }
    accuracy = Table(
        f'Average precision on {photos} photos against FP32 ({100 * (reference.reference or 0):.2f}, AP50 '
        f'{100 * (reference.reference50 or 0):.2f}), in points',
        ['precision', 'AP50:95', 'AP50', 'AP50:95, either half', 'file size', 'conversion, s'],
    )
    boxes = Table(
        f'Boxes against the {result.data["FP32"]["boxes"]} of FP32: share of both models that have a partner',
        ['precision', 'boxes', *(f'IoU {iou:g}' for iou in IOUS), 'lowest IoU', 'largest score difference'],
    )
    for name, one in found.items():
        whole = one.whole
        halves = [_delta(half) for half in one.halves]
        shares = [agreement(whole.images, iou) for iou in IOUS]
        least, score = _extremes(whole)
        count = sum(image.candidate for image in whole.images)
        accuracy.add(
            name,
            f'{_delta(whole):+.2f}',
            f'{_delta50(whole):+.2f}',
            ', '.join(f'{half:+.2f}' for half in halves),
            f'{100 * (whole.size_ratio or 0):.0f} %',
            one.seconds,
        )
        boxes.add(name, count, *(f'{100 * share:.1f} %' for share in shares), f'{least:.3f}', f'{score:.4f}')
        result.data[name] = {
            'AP50:95 difference, points': _delta(whole),
            'AP50 difference, points': _delta50(whole),
            'AP50:95 difference, halves': halves,
            'boxes': count,
            'matched': {f'{iou:g}': share for iou, share in zip(IOUS, shares, strict=True)},
            'least_iou': least,
            'largest_score_difference': score,
            'finite': whole.finite,
            'size_ratio': whole.size_ratio,
            'seconds': one.seconds,
        }
    result.tables += [accuracy, boxes]


def _extremes(found: ValidationResult) -> tuple[float, float]:
    """Least IoU and largest score difference of all pairs."""
    ious, scores = found.pooled('ious'), found.pooled('score_differences')
    return (float(ious.min()), float(np.abs(scores).max())) if len(ious) else (1.0, 0.0)


def _judge(result: Result, found: dict[str, Measured], photos: int, calibrated_on: int) -> None:
    whole = found[_int8(DEFAULT_METHOD)].whole
    delta, ap = _delta(whole), _ap(whole)
    result.figures.append(
        Figure(
            f'INT8 ({DEFAULT_METHOD}, the default) AP against FP32, {photos} photos, calibrated on {calibrated_on} '
            'other ones',
            f'within {POINTS_ASKED} point',
            f'{delta:+.2f} points: AP50:95 {100 * (ap.candidate or 0):.2f} against {100 * (ap.reference or 0):.2f}',
            whole.finite and abs(delta) <= POINTS_ASKED,
        )
    )
    first, second = (_delta(half) for half in found[_int8(DEFAULT_METHOD)].halves)
    result.notes.append(
        f'{photos} photos are few: the difference of {delta:+.2f} points is {first:+.2f} on one half of them and '
        f'{second:+.2f} on the other. And the defaults were chosen on figures from these photos, so this is no '
        'confirmation on unseen ones.'
    )
    whole = found[HALF].whole
    wanted = sum(image.reference for image in whole.images)
    made = sum(image.candidate for image in whole.images)
    matched = sum(image.matched(MATCH_IOU) for image in whole.images)
    ious = whole.pooled('ious')
    short = int(np.sum(ious < np.float32(MATCH_IOU)))
    least, score = _extremes(whole)
    result.figures.append(
        Figure(
            f'FP16 on ONNX Runtime against FP32, {photos} photos',
            f'every box matched at IoU >= {MATCH_IOU}',
            f'{matched} of {wanted + made} ({wanted} of FP32, {made} of FP16); pairs below: {short}, least '
            f'IoU {least:.4f}, largest score difference {score:.4f}',
            whole.finite and matched == wanted + made,
        )
    )


def _plot(result: Result, options: Options, found: dict[str, Measured]) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
    for row, (one, color) in enumerate(zip(found.values(), COLORS, strict=False)):
        left.barh(row, _delta(one.whole), color=color, height=0.6)
        left.scatter([_delta(half) for half in one.halves], [row, row], color='black', s=18, zorder=3)
    left.scatter([], [], color='black', s=18, label='either half of the photos')
    left.axvspan(-POINTS_ASKED, POINTS_ASKED, color='grey', alpha=0.15, label=f'asked of int8: {POINTS_ASKED} point')
    left.axvline(0, color='black', linewidth=0.8)
    left.set_yticks(range(len(found)), list(found))
    left.invert_yaxis()
    left.set_xlabel('AP50:95 against FP32, points')
    left.set_title('Average precision')
    left.legend(fontsize=8)
    limits = np.linspace(0.5, 1.0, 101)
    for (name, one), color in zip(found.items(), COLORS, strict=False):
        shares = [100 * agreement(one.whole.images, limit) for limit in limits]
        right.plot(limits, shares, color=color, label=name)
    right.axvline(MATCH_IOU, color='grey', linestyle='--')
    right.set_xlabel('IoU that a match needs')
    right.set_ylabel('boxes matched, %')
    right.set_ylim(0, 102)
    right.set_title('Boxes')
    right.legend(fontsize=8, loc='lower left')
    for axes in (left, right):
        axes.grid(alpha=0.3)
    save_plot(figure, options, 'precision', result)
