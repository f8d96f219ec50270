# SPDX-License-Identifier: Apache-2.0
"""Base class of the nodes that work for one model: all of them read the same card."""

from __future__ import annotations

from dataclasses import dataclass

from isaac_inference.errors import ConfigError
from isaac_inference.models import ModelCard, read_card
from isaac_inference.ros.runtime.node import PipelineNode
from isaac_inference.ros.runtime.parameters.node_parameters import NodeParameters
from isaac_inference.ros.runtime.parameters.schema import param


@dataclass(frozen=True)
class ModelParameters(NodeParameters):
    """Parameters of every node that works for a model."""

    model: str = param('', 'Path of the ONNX model; the only required parameter.')
    model_card: str = param(
        '', 'Path of a YAML card with what the model file does not say; empty looks beside the model.'
    )


class ModelNode(PipelineNode):
    """Reads the card in `on_setup`; it is available as `self.card` from then on."""

    Parameters = ModelParameters
    card: ModelCard

    def on_setup(self) -> None:
        """Read the model card.

        Raises:
            ConfigError: no model given, or ModelError where it can't be used.
        """
        if not self.parameters.model:
            raise ConfigError(
                'parameter model: got nothing, expected the path of an ONNX file; launch with '
                'model:=/path/to/model.onnx or set it in the parameter file'
            )
        self.card = read_card(self.parameters.model, self.parameters.model_card or None)
        self.model = self.card.name

    def remark(self, key: str, text: str) -> None:
        """What stands out in the model's outputs now; '' where it is over. Logged when it begins."""
        self.health.standing(key, f'model {self.model}: {text}' if text else None, log_again=False)
