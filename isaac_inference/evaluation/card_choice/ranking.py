# SPDX-License-Identifier: Apache-2.0
"""Which candidate the pictures speak for, and whether they speak clearly.

Without true boxes a candidate is judged by its CONFIRMED boxes: boxes that the network also finds in the mirrored
picture, at the same place, of the same class. Each counts IoU x the geometric mean of both scores. Taken off are:

- the scores of boxes that are not found in the mirrored picture, times their share, because a network that sees
  garbage, such as a wrong scale that saturates it, finds a hundred sure boxes and by accident some of them again. Times
  their share: a few unconfirmed boxes are normal, and to count them in full only adds noise;
- what the boxes agree with those of the OTHER pictures' mirror images, because a network may find the same boxes
  whatever it is shown.

The highest scores alone are no criterion: those of garbage are the highest.

With true boxes it is F1 (right class, IoU 0.5, default score threshold) in which each found box counts by its score:
finer than counting, so that few pictures tell more.

Two candidates are told apart by the bootstrap over pictures. Of those that are not told apart from the best the one
that is first in order (the one in force, the decoder's family, others) is chosen. That is clear where they differ only
in where the image sits on the input: networks bear that, so it hardly ever shows. Anything else that is not told apart
is not clear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from isaac_inference.evaluation.accuracy.average_precision import DetectionScores, mean_average_precision
from isaac_inference.evaluation.accuracy.frame_record import Boxes
from isaac_inference.evaluation.agreement.boxes import match_boxes
from isaac_inference.evaluation.card_choice.candidates import Candidate
from isaac_inference.evaluation.card_choice.trial import PictureResult
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.nms import box_iou

CONFIDENCE = 0.95  # of the resamplings in which the better one must be better
MIN_PICTURES = 6  # with five, all favour one of two equal candidates once in 16
MIN_SCORE = 0.05  # confirmed boxes per picture, or F1: below this nothing was found
_IOU = 0.5
_DRAWS, _SEED = 2000, 1
_TINY = 1e-9


@dataclass(frozen=True, eq=False)
class Entry:
    """One candidate's figures.

    Attributes:
        candidate: the card.
        results: what it finds in each picture.
        sums: (pictures, 3) float64: [confirmed, confirmed by chance, unconfirmed], or with true boxes
            [2 x right, found + true, 0].
        score: confirmed boxes per picture less what is taken off, which may be negative; or F1 with true boxes.
        order: its place among the candidates before any picture was seen; 0 is the likeliest.
        ahead: share of the resamplings in which the leader is ahead of it; 0 for the leader.
    """

    candidate: Candidate
    results: Sequence[PictureResult]
    sums: np.ndarray
    score: float
    order: int
    ahead: float = 0.0

    @property
    def top_score(self) -> float:
        """Mean over the pictures of the best box's score; 0 where there is none."""
        return float(np.mean([item.found.scores.max(initial=0.0) for item in self.results]))

    @property
    def boxes(self) -> float:
        """Boxes per picture at the default score threshold."""
        return float(np.mean([len(item.found) for item in self.results]))

    @property
    def empty(self) -> float:
        """Share of the pictures without any box."""
        return float(np.mean([not len(item.found) for item in self.results]))

    @cached_property
    def precision(self) -> DetectionScores | None:
        """The average precision; None without true boxes."""
        pairs = [
            (item.truth, item.widely) for item in self.results if item.truth is not None and item.widely is not None
        ]
        return mean_average_precision(pairs) if pairs else None

    def same_inputs(self, other: Entry) -> bool:
        """True when both gave the network the same tensors of all pictures."""
        pairs = zip(self.results, other.results, strict=True)
        return all(one.input_id == two.input_id for one, two in pairs)


@dataclass(frozen=True, eq=False)
class Ranking:
    """The candidates, and which one is chosen.

    Attributes:
        entries: the chosen one first, then by falling score.
        tied: further entries that the pictures do not tell apart from the best, but that only place the image
            otherwise, or give the network the same tensors of these pictures.
        rivals: entries that the pictures do not tell apart from the best although they mean something else.
        has_labels: True when the score is F1 against true boxes.
    """

    entries: tuple[Entry, ...]
    tied: tuple[Entry, ...]
    rivals: tuple[Entry, ...]
    has_labels: bool

    @property
    def chosen(self) -> Entry:
        """The candidate that the pictures speak for."""
        return self.entries[0]

    @property
    def margin(self) -> float:
        """By how much the best of the others that mean something else falls short of the best score, 0 to 1."""
        leader = max(item.score for item in self.entries)
        own = self.chosen.candidate
        others = [item for item in self.entries[1:] if not item.candidate.reads_alike(own)]
        return 1.0 - max([0.0, *(item.score for item in others)]) / leader if leader > 0 else 0.0

    @property
    def doubt(self) -> str:
        """Why the result is not clear, in one sentence; '' where it is."""
        count = len(self.chosen.results)
        if self.chosen.score < MIN_SCORE:
            return f'no candidate finds objects in these {count} pictures that {self._witness}'
        if count < MIN_PICTURES:
            return f'{count} pictures are too few to tell candidates apart; at least {MIN_PICTURES} are needed'
        if self.rivals:
            names = ', '.join(
                f'{item.candidate.name} ({item.score:.3f}, {_common(self.chosen, item):.0%} the same boxes)'
                for item in self.rivals
            )
            return f'{count} pictures do not tell {self.chosen.candidate.name} ({self.chosen.score:.3f}) from {names}'
        return ''

    @property
    def remedy(self) -> str:
        """What would make the result clear; '' where it is."""
        if not self.doubt:
            return ''
        own = self.chosen.candidate.card.image.preprocess.color
        colors = {item.candidate.card.image.preprocess.color for item in self.rivals} - {own}
        what = ' in strong colours' if colors else ''
        more = f'more pictures{what} of what the model was trained to find'
        return more if self.has_labels else f'{more}, or the true boxes of some (--labels)'

    @property
    def _witness(self) -> str:
        return 'the labels confirm' if self.has_labels else 'their mirror images confirm'


def rank(candidates: Sequence[Candidate], trials: Sequence[Sequence[PictureResult]], has_labels: bool) -> Ranking:
    """Judges the candidates.

    Args:
        candidates: by falling likelihood before any picture was seen.
        trials: for each what it finds, at least one picture, the same for all.
        has_labels: True when the pictures' true boxes are known.
    """
    measured = [
        _labelled(item, rows) if has_labels else _confirmed(rows) for item, rows in zip(candidates, trials, strict=True)
    ]
    scores = [float(_scores(sums.mean(axis=0), has_labels)) for sums in measured]
    best = scores.index(max(scores))
    entries = [
        Entry(item, rows, sums, score, place, 0.0 if place == best else _ahead(measured[best], sums, has_labels))
        for place, (item, rows, sums, score) in enumerate(zip(candidates, trials, measured, scores, strict=True))
    ]
    open_ = [item for item in entries if item.ahead < CONFIDENCE]
    chosen = min(open_, key=lambda item: item.order)
    alike = [item for item in open_ if item.candidate.reads_alike(chosen.candidate) or _is_same(item, chosen)]
    others = sorted((item for item in entries if item is not chosen), key=lambda item: (-item.score, item.order))
    return Ranking(
        (chosen, *others),
        tuple(item for item in others if any(item is one for one in alike)),
        tuple(item for item in others if item in open_ and not any(item is one for one in alike)),
        has_labels,
    )


def _common(one: Entry, two: Entry) -> float:
    """Share of the boxes of both that have a partner of the same class at IoU 0.5."""
    pairs = [(a.found, b.found) for a, b in zip(one.results, two.results, strict=True)]
    boxes = sum(len(a) + len(b) for a, b in pairs)
    return sum(2 * len(match_boxes(a, b, _IOU).pairs) for a, b in pairs) / boxes if boxes else 1.0


def _is_same(one: Entry, two: Entry) -> bool:
    return one.candidate.card.spec == two.candidate.card.spec and one.same_inputs(two)


def _scores(means: np.ndarray, has_labels: bool) -> np.ndarray:
    """(...) the scores of sets of pictures whose mean `Entry.sums` are (..., 3)."""
    one, two, three = np.moveaxis(means, -1, 0)
    if has_labels:
        return np.asarray(one / np.maximum(two, _TINY))
    confirmed = one - two
    return np.asarray(confirmed - three * three / np.maximum(np.maximum(confirmed, 0.0) + three, _TINY))


def _ahead(leader: np.ndarray, other: np.ndarray, has_labels: bool) -> float:
    """Share of the resamplings of the pictures in which the leader scores higher; an equal score counts half."""
    count = len(leader)
    draws = np.random.default_rng(_SEED).multinomial(count, np.full(count, 1 / count), _DRAWS) / count
    difference = _scores(draws @ leader, has_labels) - _scores(draws @ other, has_labels)
    return float(np.mean(difference > 0) + np.mean(difference == 0) / 2)


def _labelled(candidate: Candidate, results: Sequence[PictureResult]) -> np.ndarray:
    """[2 x right, found + true, 0] of each picture, found boxes by their scores."""
    names = candidate.card.labels
    rows = []
    for item in results:
        truth = item.truth or Boxes.empty()
        wanted = Detections(
            truth.boxes.astype(np.float32),
            np.ones(len(truth), np.float32),
            np.array([names.index(name) if name in names else -1 for name in truth.classes], np.int32),
        )
        pairs = match_boxes(wanted, item.found, _IOU).pairs
        right = float(item.found.scores[pairs[:, 1]].sum())
        rows.append((2.0 * right, float(item.found.scores.sum()) + len(truth), 0.0))
    return np.array(rows)


def _confirmed(results: Sequence[PictureResult]) -> np.ndarray:
    """[confirmed, confirmed by chance, unconfirmed] of each picture."""
    plain = [_normalized(item.found, item.wh) for item in results]
    mirrored = [_normalized(item.mirrored or Detections.empty(), item.wh) for item in results]
    table = np.array([[_agreed(one, two) for two in mirrored] for one in plain])  # (N, N, 2)
    own, unconfirmed = np.diagonal(table)
    chance = (table[..., 0].sum(axis=1) - own) / max(len(results) - 1, 1)
    return np.stack([own, chance, unconfirmed], axis=1)


def _normalized(found: Detections, wh: tuple[int, int]) -> Detections:
    """Boxes in fractions of the picture, so that pictures of different sizes can be compared."""
    boxes = found.boxes / np.array([*wh, *wh], np.float32)
    return Detections(boxes, found.scores, found.class_ids)


def _agreed(one: Detections, two: Detections) -> tuple[float, float]:
    """(sum over pairs of boxes of one class of IoU x the geometric mean of the scores, best pair first; sum of the
    scores of boxes without a partner, mean of both sides).
    """
    alone = float(one.scores.sum() + two.scores.sum()) / 2
    if not len(one) or not len(two):
        return 0.0, alone
    overlap = box_iou(one.boxes, two.boxes)
    same = one.class_ids[:, None] == two.class_ids[None]
    worth = np.where(same & (overlap >= _IOU), overlap * np.sqrt(np.outer(one.scores, two.scores)), 0.0)
    total = 0.0
    while True:
        row, column = np.unravel_index(int(worth.argmax()), worth.shape)
        if worth[row, column] <= 0.0:
            return total, alone
        total += float(worth[row, column])
        alone -= float(one.scores[row] + two.scores[column]) / 2
        worth[row], worth[:, column] = 0.0, 0.0


def summary(ranking: Ranking) -> dict[str, Any]:
    """The figures for JSON."""
    return {
        'chosen': ranking.chosen.candidate.name,
        'is_clear': not ranking.doubt,
        'doubt': ranking.doubt,
        'remedy': ranking.remedy,
        'criterion': 'f1' if ranking.has_labels else 'confirmed_boxes',
        'pictures': len(ranking.chosen.results),
        'margin': round(ranking.margin, 4),
        'candidates': [_entry_summary(item, ranking) for item in ranking.entries],
    }


def _entry_summary(entry: Entry, ranking: Ranking) -> dict[str, Any]:
    precision = entry.precision
    return {
        'name': entry.candidate.name,
        'prepares': entry.candidate.prepares,
        'card': dict(entry.candidate.yaml_lines()),
        'is_current': entry.candidate.is_current,
        'score': round(entry.score, 4),
        'leader_ahead': round(entry.ahead, 4),
        'not_told_apart': any(entry is item for item in (*ranking.tied, *ranking.rivals)),
        'mean_top_score': round(entry.top_score, 4),
        'boxes_per_picture': round(entry.boxes, 3),
        'empty_pictures': round(entry.empty, 4),
        'ap50': None if precision is None else precision.map50,
        'ap50_95': None if precision is None else precision.map50_95,
    }
