# SPDX-License-Identifier: Apache-2.0
"""Which models `isaac-inference run` is to run: one, or a person detector and a top-down model behind it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from isaac_inference.errors import ConfigError
from isaac_inference.models import KeypointDetectionSpec, ModelCard, Task, read_card
from isaac_inference.models.card.tasks import TopDownKeypointsSpec
from isaac_inference.ros.bringup.graph import CropModel
from isaac_inference.ros.bringup.model_chain import chain_paths

_WITHOUT_ROWS = (Task.MONO_DEPTH, Task.STEREO_DEPTH, Task.DEPTH_COMPLETION)


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

    @property
    def ends(self) -> tuple[str, ...]:
        """The nodes that read the models' outputs; () for the usual one."""
        if self.behind is not None:
            return 'detection', 'keypoints'
        return ('keypoints',) if self.card.task is Task.TOP_DOWN_KEYPOINTS else ()

    @property
    def keypoint_names(self) -> tuple[str, ...]:
        """What the keypoints are called; () where nothing says it."""
        spec = (self.behind or self.card).spec
        points = spec.keypoints if isinstance(spec, (KeypointDetectionSpec, TopDownKeypointsSpec)) else None
        return points.skeleton.names if points is not None and points.skeleton is not None else ()


def choose_models(arguments: argparse.Namespace) -> ChosenModels:
    """The models of a command line, once their cards are read.

    Raises:
        PerceptionError: one cannot be read, there is no graph for it, or the two are no chain.
    """
    if arguments.models:
        paths = chain_paths(arguments.models, arguments.card, '--models')
        chain = paths.read('--models')
        crops = CropModel(paths.keypoints, paths.keypoints_card, any_batch=chain.keypoints.dynamic_batch)
        return ChosenModels(chain.detector, paths.detector_card, chain.keypoints, crops)
    card = read_card(arguments.model, arguments.card or None)
    if card.task in _WITHOUT_ROWS:
        raise ConfigError(
            f'--model: {arguments.model} is for {card.task.value}, of which run has no rows to write; launch it with '
            'perception.launch.py, and look at its depth/picture'
        )
    return ChosenModels(card, str(Path(arguments.card).absolute()) if arguments.card else '')
