# SPDX-License-Identifier: Apache-2.0
"""How an image becomes the input tensor: from the card, the metadata, the graph itself, and the family's convention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from isaac_inference.errors import ModelError
from isaac_inference.models.card.assumption import Assumption
from isaac_inference.models.card.conventions import CONVENTIONS, Convention, convention_of, preprocess_text
from isaac_inference.models.card.families import FAMILIES
from isaac_inference.models.card.inputs import PreprocessSpec
from isaac_inference.models.card.sourced import CardValues, Sourced, values_of
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.onnx.exporter import ExporterFacts
from isaac_inference.models.onnx.graph_head import ImageEntry
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.decoder_choice import DecoderFinding
from isaac_inference.ops.image.options import WHOLE_TYPES, ColorOrder, Fit

_NONE: Mapping[str, Any] = {'mean': (0.0, 0.0, 0.0), 'std': (1.0, 1.0, 1.0)}
_WITHOUT_EFFECT = {Fit.STRETCH: ('anchor', 'rounding', 'pad_value'), Fit.CROP: ('pad_value',)}
_RAW: Mapping[str, Any] = {'scale': 1.0, **_NONE}


@dataclass(frozen=True)
class PreprocessFinding:
    """How an image becomes the input tensor, each value with where it came from.

    Attributes:
        values: field of `PreprocessSpec` -> value.
        convention: the convention that they follow where nothing else is said.
        source: where that came from.
        assumptions: empty where the file or a card settles them.
    """

    values: Mapping[str, Sourced[Any]]
    convention: Convention
    source: str
    assumptions: tuple[Assumption, ...] = ()


def resolve_preprocess(
    file: ModelFile,
    image: TensorSpec,
    values: CardValues,
    exporter: ExporterFacts,
    finding: DecoderFinding,
    activation: str | None,
) -> PreprocessFinding:
    """How an image becomes the input tensor.

    Args:
        file: the model.
        image: its input.
        values: what the cards say.
        exporter: what the exporter says.
        finding: the decoder, and the family of the network where the outputs show it.
        activation: the decoder's option of that name, None where it has none.

    Raises:
        ModelError: a scale, mean or std for an input that takes whole numbers, or a value that has no effect with the
            fit.
    """
    family = FAMILIES[finding.decoder.value]
    common = family.conventions if finding.alternatives is None else finding.alternatives
    return choose_convention(file, image, values, _convention(values, exporter, finding, activation), common)


def known_convention(values: CardValues, exporter: ExporterFacts) -> tuple[Convention, str, bool] | None:
    """The convention that a card or the metadata names, where that came from, and True; None where neither does."""
    given = values.get('preprocess.convention')
    if given is not None:
        return CONVENTIONS[given.value], given.source, True
    if exporter.is_ultralytics:
        name = 'rt_detr' if 'detr' in exporter.description else 'ultralytics'
        return CONVENTIONS[name], 'metadata of the exporter', True
    named = convention_of(exporter.family)
    return (CONVENTIONS[named], f'metadata: {exporter.family}', True) if named else None


def likeliest_convention(
    values: CardValues, exporter: ExporterFacts, common: Sequence[str], networks: str
) -> tuple[Convention, str, bool]:
    """The convention that is known, else the first of the common ones; for `choose_convention`.

    Args:
        values, exporter: what may name it.
        common: those that such networks follow, the likeliest first.
        networks: what they are called.
    """
    assumed = f'the most common for {networks}; the file does not state it'
    return known_convention(values, exporter) or (CONVENTIONS[common[0]], assumed, False)


def choose_convention(
    file: ModelFile,
    image: TensorSpec,
    values: CardValues,
    likeliest: tuple[Convention, str, bool],
    common: Sequence[str],
) -> PreprocessFinding:
    """How an image becomes the input tensor, by a convention that is known or the likeliest of several.

    Args:
        file: the model.
        image: its input.
        values: what the cards say.
        likeliest: the convention, where it came from, and whether that leaves no doubt.
        common: the conventions that exports of the layout follow, the likeliest first.

    Raises:
        ModelError: as of `resolve_preprocess`.
    """
    convention, source, is_certain = likeliest
    in_graph = _in_graph(file, image)
    overrides = {
        name: values[f'preprocess.{name}']
        for name in (item.name for item in fields(PreprocessSpec))
        if f'preprocess.{name}' in values
    }
    if image.dtype in WHOLE_TYPES:
        _check_bytes(image, overrides)
    if is_certain:
        found = _applied(convention, in_graph, overrides)
        _check_used(found, overrides)
        return PreprocessFinding(found, convention, source)
    names = _likeliest_first(file, [convention.name, *common])
    if not in_graph:
        names = _agreeing(names, file.entry(image.name).takes_bytes)
    if names[0] != convention.name:
        convention = CONVENTIONS[names[0]]
        source = 'by the first convolution and the exporter; the file does not state it'
    found = _applied(convention, in_graph, overrides)
    _check_used(found, overrides)
    others = []
    for name in names[1:]:
        other = CONVENTIONS[name]
        applied = values_of(_applied(other, in_graph, overrides))
        if applied != values_of(found):
            text = preprocess_text(PreprocessSpec(**applied))
            others.append((f'preprocess: {{convention: {name}}}', f'{other.title}: {text}'))
    if not others:
        return PreprocessFinding(found, convention, source)
    text = preprocess_text(PreprocessSpec(**values_of(found)))  # with what the graph does itself
    assumption = Assumption('preprocess', f'{convention.name}: {text}', source, tuple(others))
    return PreprocessFinding(found, convention, source, (assumption,))


def _likeliest_first(file: ModelFile, names: Sequence[str]) -> list[str]:
    """The conventions, each once; TensorFlow's own before others for a file that was converted from it."""
    distinct = list(dict.fromkeys(names))
    if 'tf2onnx' in file.producer.lower() and 'tensorflow' in distinct:
        distinct.sort(key=lambda name: name != 'tensorflow')
    return distinct


def _agreeing(names: list[str], takes_bytes: bool | None) -> list[str]:
    """Those that agree with the size of the first convolution's weights; all where it says nothing, or none agrees."""
    if takes_bytes is None:
        return names
    return [name for name in names if CONVENTIONS[name].keeps_bytes is takes_bytes] or names


def _convention(
    values: CardValues, exporter: ExporterFacts, finding: DecoderFinding, activation: str | None
) -> tuple[Convention, str, bool]:
    """The convention, where it came from, and whether that leaves no doubt."""
    known = known_convention(values, exporter)
    if known is not None:
        return known
    family = FAMILIES[finding.decoder.value]
    if activation == 'softmax' and 'detr' in family.conventions:
        return CONVENTIONS['detr'], 'as networks with softmax have', False
    if finding.convention:
        hint = 'by the outputs and the names in the graph; the file does not state it'
        return CONVENTIONS[finding.convention], hint, False
    return likeliest_convention(values, exporter, family.conventions, family.title)


def _in_graph(file: ModelFile, image: TensorSpec) -> Mapping[str, Sourced[Any]]:
    """What follows from the graph's own normalisation, or from an input that takes whole numbers."""
    if image.dtype in WHOLE_TYPES:
        return {name: Sourced(value, f'element type of {image.name}') for name, value in _RAW.items()}
    entry = file.entry(image.name)
    if entry.unit is None:
        return {}
    source = f'the graph normalises by itself: {entry.describe()}'
    found = {name: Sourced(value, source) for name, value in {**_NONE, 'scale': entry.unit}.items()}
    return {**found, **_swapped(entry, source)}


def _swapped(entry: ImageEntry, source: str) -> Mapping[str, Sourced[Any]]:
    """The order of channels of a graph that reverses them: it is given the other one than its network takes."""
    return {'color': Sourced(ColorOrder.BGR, f'{source}, and swaps the channels')} if entry.swaps_channels else {}


def _applied(
    convention: Convention, in_graph: Mapping[str, Sourced[Any]], overrides: Mapping[str, Sourced[Any]]
) -> dict[str, Sourced[Any]]:
    """The convention's values, under what the graph does itself, under what cards say."""
    spec, source = convention.preprocess, f'convention {convention.name}'
    found = {item.name: Sourced(getattr(spec, item.name), source) for item in fields(PreprocessSpec)}
    return {**found, **in_graph, **overrides}


def _check_used(found: Mapping[str, Sourced[Any]], overrides: Mapping[str, Sourced[Any]]) -> None:
    """Raise ModelError for a value in a card that has no effect with the fit."""
    fit = Fit(found['fit'].value)
    for name in _WITHOUT_EFFECT.get(fit, ()):
        if name in overrides:
            raise ModelError(
                f'{overrides[name].source}: preprocess.{name}: has no effect with fit {fit.value} '
                f'({found["fit"].source}); remove the line, or set `fit: letterbox`'
            )


def _check_bytes(image: TensorSpec, overrides: Mapping[str, Sourced[Any]]) -> None:
    """Raise ModelError for a scale, mean or std of an input that takes whole numbers 0 to 255."""
    for name, raw in _RAW.items():
        given = overrides.get(name)
        if given is not None and given.value != raw:
            raise ModelError(
                f'{given.source}: preprocess.{name}: got {given.value}, but the image input '
                f'{image.describe()} takes whole numbers 0 to 255; remove the line'
            )
