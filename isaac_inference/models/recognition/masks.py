# SPDX-License-Identifier: Apache-2.0
"""The masks that a model gives with its boxes: from the card, else from the outputs beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from isaac_inference.errors import ModelError
from isaac_inference.models.card.assumption import Assumption
from isaac_inference.models.card.sourced import CardValues, Sourced
from isaac_inference.models.card.tasks import MASK_ROLES, MaskForm, MaskSpec, Task
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.recognition.decoder_choice import DecoderFinding
from isaac_inference.models.recognition.layouts import values as numbers
from isaac_inference.models.recognition.layouts.candidate import Evidence
from isaac_inference.models.recognition.layouts.masks import find_object_masks, find_prototypes, form_of

_SQUASHING = frozenset({'Sigmoid', 'Softmax', 'Greater', 'GreaterOrEqual'})
_SKIPS = ('yolov8',)  # decoders that take no notice of coefficients at the end of a row


@dataclass(frozen=True)
class MaskFinding:
    """The masks, and the output that they are made from.

    Attributes:
        spec: how they are put out.
        output: what they are made from.
        fields: field of the card's section `masks` -> where it came from.
        assumptions: what the file leaves open.
    """

    spec: MaskSpec
    output: Sourced[TensorSpec]
    fields: Mapping[str, str]
    assumptions: tuple[Assumption, ...] = ()


def coefficients(evidence: Evidence, values: CardValues) -> int:
    """Mask coefficients at the end of each row of boxes; 0 without."""
    prototypes = _named(evidence, values, 'prototypes') or _found(find_prototypes(evidence))
    if 'outputs.masks' in values or values.get('masks.form', Sourced('prototypes', '')).value != 'prototypes':
        return 0
    channels = values.get('masks.channels')
    if channels is not None:
        return int(channels.value)
    return 0 if prototypes is None else prototypes.value.shape[1] or 0


def resolve_masks(
    evidence: Evidence, finding: DecoderFinding, values: CardValues, task: Sourced[Task], left_out: int
) -> MaskFinding | None:
    """The masks; None for a model without.

    Args:
        evidence: what the file shows, with whole rows.
        finding: the decoder and its outputs.
        values: what the cards say.
        task: what the model is for.
        left_out: coefficients that each row has behind what the decoder reads.

    Raises:
        ModelError: masks for a task without, none for a task that needs them, or an output that cannot have them.
    """
    given = {key.partition('.')[2]: item for key, item in values.items() if key.startswith('masks.')}
    roles = {role: values[f'outputs.{role}'] for role in MASK_ROLES if f'outputs.{role}' in values}
    if task.value is Task.DETECTION and 'task' in values:
        if given or roles:
            source = next(iter((*given.values(), *roles.values()))).source
            raise ModelError(
                f'{source}: masks: the task is {task.value.value} ({task.source}), which has none; set `task: '
                'instance_segmentation`, or remove the masks'
            )
        _check_boxes_alone(evidence, finding, values)
        return None
    prototypes = _named(evidence, values, 'prototypes') or _found(find_prototypes(evidence))
    form = MaskForm(given['form'].value) if 'form' in given else None
    if prototypes is not None and form in (None, MaskForm.PROTOTYPES) and 'masks' not in roles:
        return _from_prototypes(evidence, finding, prototypes, given, left_out)
    masks = _named(evidence, values, 'masks')
    boxes = finding.roles.get('boxes') or (finding.roles['predictions'] if _is_finished(finding) else None)
    found = None if boxes is None else find_object_masks(evidence, boxes.value)
    if masks is None and found is not None:
        masks = Sourced(found[1], 'shapes and names of the outputs')
    if masks is not None and form is not MaskForm.PROTOTYPES:
        return _for_each_box(evidence, masks, None if boxes is None else boxes.value, given)
    if not given and not roles and task.value is not Task.INSTANCE_SEGMENTATION:
        return None
    raise _not_found(evidence, task, given)


def _from_prototypes(
    evidence: Evidence,
    finding: DecoderFinding,
    prototypes: Sourced[TensorSpec],
    given: Mapping[str, Sourced[Any]],
    left_out: int,
) -> MaskFinding:
    """Masks that are sums of prototypes."""
    channels = prototypes.value.shape[1] if len(prototypes.value.shape) == 4 else None
    said = given.get('channels')
    if said is not None and channels is not None and said.value != channels:
        raise ModelError(
            f'{said.source}: masks.channels: got {said.value}, but the prototypes '
            f'{prototypes.value.describe()} of {evidence.file.path.name} are {channels}; correct the line, or leave it '
            'out'
        )
    count = channels if said is None else int(said.value)
    if not count:
        raise evidence.file.unclear(
            f'nothing says how many prototypes {prototypes.value.describe()} has', 'masks: {channels: 32}'
        )
    if left_out != count:
        raise ModelError(
            f'{evidence.file.path}: the prototypes {prototypes.value.describe()} ({prototypes.source}) need one output '
            f'[N, boxes, columns] whose rows end in {count} coefficients, behind what the decoder '
            f'{finding.decoder.value} reads; there is none. Found:{evidence.file.describe()}'
        )
    activated = bool(given['activated'].value) if 'activated' in given else False
    fields = {
        'form': given['form'].source if 'form' in given else prototypes.source,
        'channels': f'shape of {prototypes.value.name}' if said is None else said.source,
        'activated': given['activated'].source if 'activated' in given else 'as sums of prototypes are',
    }
    return MaskFinding(MaskSpec(MaskForm.PROTOTYPES, count, activated), prototypes, fields)


def _for_each_box(
    evidence: Evidence, masks: Sourced[TensorSpec], boxes: TensorSpec | None, given: Mapping[str, Sourced[Any]]
) -> MaskFinding:
    """Masks that are there already, one for each box."""
    form = None if boxes is None else form_of(masks.value, boxes.shape[-2], evidence.input_wh, is_named=True)
    if 'form' in given and form is not None and None in masks.value.shape[2:]:
        form = MaskForm(given['form'].value)
    if form is None or ('form' in given and form.value != given['form'].value):
        beside = 'finished boxes' if boxes is None else boxes.describe()
        raise ModelError(
            f'{evidence.file.path}: the output {masks.value.describe()} ({masks.source}) has no masks '
            f'{"of the form " + given["form"].value + " " if "form" in given else ""}for {beside}; expected '
            'crops [N, 1, size, size] for each box, or full [1, N, rows, columns] over the whole input'
        )
    if 'channels' in given and given['channels'].value:
        raise ModelError(
            f'{given["channels"].source}: masks.channels: has no effect with the form {form.value}, which has no '
            'coefficients; remove the line'
        )
    source = f'shape of {masks.value.name}'
    activated, why, assumed = _activated(evidence, masks.value, given)
    fields = {'form': given['form'].source if 'form' in given else source, 'activated': why}
    return MaskFinding(MaskSpec(form, 0, activated), masks, fields, assumed)


def _is_finished(finding: DecoderFinding) -> bool:
    """True for a table of finished boxes, a row each."""
    return finding.decoder.value in ('end_to_end', 'end_to_end_pose')


def _activated(
    evidence: Evidence, spec: TensorSpec, given: Mapping[str, Sourced[Any]]
) -> tuple[bool, str, tuple[Assumption, ...]]:
    """Whether masks are 0..1 already, why, and what of that is assumed: by the graph, else by the numbers of a run."""
    if 'activated' in given:
        return bool(given['activated'].value), given['activated'].source, ()
    if not spec.dtype.startswith('float'):
        return True, f'element type of {spec.name}', ()
    tail = evidence.tail(spec)
    if tail.ops & _SQUASHING:
        return True, f'the graph behind the last layer of {spec.name}', ()
    array = evidence.values().get(spec.name)
    if array is not None and array.size:
        is_unit = numbers.are_probabilities(np.asarray(array, np.float32))
        return is_unit, f'the numbers of {spec.name} in one run', ()
    if tail.is_known:
        return False, f'the graph behind the last layer of {spec.name}', ()
    assumption = Assumption(
        'masks.activated',
        'true',
        'as exports with finished boxes have; no mask came out of the run on a picture',
        (('masks: {activated: false}', 'exports whose masks are logits'),),
    )
    return True, 'assumed', (assumption,)


def _check_boxes_alone(evidence: Evidence, finding: DecoderFinding, values: CardValues) -> None:
    """Raise ModelError where rows with coefficients shall be read without masks by a decoder that cannot skip them."""
    count = coefficients(evidence, values)
    if count and 'predictions' in finding.roles and finding.decoder.value not in _SKIPS:
        raise ModelError(
            f'{values["task"].source}: task: {values["task"].value}: the decoder {finding.decoder.value} cannot leave '
            f'out the {count} mask coefficients at the end of the rows of '
            f'{finding.roles["predictions"].value.describe()}; remove the line, and read the masks too'
        )


def _not_found(evidence: Evidence, task: Sourced[Task], given: Mapping[str, Sourced[Any]]) -> ModelError:
    """The error for a model whose masks are in no output that is known."""
    said = 'masks' if given else f'task {task.value.value}'
    source = next((item.source for item in given.values()), task.source)
    maps = [spec for spec in evidence.file.outputs if len(spec.shape) == 4]
    lines = [f'{{outputs: {{prototypes: {spec.name}}}, masks: {{channels: {spec.shape[1]}}}}}' for spec in maps]
    lines += [
        f'{{outputs: {{masks: {spec.name}}}, masks: {{form: {form}}}}}' for spec in maps for form in ('crops', 'full')
    ]
    return evidence.file.unclear(
        f'{said} ({source}), but no output has prototypes beside rows with coefficients, or a mask for each box',
        *lines,
        'task: detection',
    )


def _named(evidence: Evidence, values: CardValues, role: str) -> Sourced[TensorSpec] | None:
    """The output that a card gives the role, or None.

    Raises:
        ModelError: there is no such output.
    """
    given = values.get(f'outputs.{role}')
    if given is None:
        return None
    for spec in evidence.file.outputs:
        if spec.name == given.value:
            return Sourced(spec, given.source)
    raise ModelError(
        f'{given.source}: outputs.{role}: {evidence.file.path.name} has no output {given.value!r}; '
        f'its outputs are: {", ".join(spec.name for spec in evidence.file.outputs)}'
    )


def _found(spec: TensorSpec | None) -> Sourced[TensorSpec] | None:
    return None if spec is None else Sourced(spec, 'shapes and names of the outputs')
