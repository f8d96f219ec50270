# SPDX-License-Identifier: Apache-2.0
"""What a task's recognition is given, and what it finds: the contract between `infer` and the files beside this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isaac_inference.models.card.assumption import Assumption
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.objects import ObjectSpec
from isaac_inference.models.card.sourced import CardValues, Sourced
from isaac_inference.models.card.tasks import Task, TaskSpec
from isaac_inference.models.onnx.exporter import ExporterFacts
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.class_labels import Found
from isaac_inference.models.recognition.image_input import InputFinding
from isaac_inference.models.recognition.preprocessing import PreprocessFinding
from isaac_inference.models.recognition.problems import Problems

NO_LABELS: Found = (Sourced((), ''), ())
"""Of a model that has no classes."""

Outputs = Mapping[str, np.ndarray]
"""The outputs of one run by name; {} where the model cannot be run here."""


@dataclass(frozen=True)
class Subject:
    """A model whose task is known.

    Attributes:
        file: what the ONNX file says.
        values: what the cards say.
        exporter: what the exporter says.
        task: what the model is for, and where that came from.
        problems: takes what is wrong, so that the rest can be looked at too.
    """

    file: ModelFile
    values: CardValues
    exporter: ExporterFacts
    task: Sourced[Task]
    problems: Problems


@dataclass(frozen=True)
class Reading:
    """All that is found of a model beside its name; a card is made of it.

    Attributes:
        spec: the task, and how its outputs are read.
        inputs: what is fed.
        prepared: how an image becomes its tensor.
        labels: the class names, and notes.
        objects: class name -> its object, and notes.
        sources: field of the card -> where the parts of `spec` came from.
        notes: what is worth a line in a log.
        assumptions: what of `spec` the file leaves open.
        check: raises ModelError where the finished card cannot be right.
    """

    spec: TaskSpec
    inputs: InputFinding
    prepared: PreprocessFinding
    labels: Found = NO_LABELS
    objects: tuple[Mapping[str, Sourced[ObjectSpec]], tuple[str, ...]] = field(default_factory=lambda: ({}, ()))
    sources: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    check: Callable[[ModelCard], None] | None = None


@dataclass(frozen=True)
class Trial:
    """What a card makes of one run of its model.

    Attributes:
        shown: for people, what speaks for it: 'tried on a picture: best score 0.87'.
        wrong: why that cannot be right; None where nothing speaks against it.
    """

    shown: str
    wrong: str | None = None


@dataclass(frozen=True)
class Recognizer:
    """How the models of one task are recognised.

    Attributes:
        recognize: the reading of a model; None where it cannot be made, with the reasons in the subject's problems.
        judge: what a card makes of the outputs of one run.
    """

    recognize: Callable[[Subject], Reading | None]
    judge: Callable[[ModelCard, Outputs], Trial]


def sourced_fields(section: str, found: Mapping[str, Sourced[Any]]) -> dict[str, str]:
    """Where each value of a section came from, under the names that a card has for them."""
    return {f'{section}.{name}': item.source for name, item in found.items()}
