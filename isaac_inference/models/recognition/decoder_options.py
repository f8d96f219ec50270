# SPDX-License-Identifier: Apache-2.0
"""A decoder's options, and how many classes its outputs have: from card, shapes and the family's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isaac_inference.errors import ModelError
from isaac_inference.models.card.assumption import Assumption
from isaac_inference.models.card.families import ANCHORS, FAMILIES, Family
from isaac_inference.models.card.sourced import CardValues, Sourced
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.recognition.decoder_choice import DecoderFinding
from isaac_inference.models.recognition.keypoints import check_finished_columns, pose_class_columns
from isaac_inference.models.recognition.layouts.candidate import Evidence
from isaac_inference.models.recognition.layouts.cells import NANODET_BOX_COLUMNS
from isaac_inference.models.recognition.layouts.grid import cell_count, channel_axis

_OTHER_COLUMNS = {'yolox': 5, 'yolov5': 5, 'yolov8': 4, 'yolov8_obb': 5, 'nanodet': NANODET_BOX_COLUMNS}
_PICKED = ('end_to_end', 'end_to_end_pose', 'boxes_scores_labels', 'efficient_nms')
_ONE_CLASS = ('movenet_multipose',)
_CHANNELS_EITHER_WAY = ('yolov8', 'yolov8_obb')
_ANCHORS_PER_LEVEL = 3
_COCO_WITH_NO_OBJECT = 92
_NO_OBJECT_SHARE = 0.5
_SIGMOID_RELATIVES = ('ca_qcontent', 'ref_point_head', 'refpoint', 'sampling_offsets')


@dataclass(frozen=True)
class OptionFinding:
    """A decoder's options.

    Attributes:
        options: name -> value and where it came from.
        class_count: number of classes, without a column for "no object"; None where the outputs do not show it.
        assumptions: options that the file leaves open.
    """

    options: Mapping[str, Sourced[Any]]
    class_count: int | None
    assumptions: tuple[Assumption, ...] = ()


def resolve_options(
    evidence: Evidence, finding: DecoderFinding, values: CardValues, scales_boxes: bool
) -> OptionFinding:
    """The decoder's options and the number of classes.

    Args:
        evidence: what the file shows.
        finding: the decoder, its outputs, and the options that these have settled.
        values: what the cards say.
        scales_boxes: True when the graph is told the image's size, so that its boxes are in px of it.

    Raises:
        ModelError: an option that the decoder does not have, a bad value, or outputs that it cannot read.
    """
    decoder = finding.decoder.value
    family = FAMILIES[decoder]
    given = _given_options(family, values)
    options = {name: Sourced(value, f'default of the decoder {decoder}') for name, value in family.options.items()}
    options.update({name: Sourced(value, 'outputs') for name, value in finding.options.items() if name in options})
    if 'normalized' in options and scales_boxes and family.decoder != 'detr':
        options['normalized'] = Sourced(False, 'the size input')
    options.update(given)
    assumptions: list[Assumption] = []
    columns = finding.class_count
    if decoder in _PICKED and evidence.label_count is not None:
        columns = None  # the outputs do not show the number of classes, and the last layers are no proof
    if decoder in _ONE_CLASS:
        columns = 1
    if decoder == 'detr' or (columns is None and decoder not in _PICKED):
        columns = _class_columns(evidence, decoder, {role: item.value for role, item in finding.roles.items()})
    if decoder == 'detr' and 'activation' not in given:
        options['activation'], assumed = _activation(evidence, finding, columns)
        assumptions += assumed
    is_open = decoder == 'boxes_scores_labels' and not {'normalized'} & (set(given) | set(finding.options))
    if is_open and not scales_boxes:
        raise evidence.file.unclear(
            'nothing says whether the boxes are in pixels of the input or in 0..1',
            'decoder_options: {normalized: true}',
            'decoder_options: {normalized: false}',
        )
    if decoder == 'end_to_end':
        table = finding.roles['predictions'].value
        if table.shape[-1] not in (len(options['columns'].value), None):
            raise _misfit(evidence, decoder, table)
    if decoder in ('end_to_end_pose', 'movenet_multipose') and evidence.keypoints is not None:
        check_finished_columns(evidence, evidence.keypoints, finding.roles['predictions'].value, decoder)
    if 'strides' in options:
        _check_strides(evidence, finding, options['strides'])
    if decoder == 'anchor_heads' and 'anchors' not in given:
        assumptions.append(_assumed_anchors(options['anchors'].value))
    count = columns if finding.class_count is not None and 'background' in options else _class_count(columns, options)
    return OptionFinding(options, count, tuple(assumptions))


def _class_count(columns: int | None, options: Mapping[str, Sourced[Any]]) -> int | None:
    """Classes among the columns of scores; one of them may mean "no object"."""
    if columns is None:
        return None
    softmax = 'activation' in options and options['activation'].value == 'softmax' and 'background' not in options
    background = 'background' in options and options['background'].value != 'none'
    return columns - (softmax or background)


def _class_columns(evidence: Evidence, decoder: str, roles: Mapping[str, TensorSpec]) -> int | None:
    """How many class scores each box has; None if the outputs give only the best class, or leave the number
    open.

    Raises:
        ModelError: the outputs do not have the decoder's layout.
    """
    family = FAMILIES[decoder]
    if family.level_roles or decoder in ('detectnet', 'centernet'):
        return _level_columns(evidence, decoder, roles)
    if decoder == 'boxes_scores':
        boxes, scores = roles['boxes'], roles['scores']
        if len(scores.shape) != 3:
            raise _misfit(evidence, decoder, scores)
        rows = boxes.shape[1]
        return scores.shape[1] if rows is not None and scores.shape[1] != rows == scores.shape[2] else scores.shape[2]
    spec = roles.get('logits') or roles.get('predictions')
    if spec is None or decoder in _PICKED:
        return None
    if len(spec.shape) != 3:
        raise _misfit(evidence, decoder, spec)
    if decoder == 'yolov8_pose' and evidence.keypoints is not None:
        return pose_class_columns(evidence, evidence.keypoints, spec)
    if decoder == 'detr':
        return spec.shape[2]
    size = spec.shape[channel_axis(spec, evidence.input_wh) if decoder in _CHANNELS_EITHER_WAY else 2]
    others = _OTHER_COLUMNS[decoder]
    if size is None:
        return None
    if size <= others:
        raise _misfit(evidence, decoder, spec)
    return size - others


def _level_columns(evidence: Evidence, decoder: str, roles: Mapping[str, TensorSpec]) -> int | None:
    """Class scores of outputs that are maps, or a part of each level."""
    role = next(name for name in roles if name.startswith(('scores', 'predictions', 'heatmap')))
    spec = roles[role]
    if len(spec.shape) == 3:
        return spec.shape[2]
    stride = int(role.rpartition('_')[2]) if role.rpartition('_')[2].isdigit() else None
    width = evidence.input_wh[0]
    is_last = len(spec.shape) == 4 and stride is not None and spec.shape[2] == -(-width // stride) != spec.shape[3]
    channels = spec.shape[-1] if len(spec.shape) == 5 or is_last else spec.shape[1]
    if decoder != 'anchor_heads' or channels is None:
        return channels
    return (channels if len(spec.shape) == 5 else channels // _ANCHORS_PER_LEVEL) - 5


def _misfit(evidence: Evidence, decoder: str, spec: TensorSpec) -> ModelError:
    """The error for a decoder whose layout the output does not have."""
    return ModelError(
        f'{evidence.file.path}: the decoder {decoder} reads {FAMILIES[decoder].layout}, but the output is '
        f'{spec.describe()}; give another decoder in the card'
    )


def _given_options(family: Family, values: CardValues) -> dict[str, Sourced[Any]]:
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


def _activation(
    evidence: Evidence, finding: DecoderFinding, columns: int | None
) -> tuple[Sourced[Any], tuple[Assumption, ...]]:
    """Sigmoid or softmax, by evidence of the network: softmax has a last column for "no object", which most queries
    choose on any picture; sigmoid heads may have a spare column too, which none chooses.
    """
    if columns == _COCO_WITH_NO_OBJECT:
        return Sourced('softmax', '92 class scores: the 91 category ids of COCO and "no object"'), ()
    if finding.convention in ('rf_detr', 'rt_detr'):
        return Sourced('sigmoid', 'names in the graph or of the outputs'), ()
    if columns in (80, 91):
        return Sourced('sigmoid', f'{columns} class scores, as COCO has'), ()
    if evidence.file.mentions('class_labels_classifier') and not evidence.file.mentions(*_SIGMOID_RELATIVES):
        return Sourced('softmax', "class_labels_classifier of Hugging Face's DETR and YOLOS"), ()
    if columns is not None and columns == evidence.label_count:
        return Sourced('sigmoid', 'number of labels'), ()
    spec = finding.roles['logits'].value
    numbers = None if columns is None else evidence.numbers(spec, columns)
    if numbers is not None and columns is not None and columns > 1:
        share = float((numbers.argmax(axis=1) == columns - 1).mean())
        if share >= _NO_OBJECT_SHARE:
            return Sourced('softmax', f'{share:.0%} of the queries choose the last column on a picture'), ()
        if columns - 1 == evidence.label_count:
            why = f'{share:.0%} of the queries choose the last column on a picture, so it is no "no object"'
            return Sourced('sigmoid', why), ()
    assumption = Assumption(
        'decoder_options.activation',
        'sigmoid',
        'as RT-DETR and RF-DETR have; nothing says how the logits become scores',
        (('decoder_options: {activation: softmax}', 'DETR, YOLOS and others whose last class is "no object"'),),
    )
    return Sourced('sigmoid', 'default of the decoder detr'), (assumption,)


def _assumed_anchors(anchors: Any) -> Assumption:
    """The anchors of raw maps are in no file."""
    name = next((name for name, known in ANCHORS.items() if known == anchors), 'its own')
    others = tuple(
        (f'decoder_options: {{anchors: {other}}}', f'networks with the anchors of {other}')
        for other, known in ANCHORS.items()
        if other != name and len(known) == len(anchors)
    )
    return Assumption('decoder_options.anchors', name, 'the file does not have them', others)


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
