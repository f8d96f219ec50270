# SPDX-License-Identifier: Apache-2.0
"""Measures one family: is its file recognised, with what, is it read right, and is what it cannot say said?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime as ort

from benchmark.families.case import FamilyCase, Preprocess, Truth
from isaac_inference.errors import PerceptionError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.card_file import parse_card
from isaac_inference.models.card.conventions import CONVENTIONS
from isaac_inference.models.card.inputs import PreprocessSpec
from isaac_inference.models.card.sourced import CardValues
from isaac_inference.models.onnx.reader import ModelFile, UnclearModelError, read_model_file
from isaac_inference.models.recognition.infer import build_card
from isaac_inference.models.recognition.read_outputs import decode_all

COMPARED = 100  # best boxes of a file
_PX, _SCORE = 0.5, 2e-3
_ROUNDING = 1e-6  # of float32, where untrained weights make huge boxes
_SEED = 7


@dataclass(frozen=True)
class Reading:
    """What became of one file.

    Attributes:
        case: the family.
        needs: 'nothing', 'labels', 'card', or 'refused'.
        boxes: 'equal', or how they differ; '' where the file was refused.
        preparation: 'stated' where the file settles it rightly, 'assumed' where it is assumed rightly and said, 'said'
            where something else is assumed and the right one is named beside it, 'wrong' where neither; 'open' where
            the project leaves it to whoever trains.
        decoder: name, '' where the file was refused.
        convention: what is assumed or known of the image, for people.
        lines: what the card had to say.
        refusal: the error, one line.
        advice: lines of a card that the error gave.
        bad_advice: those of them that do not work.
    """

    case: FamilyCase
    needs: str
    boxes: str = ''
    preparation: str = ''
    decoder: str = ''
    convention: str = ''
    lines: tuple[str, ...] = ()
    refusal: str = ''
    advice: tuple[str, ...] = ()
    bad_advice: tuple[str, ...] = ()

    @property
    def is_right(self) -> bool:
        """Recognised without a card or with labels alone, read right, and nothing wrong kept silent."""
        return self.needs in ('nothing', 'labels') and self.boxes == 'equal' and self.preparation != 'wrong'

    @property
    def is_silently_wrong(self) -> bool:
        """Accepted, but boxes or preparation are wrong without a word."""
        return self.needs != 'refused' and (self.boxes != 'equal' or self.preparation == 'wrong')


def read_family(case: FamilyCase, path: Path) -> Reading:
    """What becomes of a family's file.

    Args:
        case: the family.
        path: its file.
    """
    file = read_model_file(path)
    labels = f'labels: {[f"n{index}" for index in range(case.truth.class_count)]}'
    tries: list[tuple[str, tuple[str, ...]]] = [('nothing', ()), ('labels', (labels,))]
    refusal, advice = '', ()
    for needs, lines in tries:
        try:
            return _judged(case, file, build_card(file, _values(lines)), needs, lines)
        except UnclearModelError as error:
            refusal, advice = str(error), error.lines
        except PerceptionError as error:
            refusal, advice = str(error), ()
    usable = tuple(line for line in advice if '<' not in line and 'first name' not in line)
    bad = tuple(line for line in usable if not _helps(case, file, (line, labels)))
    return Reading(case, 'refused', refusal=_short(refusal, file), advice=usable, bad_advice=bad)


def _helps(case: FamilyCase, file: ModelFile, lines: Sequence[str]) -> bool:
    """True when a card of these lines is accepted, and reads the boxes right."""
    card = _accepted(file, lines)
    return card is not None and _compare_boxes(case, card) == 'equal'


def _short(refusal: str, file: ModelFile) -> str:
    """An error in a few lines: without the list of tensors, which it has once more."""
    text = refusal.replace(f'Found:{file.describe()}', '').replace(f'{file.path}: ', '')
    return re.sub(r'\(([^()]{60})[^()]*\)', r'(\1...)', ' '.join(text.split()))


def _values(lines: Sequence[str]) -> CardValues:
    """A card of these lines."""
    values: dict[str, object] = {}
    for line in lines:
        values |= parse_card(line, 'card', None)
    return values  # type: ignore[return-value]


def _accepted(file: ModelFile, lines: Sequence[str]) -> ModelCard | None:
    """The card with these lines; None where they are refused."""
    try:
        return build_card(file, _values(lines))
    except PerceptionError:
        return None


def _judged(case: FamilyCase, file: ModelFile, card: ModelCard, needs: str, lines: tuple[str, ...]) -> Reading:
    """An accepted file: its boxes and its preparation against the truth. Boxes that are wrong because of a value that
    the card says it assumes, and right with an alternative that it names, need that line.
    """
    boxes = _compare_boxes(case, card)
    if boxes != 'equal':
        for line in (line for item in card.assumptions for line, _ in item.alternatives if '[' not in line):
            other = _accepted(file, (*lines, line))
            if other is not None and _compare_boxes(case, other) == 'equal':
                card, boxes, needs, lines = other, 'equal', 'card', (*lines, line)
                break
    return Reading(
        case,
        needs,
        boxes=boxes,
        preparation=_compare_preparation(case.truth.preprocess, card),
        decoder=card.detection.decoder,
        convention=card.sources['preprocess.scale'],
        lines=lines,
    )


def _compare_boxes(case: FamilyCase, card: ModelCard) -> str:
    """'equal', or how the best boxes of a run differ from the family's own decode."""
    truth = case.truth
    outputs = run_file(card.path, truth)
    if card.image.dynamic_size:
        card = replace(card, inputs=(replace(card.image, wh=truth.input_wh), *card.value_inputs))
    try:
        found = decode_all(card, outputs, kept=None)
    except PerceptionError as error:
        return f'not read: {error}'
    first = truth.first_class if card.class_count == truth.class_count else 0
    true = _distinct(*truth.decode(outputs, truth.input_wh), first)
    ours = _distinct(found.boxes, found.scores, found.class_ids, 0)
    least = true[1].min(initial=1.0) + _SCORE  # the truth may be cut off there
    above = (ours[0][ours[1] > least], ours[1][ours[1] > least], ours[2][ours[1] > least])
    missing, extra = _unmatched(true, ours), _unmatched(above, true)
    if not len(true[1]):
        return 'equal' if not len(ours[1]) else f'{len(ours[1])} boxes where there are none'
    return 'equal' if not missing and not extra else f'{missing} missing, {extra} more of the best {COMPARED}'


Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def _distinct(boxes: np.ndarray, scores: np.ndarray, ids: np.ndarray, first: int) -> Rows:
    """Each box once, with its best class, best first; rows that score nothing are left out."""
    order = np.argsort(-scores, kind='stable')
    boxes, scores, ids = np.asarray(boxes, np.float64)[order], scores[order], ids[order] - first
    keep = scores > 1e-6
    boxes, scores, ids = boxes[keep], scores[keep], ids[keep]
    _, index = np.unique(np.round(boxes, 2), axis=0, return_index=True)
    index.sort()
    return boxes[index], scores[index], ids[index]


def _unmatched(rows: Rows, among: Rows) -> int:
    """How many of the best rows have no partner with the same box, score and class."""
    boxes, scores, ids = among
    count = 0
    for box, score, index in zip(*(part[:COMPARED] for part in rows), strict=True):
        near = np.abs(scores - score) <= _SCORE
        at = np.abs(boxes - box).max(axis=1, initial=0) <= _PX + _ROUNDING * np.abs(box).max()
        same = near & (ids == index) & at
        ties = near & at  # two classes of one score
        count += not (same.any() or ties.any() and (np.abs(scores[ties] - score) < 1e-6).any())
    return count


def _compare_preparation(truth: Preprocess, card: ModelCard) -> str:
    """How the card's preparation of images compares with the project's own; see `Reading`."""
    spec = card.image.preprocess
    if not truth.certain:
        return 'open'
    assumed = [item for item in card.assumptions if item.field == 'preprocess']
    in_graph = card.sources['preprocess.scale'].startswith(('the graph', 'element type'))
    if _same(truth, spec, in_graph):
        return 'assumed' if assumed else 'stated'
    named = [line.partition('convention: ')[2].rstrip('}') for item in assumed for line, _ in item.alternatives]
    return 'said' if any(_same(truth, CONVENTIONS[name].preprocess, in_graph) for name in named) else 'wrong'


def _same(truth: Preprocess, spec: PreprocessSpec, in_graph: bool) -> bool:
    """True when both make the same tensor; scale, mean and std do not count where the graph makes them."""
    if truth.color != spec.color.value:
        return False
    if not in_graph:
        gain = np.allclose(spec.scale / np.asarray(spec.std), truth.scale / np.asarray(truth.std), rtol=0.02)
        shift = np.asarray(spec.mean) / np.asarray(spec.std), np.asarray(truth.mean) / np.asarray(truth.std)
        if not gain or not np.allclose(*shift, atol=0.05):
            return False
    if truth.fit == 'any':
        return True
    return truth.fit == spec.fit.value and (truth.fit != 'letterbox' or truth.anchor == spec.anchor.value)


def run_file(path: Path, truth: Truth) -> Mapping[str, np.ndarray]:
    """The outputs of a file by name for a picture of coloured blocks, the same each time."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    feeds = dict(truth.feeds(truth.input_wh) if truth.feeds else {})
    for item in session.get_inputs():
        if item.name not in feeds:
            feeds[item.name] = _picture(truth, {'tensor(float16)': 'float16', 'tensor(uint8)': 'uint8'}.get(item.type))
    return dict(zip([item.name for item in session.get_outputs()], session.run(None, feeds), strict=True))


def _picture(truth: Truth, dtype: str | None) -> np.ndarray:
    """Blocks of 32 px in random colours as the input tensor."""
    width, height = truth.input_wh
    blocks = np.random.default_rng(_SEED).integers(0, 256, (height // 32 + 1, width // 32 + 1, 3))
    pixels = blocks.repeat(32, 0).repeat(32, 1)[:height, :width][None].repeat(truth.batch, 0)
    given = truth.preprocess
    tensor = pixels if dtype == 'uint8' else (pixels * given.scale - np.asarray(given.mean)) / np.asarray(given.std)
    if truth.layout != 'NHWC':
        tensor = tensor.transpose(0, 3, 1, 2)
    if truth.layout == 'CHW':
        tensor = tensor[0]
    return np.ascontiguousarray(tensor, dtype=dtype or 'float32')
