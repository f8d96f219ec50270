# SPDX-License-Identifier: Apache-2.0
"""Which models a command is to run: one, or a person detector and a top-down model behind it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from isaac_inference.models import ModelCard, read_card
from isaac_inference.ros.bringup.graph import CropModel
from isaac_inference.ros.bringup.networks.model_chain import chain_paths
from isaac_inference.ros.bringup.networks.paths import absolute


@dataclass(frozen=True)
class ChosenModels:
    """What is run: a model, or a detector and the top-down model behind it.

    Attributes:
        card: of the model, or of the detector.
        model_card: path of its YAML card; '' looks beside the model.
        behind: the card of the top-down model, if there is one behind.
        crops: that model for the graph.
    """

    card: ModelCard
    model_card: str
    behind: ModelCard | None = None
    crops: CropModel | None = None

    @property
    def name(self) -> str:
        """For people."""
        return self.card.name if self.behind is None else f'{self.card.name}, {self.behind.name}'


def choose_models(arguments: argparse.Namespace) -> ChosenModels:
    """The models of a command line, once their cards are read.

    Raises:
        PerceptionError: one cannot be read, there is no graph for it, or the two are no chain.
    """
    if arguments.models:
        paths = chain_paths(arguments.models, arguments.card, '--models')
        chain = paths.read('--models')
        crops = CropModel.of(paths.keypoints, paths.keypoints_card, chain.keypoints)
        return ChosenModels(chain.detector, paths.detector_card, chain.keypoints, crops)
    card = read_card(arguments.model, arguments.card or None)
    return ChosenModels(card, absolute(arguments.card))
