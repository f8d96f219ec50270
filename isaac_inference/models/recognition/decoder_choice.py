# SPDX-License-Identifier: Apache-2.0
"""Which decoder reads a detector's outputs, and which output plays which role: from cards, metadata and layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from isaac_inference.errors import ModelError
from isaac_inference.models.card.families import FAMILIES, Family
from isaac_inference.models.card.sourced import CardValues, Sourced
from isaac_inference.models.card.tasks import MASK_ROLES, Task
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.recognition.layouts.candidate import Candidate, Evidence
from isaac_inference.models.recognition.layouts.find import find_layouts
from isaac_inference.models.recognition.layouts.roles import finished_roles, split_pair

_FEWEST_OF_POINTS = 8  # numbers
_POINTS = (('x', 'y'), ('x', 'y', 'confidence'), ('y', 'x', 'confidence'), ('x', 'y', 'other'))
_SHARE_A_NETWORK = ({'yolox', 'yolov5'},)  # the same network, raw or decoded in the graph


@dataclass(frozen=True)
class DecoderFinding:
    """A decoder and the outputs that it reads, each with why it was chosen.

    Attributes:
        decoder: a key of `families.FAMILIES`.
        roles: its role -> the output.
        options: options that follow from the outputs.
        class_count: number of classes where the outputs show it in their own way; else None.
        convention: how the network's family prepares images, '' where that is not known.
        alternatives: other conventions that exports of just this layout follow; None for those of the family.
        looks_like: the decoder that the outputs speak for, where a card names another one.
        unused_ids: columns of class scores that no class has in any model of the family.
        notes: what is worth a line in a log.
    """

    decoder: Sourced[str]
    roles: Mapping[str, Sourced[TensorSpec]]
    options: Mapping[str, Any] = field(default_factory=dict)
    class_count: int | None = None
    convention: str = ''
    alternatives: tuple[str, ...] | None = None
    looks_like: str = ''
    unused_ids: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def find_decoder(evidence: Evidence, values: CardValues) -> DecoderFinding:
    """The decoder and its outputs, as the card says or as the file shows.

    Raises:
        ModelError: a card that contradicts the file, or outputs that fit no decoder, or several.
    """
    given = _given_roles(evidence, values)
    if given:
        evidence = replace(evidence, outputs=tuple(item.value for item in given.values()))
    if 'decoder' in values:
        return _as_card_says(evidence, values['decoder'], given)
    if given:
        return _by_roles(evidence, given)
    found = find_layouts(evidence)
    if len(found) == 1:
        return _finding(found[0], {})
    raise _undecided(evidence, found)


def _given_roles(evidence: Evidence, values: CardValues) -> dict[str, Sourced[TensorSpec]]:
    """The decoder's roles that a card gives to outputs by name."""
    file = evidence.file
    by_name = {spec.name: spec for spec in (*file.outputs, *evidence.outputs)}  # the latter without coefficients
    roles = {}
    for key, value in values.items():
        section, _, role = key.partition('.')
        if section != 'outputs' or role in MASK_ROLES:
            continue
        if value.value not in by_name:
            raise ModelError(
                f'{value.source}: outputs.{role}: {file.path.name} has no output {value.value!r}; '
                f'its outputs are: {", ".join(by_name)}'
            )
        roles[role] = Sourced(by_name[value.value], value.source)
    return roles


def _as_card_says(
    evidence: Evidence, decoder: Sourced[str], given: Mapping[str, Sourced[TensorSpec]]
) -> DecoderFinding:
    """The card's decoder, with what the layout says of its outputs and options."""
    _check_task(decoder, _task_of(evidence))
    family = FAMILIES[decoder.value]
    unknown = [role for role in given if role not in family.all_roles]
    if unknown:
        raise ModelError(
            f'{given[unknown[0]].source}: outputs: the decoder {decoder.value} has no role {unknown[0]!r}; '
            f'its roles are: {", ".join(_shown_roles(family))}'
        )
    found = find_layouts(evidence)
    same = next((item for item in found if item.decoder == decoder.value), None)
    roles = given if family.takes(given) else {**_roles_for(evidence, family, same), **given}
    if not family.takes(roles):
        names = ', '.join(f'{role}: <tensor name>' for role in _shown_roles(family))
        raise evidence.file.unclear(
            f'the decoder {decoder.value} ({decoder.source}) reads {family.layout}, and the outputs '
            'do not show which is which',
            f'outputs: {{{names}}}',
        )
    if same is not None:
        return replace(_finding(same, roles), decoder=decoder)
    related = next((item for item in found if {item.decoder, decoder.value} in _SHARE_A_NETWORK), None)
    convention, alternatives = (related.convention, related.alternatives) if related else ('', None)
    looks_like = found[0].decoder if found else ''
    return DecoderFinding(decoder, roles, {}, None, convention, alternatives, looks_like)


def _by_roles(evidence: Evidence, given: Mapping[str, Sourced[TensorSpec]]) -> DecoderFinding:
    """The decoder that the roles in a card leave, by the layout of these outputs where they leave several.

    Raises:
        ModelError: the roles or the outputs fit no decoder, or several.
    """
    families = _families_of(_task_of(evidence))
    fitting = [name for name, family in families.items() if family.takes(given)]
    if not fitting:
        source = next(iter(given.values())).source
        known = '; '.join(f'{name}: {", ".join(_shown_roles(family))}' for name, family in families.items())
        raise ModelError(
            f'{source}: outputs: no decoder has exactly the roles {", ".join(given)}; correct them, or add `decoder`. '
            f'The roles of each: {known}'
        )
    found = [item for item in find_layouts(evidence) if item.decoder in fitting]
    if len(found) == 1:
        return _finding(found[0], given)
    if found:
        raise _undecided(evidence, found)
    source = ', '.join(dict.fromkeys(item.source for item in given.values()))
    if len(fitting) == 1:
        return DecoderFinding(Sourced(fitting[0], f'roles of {source}'), given)
    raise evidence.file.unclear(
        f'the roles {", ".join(given)} ({source}) belong to several decoders, and the outputs show none of them',
        *(f'decoder: {name}' for name in fitting),
    )


def _roles_for(evidence: Evidence, family: Family, same: Candidate | None) -> dict[str, Sourced[TensorSpec]]:
    """The outputs for a decoder that the card names without its outputs, as far as they show themselves."""
    source = 'shapes and names of the outputs'
    if same is not None:
        return {role: Sourced(spec, source) for role, spec in same.roles.items()}
    outputs = [spec for spec in evidence.outputs if len(spec.shape) != 5]
    roles: Mapping[str, TensorSpec] = {}
    if family.roles == ('predictions',) and len(outputs) == 1:
        roles = {'predictions': outputs[0]}
    elif 'labels' in family.roles:
        roles = finished_roles(outputs) or {}
    elif family.decoder in ('detr', 'boxes_scores'):
        pair = split_pair(outputs)
        scores_role = 'logits' if family.decoder == 'detr' else 'scores'
        roles = {} if pair is None else {'boxes': pair[0], scores_role: pair[1]}
    known = family.all_roles
    return {role: Sourced(spec, source) for role, spec in roles.items() if role in known}


def _shown_roles(family: Family) -> tuple[str, ...]:
    """Its roles for a message; those of levels once each."""
    return (*family.roles, *family.optional_roles, *(f'{role}_<stride>' for role in family.level_roles))


def _task_of(evidence: Evidence) -> Task:
    """What the model's decoder has to do."""
    return Task.DETECTION if evidence.keypoints is None else Task.KEYPOINTS


def _families_of(task: Task) -> dict[str, Family]:
    """The families for a task, by decoder."""
    return {name: family for name, family in FAMILIES.items() if family.task is task}


def _check_task(decoder: Sourced[str], task: Task) -> None:
    """Raise ModelError for a decoder that reads no keypoints although there are some, or vice versa."""
    fitting = _families_of(task)
    if decoder.value in fitting:
        return
    reads = 'reads keypoints, but there are none'
    if task is Task.KEYPOINTS:
        reads = 'reads no keypoints, but the model has some'
    raise ModelError(
        f'{decoder.source}: decoder: {decoder.value} {reads} (task {task.value}); expected one of '
        f'{", ".join(fitting)}, or no line `decoder`'
    )


def _finding(item: Candidate, given: Mapping[str, Sourced[TensorSpec]]) -> DecoderFinding:
    """A settled candidate."""
    roles = given or {role: Sourced(spec, 'shapes and names of the outputs') for role, spec in item.roles.items()}
    return DecoderFinding(
        Sourced(item.decoder, item.why),
        roles,
        item.options,
        item.class_count,
        item.convention,
        item.alternatives,
        unused_ids=item.unused_ids,
        notes=item.notes,
    )


def _undecided(evidence: Evidence, found: list[Candidate]) -> ModelError:
    """The error for outputs that fit several decoders, or none."""
    file = evidence.file
    if evidence.keypoints is not None:
        tables = [spec.name for spec in evidence.outputs if len(spec.shape) == 3]
        lines = (
            f'{{decoder: {name}, outputs: {{predictions: {table}}}}}'
            for table in tables
            for name in _families_of(Task.KEYPOINTS)
        )
        return file.unclear(f'the outputs fit no known layout with keypoints{_left_out(evidence)}', *lines)
    outputs = '; '.join(spec.describe() for spec in evidence.outputs)
    outputs += _left_out(evidence)
    wh = f'{evidence.input_wh[0]} x {evidence.input_wh[1]}'
    if found:
        return file.unclear(f'the outputs ({outputs}) fit several decoders', *(_line(item) for item in found))
    return file.unclear(
        f'the outputs ({outputs}) fit no known detector with an input of {wh}', *_lines_to_try(evidence)
    )


def _left_out(evidence: Evidence) -> str:
    """What is not shown of rows with mask coefficients."""
    return f', without the {evidence.left_out} mask coefficients of each row' if evidence.left_out else ''


def _line(item: Candidate) -> str:
    """A candidate as a line of a card."""
    defaults = FAMILIES[item.decoder].options
    changed = {name: value for name, value in item.options.items() if defaults.get(name) != value}
    if not changed:
        return f'decoder: {item.decoder}'
    shown = ', '.join(f'{name}: {_yaml(value)}' for name, value in changed.items())
    return f'{{decoder: {item.decoder}, decoder_options: {{{shown}}}}}'


def _yaml(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return '[' + ', '.join(_yaml(item) for item in value) + ']'
    return str(value).lower() if isinstance(value, bool) else str(value)


def _lines_to_try(evidence: Evidence) -> tuple[str, ...]:
    """What a card might say of outputs that no rule knows; each is tried before it is printed."""
    tables = [spec for spec in evidence.outputs if len(spec.shape) in (2, 3) and spec.dtype.startswith('float')]
    lines = []
    for spec in tables:
        outputs = '' if len(evidence.outputs) == 1 else f', outputs: {{predictions: {spec.name}}}'
        for name in ('yolov8', 'yolov5', 'yolox', 'nanodet', 'end_to_end'):
            lines.append(f'{{decoder: {name}{outputs}}}')
        for name in ('yolov8', 'yolov5'):
            lines.append(f'{{decoder: {name}{outputs}, decoder_options: {{normalized: true}}}}')
    boxes = [spec for spec in evidence.outputs if spec.shape and spec.shape[-1] == 4]
    for box in boxes:
        for other in tables:
            if other is not box and len(evidence.outputs) <= 8:
                outputs = f'outputs: {{boxes: {box.name}, scores: {other.name}}}'
                lines += [
                    f'{{decoder: boxes_scores, {outputs}}}',
                    f'{{decoder: boxes_scores, {outputs}, decoder_options: {{box_format: cxcywh, normalized: true}}}}',
                    f'{{decoder: detr, outputs: {{boxes: {box.name}, logits: {other.name}}}}}',
                ]
    return (*_lines_of_points(evidence), *lines)


def _lines_of_points(evidence: Evidence) -> list[str]:
    """What a card might say of a network for the points of one object: a row of numbers, and whether it is there; or a
    table of two or three numbers for each point.
    """
    floats = [spec for spec in evidence.outputs if spec.dtype.startswith('float')]
    flags = [spec for spec in floats if len(spec.shape) > 1 and set(spec.shape[1:]) == {1}]
    rows = [spec for spec in floats if len(spec.shape) == 2 and (spec.shape[1] or 0) >= _FEWEST_OF_POINTS]
    tables = [spec for spec in floats if len(spec.shape) in (3, 4) and spec.shape[-1] in (2, 3) and spec not in flags]
    if len(rows) + len(tables) != 1 or len(evidence.outputs) != 1 + len(flags) or (rows and not flags):
        return []
    spec = (*rows, *tables)[0]
    named = f'keypoints: {spec.name}' + (f', presence: {flags[0].name}' if len(flags) == 1 else '')
    width = (spec.shape[-1] or 0) if tables else None
    orders = [order for order in _POINTS if width in (len(order), None) and not (spec.shape[-1] or 0) % len(order)]
    return [f'{{keypoints: {{columns: [{", ".join(order)}]}}, outputs: {{{named}}}}}' for order in orders]
