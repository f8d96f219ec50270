# SPDX-License-Identifier: Apache-2.0
"""One run of a model on a picture of ours, to see what its numbers look like."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from isaac_inference.errors import PerceptionError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.inputs import ImageInput, PreprocessSpec, ValueInput, ValueRole
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.image_input import InputFinding
from isaac_inference.ops.image.options import WHOLE_TYPES, ColorOrder, Fit, TensorLayout

PICTURE = Path(__file__).with_name('street.jpg')
"""A street that docs/make_picture.py drew: houses, a stop sign, traffic lights, a clock and a ball."""


_DISTANCE = 2.0  # m of the depth image beside it


@functools.cache
def probe_picture() -> np.ndarray:
    """(360, 640, 3) uint8 BGR, not to be written to."""
    import cv2

    picture = cv2.imread(str(PICTURE), cv2.IMREAD_COLOR)
    if picture is None:  # an incomplete installation
        picture = np.full((360, 640, 3), 127, np.uint8)
    picture.flags.writeable = False
    return picture


def probe_disparity(width: int) -> int:
    """px by which the right image of the pair on which a stereo network is run is shifted, for a network's width."""
    return max(4, width // 32)


def _tensor(image: ImageInput) -> np.ndarray:
    """The picture as the model's input tensor, stretched to its size, with its batch axis where it has one.

    The right image of a pair is the same picture, seen from further to the right.
    """
    import cv2

    spec = image.preprocess
    pixels = cv2.resize(probe_picture(), image.wh, interpolation=cv2.INTER_LINEAR)
    pixels = pixels[..., ::-1] if spec.color is ColorOrder.RGB else pixels
    tensor = (pixels.astype(np.float32) * spec.scale - np.asarray(spec.mean)) / np.asarray(spec.std)
    if image.role in ('right', 'pair'):
        right = np.roll(tensor, -probe_disparity(image.wh[0]), axis=1)
        tensor = right if image.role == 'right' else np.concatenate((tensor, right), axis=2)
    tensor = tensor.transpose(2, 0, 1) if image.layout is TensorLayout.NCHW else tensor
    return np.ascontiguousarray(tensor[None] if image.has_batch else tensor, dtype=image.tensor.dtype)


def _value(item: ValueInput, wh: tuple[int, int]) -> np.ndarray:
    """What an input beside the image is fed: a depth image is of one distance."""
    if item.role is not ValueRole.DEPTH:
        return item.constant(wh)
    return np.full(item.shape(wh), _DISTANCE, item.tensor.dtype)


class Probe:
    """Runs a model when its numbers are first asked for, before it is known how its images are prepared.

    Args:
        file: the model.
        inputs: its inputs.
    """

    def __init__(self, file: ModelFile, inputs: InputFinding) -> None:
        self._file, self._inputs = file, inputs

    def __call__(self) -> Mapping[str, np.ndarray]:
        """The outputs by name; {} for a model that cannot be run here."""
        spec = self._inputs.image.value
        is_raw = spec.dtype in WHOLE_TYPES or self._file.entry(spec.name).unit == 1.0
        prepared = PreprocessSpec(scale=1.0 if is_raw else 1 / 255, fit=Fit.STRETCH)
        return _outputs(self._file, self._inputs.image_inputs(prepared), self._inputs.value_inputs())


def outputs_of(file: ModelFile, card: ModelCard) -> Mapping[str, np.ndarray]:
    """The outputs by name of one run on the picture, prepared as a card says; {} where it cannot be run here."""
    return _outputs(file, card.images, card.value_inputs)


def _outputs(
    file: ModelFile, images: tuple[ImageInput, ...], beside: tuple[ValueInput, ...]
) -> Mapping[str, np.ndarray]:
    """The outputs by name; {} where the model cannot be run here. Each way to feed a file is run once."""
    way = (images, beside)
    if way not in file.probed:
        file.probed[way] = _run(file, images, beside)
    return file.probed[way]


def _run(file: ModelFile, images: tuple[ImageInput, ...], beside: tuple[ValueInput, ...]) -> Mapping[str, np.ndarray]:
    from isaac_inference.models.precision.session import Session

    if not file.path.is_file():
        return {}
    try:
        session = Session(file.path)
        feeds = {item.tensor.name: _value(item, images[0].wh) for item in beside}
        outputs = session.run({**{image.tensor.name: _tensor(image) for image in images}, **feeds})
    except PerceptionError:
        return {}
    return dict(zip(session.output_names, outputs, strict=True))
