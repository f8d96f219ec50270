# SPDX-License-Identifier: Apache-2.0
"""Runs a model and its reference on the same images and compares what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from isaac_inference.engines import Engine, non_finite
from isaac_inference.errors import ConfigError, EngineError, FrameError
from isaac_inference.evaluation.accuracy.average_precision import mean_average_precision
from isaac_inference.evaluation.accuracy.frame_record import Boxes
from isaac_inference.evaluation.accuracy.yolo_labels import LabelFolder
from isaac_inference.evaluation.agreement.boxes import ImageAgreement
from isaac_inference.evaluation.agreement.interleaved import time_in_turn
from isaac_inference.evaluation.agreement.tensor_error import TensorError, TensorErrorSum
from isaac_inference.evaluation.agreement.validation_result import (
    AveragePrecision,
    ValidationResult,
    ValidationSettings,
)
from isaac_inference.evaluation.environment import environment, model_bytes
from isaac_inference.evaluation.timing_stats import TimingStats, ratio_of_blocks
from isaac_inference.models import ModelCard
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.pictures import DamagedPictureError, SourceFrame
from isaac_inference.stages import DetectionSettings, Postprocessor, Preprocessor, detection_settings

_MAX_DETECTIONS = 1000  # so that boxes in the margin never push out one that counts
_BLOCK = 10  # timings of one engine before switching to the other
_WARM_UP = 3


def check_comparable(candidate: ModelCard, reference: ModelCard) -> None:
    """Raises ConfigError unless both models know the same classes in the same order."""
    if candidate.labels == reference.labels:
        return
    if candidate.class_count != reference.class_count:
        what = f'{candidate.class_count} classes against {reference.class_count}'
    else:
        pairs = enumerate(zip(candidate.labels, reference.labels, strict=True))
        place, (ours, theirs) = next((place, pair) for place, pair in pairs if pair[0] != pair[1])
        what = f'class {place} is {ours!r} against {theirs!r}'
    raise ConfigError(
        f'{candidate.name} and {reference.name} cannot be compared: {what}; give two forms of one model, or cards '
        '(--card, --against-card) with the same labels'
    )


def agreement_of(
    candidate: Engine,
    reference: Engine,
    images: Iterable[SourceFrame | DamagedPictureError],
    settings: ValidationSettings | None = None,
    *,
    labels: LabelFolder | None = None,
    advance: Callable[[], None] = lambda: None,
) -> ValidationResult:
    """Measures how well `candidate` agrees with `reference`.

    Each image goes through each model's own preprocessing and decoding, as its card says and as the nodes do it.

    Args:
        candidate, reference: open engines of models with the same classes.
        images: pictures, such as a `FrameSource`; those that can't be read are listed in the result.
        settings: thresholds, how many images, how many timings; None for the defaults.
        labels: true boxes, for the average precision.
        advance: called after each image.

    Raises:
        ConfigError: the models know different classes, or there is no readable image.
        EngineError: an engine failed, or the reference's outputs are not finite.
    """
    settings = settings or ValidationSettings()
    check_comparable(candidate.card, reference.card)
    sides = _Side(candidate, settings, labels is not None), _Side(reference, settings, labels is not None)
    comparison = _Comparison(*sides, settings, labels)
    unreadable: list[str] = []
    for count, frame in enumerate(images):
        if settings.max_images and count >= settings.max_images:
            break
        if isinstance(frame, DamagedPictureError):
            unreadable.append(str(frame.name))
        else:
            comparison.add(frame)
        advance()
    if not comparison.images:
        raise ConfigError(f'images: none could be read ({len(unreadable)} damaged); expected pictures to compare on')
    blocks = comparison.times()
    times = {name: stats for name, timed in blocks.items() if (stats := TimingStats.of(np.concatenate(timed)))}
    return ValidationResult(
        candidate=candidate.name,
        reference=reference.name,
        settings=settings,
        images=tuple(comparison.images),
        tensors=comparison.tensors(),
        unreadable=tuple(unreadable),
        undecoded=comparison.undecoded,
        precision=comparison.precision(),
        times=times,
        speed=ratio_of_blocks(blocks['reference'], blocks['candidate']) if blocks else None,
        bytes={'candidate': model_bytes(candidate), 'reference': model_bytes(reference)},
        facts=environment(candidate=candidate, reference=reference),
    )


class _Side:
    """One of the two models, from picture to boxes."""

    def __init__(self, engine: Engine, settings: ValidationSettings, with_precision: bool) -> None:
        card = engine.card
        self.engine = engine
        self.feeds: dict[str, np.ndarray] = {}
        self._prepare = Preprocessor(card)
        self._find = Postprocessor(
            card,
            detection_settings(
                card,
                score_threshold=settings.lowest_score,
                iou_threshold=settings.nms_iou,
                max_detections=_MAX_DETECTIONS,
            ),
        )
        self._find_widely = Postprocessor(card, precision_settings(card)) if with_precision else None

    def outputs(self, image: np.ndarray) -> tuple[dict[str, np.ndarray], Letterbox]:
        """The model's outputs, owned by the caller."""
        self.feeds, letterbox = self._prepare(image)
        outputs = self.engine.infer(self.feeds)
        if self.engine.reuses_outputs:
            outputs = {name: array.copy() for name, array in outputs.items()}
        return {name: np.asarray(array) for name, array in outputs.items()}, letterbox

    def boxes(self, outputs: Mapping[str, np.ndarray], letterbox: Letterbox) -> tuple[Detections, Boxes]:
        """(the pipeline's detections, and all boxes that count for the average precision) in the picture's pixels."""
        found = self._find(outputs, letterbox)
        if self._find_widely is None:
            return found, Boxes.empty()
        return found, _named(self._find_widely(outputs, letterbox), self.engine.card)


@dataclass
class _Comparison:
    """Adds up image by image."""

    candidate: _Side
    reference: _Side
    settings: ValidationSettings
    labels: LabelFolder | None
    images: list[ImageAgreement] = field(default_factory=list)
    undecoded: dict[str, str] = field(default_factory=dict)
    _sums: dict[str, TensorErrorSum] = field(default_factory=dict)
    _labelled: list[tuple[Boxes, Boxes, Boxes]] = field(default_factory=list)
    _unlabelled: int = 0

    def add(self, frame: SourceFrame) -> None:
        """One picture through both models."""
        name = str(frame.name)
        wanted, letterbox = self.reference.outputs(frame.image)
        if bad := non_finite(wanted):
            raise EngineError(
                f'{self.reference.engine.name}: output {", ".join(bad)} is not finite for image {name}; a reference '
                'must be, so give another model to compare with'
            )
        outputs, own_letterbox = self.candidate.outputs(frame.image)
        self._add_errors(wanted, outputs)
        true_found, true_all = self.reference.boxes(wanted, letterbox)
        try:
            found, found_all = self.candidate.boxes(outputs, own_letterbox)
        except FrameError as error:
            found, found_all = _nothing(true_found), Boxes.empty()
            self.undecoded[name] = str(error)
        self.images.append(ImageAgreement.of(name, true_found, found, self.settings.score_threshold))
        if self.labels is not None:
            truth = self.labels.boxes(name, frame.image.shape[1], frame.image.shape[0])
            if truth is None:
                self._unlabelled += 1
            else:
                self._labelled.append((truth, true_all, found_all))

    def _add_errors(self, wanted: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> None:
        """Outputs of the same role are compared; with another decoder they mean something else."""
        ours, theirs = self.candidate.engine.card, self.reference.engine.card
        one, other = ours.detection.decoder, theirs.detection.decoder
        note = '' if one == other else f'decoders differ: {one} and {other}'
        for role, name in ours.spec.roles.items():
            total = self._sums.setdefault(name, TensorErrorSum(name))
            total.add(None if note else wanted.get(theirs.spec.roles.get(role, '')), outputs[name], note)

    def tensors(self) -> tuple[TensorError, ...]:
        """Errors of all outputs."""
        return tuple(total.result() for total in self._sums.values())

    def precision(self) -> AveragePrecision | None:
        """AP of both; None without labels."""
        if self.labels is None:
            return None
        theirs = mean_average_precision((truth, found) for truth, found, _ in self._labelled)
        ours = mean_average_precision((truth, found) for truth, _, found in self._labelled)
        return AveragePrecision(
            len(self._labelled), self._unlabelled, theirs.map50_95, ours.map50_95, theirs.map50, ours.map50
        )

    def times(self) -> dict[str, list[np.ndarray]]:
        """Alternating blocks of engine times, on the last picture."""
        if not self.settings.runs:
            return {}
        sides = {'reference': self.reference, 'candidate': self.candidate}
        calls = {name: _call(side) for name, side in sides.items()}
        for call in calls.values():
            for _ in range(_WARM_UP):
                call()
        return time_in_turn(calls, runs=self.settings.runs, block=_BLOCK)


def precision_settings(card: ModelCard) -> DetectionSettings:
    """As COCO's own evaluation is usually fed: nearly everything, and a wider NMS."""
    return detection_settings(card, score_threshold=0.001, iou_threshold=0.65, max_detections=300, top_k=30000)


def _call(side: _Side) -> Callable[[], object]:
    engine, feeds = side.engine, side.feeds
    return lambda: engine.infer(feeds)


def _named(found: Detections, card: ModelCard) -> Boxes:
    names = tuple(card.labels[index] for index in found.class_ids)
    return Boxes(found.boxes.astype(float), names, found.scores.astype(float), ('',) * len(found))


def _nothing(like: Detections) -> Detections:
    """No boxes, with keypoints where `like` has them."""
    return like.select(np.empty(0, int))
