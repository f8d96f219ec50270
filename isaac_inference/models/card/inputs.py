# SPDX-License-Identifier: Apache-2.0
"""A model's inputs: images, each with its preprocessing, and values that are not images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from isaac_inference.errors import ModelError
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.ops.image.options import (
    Anchor,
    ColorOrder,
    Fit,
    Interpolation,
    Option,
    Rounding,
    TensorLayout,
    option,
)

_OPTIONS: Mapping[str, type[Option]] = {
    'color': ColorOrder,
    'fit': Fit,
    'anchor': Anchor,
    'rounding': Rounding,
    'interpolation': Interpolation,
}


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
class ImageInput:
    """A tensor that takes an image.

    Attributes:
        tensor: the model's tensor, rank 4; rank 3 for a graph that takes one image without a batch axis.
        layout: order of the tensor's axes; may be given as text, 'NCHW' or 'NHWC'.
        wh: (width, height) in px that preprocessing makes; the model's own, or the one chosen for a dynamic model.
        preprocess: how an image becomes the tensor.
        role: which image of a frame it takes: 'image' where there is one, 'left' and 'right' of a stereo pair.
        convention: whose preparation `preprocess` follows but for what the graph or a card says: a name in
            `conventions.CONVENTIONS`; '' where none was asked.
    """

    tensor: TensorSpec
    layout: TensorLayout
    wh: tuple[int, int]
    preprocess: PreprocessSpec = PreprocessSpec()
    role: str = 'image'
    convention: str = field(default='', compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, 'layout', option(TensorLayout, self.layout, 'layout'))

    @property
    def channels(self) -> int:
        """How many channels the tensor has; 3 where the model leaves them open."""
        return self.tensor.shape[-3 if self.layout is TensorLayout.NCHW else -1] or 3

    @property
    def has_batch(self) -> bool:
        """False for a graph that takes one image without a batch axis."""
        return len(self.tensor.shape) == 4

    @property
    def dynamic_size(self) -> bool:
        """True if the model leaves width or height open."""
        return None in spatial_dims(self.tensor.shape, self.layout)

    def shape(self, batch: int = 1) -> tuple[int, ...]:
        """Shape of the tensor for `batch` images of `wh`, in the model's layout."""
        width, height = self.wh
        image = (self.channels, height, width) if self.layout is TensorLayout.NCHW else (height, width, self.channels)
        return (batch, *image) if self.has_batch else image


class ValueRole(str, Enum):
    """What an input that is not an image takes."""

    IMAGE_SIZE = 'image_size'  # [N, 2] (width, height) that boxes refer to, such as RT-DETR's `orig_target_sizes`
    IMAGE_SHAPE = 'image_shape'  # [N, 2] (height, width), such as Paddle's `im_shape`
    SCALE_FACTOR = 'scale_factor'  # [N, 2], by which the graph divides its boxes, such as Paddle's `scale_factor`
    PIXEL_MASK = 'pixel_mask'  # [N, H, W], 1 where the image is and 0 where it is padded
    TEXT_EMBEDDINGS = (
        'text_embeddings'  # [N, C, D] or [C, D], a vector for each class, as open-vocabulary detectors take
    )
    DEPTH = 'depth'  # a depth image, as depth completion takes it
    TOKENS = 'tokens'  # a tokenized text
    STATE = 'state'  # the robot's own state


@dataclass(frozen=True)
class FixedArray:
    """An array that a model is fed with every frame; two are equal where they were made from the same.

    Attributes:
        values: what is fed, without a batch axis; not to be written to.
        digest: hex digest over what it was made from. An encoder's numbers differ in the last bits from one machine to
            the next, so that this, and not the numbers, tells arrays apart.
        origin: how it was made, for people.
    """

    values: np.ndarray = field(compare=False, repr=False)
    digest: str
    origin: str = field(default='', compare=False, repr=False)


@dataclass(frozen=True)
class ValueInput:
    """A tensor that takes something other than a camera image.

    Attributes:
        tensor: the model's tensor.
        role: what it takes.
        fixed: what it is fed, for a role whose value does not follow from the size of the image: TEXT_EMBEDDINGS.
    """

    tensor: TensorSpec
    role: ValueRole
    fixed: FixedArray | None = None

    def constant(self, wh: tuple[int, int], batch: int = 1) -> np.ndarray:
        """What the tensor is fed: sizes so that boxes come back in px of the network's input; embeddings as they are.

        Args:
            wh: (width, height) of the network's input in px.
            batch: images in the batch.

        Raises:
            ModelError: the role's value is not a constant.
        """
        width, height = wh
        if self.role is ValueRole.PIXEL_MASK:
            shape = [size or side for size, side in zip(self.tensor.shape[1:], (height, width), strict=False)]
            return np.ones((batch, *shape), self.tensor.dtype)
        if self.fixed is not None:
            values = self.fixed.values.astype(self.tensor.dtype)
            is_batched = len(self.tensor.shape) > values.ndim
            return np.repeat(values[None], self.tensor.shape[0] or batch, axis=0) if is_batched else values
        rows = {
            ValueRole.IMAGE_SIZE: (width, height),
            ValueRole.IMAGE_SHAPE: (height, width),
            ValueRole.SCALE_FACTOR: (1, 1),
        }
        if self.role not in rows:
            raise ModelError(f'input {self.tensor.describe()}: {self.role.value} is no constant; a stage must feed it')
        return np.tile(np.asarray(rows[self.role], self.tensor.dtype), (batch, 1))

    def shape(self, wh: tuple[int, int], batch: int = 1) -> tuple[int, ...]:
        """Shape of what the tensor is fed.

        Args:
            wh: (width, height) of the network's input in px.
            batch: images in the batch.

        Raises:
            ModelError: as of `constant`.
        """
        if self.role is not ValueRole.DEPTH:
            return self.constant(wh, batch).shape
        width, height = wh
        if len(self.tensor.shape) == 3:
            return batch, height, width
        return (batch, 1, height, width) if self.tensor.shape[1] == 1 else (batch, height, width, 1)


def spatial_dims(shape: tuple[int | None, ...], layout: TensorLayout) -> tuple[int | None, int | None]:
    """(height, width) of the shape of an image tensor, with or without a batch axis; None where open."""
    return (shape[-2], shape[-1]) if layout is TensorLayout.NCHW else (shape[-3], shape[-2])
