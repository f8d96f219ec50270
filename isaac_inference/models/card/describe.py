# SPDX-License-Identifier: Apache-2.0
"""A model card as table rows: field, value, and where the value came from."""

from __future__ import annotations

from dataclasses import fields
from enum import Enum

from isaac_inference.models.card.assumption import Assumption
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.inputs import ImageInput
from isaac_inference.models.card.objects import ObjectSpec
from isaac_inference.models.card.tasks import (
    PRESENCE,
    DepthCompletionSpec,
    DetectionSpec,
    KeypointForm,
    KeypointSpec,
    MonoDepthSpec,
    SemanticSegmentationSpec,
    StereoDepthSpec,
    TopDownKeypointsSpec,
)

_LABELS_SHOWN = 4


def card_rows(card: ModelCard) -> list[tuple[str, str, str]]:
    """The card for people, as (field, value, source) rows in reading order."""
    rows = [
        _row(card, 'name', card.name),
        ('path', str(card.path), ''),
        ('sha256', card.sha256, 'computed'),
        ('exporter', f'{card.producer or "unknown"}, opset {card.opset}', 'file header'),
        _row(card, 'task', card.task.value),
    ]
    if isinstance(card.spec, DetectionSpec):
        rows.append(_row(card, 'decoder', card.spec.decoder))
        rows += [_row(card, f'decoder_options.{name}', _text(value)) for name, value in card.spec.options.items()]
    if isinstance(card.spec, SemanticSegmentationSpec):
        rows += [
            _row(card, 'form', card.spec.form.value),
            _row(card, 'output_layout', card.spec.layout),
            _row(card, 'activation', card.spec.activation),
        ]
    if isinstance(card.spec, (MonoDepthSpec, StereoDepthSpec, DepthCompletionSpec)):
        section = 'disparity' if isinstance(card.spec, StereoDepthSpec) else 'depth'
        named = ((item.name, getattr(card.spec, item.name)) for item in fields(card.spec) if item.name != 'roles')
        rows += [_row(card, f'{section}.{name}', _text(value)) for name, value in named if value is not None]
    if isinstance(card.spec, TopDownKeypointsSpec):
        rows += [_row(card, name, text) for name, text in _top_down(card.spec)]
    for image in card.images:
        width, height = image.wh
        rows += [
            _row(card, _input_field(image), image.tensor.describe()),
            _row(card, 'layout', image.layout),
            _row(card, 'input_wh', f'{width} x {height} px'),
        ]
    rows += [_row(card, f'value_inputs.{item.role.value}', item.tensor.describe()) for item in card.value_inputs]
    rows += [
        _row(card, f'vocabulary.{item.role.value}', item.fixed.origin)
        for item in card.value_inputs
        if item.fixed is not None
    ]
    rows.append(('outputs', '; '.join(spec.describe() for spec in card.outputs), 'file'))
    rows += [_row(card, f'roles.{role}', name) for role, name in card.spec.roles.items()]
    if card.labels:
        rows.append(_row(card, 'labels', _labels(card.labels)))
    if card.keypoints is not None:
        rows.append(_row(card, 'keypoints', _keypoints(card.keypoints)))
    if card.masks is not None:
        rows += [_row(card, f'masks.{item.name}', _text(getattr(card.masks, item.name))) for item in fields(card.masks)]
    rows += [_row(card, f'objects.{name}', _object(spec)) for name, spec in card.objects.items()]
    for image in card.images:
        if image.convention:
            rows.append(_row(card, 'preprocess.convention', image.convention))
        rows += [
            _row(card, f'preprocess.{item.name}', _text(getattr(image.preprocess, item.name)))
            for item in fields(image.preprocess)
        ]
    rows += [(f'assumed.{item.field}', _assumed(item), item.why) for item in card.assumptions]
    rows += [('note', note, '') for note in card.notes]
    return rows


def _input_field(image: ImageInput) -> str:
    """The field of an image input: two of a stereo pair have their own."""
    return f'image_input.{image.role}' if image.role in ('left', 'right') else 'image_input'


def _assumed(assumption: Assumption) -> str:
    """What is assumed, and on lines of their own what a card would say for the alternatives."""
    others = [f'  {line}\n    {whose}' for line, whose in assumption.alternatives]
    return '\n'.join(
        [assumption.value, 'if that is wrong, add to the card:', *others] if others else [assumption.value]
    )


def _row(card: ModelCard, field: str, value: str) -> tuple[str, str, str]:
    """One row with the source that the card keeps for the field."""
    return field, value, card.sources.get(field, '')


def _text(value: object) -> str:
    """A value as it would stand in a card."""
    if isinstance(value, tuple):
        return '[' + ', '.join(_text(item) for item in value) + ']'
    if isinstance(value, Enum):
        return str(value.value)
    return f'{value:.6g}' if isinstance(value, float) else str(value)


def _keypoints(spec: KeypointSpec) -> str:
    """How many keypoints each box has, what each consists of, and what they are."""
    values = 'x, y, confidence' if spec.dims == 3 else 'x, y'
    joints = '' if spec.skeleton is None else f', skeleton of {", ".join(spec.skeleton.names[:2])}, ...'
    return f'{spec.count} of ({values}){", model " + spec.model if spec.model else ""}{joints}'


def _top_down(spec: TopDownKeypointsSpec) -> list[tuple[str, str]]:
    """How the keypoints of one person are read: what has an effect with the form, by the names of a card."""
    rows = [('keypoints.form', spec.form.value), ('keypoints', _keypoints(spec.keypoints))]
    if spec.form is KeypointForm.POINTS:
        rows += [('keypoints.columns', _text(spec.columns)), ('keypoints.unit', spec.unit.value)]
        rows += [('keypoints.extra', str(spec.extra))] if spec.extra else []
    if spec.form is KeypointForm.SIMCC and spec.split_ratio is not None:
        rows.append(('keypoints.split_ratio', _text(spec.split_ratio)))
    if spec.form is KeypointForm.HEATMAPS:
        rows += [('keypoints.grid', spec.grid.value), ('output_layout', spec.layout.value)]
    rows.append(('activation', spec.activation))
    if PRESENCE in spec.roles:
        rows.append(('keypoints.presence_activation', spec.presence_activation))
        rows.append(('keypoints.min_presence', _text(spec.min_presence)))
    return rows


def _object(spec: ObjectSpec) -> str:
    """An object in one line: `cylinder 0.08 x 0.08 x 0.12 m, any angle about z, mesh can.ply [m]`."""
    size = 'of unknown size' if spec.size is None else ' x '.join(f'{item:g}' for item in spec.size) + ' m'
    parts = [f'{spec.shape} {size}']
    parts += [f'{f"{order}-fold" if order else "any angle"} about {axis}' for axis, order in spec.symmetries]
    if spec.mesh is not None:
        parts.append(f'mesh {spec.mesh.name} [{spec.mesh_unit}]')
    if spec.keypoints is not None:
        parts.append(f'{len(spec.keypoints)} points')
    return ', '.join(parts)


def _labels(labels: tuple[str, ...]) -> str:
    """The number of classes and the first few names."""
    shown = ', '.join(labels[:_LABELS_SHOWN]) + (', ...' if len(labels) > _LABELS_SHOWN else '')
    return f'{len(labels)}: {shown}'
