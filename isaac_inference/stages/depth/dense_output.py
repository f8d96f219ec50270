# SPDX-License-Identifier: Apache-2.0
"""An output with one number for each pixel, of whatever axes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.models.card.card import ModelCard

_LEAST_KNOWN = 0.5  # of the pixels: a network that gives fewer finite numbers does not work here


class DenseOutput:
    """Reads one output of a model.

    Args:
        card: of the model.
        role: the output's, a key of the spec's `roles`.

    Attributes:
        name: the tensor's.
    """

    def __init__(self, card: ModelCard, role: str) -> None:
        self.name = card.spec.roles[role]
        self._role, self._model = role, card.name

    def __call__(self, outputs: Mapping[str, np.ndarray], index: int = 0) -> np.ndarray:
        """(h, w) float32 of a tensor (N, H, W), (N, 1, H, W) or (N, H, W, 1).

        Args:
            outputs: the model's outputs by name, with a batch axis.
            index: which image of the batch.

        Raises:
            FrameError: 'missing_output', 'bad_output_shape'.
        """
        if self.name not in outputs:
            raise FrameError(
                'missing_output',
                f'model {self._model}: the frame has no tensor {self.name}, but {", ".join(sorted(outputs))}; '
                'give all nodes the same model',
            )
        output = outputs[self.name]
        shape = list(output.shape)
        if output.ndim == 4 and shape[1] == 1:
            output = output[:, 0]
        elif output.ndim == 4 and shape[3] == 1:
            output = output[..., 0]
        if output.ndim != 3 or len(output) <= index or 0 in output.shape:
            raise FrameError(
                'bad_output_shape',
                f'{self._role}: got shape {shape}, expected (N, H, W), (N, 1, H, W) or (N, H, W, 1)',
            )
        return np.ascontiguousarray(output[index], np.float32)

    def known(self, outputs: Mapping[str, np.ndarray], index: int = 0) -> np.ndarray:
        """The same, with NaN for what is not finite: the network does not know it.

        Raises:
            FrameError: as of a call, and 'bad_values' where less than half is finite.
        """
        values = self(outputs, index)
        finite = np.isfinite(values)
        share = float(np.count_nonzero(finite)) / values.size
        if share < _LEAST_KNOWN:
            raise FrameError(
                'bad_values',
                f'model {self._model}: {100 * (1 - share):.0f} % of tensor {self.name} is NaN or infinity, expected '
                f'{100 * _LEAST_KNOWN:g} % at most; check the precision of the engine, and the preprocess lines of the '
                'card',
            )
        return values if share == 1.0 else np.where(finite, values, np.float32(np.nan))
