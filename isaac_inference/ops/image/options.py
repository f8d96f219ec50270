# SPDX-License-Identifier: Apache-2.0
"""The choices in how an image becomes a model's input, under the names that a model card gives them.

Each member equals the text of its name in a card (`Fit.CROP == 'crop'`) and is written as that text.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

from isaac_inference.errors import ConfigError

TENSOR_TYPES = ('float32', 'float16', 'uint8', 'int32')
"""Element types that an image's tensor may have."""

WHOLE_TYPES = ('uint8', 'int32')
"""Those of networks that take the raw 0..255; MoveNet's take int32."""

OptionT = TypeVar('OptionT', bound='Option')


class Option(str, Enum):
    """Base of the choices: a text whose `str` and format are the text alone, in every version of Python."""

    def __str__(self) -> str:
        return str(self.value)


class ColorOrder(Option):
    """The order of an image's three channels."""

    RGB = 'rgb'
    BGR = 'bgr'


class Fit(Option):
    """What happens when the image and the input have different aspect ratios."""

    LETTERBOX = 'letterbox'  # keep the aspect ratio, show all of the image, pad the rest
    STRETCH = 'stretch'  # fill the input, change the aspect ratio
    CROP = 'crop'  # keep the aspect ratio, fill the input, cut off what sticks out


class Anchor(Option):
    """Where the image sits on the padded input (letterbox), or which part of the image stays (crop)."""

    CENTER = 'center'
    TOP_LEFT = 'top_left'


class Rounding(Option):
    """How a scaled side becomes whole pixels; a model sees what it was trained with only if this agrees."""

    FLOOR = 'floor'  # int(side * ratio), as YOLOX does
    NEAREST = 'nearest'  # round(side * ratio), as Ultralytics does


class Interpolation(Option):
    """How the pixels of the resized image are computed: OpenCV's method of that name."""

    LINEAR = 'linear'
    NEAREST = 'nearest'
    AREA = 'area'
    CUBIC = 'cubic'


class TensorLayout(Option):
    """The order of an image tensor's axes: batch, channels, height, width."""

    NCHW = 'NCHW'
    NHWC = 'NHWC'


def option(kind: type[OptionT], value: OptionT | str, name: str) -> OptionT:
    """The member of `kind` that `value` is or names.

    Args:
        kind: which choice.
        value: a member, or its text.
        name: what to call the choice in the error.

    Raises:
        ConfigError: there is no such member.

    Example:
        >>> option(Fit, 'crop', 'letterbox fit') is Fit.CROP
        True
    """
    try:
        return kind(value)
    except ValueError:
        allowed = ', '.join(kind)
        raise ConfigError(f'{name}: got {value!r}, expected one of {allowed}') from None
