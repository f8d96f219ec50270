# SPDX-License-Identifier: Apache-2.0
"""What the user chooses of a class mask, and what the classes are called."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import ConfigError, ModelError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.tasks import ClassForm, SemanticSegmentationSpec, Task
from isaac_inference.ops.image.options import Option, option
from isaac_inference.ops.segmentation.unlabelled import mask_dtype, unlabelled

REST = 'background'
"""What is not the one class of a model that knows a single one, where its card has no name for it."""


class Upsampling(Option):
    """How the network's cells become source pixels."""

    NEAREST = 'nearest'  # the class of the cell that the pixel lies in
    BILINEAR = 'bilinear'  # the class of the interpolated scores: smoother edges, some ms more


@dataclass(frozen=True, eq=False)
class SegmentationSettings:
    """What is kept of a model's classes; made by `segmentation_settings`.

    Attributes:
        upsampling: how cells become source pixels.
        threshold: least probability of the class, for a model of a single class against the rest.
        min_confidence: 0..1, less makes a pixel unlabelled.
        kept: (ids,) of the mask's type, from each id to what is published for it; None keeps all.
    """

    upsampling: Upsampling = Upsampling.NEAREST
    threshold: float = 0.5
    min_confidence: float = 0.0
    kept: np.ndarray | None = None


def segmentation_spec(card: ModelCard) -> SemanticSegmentationSpec:
    """How a class for each pixel is read from the outputs.

    Raises:
        ModelError: the model is for another task.
    """
    if not isinstance(card.spec, SemanticSegmentationSpec):
        raise ModelError(
            f'model {card.name}: its task is {card.task.value}, which gives no class for each pixel; give a model for '
            f'{Task.SEMANTIC_SEGMENTATION.value}, or the card line `task: {Task.SEMANTIC_SEGMENTATION.value}`'
        )
    return card.spec


def class_names(card: ModelCard) -> tuple[str, ...]:
    """The classes of the mask in the order of their ids; where there is a single one, it is 1, and the rest is 0.

    Raises:
        ModelError: as of `segmentation_spec`, or the model's classes have no names.
    """
    segmentation_spec(card)
    labels = tuple(card.labels)
    if not labels:
        raise ModelError(
            f'model {card.name}: its classes have no names; add them to the card: `labels: [road, ...]`, one for each '
            'class of the output, in its order'
        )
    return (REST, *labels) if len(labels) == 1 else labels


def segmentation_settings(
    card: ModelCard,
    *,
    upsampling: Upsampling | str = Upsampling.NEAREST,
    threshold: float = 0.5,
    min_confidence: float = 0.0,
    classes: Sequence[str] = (),
) -> SegmentationSettings:
    """Settings for one model, class names resolved.

    Args:
        upsampling: how the network's cells become source pixels.
        threshold: (0, 1), least probability of the class of a model that knows a single one.
        min_confidence: [0, 1], a pixel of less is unlabelled.
        classes: names of the classes to keep, others are unlabelled; empty keeps all.

    Raises:
        ConfigError: a class that the model does not know, an unknown upsampling, bilinear upsampling for a model that
            gives no scores, or a threshold that nothing or everything passes.
    """
    names, spec = class_names(card), segmentation_spec(card)
    way = option(Upsampling, upsampling, 'upsampling')
    if way is Upsampling.BILINEAR and spec.form is ClassForm.CLASSES:
        raise ConfigError(
            f'parameter upsampling: got bilinear, but model {card.name} puts out class ids, and there is nothing '
            'between two of them; set it to nearest'
        )
    if not 0.0 < threshold < 1.0:
        raise ConfigError(
            f'parameter threshold: got {threshold:g}, expected a probability between 0 and 1, such as 0.5'
        )
    return SegmentationSettings(way, threshold, min_confidence, _kept(card, names, classes) if classes else None)


def class_index(card: ModelCard, name: str, parameter: str) -> int:
    """The id of a class by its name.

    Raises:
        ConfigError: there is none; it names the parameter, and the most similar class or all of them.
    """
    names = class_names(card)
    if name in names:
        return names.index(name)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f'did you mean {close[0]!r}?' if close else f'its classes are: {", ".join(names)}'
    raise ConfigError(f'parameter {parameter}: model {card.name} has no class {name!r}, {hint}')


def _kept(card: ModelCard, names: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    dtype = mask_dtype(len(names))
    table = np.full(unlabelled(dtype) + 1, unlabelled(dtype), dtype)
    for name in classes:
        index = class_index(card, name, 'classes')
        table[index] = index
    return table
