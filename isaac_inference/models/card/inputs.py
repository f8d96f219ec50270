# SPDX-License-Identifier: Apache-2.0
"""A model's inputs: images, each with its preprocessing, and values that are not images."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from isaac_inference.models.card.tensor_spec import TensorSpec

COLORS = ('rgb', 'bgr')
FITS = ('letterbox', 'stretch', 'crop')
ANCHORS = ('center', 'top_left')
ROUNDINGS = ('floor', 'nearest')
INTERPOLATIONS = ('linear', 'nearest', 'area', 'cubic')
LAYOUTS = ('NCHW', 'NHWC')


@dataclass(frozen=True)
class PreprocessSpec:
    """How an image becomes the input tensor: `out = (pixel * scale - mean) / std`, channel by channel.

    Attributes:
        color: order of the tensor's three channels, 'rgb' or 'bgr'.
        scale: factor on the raw 0..255 values; 1/255 for networks trained on 0..1.
        mean: per channel in the order of `color`, in units of `pixel * scale`.
        std: per channel, same order and units, none zero.
        fit: 'letterbox' (keep the aspect, pad), 'stretch' (fill, change the aspect), 'crop' (keep the aspect,
            cut).
        anchor: where a letterboxed image sits, 'center' or 'top_left'; for 'crop', which part is kept.
        rounding: how the resized width and height become whole pixels, 'floor' or 'nearest'.
        pad_value: 0..255, the raw value of letterbox padding in all three channels (before scale, mean and
            std).
        interpolation: 'linear', 'nearest', 'area' or 'cubic'.
    """

    color: str = 'rgb'
    scale: float = 1.0 / 255.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fit: str = 'letterbox'
    anchor: str = 'center'
    rounding: str = 'nearest'
    pad_value: int = 114
    interpolation: str = 'linear'


@dataclass(frozen=True)
class ImageInput:
    """A tensor that takes an image.

    Attributes:
        tensor: the model's tensor, rank 4.
        layout: order of the tensor's axes, 'NCHW' or 'NHWC'.
        wh: (width, height) in px that preprocessing makes; the model's own, or the one chosen for a dynamic model.
        preprocess: how an image becomes the tensor.
        role: which image of a frame it takes: 'image' where there is one, 'left' and 'right' of a stereo pair.
    """

    tensor: TensorSpec
    layout: str
    wh: tuple[int, int]
    preprocess: PreprocessSpec = PreprocessSpec()
    role: str = 'image'

    @property
    def channels(self) -> int:
        """How many channels the tensor has; 3 where the model leaves them open."""
        return self.tensor.shape[1 if self.layout == 'NCHW' else 3] or 3

    @property
    def dynamic_size(self) -> bool:
        """True if the model leaves width or height open."""
        return None in spatial_dims(self.tensor.shape, self.layout)

    def shape(self, batch: int = 1) -> tuple[int, int, int, int]:
        """Shape of the tensor for `batch` images of `wh`, in the model's layout."""
        width, height = self.wh
        if self.layout == 'NCHW':
            return (batch, self.channels, height, width)
        return (batch, height, width, self.channels)


class ValueRole(str, Enum):
    """What an input that is not an image takes."""

    IMAGE_SIZE = 'image_size'  # [N, 2], the image size that boxes refer to, such as RT-DETR's `orig_target_sizes`
    DEPTH = 'depth'  # a depth image, as depth completion takes it
    TOKENS = 'tokens'  # a tokenized text
    STATE = 'state'  # the robot's own state


@dataclass(frozen=True)
class ValueInput:
    """A tensor that takes something other than a camera image."""

    tensor: TensorSpec
    role: ValueRole


def spatial_dims(shape: tuple[int | None, ...], layout: str) -> tuple[int | None, int | None]:
    """(height, width) of a rank-4 image shape, None where open."""
    return (shape[2], shape[3]) if layout == 'NCHW' else (shape[1], shape[2])
