# SPDX-License-Identifier: Apache-2.0
"""From the outputs of a network that sees one image to its numbers, or to metres, at the size of that image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.errors import ConfigError, FrameError, ModelError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.tasks import DepthKind, MonoDepthSpec
from isaac_inference.ops.depth.dense.resample import to_source
from isaac_inference.ops.depth.dense.scale_shift import ScaleShift
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.stages.depth.dense_output import DenseOutput

ROLE = 'depth'


class MonoDepth:
    """Reads the output of one model.

    Args:
        card: of a model with a `MonoDepthSpec`.

    Raises:
        ModelError: the card is of another task.
    """

    def __init__(self, card: ModelCard) -> None:
        if not isinstance(card.spec, MonoDepthSpec):
            raise ModelError(
                f'model {card.name}: its task is {card.task.value}, expected mono_depth: give a model that makes '
                'depth of one image, or add "task: mono_depth" to its card'
            )
        self.spec = card.spec
        self._card, self._output = card, DenseOutput(card, ROLE)

    @property
    def is_metric(self) -> bool:
        """Whether the numbers are depth without any alignment."""
        return self.spec.kind is DepthKind.METRIC

    @property
    def inverse(self) -> bool:
        """Whether larger numbers are nearer."""
        return self.spec.kind is DepthKind.INVERSE

    def rule(self) -> ScaleShift:
        """The scale and shift that the card gives; for a metric model 1 and 0 where it does not.

        Raises:
            ConfigError: it gives none.
        """
        scale, shift = self.spec.scale, self.spec.shift
        if self.is_metric:
            return ScaleShift(1.0 if scale is None else scale, shift or 0.0, inverse=False)
        if scale is None:
            raise ConfigError(
                f'model {self._card.name}: its numbers are {self.spec.kind.value}, and its card gives no scale; add '
                '"scale" and "shift" of this camera to the card, or align to depth or to the ground'
            )
        return ScaleShift(scale, shift or 0.0, self.inverse)

    def __call__(self, outputs: Mapping[str, np.ndarray], letterbox: Letterbox, index: int = 0) -> np.ndarray:
        """The network's numbers, (H, W) float32 of the source image; NaN where the network did not see it.

        Args:
            outputs: the model's outputs by name, with a batch axis.
            letterbox: how the image was fitted into the input.
            index: which image of the batch.

        Raises:
            FrameError: 'missing_output', 'bad_output_shape', 'bad_values' (NaN or infinite numbers).
        """
        values = self._output(outputs, index)
        if not np.isfinite(values).all():
            raise FrameError(
                'bad_values',
                f'model {self._card.name}: tensor {self._output.name} holds NaN or infinity; check the precision of '
                'the engine, and the preprocess lines of the card',
            )
        return to_source(values, letterbox)
