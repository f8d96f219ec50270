# SPDX-License-Identifier: Apache-2.0
"""A decoder's options, and how many classes its outputs have: from card, shapes and the family's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isaac_inference.errors import ModelError
from isaac_inference.models.card.families import FAMILIES, Family
from isaac_inference.models.card.sourced import CardValues, Sourced
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.detect_decoder import DecoderFinding, Evidence
from isaac_inference.models.recognition.grid_outputs import NANODET_BOX_COLUMNS, cell_count, strides_of
from isaac_inference.models.recognition.keypoints import pose_class_columns

_OTHER_COLUMNS = {'yolox': 5, 'yolov5': 5, 'yolov8': 4, 'nanodet': NANODET_BOX_COLUMNS, 'detr': 0}
_COCO_WITH_NO_OBJECT = 92


def class_columns(evidence: Evidence, decoder: str, roles: Mapping[str, TensorSpec]) -> int | None:
    """How many class scores each box has; None if the outputs give only the best class, or leave the number
    open.

    Raises:
        ModelError: the outputs do not have the decoder's layout.
    """
    spec = roles.get('logits') or roles.get('predictions')
    if spec is None:
        return None
    if len(spec.shape) != 3:
        raise _misfit(evidence, decoder, spec)
    if decoder == 'yolov8_pose':
        return pose_class_columns(evidence, spec)
    if decoder == 'end_to_end':
        if spec.shape[2] not in (6, None):
            raise _misfit(evidence, decoder, spec)
        return None
    size = spec.shape[_class_axis(evidence, spec) if decoder == 'yolov8' else 2]
    if size is None:
        return None
    if size <= _OTHER_COLUMNS[decoder]:
        raise _misfit(evidence, decoder, spec)
    return size - _OTHER_COLUMNS[decoder]


def _class_axis(evidence: Evidence, spec: TensorSpec) -> int:
    """The axis of a YOLOv8 output that holds box and scores: second as exported, third when transposed."""
    _, rows, columns = spec.shape
    if strides_of(columns, evidence.input_wh):
        return 1
    if strides_of(rows, evidence.input_wh):
        return 2
    return 2 if rows is not None and columns is not None and columns < rows else 1


def _misfit(evidence: Evidence, decoder: str, spec: TensorSpec) -> ModelError:
    """The error for a decoder whose layout the output does not have."""
    return ModelError(
        f'{evidence.file.path}: the decoder {decoder} reads {FAMILIES[decoder].layout}, but the output is '
        f'{spec.describe()}; give another decoder in the card'
    )


def resolve_options(
    evidence: Evidence, finding: DecoderFinding, values: CardValues, columns: int | None, has_size_input: bool
) -> tuple[dict[str, Sourced[Any]], tuple[str, ...]]:
    """The decoder's options, and notes for the log.

    Args:
        evidence: what the file shows.
        finding: the decoder, and options that the shapes have settled.
        values: what the cards say.
        columns: class scores per box, as `class_columns` counts them.
        has_size_input: True when the model scales its boxes itself.
    """
    family = FAMILIES[finding.decoder.value]
    given = _given_options(evidence.file, family, values)
    options = {name: Sourced(value, f'default of the {family.title} family') for name, value in family.options.items()}
    options.update({name: Sourced(value, 'shapes of the outputs') for name, value in finding.options.items()})
    options.update(given)
    notes: tuple[str, ...] = ()
    if 'activation' in options and 'activation' not in given:
        options['activation'], notes = _activation(evidence, columns)
    if 'normalized' in options and 'normalized' not in given:
        if not has_size_input and family.decoder == 'boxes_scores_labels':
            raise evidence.file.unclear(
                'nothing says whether the boxes are in pixels of the input or in 0..1',
                'decoder_options: {normalized: true}',
                'decoder_options: {normalized: false}',
            )
        if has_size_input:
            options['normalized'] = Sourced(options['normalized'].value, 'the size input')
    if 'strides' in options:
        _check_strides(evidence, finding, options['strides'])
    return options, notes


def _given_options(file: ModelFile, family: Family, values: CardValues) -> dict[str, Sourced[Any]]:
    """The options that a card gives, checked."""
    given = {}
    for key, sourced in values.items():
        section, _, name = key.partition('.')
        if section != 'decoder_options':
            continue
        if name not in family.options:
            raise ModelError(
                f'{sourced.source}: decoder_options: the decoder {family.decoder} has no option {name!r}; '
                f'its options are: {", ".join(family.options) or "none"}'
            )
        try:
            given[name] = Sourced(family.checks[name](sourced.value), sourced.source)
        except ValueError as error:
            raise ModelError(
                f'{sourced.source}: decoder_options.{name}: got {sourced.value!r}, expected {error}'
            ) from error
    return given


def _activation(evidence: Evidence, columns: int | None) -> tuple[Sourced[Any], tuple[str, ...]]:
    """Softmax has one column more than classes, for "no object"; sigmoid has none."""
    if columns is not None and evidence.label_count is not None:
        if columns == evidence.label_count + 1:
            return Sourced('softmax', 'one class score more than labels'), ()
        return Sourced('sigmoid', 'number of labels'), ()
    if columns == _COCO_WITH_NO_OBJECT:
        return Sourced('softmax', '92 class scores: the 91 category ids of COCO and "no object"'), ()
    if columns in (80, 91):
        return Sourced('sigmoid', f'{columns} class scores, as COCO has'), ()
    note = (
        'nothing says how the logits become scores; sigmoid is taken, as for RT-DETR. For a DETR with a '
        '"no object" class set `decoder_options: {activation: softmax}`'
    )
    return Sourced('sigmoid', 'default of the RT-DETR family'), (note,)


def _check_strides(evidence: Evidence, finding: DecoderFinding, given: Sourced[tuple[int, ...]]) -> None:
    """Raise ModelError when the strides do not make the number of rows that the output has."""
    strides, spec = given.value, finding.roles['predictions'].value
    rows, cells = spec.shape[1], cell_count(evidence.input_wh, strides)
    if rows is not None and rows != cells:
        width, height = evidence.input_wh
        raise ModelError(
            f'{given.source}: decoder_options.strides: {list(strides)} make {cells} grid cells of an input of '
            f'{width} x {height}, but the output is {spec.describe()}; give the strides that it was '
            f'trained with, or another decoder than {finding.decoder.value}'
        )
