# SPDX-License-Identifier: Apache-2.0
"""The cards that may be right for one model, each made as if its lines stood in a card file."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml

from isaac_inference.errors import ModelError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.card_file import parse_card
from isaac_inference.models.card.conventions import CONVENTIONS, preprocess_text
from isaac_inference.models.card.families import FAMILIES
from isaac_inference.models.card.inputs import PreprocessSpec
from isaac_inference.models.card.sourced import CardValues
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.infer import build_card
from isaac_inference.ops.image.options import Anchor, ColorOrder, Fit, Interpolation, Rounding

PREPROCESS = 'preprocess'
MOST = 40  # candidates of conventions x other assumptions; more are tried one assumption after another
_SAME = 0.02  # of the tensor's range: two preprocessings this close are one
_ORIGIN = 'candidate'
_FITS: tuple[Mapping[str, str], ...] = (
    {'fit': Fit.LETTERBOX, 'anchor': Anchor.CENTER, 'rounding': Rounding.NEAREST},
    {'fit': Fit.LETTERBOX, 'anchor': Anchor.TOP_LEFT, 'rounding': Rounding.FLOOR},
    {'fit': Fit.STRETCH},
)


@dataclass(frozen=True)
class Candidate:
    """A card that may be right.

    Attributes:
        lines: what a card file says to get it, `section -> key -> value` as in YAML; `input_size` is a section that
            has no keys.
        card: the card.
        is_current: True for what is in force now.
    """

    lines: Mapping[str, Any]
    card: ModelCard
    is_current: bool = False

    @property
    def name(self) -> str:
        """Short, for tables: 'rf_detr', 'rf_detr, color bgr', 'detr, activation softmax'."""
        own = self.lines[PREPROCESS]
        parts = [own['convention'], *_named(own, 'color', 'fit', 'anchor')] if 'convention' in own else ['own values']
        return ', '.join([*parts, *_named(self.lines.get('decoder_options', {}))])

    @property
    def prepares(self) -> str:
        """How it prepares images: 'BGR, 0..255, letterbox top_left'."""
        return preprocess_text(self.card.image.preprocess)

    def yaml_lines(self) -> dict[str, str]:
        """Section -> the line of a card file: `preprocess: {convention: rf_detr}`."""
        return {section: f'{section}: {_flow(keys)}' for section, keys in self.lines.items()}

    def reads_alike(self, other: Candidate) -> bool:
        """True when both differ at most in where the image sits on the input: same colours, same decoding."""
        one, two = self.card.image.preprocess, other.card.image.preprocess
        return _same_values(one, two) and self.card.spec == other.card.spec


class CandidateMaker:
    """Makes candidates for one model.

    Args:
        file: what the ONNX file says.
        values: what its cards say, merged. What they say of the preprocessing is one candidate among the others.

    Raises:
        ModelError: the card as it is cannot be made, so that there is nothing to begin with.
    """

    def __init__(self, file: ModelFile, values: CardValues) -> None:
        self._file = file
        self.current = build_card(file, values)
        self._base = {key: item for key, item in values.items() if not key.startswith(f'{PREPROCESS}.')}
        self._size: Mapping[str, Any] = {}
        if any(item.field == 'input_size' for item in self.current.assumptions):
            # a convention may bring a size of its own; what is compared here is the preparation alone
            self._size = {'input_size': list(self.current.image.wh)}
        self.refused: dict[str, str] = {}  # lines -> why no card can be made of them

    def conventions(self) -> list[Candidate]:
        """A candidate for each convention that prepares images differently: the one in force, then those of the
        decoder's family, then the others.
        """
        names = dict.fromkeys((*FAMILIES[self.current.detection.decoder].conventions, *CONVENTIONS))
        found = self._distinct([*filter(None, (self._made({PREPROCESS: {'convention': name}}) for name in names))])
        if not any(item.is_current for item in found):
            found += filter(None, [self._made({PREPROCESS: _explicit(self.current.image.preprocess)})])
        return sorted(found, key=lambda item: not item.is_current)

    def others(self) -> list[Mapping[str, Any]]:
        """The lines for each combination of the card's other assumptions; the first is what is assumed now, {}."""
        choices: list[list[Mapping[str, Any]]] = []
        for assumption in self.current.assumptions:
            if assumption.field != PREPROCESS:
                lines = [read for line, _ in assumption.alternatives if (read := _parsed(line))]
                choices.append([{}, *lines])
        return [_merged(*combination) for combination in itertools.product(*choices)]

    def with_others(self, candidates: Sequence[Candidate], others: Sequence[Mapping[str, Any]]) -> list[Candidate]:
        """Each candidate with each combination of the other assumptions, the candidates themselves first."""
        combined = (self._made(_merged(item.lines, more)) for more in others if more for item in candidates)
        return [*candidates, *filter(None, combined)]

    def variants(self, best: Candidate, known: Iterable[Candidate]) -> list[Candidate]:
        """Those that differ from the best in one property (colour order, or fit) and are not known yet."""
        spec = best.card.image.preprocess
        own = best.lines[PREPROCESS]
        other = ColorOrder.BGR if spec.color is ColorOrder.RGB else ColorOrder.RGB
        changes: list[Mapping[str, Any]] = [{'color': other, **_reversed(spec)}, *_FITS]
        made = [self._made({**best.lines, PREPROCESS: {**own, **change}}) for change in changes]
        mine = [item for item in known if item.card.spec == best.card.spec]
        return self._distinct([*mine, *filter(None, made)])[len(mine) :]

    def _made(self, lines: Mapping[str, Any]) -> Candidate | None:
        """The candidate of these lines; None, and why in `refused`, where they do not fit the model."""
        text = '\n'.join(f'{section}: {_flow(keys)}' for section, keys in {**lines, **self._size}.items())
        try:
            card = build_card(self._file, {**self._base, **parse_card(text, _ORIGIN, self._file.path.parent)})
        except ModelError as error:
            self.refused[text] = str(error)
            return None
        is_current = card.spec == self.current.spec and same_input(card.image.preprocess, self.current.image.preprocess)
        return Candidate({**lines, **self._size}, card, is_current)

    def _distinct(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Without those whose preparation an earlier one has."""
        kept: list[Candidate] = []
        for item in candidates:
            spec = item.card.image.preprocess
            if not any(same_input(spec, other.card.image.preprocess) for other in kept):
                kept.append(item)
        return kept


def same_input(one: PreprocessSpec, two: PreprocessSpec) -> bool:
    """True when both make practically the same tensor of any image: within 2 % of its range, and within 1 px."""
    if one.fit is not two.fit or not _same_values(one, two):
        return False
    return one.fit is Fit.STRETCH or (
        one.anchor is two.anchor and (one.fit is Fit.CROP or one.pad_value == two.pad_value)
    )


def _same_values(one: PreprocessSpec, two: PreprocessSpec) -> bool:
    """True when a pixel becomes practically the same numbers."""
    a, b = _ends(one), _ends(two)
    limit = _SAME * max(float(np.ptp(a)), float(np.ptp(b)))
    return one.color is two.color and bool(np.abs(a - b).max() <= limit)


def _ends(spec: PreprocessSpec) -> np.ndarray:
    """(2, 3) what black and white become."""
    mean, std = np.asarray(spec.mean), np.asarray(spec.std)
    return np.stack([-mean / std, (255.0 * spec.scale - mean) / std])


def _named(keys: Mapping[str, Any], *shown: str) -> list[str]:
    """'key value' of those keys, or of all."""
    return [f'{key} {_flow(value)}' for key, value in keys.items() if not shown or key in shown]


def _reversed(spec: PreprocessSpec) -> Mapping[str, Any]:
    """Mean and std for the other colour order, where the channels differ in them."""
    values = {'mean': spec.mean, 'std': spec.std}
    return {name: list(value[::-1]) for name, value in values.items() if len(set(value)) > 1}


def _explicit(spec: PreprocessSpec) -> Mapping[str, Any]:
    """A preprocessing that has no convention's name, key by key; without what changes nothing."""
    lines: dict[str, Any] = {'color': spec.color, 'scale': spec.scale, 'fit': spec.fit}
    if spec.interpolation is not Interpolation.LINEAR:
        lines['interpolation'] = spec.interpolation
    if any(spec.mean) or spec.std != (1.0, 1.0, 1.0):
        lines.update(mean=list(spec.mean), std=list(spec.std))
    if spec.fit is not Fit.STRETCH:
        lines.update(anchor=spec.anchor, rounding=spec.rounding, pad_value=spec.pad_value)
    return lines


def _parsed(line: str) -> Mapping[str, Any] | None:
    """The keys of a line such as `decoder_options: {activation: softmax}`; None for one that names no value."""
    try:
        parse_card(line, _ORIGIN, None)
        read = yaml.safe_load(line)
    except (ModelError, yaml.YAMLError):
        return None
    return read if all(isinstance(value, dict) for value in read.values()) else None


def _merged(*lines: Mapping[str, Any]) -> dict[str, Any]:
    """Sections put together, key by key."""
    merged: dict[str, Any] = {}
    for sections in lines:
        for section, keys in sections.items():
            merged[section] = {**merged.get(section, {}), **keys} if isinstance(keys, Mapping) else keys
    return merged


def _flow(value: Any) -> str:
    """A value in one line of YAML."""
    if isinstance(value, Mapping):
        return '{' + ', '.join(f'{key}: {_flow(item)}' for key, item in value.items()) + '}'
    if isinstance(value, (list, tuple)):
        return '[' + ', '.join(map(_flow, value)) + ']'
    return _short(value)


def _short(value: Any) -> str:
    """A number or a name as YAML reads it back."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)
