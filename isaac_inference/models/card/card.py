# SPDX-License-Identifier: Apache-2.0
"""The model card: everything that a pipeline stage needs to know about one model, in one frozen object."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from isaac_inference.errors import ModelError
from isaac_inference.models.card.assumption import Assumption
from isaac_inference.models.card.inputs import ImageInput, ValueInput, ValueRole
from isaac_inference.models.card.objects import ObjectSpec
from isaac_inference.models.card.tasks import (
    DetectionSpec,
    KeypointDetectionSpec,
    KeypointSpec,
    MaskSpec,
    Task,
    TaskSpec,
)
from isaac_inference.models.card.tensor_spec import TensorSpec

HASH_DIGITS = 16


@dataclass(frozen=True)
class CardId:
    """What a frame of tensors carries to say which card prepared it.

    Attributes:
        hash: 16 hex digits over all that decides what the tensors mean: the model's bytes, its inputs with their
            preprocessing, its outputs, task and labels. Not the path, name, version, objects or notes.
        name: the model's name, for people.
    """

    hash: str
    name: str

    def __str__(self) -> str:
        return f'{self.name} ({self.hash})'


@dataclass(frozen=True)
class ModelCard:
    """One model as every stage sees it; made by `isaac_inference.models.read_card`, never changed afterwards.

    The common part is here; what only one task has is in `spec`.

    Attributes:
        name: short name for logs and diagnostics; the file's stem unless a card says otherwise.
        path: absolute path of the ONNX file.
        sha256: hex digest of the file and of the external weight files it names.
        inputs: every tensor that must be fed: images, and values that are not images.
        outputs: every output of the file, in its order.
        spec: the task, and how its outputs are read.
        labels: class names; the index is the class number. Empty for a model without classes.
        objects: class name -> its size, shape and mesh, for the classes that a card describes; immutable. A plain
            detector may have them too, for poses from depth.
        version: the model's version, as a card or a repository says; '' where nothing does.
        sources: field -> where its value came from, human-readable.
        notes: what is worth one warning in a log.
        assumptions: values that the file does not say and that other exports of the same layout have otherwise.
        opset: ONNX operator set version of the file.
        producer: the exporter's name and version, '' when the file does not say.
    """

    name: str
    path: Path
    sha256: str
    inputs: tuple[ImageInput | ValueInput, ...]
    outputs: tuple[TensorSpec, ...]
    spec: TaskSpec
    labels: tuple[str, ...] = ()
    objects: Mapping[str, ObjectSpec] = field(default_factory=dict)
    version: str = ''
    sources: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    opset: int = 0
    producer: str = ''

    def __post_init__(self) -> None:
        for name in ('objects', 'sources'):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @cached_property
    def id(self) -> CardId:
        """What a frame that this card prepared carries."""
        spec = {name: dict(value) if isinstance(value, Mapping) else value for name, value in vars(self.spec).items()}
        meaning = (self.sha256, self.inputs, self.outputs, type(self.spec).__name__, sorted(spec.items()), self.labels)
        return CardId(hashlib.sha256(repr(meaning).encode()).hexdigest()[:HASH_DIGITS], self.name)

    @property
    def task(self) -> Task:
        """What the model is for."""
        return self.spec.task

    @property
    def class_count(self) -> int:
        """How many classes the model knows."""
        return len(self.labels)

    @property
    def images(self) -> tuple[ImageInput, ...]:
        """The inputs that take images, in the file's order."""
        return tuple(item for item in self.inputs if isinstance(item, ImageInput))

    @cached_property  # read several times per frame
    def image(self) -> ImageInput:
        """The one input that takes an image.

        Raises:
            ModelError: the model takes none, or several.
        """
        images = self.images
        if len(images) != 1:
            found = ', '.join(f'{item.role} ({item.tensor.describe()})' for item in images) or 'none'
            raise ModelError(
                f'model {self.name}: expected one image input, found {found}; a {self.task.value} model is fed by a '
                'separate stage'
            )
        return images[0]

    @property
    def input_wh(self) -> tuple[int, int]:
        """(width, height) in px of the images that the network sees; both of a pair have it.

        Raises:
            ModelError: the model takes no image.
        """
        if not self.images:
            raise ModelError(f'model {self.name}: none of its inputs takes an image')
        return self.images[0].wh

    def value_input(self, role: ValueRole) -> TensorSpec | None:
        """The tensor for this value, or None."""
        return next(
            (item.tensor for item in self.inputs if isinstance(item, ValueInput) and item.role is role),
            None,
        )

    @property
    def value_inputs(self) -> tuple[ValueInput, ...]:
        """The inputs that take something other than an image, in the file's order."""
        return tuple(item for item in self.inputs if isinstance(item, ValueInput))

    @cached_property
    def size_input(self) -> TensorSpec | None:
        """The tensor that takes the image size that boxes refer to, or None. Feed `image.wh` in its dtype, and boxes
        come back in px of the network's input.
        """
        return self.value_input(ValueRole.IMAGE_SIZE)

    @property
    def detection(self) -> DetectionSpec:
        """How boxes are read from the outputs.

        Raises:
            ModelError: the task has no boxes.
        """
        if not isinstance(self.spec, DetectionSpec):
            raise ModelError(
                f'model {self.name}: its task is {self.task.value}, which finds no boxes; give a model for '
                f'{Task.DETECTION.value} or {Task.KEYPOINTS.value}'
            )
        return self.spec

    @property
    def keypoints(self) -> KeypointSpec | None:
        """The keypoints that come with each box; None for a model without."""
        return self.spec.keypoints if isinstance(self.spec, KeypointDetectionSpec) else None

    @property
    def masks(self) -> MaskSpec | None:
        """The masks that come with each box; None for a model without."""
        return self.spec.masks if isinstance(self.spec, DetectionSpec) else None

    @property
    def fed(self) -> tuple[TensorSpec, ...]:
        """The tensors of all inputs, in their order."""
        return tuple(item.tensor for item in self.inputs)

    @property
    def used_outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs that a role names, in the file's order; the ones an engine fetches."""
        names = set(self.spec.roles.values())
        return tuple(spec for spec in self.outputs if spec.name in names)

    @property
    def dynamic_batch(self) -> bool:
        """True if the model takes any number of frames at once."""
        return all(item.has_batch for item in self.images) and all(
            spec.shape[:1] == (None,) for spec in [item.tensor for item in self.images] or self.fed
        )
