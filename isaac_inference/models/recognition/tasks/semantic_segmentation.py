# SPDX-License-Identifier: Apache-2.0
"""Semantic segmentation: which output has a class for each pixel, as scores or as ids, and what the classes are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from isaac_inference.errors import ModelError
from isaac_inference.models.card.assumption import Assumption
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.shipped_labels.segmentation import SEGMENTATION_LABELS
from isaac_inference.models.card.sourced import Sourced
from isaac_inference.models.card.tasks import ClassForm, SemanticSegmentationSpec
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.class_labels import Found, known_label_count, resolve_labels
from isaac_inference.models.recognition.image_input import InputFinding, find_inputs
from isaac_inference.models.recognition.layouts import values as numbers
from isaac_inference.models.recognition.layouts.candidate import Evidence
from isaac_inference.models.recognition.maps import (
    PATCH_WH,
    DenseMap,
    dense_maps,
    has_patches,
    numbers_of,
    pick_map,
    with_patches,
)
from isaac_inference.models.recognition.preprocessing import PreprocessFinding, choose_convention, likeliest_convention
from isaac_inference.models.recognition.probe import Probe
from isaac_inference.models.recognition.tasks.base import NO_LABELS, Outputs, Reading, Recognizer, Subject, Trial
from isaac_inference.ops.image.options import TensorLayout

FOREGROUND = 'foreground'
"""The name of the one class of a model that knows a single one, where nothing names it."""

_NAMES = ('score', 'logit', 'seg', 'mask', 'out', 'class', 'pred')
_SQUASHING = ('Softmax', 'Sigmoid', 'HardSigmoid')
_BY_COUNT = {len(names): (name, names) for name, names in SEGMENTATION_LABELS.items()}
_MOST_CLASSES = 1000
_TRAINED_ON = {'voc21': 'Pascal VOC', 'cityscapes19': 'Cityscapes', 'ade150': 'ADE20K'}


def recognize(subject: Subject) -> Reading | None:
    """The reading of a network that gives a class for each pixel."""
    file, values, exporter, problems = subject.file, subject.values, subject.exporter, subject.problems
    inputs: InputFinding | None = None
    with problems:
        inputs = with_patches(file, find_inputs(file, values, exporter, problems))
    if inputs is None:
        return None
    count = known_label_count(values, exporter)
    evidence = Evidence(file, inputs.wh.value, count, exporter, values=Probe(file, inputs))
    read: tuple[ClassForm, Sourced[DenseMap], tuple[str, ...]] | None = None
    with problems:
        read = _output(evidence, subject)
    if read is None:
        return None
    form, found, notes = read
    activation, assumed = _activation(evidence, subject, form, found.value)
    labels: Found = NO_LABELS
    with problems:
        labels, more = _labels(evidence, subject, form, found.value)
        assumed = (*assumed, *more)
    prepared: PreprocessFinding | None = None
    with problems:
        prepared = _prepared(subject, inputs, found.value)
    if problems or prepared is None:
        return None
    spec = SemanticSegmentationSpec({form.value: found.value.spec.name}, form, found.value.layout, activation.value)
    return Reading(
        spec,
        inputs,
        prepared,
        labels,
        sources={
            f'roles.{form.value}': found.source,
            'form': f'type of {found.value.spec.name}, and the graph behind its last layer',
            'output_layout': values['output_layout'].source if 'output_layout' in values else found.source,
            'activation': activation.source,
        },
        notes=notes,
        assumptions=assumed,
    )


def judge(card: ModelCard, outputs: Outputs) -> Trial:
    """Whether one run's output is what a card says: finite, of as many channels as there are classes, ids in range."""
    spec = cast(SemanticSegmentationSpec, card.spec)
    array = outputs[spec.roles[spec.form.value]]
    values = np.asarray(array, np.float64)
    if not values.size or not np.isfinite(values).all():
        return Trial('', 'the output has NaN, infinity or nothing')
    if spec.form is ClassForm.CLASSES:
        if (values != np.trunc(values)).any() or values.min() < -1 or values.max() > 255 + card.class_count:
            return Trial('', f'the output has numbers from {values.min():.4g} to {values.max():.4g}, no class ids')
        return Trial(f'tried on a picture: {len(np.unique(values))} classes')
    if spec.activation == 'none' and not numbers.are_probabilities(values):
        return Trial('', f'the scores reach from {values.min():.4g} to {values.max():.4g}, so they need an activation')
    if array.ndim == 3 or 1 in (array.shape[1], array.shape[-1]):
        return Trial('tried on a picture: one class against the rest')
    axis = 1 if spec.layout is TensorLayout.NCHW else 3
    return Trial(f'tried on a picture: {len(np.unique(values.argmax(axis=axis)))} of {array.shape[axis]} classes')


RECOGNIZER = Recognizer(recognize, judge)


def is_class_map(evidence: Evidence, found: DenseMap) -> bool:
    """True for an output of class ids: whole numbers by its type, or by an ArgMax at the end of the graph."""
    is_whole = not found.spec.dtype.startswith(('float', 'bfloat'))
    return found.has_one_channel and (is_whole or 'ArgMax' in evidence.tail(found.spec).last)


def _output(evidence: Evidence, subject: Subject) -> tuple[ClassForm, Sourced[DenseMap], tuple[str, ...]]:
    """The form, the output, and notes."""
    values = subject.values
    layout = values.get('output_layout')
    every = [item for spec in evidence.outputs for item in dense_maps(evidence, spec)]
    ids = [item for item in every if is_class_map(evidence, item)]
    scores = [item for item in every if item.spec.dtype.startswith('float') and item not in ids]
    form = ClassForm.SCORES if scores else ClassForm.CLASSES
    for name in ClassForm:
        if f'outputs.{name.value}' in values:
            form = name
    if not every and f'outputs.{form.value}' not in values:
        outputs = '; '.join(spec.describe() for spec in evidence.file.outputs)
        wh = f'{evidence.input_wh[0]} x {evidence.input_wh[1]}'
        raise evidence.file.unclear(
            f'the task is {subject.task.value.value} ({subject.task.source}), but no output ({outputs}) has a class '
            f'for each pixel of an input of {wh}: expected [1, classes, rows, columns], [1, rows, columns, classes] or '
            'class ids [1, rows, columns], at full, half, a quarter or an eighth of its size',
            'task: detection',
        )
    found, notes = pick_map(evidence, values, form.value, scores if form is ClassForm.SCORES else ids, _NAMES)
    ways = dense_maps(evidence, found.value.spec)
    if layout is not None:
        ways = [item for item in ways if item.layout is TensorLayout(layout.value)]
        if not ways:
            raise ModelError(
                f'{layout.source}: output_layout: got {layout.value}, but the output {found.value.spec.describe()} of '
                f'{evidence.file.path.name} has its rows and columns as {found.value.layout}; remove the line'
            )
    if len(ways) > 1 and form is ClassForm.SCORES:
        ways = [item for item in ways if item.channels == evidence.label_count] or ways
    if len(ways) > 1 and form is ClassForm.SCORES:
        raise evidence.file.unclear(
            f'which axis of {found.value.spec.describe()} has the classes is not clear',
            *(f'output_layout: {item.layout}' for item in ways),
        )
    return form, Sourced(ways[0], found.source), notes


def _activation(
    evidence: Evidence, subject: Subject, form: ClassForm, found: DenseMap
) -> tuple[Sourced[str], tuple[Assumption, ...]]:
    """What makes probabilities of the scores: by the card, the graph, or the numbers of one run."""
    given = subject.values.get('activation')
    if given is not None:
        return given, ()
    if form is ClassForm.CLASSES:
        return Sourced('none', 'class ids need none'), ()
    needed = 'sigmoid' if found.has_one_channel else 'softmax'
    tail = evidence.tail(found.spec)
    squashed = next((name for name in _SQUASHING if name in tail.ops), None)
    if squashed is not None:
        return Sourced('none', f'{squashed} in the graph behind the last layer'), ()
    array = numbers_of(evidence, found)
    if array is not None and np.isfinite(array).all():
        is_unit = numbers.are_probabilities(array)
        sums = is_unit and not found.has_one_channel and numbers.sums_to_one(array.reshape(len(array), -1).T)
        if sums or (is_unit and found.has_one_channel and not tail.is_known):
            return Sourced('none', 'the numbers of one run are probabilities'), ()
        if not is_unit:
            return Sourced(needed, 'the numbers of one run are no probabilities'), ()
    if tail.is_known:
        return Sourced(needed, 'the graph has none behind its last layer'), ()
    assumption = Assumption(
        'activation',
        needed,
        'the file does not show what its scores are',
        (('activation: none', 'networks whose scores are probabilities'),),
    )
    return Sourced(needed, 'assumed'), (assumption,)


def _labels(
    evidence: Evidence, subject: Subject, form: ClassForm, found: DenseMap
) -> tuple[Found, tuple[Assumption, ...]]:
    """The class names; by their number alone they are an assumption."""
    file, values, exporter = subject.file, subject.values, subject.exporter
    count = found.channels if form is ClassForm.SCORES else _count_by_layers(evidence, found)
    known = known_label_count(values, exporter)
    if form is ClassForm.SCORES and found.has_one_channel:
        if known is None:
            note = (
                f'nothing names the one class of {file.path.name}; it is called {FOREGROUND} until the card '
                f'{file.path.with_suffix(".yaml").name} has `labels: [...]`'
            )
            return (Sourced((FOREGROUND,), 'one channel, and nothing names it'), (note,)), ()
        count = known if known in (1, 2) else 1  # the class alone, or the rest before it
    if known is None and count in _BY_COUNT:
        name, labels = _BY_COUNT[count]
        assumption = Assumption(
            'labels',
            name,
            f'there are {count} classes, as networks trained on {_TRAINED_ON[name]} have; nothing names them',
            ((f'labels: [{labels[0]}, ...]', 'any other names'),),
        )
        return (Sourced(labels, f'assumed: {name}, since there are {count} classes'), ()), (assumption,)
    if known is None and count is None:
        raise file.unclear(
            f'the class ids of {found.spec.describe()} do not show how many classes there are, and nothing names them',
            'labels: [first name, second name]',
            *(f'labels: {name}' for name in SEGMENTATION_LABELS),
        )
    return resolve_labels(file, values, exporter, known if form is ClassForm.CLASSES and count is None else count), ()


def _count_by_layers(evidence: Evidence, found: DenseMap) -> int | None:
    """How many classes the last layer scores before the graph picks the best."""
    widths = evidence.tail(found.spec).widths
    return widths[0] if len(widths) == 1 and 1 < widths[0] <= _MOST_CLASSES else None


def _prepared(subject: Subject, inputs: InputFinding, found: DenseMap) -> PreprocessFinding:
    """How an image becomes the input tensor."""
    names = _conventions(subject.file, inputs, found.has_one_channel)
    networks = 'semantic segmentation by such an exporter'
    likeliest = likeliest_convention(subject.values, subject.exporter, names, networks)
    prepared = choose_convention(subject.file, inputs.image.value, subject.values, likeliest, names)
    if has_patches(subject.file):
        return replace(prepared, convention=replace(prepared.convention, input_wh=PATCH_WH))
    return prepared


def _conventions(file: ModelFile, inputs: InputFinding, is_one_class: bool) -> Sequence[str]:
    """How such networks prepare images, the likeliest first."""
    if 'tf2onnx' not in file.producer.lower() and inputs.layout.value is TensorLayout.NCHW:
        return ('imagenet', 'unit', 'half_range', 'bytes_bgr', 'bytes')
    if is_one_class:
        return ('unit', 'half_range', 'imagenet', 'bytes_bgr', 'bytes')
    return ('half_range', 'unit', 'imagenet', 'bytes_bgr', 'bytes')
