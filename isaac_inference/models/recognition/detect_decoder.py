# SPDX-License-Identifier: Apache-2.0
"""Which decoder reads a detector's outputs: from the exporter's metadata, shapes and names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from isaac_inference.errors import ModelError
from isaac_inference.models.card.families import FAMILIES
from isaac_inference.models.card.sourced import Sourced
from isaac_inference.models.card.tasks import KeypointSpec
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.onnx.exporter import ExporterFacts
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.grid_outputs import Guess, grid_guesses, strides_of, transposed_guess
from isaac_inference.models.recognition.output_roles import match_roles

_SEVERAL_OUTPUTS = ('efficient_nms', 'boxes_scores_labels', 'detr')


@dataclass(frozen=True)
class Evidence:
    """What is known about a model before its decoder is.

    Attributes:
        file: the model's tensors and metadata.
        input_wh: (width, height) of the network's input in px.
        label_count: how many class names a card or the metadata gives, or None.
        exporter: what the exporter says.
        keypoints: the keypoints that a card or the metadata gives, or None.
    """

    file: ModelFile
    input_wh: tuple[int, int]
    label_count: int | None
    exporter: ExporterFacts
    keypoints: KeypointSpec | None = None


@dataclass(frozen=True)
class DecoderFinding:
    """A decoder and the outputs that it reads, each with why it was chosen; and the options from the shapes."""

    decoder: Sourced[str]
    roles: Mapping[str, Sourced[TensorSpec]]
    options: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        decoder: str,
        roles: Mapping[str, TensorSpec],
        source: str,
        options: Mapping[str, Any] = MappingProxyType({}),
        notes: tuple[str, ...] = (),
    ) -> DecoderFinding:
        """Where the outputs' shapes and names gave the roles."""
        return cls(Sourced(decoder, source), sourced_roles(roles), options, notes)


def sourced_roles(roles: Mapping[str, TensorSpec]) -> dict[str, Sourced[TensorSpec]]:
    """Roles that follow from the outputs themselves."""
    return {role: Sourced(spec, 'shapes and names of the outputs') for role, spec in roles.items()}


def detect_decoder(evidence: Evidence) -> DecoderFinding:
    """Find the decoder, or raise ModelError with what was found and the line that a card must add."""
    file = evidence.file
    if any('detection_boxes' in spec.name for spec in file.outputs):
        raise ModelError(
            f'{file.path}: outputs of the TensorFlow Object Detection API (detection_boxes, y before x) are '
            f'not supported. Found:{file.describe()}\n  Export a model with one of the supported layouts'
        )
    predictions = _single_output(file)
    if evidence.keypoints is not None:
        return _with_keypoints(evidence, predictions)
    if predictions is not None:
        return _from_predictions(evidence, predictions)
    for decoder in _SEVERAL_OUTPUTS:
        roles = match_roles(decoder, file.outputs)
        if roles is not None and not (decoder == 'detr' and _is_split_grid(roles, evidence.input_wh)):
            return DecoderFinding.of(decoder, roles, 'shapes and names of the outputs')
    lines = (
        f'{{decoder: {name}, outputs: {{{", ".join(f"{role}: ..." for role in FAMILIES[name].roles)}}}}}'
        for name in ('yolov8', *_SEVERAL_OUTPUTS)
    )
    raise file.unclear('the outputs fit no known detector', *lines)


def _single_output(file: ModelFile) -> TensorSpec | None:
    """The one output that holds everything; YOLOv5's raw feature maps (rank 5) beside it do not count."""
    outputs = [spec for spec in file.outputs if len(spec.shape) != 5]
    return outputs[0] if len(outputs) == 1 and len(outputs[0].shape) == 3 else None


def _is_split_grid(roles: Mapping[str, TensorSpec], input_wh: tuple[int, int]) -> bool:
    """True for a grid detector's boxes and scores in two tensors: DETR's shapes, but read differently."""
    logits = roles['logits']
    return strides_of(logits.shape[1], input_wh) is not None or any(word in logits.name for word in ('score', 'prob'))


def _with_keypoints(evidence: Evidence, spec: TensorSpec | None) -> DecoderFinding:
    """The decoder of a model with keypoints: there is one such layout."""
    file = evidence.file
    if evidence.exporter.end_to_end:
        raise ModelError(
            f'{file.path}: keypoints of an end-to-end export (metadata) are not supported; export the model without '
            'NMS inside, so that its output has one column per grid cell'
        )
    if spec is None:
        raise file.unclear(
            'the outputs fit no known layout with keypoints',
            '{decoder: yolov8_pose, outputs: {predictions: ...}}',
        )
    return DecoderFinding.of('yolov8_pose', {'predictions': spec}, 'the keypoints')


def _from_predictions(evidence: Evidence, spec: TensorSpec) -> DecoderFinding:
    """The decoder of a single output of rank 3."""
    file, exporter = evidence.file, evidence.exporter
    roles = {'predictions': spec}
    if exporter.end_to_end:
        return DecoderFinding.of('end_to_end', roles, 'metadata (end-to-end export)')
    if 'detr' in file.metadata.get('description', '').lower():
        raise ModelError(
            f'{file.path}: an RT-DETR export by ultralytics, with boxes and scores in one tensor '
            f'({spec.describe()}), is not supported; export it with logits and boxes, or with boxes, scores '
            'and labels as separate outputs'
        )
    guesses = grid_guesses(spec, evidence.input_wh)
    guesses += transposed_guess(spec, evidence.input_wh, evidence.label_count)
    guesses = [guess for guess in guesses if guess.decoder in exporter.decoders] or guesses
    if evidence.label_count is not None:
        guesses = [guess for guess in guesses if guess.class_count in (evidence.label_count, None)] or guesses
    if not guesses and exporter.decoders and None in spec.shape[1:]:
        return DecoderFinding.of(exporter.decoders[0], roles, 'metadata of the exporter')
    if len(guesses) > 1:
        raise file.unclear(
            f'the output {spec.describe()} fits several decoders',
            *(f'decoder: {guess.decoder}' for guess in guesses),
        )
    if not guesses:
        raise file.unclear(
            f'the output {spec.describe()} fits no known decoder for an input of '
            f'{evidence.input_wh[0]} x {evidence.input_wh[1]}',
            *(f'decoder: {name}' for name in ('yolox', 'yolov5', 'yolov8', 'end_to_end', 'nanodet')),
        )
    return _finding(file, guesses[0], spec)


def _finding(file: ModelFile, guess: Guess, spec: TensorSpec) -> DecoderFinding:
    """A settled guess as a finding, with a note where two families share a layout."""
    notes: tuple[str, ...] = ()
    if guess.decoder == 'yolox' and spec.name in file.arithmetic:
        notes = (
            f'{spec.name} has the layout of a raw YOLOX grid, but the graph seems to decode the boxes '
            'itself, as YOLOv6 and YOLOX exports with decode_in_inference do; if boxes are wrong, set '
            '`decoder: yolov5`',
        )
    return DecoderFinding.of(guess.decoder, {'predictions': spec}, guess.why, guess.options, notes)
