# SPDX-License-Identifier: Apache-2.0
"""From a model's outputs to detections in source pixels, as its card and the user's settings say."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.nms import nms
from isaac_inference.ops.boxes.plausibility import Implausible, implausible, implausibly_alike
from isaac_inference.ops.decoders import DECODERS
from isaac_inference.ops.decoders.base import one_image
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.stages.detection.masks import MaskReader


@dataclass(frozen=True, eq=False)
class DetectionSettings:
    """What is kept of a model's candidates; made by `detection_settings`.

    `score_thresholds` is () float32 where all classes have the same threshold, else (C,) with one a class, above 1 for
    classes that are filtered out.
    """

    score_thresholds: np.ndarray | np.float32
    iou_threshold: float
    class_aware: bool
    top_k: int
    max_detections: int


def detection_settings(
    card: ModelCard,
    *,
    score_threshold: float = 0.25,
    class_thresholds: Sequence[str] = (),
    classes: Sequence[str] = (),
    iou_threshold: float = 0.45,
    class_aware: bool = True,
    top_k: int = 1000,
    max_detections: int = 100,
) -> DetectionSettings:
    """Settings for one model, class names resolved.

    Args:
        score_threshold: [0, 1], minimum score of a detection.
        class_thresholds: exceptions to it, each 'class name: score'.
        classes: the class names to keep; empty keeps all.
        iou_threshold: [0, 1], NMS drops a box that overlaps a better one by more.
        class_aware: NMS compares boxes of one class only.
        top_k: candidates that enter NMS, best first.
        max_detections: most detections kept.

    Raises:
        ConfigError: a class that the model doesn't know, or a malformed exception.
    """
    thresholds: Any = np.full(card.class_count, score_threshold, np.float32)
    for entry in class_thresholds:
        name, score = _parse_threshold(entry)
        thresholds[_class_index(card, name, 'class_thresholds')] = score
    if classes:
        keep = [_class_index(card, name, 'classes') for name in classes]
        filtered = np.full_like(thresholds, 2.0)
        filtered[keep] = thresholds[keep]
        thresholds = filtered
    if not class_thresholds and not classes:
        thresholds = np.float32(score_threshold)  # decoders are quicker without a threshold a class
    return DetectionSettings(thresholds, iou_threshold, class_aware, top_k, max_detections)


def check_plausible(card: ModelCard, wrong: Implausible | None) -> None:
    """Refuses a frame whose boxes cannot be right, so that none of them is published.

    Raises:
        FrameError: under the reason of `wrong`, unless that is None.
    """
    if wrong is not None:
        raise FrameError(wrong.reason, f'model {card.name}, decoder {card.detection.decoder}: {wrong.sentence}')


class Postprocessor:
    """Decode, NMS and the way back to source pixels for one model.

    Raises:
        ConfigError: the card's masks cannot be read with its decoder.
    """

    def __init__(self, card: ModelCard, settings: DetectionSettings | None = None) -> None:
        self._card = card
        self._decoder = DECODERS[card.detection.decoder]
        self._arguments = card.detection.decode_arguments
        self._needs_nms = bool(card.detection.options.get('nms', self._decoder.needs_nms))
        self._masks = None if card.masks is None else MaskReader(card)
        self.settings = detection_settings(card) if settings is None else settings

    def __call__(
        self, outputs: Mapping[str, np.ndarray], letterbox: Letterbox, index: int = 0, *, masks: bool = True
    ) -> Detections:
        """One image's detections, best first, boxes (N, 4) xyxy in source pixels, clipped to the image.

        For a card with keypoints also those, (N, K, 3) float32, in source pixels and not clipped: a corner of an
        object may lie outside of the image. A card without keypoints gives None for them. Rotated boxes have angles and
        are not clipped either.
        For a card with masks also those, in source pixels.

        Args:
            outputs: the model's outputs by name, with batch axis; an output that has none is the only image's.
            letterbox: how the image was fitted into the input.
            index: which image of the batch.
            masks: False leaves the masks out, whoever has no use for them.

        Raises:
            FrameError: an output is missing, has the wrong shape, isn't finite, or gives boxes that no model would
                give, under the reasons of `ops.boxes.plausibility`.
        """
        settings = self.settings
        mask_role = '' if self._masks is None else self._masks.role
        by_role = {
            role: self._output(outputs, role, name, index)
            for role, name in self._card.spec.roles.items()
            if role != mask_role
        }
        found = self._decoder.decode(
            by_role,
            input_wh=letterbox.input_wh,
            class_count=self._card.class_count,
            score_threshold=settings.score_thresholds,
            **self._arguments,
        )
        check_plausible(self._card, implausible(found, letterbox.input_wh, found.best_score))
        if self._needs_nms:
            found = nms(
                found,
                iou_threshold=settings.iou_threshold,
                class_aware=settings.class_aware,
                top_k=settings.top_k,
                max_detections=settings.max_detections,
            )
        else:
            found = found.select(np.argsort(-found.scores, kind='stable')[: settings.max_detections])
        check_plausible(self._card, implausibly_alike(found, letterbox.input_wh))
        boxes, angles = found.boxes, found.angles
        if angles is None:
            boxes = letterbox.boxes_to_source(boxes)
        else:
            boxes, angles = letterbox.rotated_to_source(boxes, angles)
        return Detections(
            boxes,
            found.scores,
            found.class_ids,
            None if found.keypoints is None else _keypoints_to_source(found.keypoints, letterbox),
            angles,
            masks=None
            if self._masks is None or not masks
            else self._masks(outputs, found, _row_count(by_role), letterbox, index),
            best_score=found.best_score,
        )

    def _output(self, outputs: Mapping[str, np.ndarray], role: str, name: str, index: int) -> np.ndarray:
        if name not in outputs:
            raise FrameError(
                'missing_tensor',
                f'tensor {name} (the {role}): not among the arrived tensors '
                f'{sorted(outputs)}; give all nodes the same model',
            )
        try:
            return one_image(outputs[name], self._decoder.ranks_of(role), index)
        except FrameError as error:
            raise FrameError('bad_tensor', f'tensor {name} (the {role}): {error}') from None


def _row_count(by_role: Mapping[str, np.ndarray]) -> int:
    """Boxes that the model gave, of the decoders that say which row each was."""
    return len(by_role['boxes' if 'boxes' in by_role else 'predictions'])


def _keypoints_to_source(keypoints: np.ndarray, letterbox: Letterbox) -> np.ndarray:
    source = np.empty_like(keypoints)
    source[..., :2] = letterbox.points_to_source(keypoints[..., :2])
    source[..., 2] = keypoints[..., 2]
    return source


def _parse_threshold(entry: str) -> tuple[str, float]:
    name, _, score = entry.rpartition(':')
    try:
        value = float(score)
    except ValueError:
        value = -1.0
    if not name.strip() or not 0.0 <= value <= 1.0:
        raise ConfigError(
            f'parameter class_thresholds: got {entry!r}, expected "class name: score" with a score in '
            '[0, 1], such as "person: 0.5"'
        )
    return name.strip(), value


def _class_index(card: ModelCard, name: str, parameter: str) -> int:
    if name in card.labels:
        return card.labels.index(name)
    close = difflib.get_close_matches(name, card.labels, n=1)
    hint = f'did you mean {close[0]!r}?' if close else f'its classes are: {", ".join(card.labels)}'
    raise ConfigError(f'parameter {parameter}: model {card.name} has no class {name!r}, {hint}')
