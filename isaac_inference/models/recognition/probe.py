# SPDX-License-Identifier: Apache-2.0
"""One run of a model on a picture of ours, to see what its numbers look like."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from isaac_inference.errors import PerceptionError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.inputs import ImageInput, PreprocessSpec
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.image_input import InputFinding
from isaac_inference.ops.image.options import ColorOrder, Fit, TensorLayout

PICTURE = Path(__file__).with_name('street.jpg')
"""A street that docs/make_picture.py drew: houses, a stop sign, traffic lights, a clock and a ball."""


@functools.cache
def probe_picture() -> np.ndarray:
    """(360, 640, 3) uint8 BGR, not to be written to."""
    import cv2

    picture = cv2.imread(str(PICTURE), cv2.IMREAD_COLOR)
    if picture is None:  # an incomplete installation
        picture = np.full((360, 640, 3), 127, np.uint8)
    picture.flags.writeable = False
    return picture


def _tensor(image: ImageInput, spec: PreprocessSpec) -> np.ndarray:
    """The picture as the model's input tensor, stretched to its size, with its batch axis where it has one."""
    import cv2

    pixels = cv2.resize(probe_picture(), image.wh, interpolation=cv2.INTER_LINEAR)
    pixels = pixels[..., ::-1] if spec.color is ColorOrder.RGB else pixels
    tensor = (pixels.astype(np.float32) * spec.scale - np.asarray(spec.mean)) / np.asarray(spec.std)
    tensor = tensor.transpose(2, 0, 1) if image.layout is TensorLayout.NCHW else tensor
    return np.ascontiguousarray(tensor[None] if image.has_batch else tensor, dtype=image.tensor.dtype)


class Probe:
    """Runs a model once for each way to feed it, when its numbers are first asked for.

    Args:
        file: the model.
        inputs: its inputs.
    """

    def __init__(self, file: ModelFile, inputs: InputFinding) -> None:
        self._file, self._inputs = file, inputs

    def __call__(self) -> Mapping[str, np.ndarray]:
        """The outputs by name; {} for a model that cannot be run here."""
        inputs = self._inputs
        roles = tuple((role, item.value.name) for role, item in inputs.values)
        way = (inputs.image.value.name, inputs.layout.value, inputs.wh.value, roles)
        if way not in self._file.probed:
            self._file.probed[way] = self._run()
        return self._file.probed[way]

    def _run(self) -> Mapping[str, np.ndarray]:
        if not self._file.path.is_file():
            return {}
        spec = self._inputs.image.value
        entry = self._file.entry(spec.name)
        is_raw = spec.dtype == 'uint8' or entry.unit == 1.0
        prepared = PreprocessSpec(scale=1.0 if is_raw else 1 / 255, fit=Fit.STRETCH)
        image = self._inputs.image_input(prepared)
        try:
            return run_once(self._file, spec.name, _tensor(image, prepared), self._values_beside())
        except PerceptionError:
            return {}

    def _values_beside(self) -> Mapping[str, np.ndarray]:
        wh = self._inputs.wh.value
        return {item.tensor.name: item.constant(wh) for item in self._inputs.value_inputs()}


def outputs_of(file: ModelFile, card: ModelCard) -> Mapping[str, np.ndarray]:
    """The outputs by name of one run on the picture, prepared as a card says; {} where it cannot be run here."""
    try:
        image = card.image
        beside = {item.tensor.name: item.constant(image.wh) for item in card.value_inputs}
        return run_once(file, image.tensor.name, _tensor(image, image.preprocess), beside)
    except PerceptionError:
        return {}


def run_once(
    file: ModelFile, image: str, tensor: np.ndarray, beside: Mapping[str, np.ndarray]
) -> Mapping[str, np.ndarray]:
    """The outputs by name of one run on the CPU.

    Raises:
        ModelError: ONNX Runtime cannot load or run the model.
        ConfigError: ONNX Runtime is missing.
    """
    from isaac_inference.models.precision.session import Session

    session = Session(file.path)
    outputs = session.run({image: tensor, **beside})
    return dict(zip(session.output_names, outputs, strict=True))
