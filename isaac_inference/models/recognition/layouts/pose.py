# SPDX-License-Identifier: Apache-2.0
"""Which decoder reads a model with keypoints: one column per grid cell, or a table of finished boxes."""

from __future__ import annotations

from isaac_inference.models.card.tasks import KeypointSpec
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.recognition.layouts import values
from isaac_inference.models.recognition.layouts.candidate import Candidate, Evidence
from isaac_inference.models.recognition.layouts.grid import strides_of
from isaac_inference.models.recognition.layouts.single import as_run
from isaac_inference.models.recognition.layouts.tables import is_multipose

GRID_COLUMNS = 4
"""What a grid's boxes have before class scores and keypoints: x_center, y_center, width, height."""
FINISHED_COLUMNS = 6
"""What finished boxes have before their keypoints: corners, score and class."""

_CLASS_COLUMN = 5


def boxes_with_keypoints(evidence: Evidence, keypoints: KeypointSpec) -> list[Candidate]:
    """The one way to read a model with keypoints; [] where it has no single table.

    Args:
        evidence: what is known about the model.
        keypoints: what each box has.
    """
    tables = [spec for spec in evidence.outputs if len(spec.shape) != 5]
    if len(tables) != 1 or len(tables[0].shape) != 3:
        return []
    roles = {'predictions': tables[0]}
    if is_multipose(tables):
        return [Candidate('movenet_multipose', roles, f"shape of {tables[0].name}: MoveNet's for several people")]
    if evidence.exporter.end_to_end:
        return [Candidate('end_to_end_pose', roles, 'metadata (end-to-end export)', convention='ultralytics')]
    if _is_finished(evidence, keypoints, tables[0]):
        why = f'the keypoints, and rows of {tables[0].name} that are not a grid'
        return [Candidate('end_to_end_pose', roles, why, convention='ultralytics')]
    return [Candidate('yolov8_pose', roles, 'the keypoints', convention='ultralytics')]


def _is_finished(evidence: Evidence, keypoints: KeypointSpec, spec: TensorSpec) -> bool:
    """True for one row per finished box: by the grid's cells, the columns and labels, and the class column of a run."""
    sizes = (as_run(evidence, spec) or spec).shape[1:]
    if None in sizes or any(strides_of(size, evidence.input_wh) for size in sizes):
        return False
    fits = sizes[1] == FINISHED_COLUMNS + keypoints.values
    if evidence.label_count is not None:
        fits_grid = GRID_COLUMNS + evidence.label_count + keypoints.values in sizes
        if fits != fits_grid:
            return fits
    numbers = evidence.numbers(spec, sizes[1]) if fits and sizes[1] is not None else None
    if numbers is not None:
        return values.is_class_column(numbers[:, _CLASS_COLUMN])
    return not any(strides_of(size, evidence.input_wh, rare=True) for size in sizes)
