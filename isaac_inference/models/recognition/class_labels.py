# SPDX-License-Identifier: Apache-2.0
"""The class names of a model, checked against the number of classes that its outputs have."""

from __future__ import annotations

from collections.abc import Mapping

from isaac_inference.errors import ModelError
from isaac_inference.models.card.labels import COCO_80, OF_DETECTORS
from isaac_inference.models.card.sourced import CardValues, Sourced
from isaac_inference.models.onnx.exporter import ExporterFacts
from isaac_inference.models.onnx.reader import ModelFile

_SHIPPED_BY_COUNT = {len(names): (name, names) for name, names in OF_DETECTORS.items()}
_COCO_IDS = 91
UNUSED = 'unused_'
"""How the name of an id begins that no class has."""

Found = tuple[Sourced[tuple[str, ...]], tuple[str, ...]]


def resolve_labels(
    file: ModelFile,
    values: CardValues,
    exporter: ExporterFacts,
    class_count: int | None,
    *,
    has_spare: bool = False,
    unused_ids: tuple[int, ...] = (),
    own: tuple[str, ...] = (),
) -> Found:
    """The class names, and notes for the log.

    They come from the card, else from the metadata, else from the shipped COCO list with as many names as the
    model has classes. A model without class names gets `class_0`, `class_1`, ... and a note. A class without a name
    beside others is called `unused_<id>`.

    Args:
        file: for messages.
        values: what the cards say.
        exporter: what the exporter says.
        class_count: number of classes from the shape of the outputs, None if unknown.
        unused_ids: columns that no class has in any model of the family.
        own: the classes of the one network that the decoder is for, () for a decoder of many.
        has_spare: the family's heads may have columns that no class uses: one more than classes, or COCO's 91 ids.

    Raises:
        ModelError: the number of names differs from the number of classes, or neither is known.
    """
    if 'labels' in values:
        labels, source = values['labels'].value, values['labels'].source
        return _fitted(file, labels, source, class_count, has_spare)
    if exporter.names is not None:
        labels = _dense(exporter.names, class_count)
        labels, notes = _fitted(file, labels, f'metadata "{exporter.names_key}"', class_count, has_spare)
        return labels, (*exporter.notes, *notes)
    if class_count is None:
        raise file.unclear(
            'the outputs do not show how many classes there are, and nothing names them',
            'labels: [first name, second name]',
            'labels: coco80',
        )
    if own and class_count == len(own):
        return Sourced(own, 'as the network has'), exporter.notes
    if class_count in _SHIPPED_BY_COUNT:
        name, labels = _SHIPPED_BY_COUNT[class_count]
        found = Sourced(labels, f'shipped list {name}, since there are {class_count} classes')
        return found, exporter.notes
    card = file.path.with_suffix('.yaml').name
    note = (
        f'nothing names the {class_count - len(unused_ids)} classes of {file.path.name}; they are called class_0 to '
        f'class_{class_count - len(unused_ids) - 1} until the card {card} has `labels: [...]`'
    )
    numbered = tuple(f'{UNUSED if index in unused_ids else "class_"}{index}' for index in range(class_count))
    return Sourced(numbered, 'numbered, since nothing names them'), (*exporter.notes, note)


def known_label_count(values: CardValues, exporter: ExporterFacts) -> int | None:
    """How many class names a card or the metadata gives; None where neither does."""
    if 'labels' in values:
        return len(values['labels'].value)
    return None if exporter.names is None else len(exporter.names)


def known_labels(values: CardValues, exporter: ExporterFacts) -> tuple[str, ...] | None:
    """The class names that a card or the metadata gives; None where neither does."""
    if 'labels' in values:
        return tuple(values['labels'].value)
    return None if exporter.names is None else _dense(exporter.names, len(exporter.names))


def _dense(names: Mapping[int, str], class_count: int | None) -> tuple[str, ...]:
    """One name for each class from numbered ones; numbers that start at 1 start at 0 where that fits the outputs."""
    first, last = min(names), max(names)
    if first == 1 and last == len(names) == class_count:
        return tuple(names[number] for number in range(1, last + 1))
    count = last + 1 if class_count is None or last >= class_count else class_count
    if last + 1 == len(names):  # no gaps: whether they fit is checked as for any list
        return tuple(names[number] for number in range(last + 1))
    return tuple(names.get(number, f'class_{number}') for number in range(count))


def _fitted(file: ModelFile, labels: tuple[str, ...], source: str, class_count: int | None, has_spare: bool) -> Found:
    """The names, as many as there are classes."""
    if class_count is None or len(labels) == class_count:
        return Sourced(labels, source), ()
    if has_spare and class_count == _COCO_IDS and labels == COCO_80:
        note = f'{source}: labels: the 80 names of COCO stand at their category ids of the 91 class scores'
        return Sourced(OF_DETECTORS['coco91'], f"{source}, at COCO's category ids"), (note,)
    if has_spare and len(labels) < class_count and (class_count == len(labels) + 1 or class_count == _COCO_IDS):
        unused = tuple(f'{UNUSED}{index}' for index in range(len(labels), class_count))
        shown = unused[0] if len(unused) == 1 else f'{unused[0]} to {unused[-1]}'
        note = (
            f'{source}: labels: {len(labels)} names for the {class_count} class scores of {file.path.name}; '
            f'the rest is called {shown}, and no object should be found as that'
        )
        return Sourced((*labels, *unused), source), (note,)
    shown = ', '.join(labels[:3]) + (', ...' if len(labels) > 3 else '')
    raise ModelError(
        f'{source}: labels: {len(labels)} names ({shown}), but the outputs of {file.path.name} '
        f'have {class_count} classes; give exactly {class_count} names. Found:{file.describe()}'
    )
