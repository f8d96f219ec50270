# SPDX-License-Identifier: Apache-2.0
"""Runs one network on pictures as each of several cards would: prepared, decoded and mirrored."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.engines import Engine
from isaac_inference.errors import FrameError
from isaac_inference.evaluation.accuracy.frame_record import Boxes
from isaac_inference.evaluation.accuracy.yolo_labels import LabelFolder
from isaac_inference.evaluation.agreement.compare import precision_settings
from isaac_inference.evaluation.card_choice.candidates import Candidate
from isaac_inference.models.card.card import ModelCard
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.rotated import enclosing_boxes
from isaac_inference.pictures import SourceFrame
from isaac_inference.stages import Postprocessor, Preprocessor

Outputs = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class PictureResult:
    """What one candidate finds in one picture.

    Attributes:
        name: the picture's file name or running number.
        wh: its (width, height) in px.
        found: the boxes that the detection node would publish, upright, in the picture's px.
        mirrored: those of the mirrored picture, mirrored back; None where the true boxes are known.
        widely: nearly all boxes, for the average precision; None where the true boxes are not known.
        truth: the true boxes; None where they are not known.
        input_id: the same for two candidates that gave the network the same tensor.
    """

    name: str
    wh: tuple[int, int]
    found: Detections
    mirrored: Detections | None
    widely: Boxes | None
    truth: Boxes | None
    input_id: bytes


def run_trials(
    engine: Engine,
    candidates: Sequence[Candidate],
    pictures: Iterable[SourceFrame],
    labels: LabelFolder | None = None,
    advance: Callable[[], None] = lambda: None,
) -> list[list[PictureResult]]:
    """What each candidate finds in each picture.

    The network is the same for all; it runs once on each distinct tensor.

    Args:
        engine: open, of any candidate's card.
        candidates: the cards.
        pictures: to try them on.
        labels: true boxes; pictures that have none are then left out.
        advance: called after each picture.

    Returns:
        For each candidate a result for each picture.

    Raises:
        ConfigError: a malformed label file.
        EngineError: the engine failed.
    """
    sides = [_Side(item.card, labels is not None) for item in candidates]
    results: list[list[PictureResult]] = [[] for _ in candidates]
    for frame in pictures:
        size = (frame.image.shape[1], frame.image.shape[0])
        truth = None if labels is None else labels.boxes(str(frame.name), *size)
        if labels is None or truth is not None:
            network = _Network(engine)
            mirrored = None if truth is not None else np.ascontiguousarray(frame.image[:, ::-1])
            for side, rows in zip(sides, results, strict=True):
                rows.append(side.result(network, frame, mirrored, truth))
        advance()
    return results


class _Network:
    """Outputs of one engine; the same tensors run once. For one picture, so that it holds few outputs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[bytes, Outputs] = {}

    def __call__(self, feeds: Mapping[str, np.ndarray]) -> tuple[bytes, Outputs]:
        digest = hashlib.blake2b(digest_size=16)
        for array in feeds.values():
            digest.update(np.ascontiguousarray(array).data)
        key = digest.digest()
        if key not in self._known:
            outputs = self._engine.infer(feeds)
            self._known[key] = {name: np.array(value) for name, value in outputs.items()}
        return key, self._known[key]


class _Side:
    """One candidate, from picture to boxes."""

    def __init__(self, card: ModelCard, has_labels: bool) -> None:
        self._card = card
        self._prepare = Preprocessor(card)
        self._find = Postprocessor(card)
        self._find_widely = Postprocessor(card, precision_settings(card)) if has_labels else None

    def result(
        self, network: _Network, frame: SourceFrame, mirrored: np.ndarray | None, truth: Boxes | None
    ) -> PictureResult:
        """What it finds in one picture, and in the mirrored one where that is given."""
        size = (frame.image.shape[1], frame.image.shape[0])
        found, widely, key = self._boxes(network, frame.image)
        back = None if mirrored is None else _mirrored(self._boxes(network, mirrored)[0], size[0])
        return PictureResult(str(frame.name), size, found, back, widely, truth, key)

    def _boxes(self, network: _Network, image: np.ndarray) -> tuple[Detections, Boxes | None, bytes]:
        """Upright boxes in the picture's px; none where the outputs cannot be decoded, such as NaN."""
        feeds, letterbox = self._prepare(image)
        key, outputs = network(feeds)
        try:
            found = _upright(self._find(outputs, letterbox))
            if self._find_widely is None:
                return found, None, key
            return found, self._named(_upright(self._find_widely(outputs, letterbox))), key
        except FrameError:
            return Detections.empty(), None if self._find_widely is None else Boxes.empty(), key

    def _named(self, found: Detections) -> Boxes:
        names = tuple(self._card.labels[index] for index in found.class_ids)
        return Boxes(found.boxes.astype(float), names, found.scores.astype(float), ('',) * len(found))


def _upright(found: Detections) -> Detections:
    """The smallest upright boxes around rotated ones; without keypoints."""
    boxes = found.boxes
    if found.angles is not None:
        boxes = enclosing_boxes(boxes, found.angles).astype(np.float32)
    return Detections(boxes, found.scores, found.class_ids, best_score=found.best_score)


def _mirrored(found: Detections, width: int) -> Detections:
    """The boxes in a picture of this width as seen in a mirror."""
    x0, y0, x1, y1 = found.boxes.T
    boxes = np.stack((width - x1, y0, width - x0, y1), axis=1)
    return Detections(boxes.astype(np.float32), found.scores, found.class_ids, best_score=found.best_score)
