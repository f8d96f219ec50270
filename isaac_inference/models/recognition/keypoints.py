# SPDX-License-Identifier: Apache-2.0
"""The keypoints that a model gives with each box, and their channels in its output."""

from __future__ import annotations

from isaac_inference.errors import ModelError
from isaac_inference.models.card.skeletons.published import COCO_17
from isaac_inference.models.card.skeletons.spec import SkeletonSpec
from isaac_inference.models.card.sourced import CardValues, Sourced
from isaac_inference.models.card.tasks import KeypointSpec, Task
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.onnx.exporter import ExporterFacts
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.class_labels import known_labels
from isaac_inference.models.recognition.layouts.candidate import Evidence
from isaac_inference.models.recognition.layouts.grid import channel_axis
from isaac_inference.models.recognition.layouts.pose import FINISHED_COLUMNS, GRID_COLUMNS
from isaac_inference.models.recognition.layouts.tables import is_multipose

_FIELDS = ('count', 'dims', 'model', 'skeleton')
_PEOPLE = ('person',)
POINTS_OF = {'cuboid8': 8}
"""How many keypoints a keypoint model has."""


def resolve_keypoints(
    file: ModelFile, values: CardValues, exporter: ExporterFacts, task: Sourced[Task]
) -> Sourced[KeypointSpec] | None:
    """The keypoints, from the card, else from the metadata; None for a task without.

    Args:
        file: for messages.
        values: what the cards say.
        exporter: what the exporter says.
        task: what the model is for.

    Raises:
        ModelError: keypoints for a task without, none for a task that needs them, or a number of them that its
            keypoint model does not have.
    """
    given = {name: values[f'keypoints.{name}'] for name in _FIELDS if f'keypoints.{name}' in values}
    if task.value is not Task.KEYPOINTS:
        if given:
            source = next(iter(given.values())).source
            raise ModelError(
                f'{source}: keypoints: the task is {task.value.value} ({task.source}), which has none; set '
                '`task: keypoints`, or remove the keypoints'
            )
        return None
    if exporter.keypoint_shape is not None:
        count, dims = (Sourced(value, 'metadata "kpt_shape"') for value in exporter.keypoint_shape)
        given = {'count': count, 'dims': dims, **given}
    model = str(given['model'].value) if 'model' in given else ''
    is_movenet = is_multipose(file.outputs)
    if is_movenet and 'count' not in given and 'skeleton' not in given:
        given['count'] = Sourced(len(COCO_17.names), "shape of the output: MoveNet's for several people")
    if 'count' not in given and model:
        given['count'] = Sourced(POINTS_OF[model], given['model'].source)
    skeleton: SkeletonSpec | None = given['skeleton'].value if 'skeleton' in given else None
    if 'count' not in given and skeleton is not None:
        given['count'] = Sourced(len(skeleton.names), given['skeleton'].source)
    if 'count' not in given:
        said = file.metadata.get('kpt_shape')
        found = 'nothing says how many keypoints it has'
        if said is not None:
            found = f'the metadata "kpt_shape" is {said!r}, expected [count, 2 or 3]'
        raise file.unclear(f'the task is keypoints ({task.source}), but {found}', 'keypoints: {count: 8, dims: 3}')
    if model and given['count'].value != POINTS_OF[model]:
        raise ModelError(
            f'{given["count"].source}: keypoints.count: got {given["count"].value}, but the keypoint model {model} '
            f'({given["model"].source}) has {POINTS_OF[model]}; correct one of them'
        )
    count = given['count'].value
    if skeleton is not None and model:
        raise ModelError(
            f'{given["skeleton"].source}: keypoints.skeleton: the keypoints are those of the model {model} '
            f'({given["model"].source}), which has none; remove one of them'
        )
    if skeleton is not None and count != len(skeleton.names):
        raise ModelError(
            f'{given["skeleton"].source}: keypoints.skeleton: got {len(skeleton.names)} names, but there are {count} '
            f'keypoints ({given["count"].source}); give one name per keypoint'
        )
    are_people = is_movenet or known_labels(values, exporter) == _PEOPLE
    if skeleton is None and not model and count == len(COCO_17.names) and are_people:
        skeleton = COCO_17
    keypoints = KeypointSpec(count, given['dims'].value if 'dims' in given else 3, model, skeleton)
    return Sourced(keypoints, ', '.join(dict.fromkeys(item.source for item in given.values())))


def pose_class_columns(evidence: Evidence, keypoints: KeypointSpec, spec: TensorSpec) -> int | None:
    """How many class scores each box of a model with keypoints has; None if the output leaves it open.

    Raises:
        ModelError: the output does not have the channels that the keypoints need.
    """
    values = keypoints.values
    classes = evidence.label_count
    needed = None if classes is None else GRID_COLUMNS + classes + values
    found = spec.shape[channel_axis(spec, evidence.input_wh, needed)]
    if found is None:
        return None
    if found != needed if needed is not None else found <= GRID_COLUMNS + values:
        sum_text = f'{GRID_COLUMNS} + {"nc" if classes is None else classes} + {keypoints.count} x {keypoints.dims}'
        beside = f' beside {evidence.left_out} mask coefficients' if evidence.left_out else ''
        expected = f'at least {GRID_COLUMNS + values + 1}' if needed is None else str(needed)
        raise ModelError(
            f'{evidence.file.path}: the output {spec.describe()} has {found} channels, but box, classes and '
            f'{keypoints.count} keypoints of {keypoints.dims} values need {sum_text}: expected {expected}{beside}; '
            'correct labels or keypoints (count, dims) in the card'
        )
    return found - GRID_COLUMNS - values


def check_finished_columns(evidence: Evidence, keypoints: KeypointSpec, spec: TensorSpec, decoder: str) -> None:
    """Raise ModelError unless finished boxes have as many columns as box, score, class and keypoints need."""
    others, what = (FINISHED_COLUMNS, 'box, score, class') if decoder == 'end_to_end_pose' else (5, 'box, score')
    needed = others + keypoints.values
    if len(spec.shape) != 3 or spec.shape[2] not in (needed, None):
        raise ModelError(
            f'{evidence.file.path}: the output {spec.describe()} has {spec.shape[-1]} columns, but {what} '
            f'and {keypoints.count} keypoints of {keypoints.dims} values need [N, boxes, {others} + '
            f'{keypoints.count} x {keypoints.dims}]: expected {needed}; correct keypoints (count, dims) or the decoder '
            'in the card'
        )
