# SPDX-License-Identifier: Apache-2.0
"""The class names of a model, checked against the number of classes that its outputs have."""

from __future__ import annotations

from isaac_inference.errors import ModelError
from isaac_inference.models.card.labels import SHIPPED
from isaac_inference.models.card.sourced import CardValues, Sourced
from isaac_inference.models.onnx.exporter import ExporterFacts
from isaac_inference.models.onnx.reader import ModelFile

_SHIPPED_BY_COUNT = {len(names): (name, names) for name, names in SHIPPED.items()}


def resolve_labels(
    file: ModelFile,
    values: CardValues,
    exporter: ExporterFacts,
    class_count: int | None,
) -> tuple[Sourced[tuple[str, ...]], tuple[str, ...]]:
    """The class names, and notes for the log.

    They come from the card, else from the metadata, else from the shipped COCO list with as many names as the
    model has classes. A model without class names gets `class_0`, `class_1`, ... and a note.

    Args:
        file: for messages.
        values: what the cards say.
        exporter: what the exporter says.
        class_count: number of classes from the shape of the outputs, None if unknown.

    Raises:
        ModelError: the number of names differs from the number of classes, or neither is known.
    """
    if 'labels' in values:
        labels, source = values['labels'].value, values['labels'].source
    elif exporter.labels is not None:
        labels, source = exporter.labels, 'metadata "names"'
    elif class_count is None:
        raise file.unclear(
            'the outputs do not show how many classes there are, and nothing names them',
            'labels: [first name, second name]',
            'labels: coco80',
        )
    elif class_count in _SHIPPED_BY_COUNT:
        name, labels = _SHIPPED_BY_COUNT[class_count]
        source = f'shipped list {name}, since there are {class_count} classes'
    else:
        card = file.path.with_suffix('.yaml').name
        note = (
            f'nothing names the {class_count} classes of {file.path.name}; they are called class_0 to '
            f'class_{class_count - 1} until the card {card} has `labels: [...]`'
        )
        numbered = tuple(f'class_{index}' for index in range(class_count))
        return Sourced(numbered, 'numbered, since nothing names them'), (note,)
    if class_count is not None and len(labels) != class_count:
        shown = ', '.join(labels[:3]) + (', ...' if len(labels) > 3 else '')
        raise ModelError(
            f'{source}: labels: {len(labels)} names ({shown}), but the outputs of {file.path.name} '
            f'have {class_count} classes; give exactly {class_count} names. Found:{file.describe()}'
        )
    return Sourced(labels, source), ()
