# SPDX-License-Identifier: Apache-2.0
"""What is known about a model before its decoder is, and a way to read its outputs that would fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isaac_inference.models.card.tasks import KeypointSpec
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.onnx.exporter import ExporterFacts
from isaac_inference.models.onnx.graph_tail import Tail
from isaac_inference.models.onnx.reader import ModelFile

Values = Callable[[], Mapping[str, np.ndarray]]


def no_values() -> Mapping[str, np.ndarray]:
    """What a model that cannot be run gives."""
    return {}


@dataclass(frozen=True)
class Evidence:
    """What is known about a model before its decoder is.

    Attributes:
        file: the model's tensors and metadata.
        input_wh: (width, height) of the network's input in px.
        label_count: how many class names a card or the metadata gives, or None.
        exporter: what the exporter says.
        keypoints: the keypoints that a card or the metadata gives, or None.
        outputs: the outputs to look at: those of the file that depend on the picture, or those that a card names.
        constants: outputs of the file that are the same for any picture, such as anchors; () where a card names
            outputs.
        values: runs the model once on a picture, where the file alone leaves a choice; its outputs by name, {} where it
            cannot be run.
        left_out: mask coefficients that `without_coefficients` has taken off each row.
    """

    file: ModelFile
    input_wh: tuple[int, int]
    label_count: int | None
    exporter: ExporterFacts
    keypoints: KeypointSpec | None = None
    outputs: tuple[TensorSpec, ...] = ()
    constants: tuple[TensorSpec, ...] = ()
    values: Values = no_values
    left_out: int = 0

    def __post_init__(self) -> None:
        if not self.outputs:
            fixed = tuple(spec for spec in self.file.outputs if self.file.tail(spec.name).is_constant)
            seen = tuple(spec for spec in self.file.outputs if spec not in fixed)
            object.__setattr__(self, 'outputs', seen or self.file.outputs)
            object.__setattr__(self, 'constants', fixed if seen else ())

    def tail(self, spec: TensorSpec) -> Tail:
        """What the graph does behind its last weights to make an output."""
        return self.file.tail(spec.name)

    def numbers(self, spec: TensorSpec, width: int) -> np.ndarray | None:
        """An output of the run as rows of `width` numbers, float32; None where it could not be run or made none."""
        array = self.values().get(spec.name)
        if array is None or not array.size or array.shape[-1] != width:
            return None
        return np.asarray(array, np.float32).reshape(-1, width)


@dataclass(frozen=True)
class Candidate:
    """One way to read the outputs.

    Attributes:
        decoder: a key of `families.FAMILIES`.
        roles: what each output is to it.
        why: what speaks for it.
        options: decoder options that follow from the outputs.
        class_count: number of classes, None if it does not follow from the outputs.
        convention: a key of `conventions.CONVENTIONS`, where the family of the network is known; else ''.
        alternatives: other keys that exports of just this layout follow; None for those of the decoder's family.
        unused_ids: columns of class scores that no class has in any model of the family.
        notes: what is worth a line in a log.
    """

    decoder: str
    roles: Mapping[str, TensorSpec]
    why: str
    options: Mapping[str, Any] = field(default_factory=dict)
    class_count: int | None = None
    convention: str = ''
    alternatives: tuple[str, ...] | None = None
    unused_ids: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
