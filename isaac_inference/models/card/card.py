# SPDX-License-Identifier: Apache-2.0
"""The model card: everything that a pipeline stage needs to know about one model, in one frozen object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from isaac_inference.models.card.objects import ObjectSpec
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.ops.image.options import Anchor, ColorOrder, Fit, Interpolation, Option, Rounding, option

KEYPOINT_MODELS = ('cuboid8',)
_OPTIONS: Mapping[str, type[Option]] = {
    'color': ColorOrder,
    'fit': Fit,
    'anchor': Anchor,
    'rounding': Rounding,
    'interpolation': Interpolation,
}


class Task(str, Enum):
    """What a model is for. Segmentation and others come as further members."""

    DETECTION = 'detection'
    POSE = 'pose'  # detection, and keypoints of each object


@dataclass(frozen=True)
class PreprocessSpec:
    """How an image becomes the input tensor: `out = (pixel * scale - mean) / std`, a channel at a time.

    Attributes:
        color: order of the tensor's three channels.
        scale: factor on the raw 0..255 values; 1/255 for networks trained on 0..1.
        mean: per channel in the order of `color`, in units of `pixel * scale`.
        std: per channel, same order and units, none zero.
        fit: what happens when the image and the input have different aspect ratios.
        anchor: where a letterboxed image sits; for 'crop', which part is kept.
        rounding: how the resized width and height become whole pixels.
        pad_value: 0..255, the raw value of letterbox padding in all three channels (before scale, mean and
            std).
        interpolation: how the resized image's pixels are computed.

    The choices may be given as text ('rgb', 'crop', ...); the fields hold the members.

    Raises:
        ConfigError: a text that names no choice.
    """

    color: ColorOrder = ColorOrder.RGB
    scale: float = 1.0 / 255.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fit: Fit = Fit.LETTERBOX
    anchor: Anchor = Anchor.CENTER
    rounding: Rounding = Rounding.NEAREST
    pad_value: int = 114
    interpolation: Interpolation = Interpolation.LINEAR

    def __post_init__(self) -> None:
        for name, kind in _OPTIONS.items():
            object.__setattr__(self, name, option(kind, getattr(self, name), f'preprocess.{name}'))


@dataclass(frozen=True)
class KeypointSpec:
    """The keypoints that a model gives with each box.

    Attributes:
        count: keypoints a box.
        dims: values a keypoint in the model's output: 2 (x, y) or 3 (x, y, confidence).
        model: what the keypoints are on every object: 'cuboid8' for the corners of its cuboid (corner k has the
            signs of bits 2, 1 and 0 of k for x, y and z; the size is the object's), '' for points that the
            objects name themselves (`ObjectSpec.keypoints`), or that have no 3-D model.
    """

    count: int
    dims: int = 3
    model: str = ''


@dataclass(frozen=True)
class ModelCard:
    """One model as every stage sees it; made by `isaac_inference.models.read_card`, never changed afterwards.

    Attributes:
        name: short name for logs and diagnostics; the file's stem unless a card says otherwise.
        path: absolute path of the ONNX file.
        sha256: hex digest of the file and of the external weight files that it names.
        task: what the model is for.
        decoder: how its outputs are read; one of the names in `families.FAMILIES`.
        decoder_options: the decoder's settings, such as `strides`; immutable.
        image_input: the tensor that takes the image, rank 4.
        layout: order of the image tensor's axes, 'NCHW' or 'NHWC'.
        input_wh: (width, height) in px that preprocessing makes; the model's own, or the one chosen for a
            dynamic model.
        size_input: tensor that wants the size which boxes shall refer to (RT-DETR's `orig_target_sizes`, [N,
            2]), or None. Feed `input_wh` in its dtype, and boxes come back in px of the network's input.
        outputs: every output of the file, in its order.
        roles: role -> output tensor name; the roles are the decoder's (`families.FAMILIES`).
        labels: class names; the index is the class number.
        preprocess: how an image becomes the input tensor.
        keypoints: the keypoints that come with each box; None for a model without.
        objects: class name -> its size, shape and mesh, for the classes that a card describes; immutable. A plain
            detector may have them too, for poses from depth.
        sources: field -> where its value came from, for people.
        notes: choices that are likely but not certain, worth one warning in a log.
        opset: ONNX operator set version of the file.
        producer: the exporter's name and version, '' when the file does not say.
    """

    name: str
    path: Path
    sha256: str
    task: Task
    decoder: str
    decoder_options: Mapping[str, Any]
    image_input: TensorSpec
    layout: str
    input_wh: tuple[int, int]
    size_input: TensorSpec | None
    outputs: tuple[TensorSpec, ...]
    roles: Mapping[str, str]
    labels: tuple[str, ...]
    preprocess: PreprocessSpec
    keypoints: KeypointSpec | None = None
    objects: Mapping[str, ObjectSpec] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    opset: int = 0
    producer: str = ''

    def __post_init__(self) -> None:
        for name in ('decoder_options', 'roles', 'objects', 'sources'):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def class_count(self) -> int:
        """How many classes the model knows."""
        return len(self.labels)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Every tensor that must be fed: the image, then the size input where there is one."""
        return (self.image_input,) if self.size_input is None else (self.image_input, self.size_input)

    @property
    def used_outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs that a role names, in the file's order; what an engine fetches."""
        names = set(self.roles.values())
        return tuple(spec for spec in self.outputs if spec.name in names)

    @property
    def dynamic_batch(self) -> bool:
        """True when the model takes any number of images at once."""
        return self.image_input.shape[0] is None

    @property
    def dynamic_size(self) -> bool:
        """True when the model leaves width or height open."""
        height, width = spatial_dims(self.image_input.shape, self.layout)
        return height is None or width is None

    def input_shape(self, batch: int = 1) -> tuple[int, int, int, int]:
        """Shape of the image tensor for `batch` images of `input_wh`, in the model's layout."""
        width, height = self.input_wh
        return (batch, 3, height, width) if self.layout == 'NCHW' else (batch, height, width, 3)


def spatial_dims(shape: tuple[int | None, ...], layout: str) -> tuple[int | None, int | None]:
    """(height, width) of a rank-4 image shape, None where open."""
    return (shape[2], shape[3]) if layout == 'NCHW' else (shape[1], shape[2])
