# SPDX-License-Identifier: Apache-2.0
"""All layouts that fit a model's outputs."""

from __future__ import annotations

from dataclasses import replace

from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.recognition.layouts.candidate import Candidate, Evidence
from isaac_inference.models.recognition.layouts.finished import finished_boxes, two_tables
from isaac_inference.models.recognition.layouts.grid import strides_of
from isaac_inference.models.recognition.layouts.levels import level_outputs
from isaac_inference.models.recognition.layouts.pose import boxes_with_keypoints
from isaac_inference.models.recognition.layouts.separate import boxes_and_scores
from isaac_inference.models.recognition.layouts.single import single_output
from isaac_inference.models.recognition.layouts.tables import BEST_FIRST, ROTATED


def find_layouts(evidence: Evidence) -> list[Candidate]:
    """All ways to read the outputs that fit, the likeliest first; [] where none does."""
    if evidence.keypoints is not None:
        return boxes_with_keypoints(evidence, evidence.keypoints)
    predictions = _the_table(evidence)
    if evidence.exporter.end_to_end and predictions is not None:
        return [_end_to_end(evidence, predictions)]
    if len(evidence.outputs) + len(evidence.constants) > 1:
        for find in (finished_boxes, boxes_and_scores, level_outputs):
            found = find(evidence)
            if found:
                return found
    if predictions is None:
        return []
    notes: tuple[str, ...] = ()
    if two_tables(evidence.outputs):
        notes = (
            f'two outputs of one shape, as YOLOv9 has with its auxiliary head: {predictions.name} is read; '
            '`outputs: {predictions: <name>}` in a card takes the other',
        )
    found = single_output(evidence, predictions)
    if not found and evidence.exporter.decoders and None in predictions.shape[1:]:
        decoder = evidence.exporter.decoders[0]
        found = [Candidate(decoder, {'predictions': predictions}, 'metadata of the exporter')]
    return [replace(item, notes=(*item.notes, *notes)) for item in _settled(evidence, found)]


def _the_table(evidence: Evidence) -> TensorSpec | None:
    """The one output that holds everything; maps and auxiliary heads beside it do not count."""
    outputs = evidence.outputs
    if two_tables(outputs):
        return outputs[1]
    if len(outputs) == 1 and len(outputs[0].shape) == 3:
        return outputs[0]
    if len(outputs) == 1 and len(outputs[0].shape) == 2 and outputs[0].shape[1] in (6, 7):
        return outputs[0]
    if len(outputs) == 1 and len(outputs[0].shape) == 4 and outputs[0].shape[1] == 1 and outputs[0].shape[3] == 7:
        return outputs[0]
    tables = [spec for spec in outputs if len(spec.shape) == 3]
    finished = [spec for spec in tables if spec.shape[2] == 6]
    if len(tables) == 2 == len(outputs) and len(finished) == 1 and _is_grid(evidence, tables):  # NMS, and what it had
        return finished[0]
    maps = [spec for spec in outputs if len(spec.shape) in (4, 5)]
    return tables[0] if len(tables) == 1 and len(tables) + len(maps) == len(outputs) else None


def _is_grid(evidence: Evidence, tables: list[TensorSpec]) -> bool:
    """True when one of two tables has a row or column per cell."""
    return any(strides_of(size, evidence.input_wh) for spec in tables for size in spec.shape[1:])


def _settled(evidence: Evidence, found: list[Candidate]) -> list[Candidate]:
    """Those that the exporter's metadata and the number of class names allow."""
    found = [item for item in found if item.decoder in evidence.exporter.decoders] or found
    if evidence.label_count is not None:
        return [item for item in found if item.class_count in (evidence.label_count, None)] or found
    return found


def _end_to_end(evidence: Evidence, spec: TensorSpec) -> Candidate:
    """What ultralytics exports with NMS inside, or by networks that need none."""
    columns = ROTATED if evidence.exporter.task == 'obb' else BEST_FIRST
    options = {'columns': columns} if spec.shape[-1] in (len(columns), None) else {}
    return Candidate('end_to_end', {'predictions': spec}, 'metadata (end-to-end export)', options, None, 'ultralytics')
