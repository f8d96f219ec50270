# SPDX-License-Identifier: Apache-2.0
"""Two runs of a model on pictures of ours, and what stands out in what it finds: a card that reads it wrongly gives
numbers, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from isaac_inference.engines import Engine, non_finite
from isaac_inference.errors import FrameError, PerceptionError
from isaac_inference.evaluation.picture_feeds import PictureFeeds, picture_feeds
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.tasks import DetectionSpec
from isaac_inference.models.recognition.probe import probe_picture
from isaac_inference.models.recognition.read_outputs import decode_all
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.plausibility import implausible
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.stages import Postprocessor, detection_settings

LOW_SCORE = 0.02
"""Best score below which the model knows nothing in a picture full of things, or is shown them wrongly."""
MANY_BOXES = 30
"""Boxes that score above `SURE`, beyond which there are more than the picture has things."""
SURE = 0.5
_OF_BEST = 0.1  # share of the best score: boxes below say nothing of how boxes are read
_PREPROCESS = 'preprocess (scale, mean, std, color) in the model card'


@dataclass(frozen=True)
class Finding:
    """One thing that stands out.

    Attributes:
        name: for programs: 'non_finite', 'constant_outputs', 'low_scores', 'many_boxes', 'not_run', or the reason under
            which a frame is dropped, such as 'scores_above_one' or 'boxes_outside'.
        sentence: what was found, what was expected, and which line of the model card to look at.
        is_hint: it may well be right, depending on what the model knows.
    """

    name: str
    sentence: str
    is_hint: bool = False


_CONSTANT = Finding(
    'constant_outputs',
    'exactly the same outputs for two different pictures, so that the model does not seem to look at its input; check '
    f'how it was exported, image_input and {_PREPROCESS}',
)


@dataclass(frozen=True)
class ProbeReport:
    """What two runs of a model said.

    Attributes:
        findings: what stands out, worst first; empty where nothing does.
        boxes: detections on the picture at the default score threshold; None where they could not be read.
        best_score: the highest score before any threshold; None where it is not known.
        score_threshold: the default score threshold; None for a model without boxes.
    """

    findings: tuple[Finding, ...]
    boxes: int | None
    best_score: float | None
    score_threshold: float | None

    def summary(self) -> str:
        """What was found on the picture, in a few words: '6 boxes at score_threshold 0.25, best raw score 0.87'."""
        if self.score_threshold is None:
            return 'outputs are finite and depend on the picture' if not self.findings else self.findings[0].name
        best = 'unknown' if self.best_score is None else f'{self.best_score:.4g}'
        if self.boxes is None:
            return f'boxes could not be read, best raw score {best}'
        return f'{self.boxes} boxes at score_threshold {self.score_threshold:g}, best raw score {best}'


@dataclass(frozen=True, eq=False)
class _Run:
    """One picture's outputs, with the letterbox that leads back to it."""

    outputs: Mapping[str, np.ndarray]
    letterbox: Letterbox


def probe(card: ModelCard, engine: Engine) -> ProbeReport:
    """Runs a model on the picture of a street, and on that picture mirrored and darkened, and says what stands out.

    Costs two runs of the model and decoding one of them.

    Args:
        card: the model.
        engine: runs it; open. Its outputs are copied to the host, wherever they are.

    Returns:
        The report. Nothing is raised for a model that does not run: that is a finding, too.
    """
    has_boxes = isinstance(card.spec, DetectionSpec)
    settings = detection_settings(card)
    threshold = float(np.min(settings.score_thresholds)) if has_boxes else None
    try:
        prepare = picture_feeds(card)
        first = _run(engine, prepare, probe_picture())
        second = _run(engine, prepare, np.ascontiguousarray(probe_picture()[:, ::-1] // 2))
    except PerceptionError as error:
        return ProbeReport((Finding('not_run', f'the model does not run: {error}'),), None, None, threshold)
    found: dict[str, Finding] = {}
    if bad := non_finite(first.outputs) or non_finite(second.outputs):
        sentence = f'NaN or infinity in {", ".join(bad)}, expected numbers; check precision and {_PREPROCESS}'
        _add(found, Finding('non_finite', sentence))
    if not has_boxes:  # what the outputs of other tasks mean shows in their pictures
        if _are_equal(first.outputs, second.outputs):
            _add(found, _CONSTANT)
        return ProbeReport(tuple(found.values()), None, None, None)
    best = _read(found, lambda: decode_all(card, first.outputs))
    score = None if best is None else _best_score(best)
    if best is not None:
        _judge(found, card, best, score)
    kept = _read(found, lambda: Postprocessor(card, settings)(first.outputs, first.letterbox))
    if score is not None and score > 0 and _are_equal(first.outputs, second.outputs):
        _add(found, _CONSTANT)
    if kept is not None:
        _count(found, kept)
    ranked = sorted(found.values(), key=lambda finding: finding.is_hint)
    return ProbeReport(tuple(ranked), None if kept is None else len(kept), score, threshold)


def _run(
    engine: Engine,
    prepare: PictureFeeds,
    picture: np.ndarray,
) -> _Run:
    feeds, letterbox = prepare(picture)
    return _Run({name: np.array(array) for name, array in engine.infer(feeds).items()}, letterbox)


def _read(found: dict[str, Finding], decode: Callable[[], Detections]) -> Detections | None:
    """What `decode` returns; where it fails, None and a finding."""
    try:
        return decode()
    except FrameError as error:
        _add(found, Finding(error.reason, str(error)))
    except Exception as error:  # a report must not end what it reports on
        _add(found, Finding('internal_error', f'the outputs cannot be decoded: {type(error).__name__}: {error}'))
    return None


def _add(found: dict[str, Finding], finding: Finding) -> None:
    """Keeps the first finding of each name."""
    found.setdefault(finding.name, finding)


def _best_score(found: Detections) -> float | None:
    if not np.isnan(found.best_score):
        return float(found.best_score)
    return float(found.scores.max()) if len(found) else None


def _judge(found: dict[str, Finding], card: ModelCard, best: Detections, score: float | None) -> None:
    """Looks at the boxes with the highest scores, in px of the network's input, however low those are."""
    top = best if score is None or score <= 0 else best.select(best.scores >= _OF_BEST * score)
    wrong = implausible(top, card.image.wh, np.nan if score is None else score)
    if wrong is not None:
        _add(found, Finding(wrong.reason, f'decoder {card.detection.decoder}: {wrong.sentence}'))
    elif score is None or score < LOW_SCORE:
        what = 'nothing is found' if score is None else f'the best score is {score:.2g}'
        sentence = (
            f'{what} in a street with houses, a stop sign, traffic lights, a clock and a ball; right for a model that '
            f'knows nothing of that kind, else check {_PREPROCESS}'
        )
        _add(found, Finding('low_scores', sentence, is_hint=True))


def _count(found: dict[str, Finding], kept: Detections) -> None:
    sure = int(np.count_nonzero(kept.scores > SURE))
    if sure > MANY_BOXES:
        sentence = (
            f'{sure} boxes score above {SURE} in a picture of some ten things; right for a model of parts of houses, '
            'else check decoder and decoder_options (activation, nms) in the model card'
        )
        _add(found, Finding('many_boxes', sentence, is_hint=True))


def _are_equal(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    return all(array.tobytes() == other[name].tobytes() for name, array in one.items())
