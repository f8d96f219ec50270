# SPDX-License-Identifier: Apache-2.0
"""The contract of a graph that answers a task's samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic

from std_msgs.msg import Header

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.tasks.base import AnswerT, SampleT, SimTask
from isaac_inference.models import ModelCard
from isaac_inference.ros.bringup.clients.feeder import FeedTopics
from isaac_inference.ros.bringup.graph import CropModel, NodeSpec
from isaac_inference.ros.bringup.networks.made_depth import KINDS, MadeDepth


@dataclass(frozen=True)
class TaskOptions:
    """What is chosen for a run.

    Attributes:
        model: path of the ONNX file; '' for a task that needs none.
        model_card: path of its YAML card; '' for the one beside it.
        card: of the model; None without.
        behind: the card of a top-down model behind it, where `model` is a person detector; None without.
        crops: that model for the graph.
        min_visibility: less visible objects do not count.
    """

    model: str = ''
    model_card: str = ''
    card: ModelCard | None = None
    behind: ModelCard | None = None
    crops: CropModel | None = None
    min_visibility: float = 0.25

    def need(self, task: str, what: str) -> ModelCard:
        """The card of a task that needs a model.

        Raises:
            ConfigError: there is no model.
        """
        if self.card is None:
            raise ConfigError(f'--task {task}: needs --model, {what}')
        return self.card


def node(name: str, **parameters: str) -> NodeSpec:
    """One node of the package, under its own name; parameters that are '' are left to it."""
    return NodeSpec.of(name, {key: value for key, value in parameters.items() if value})


def dense_nodes(kind: str, options: TaskOptions, topics: Mapping[str, str]) -> tuple[NodeSpec, ...]:
    """The stereo or completion node, and the inference node of its network if there is one.

    Args:
        kind: which.
        options: with the network, or without a model.
        topics: of what the node takes, by the names of the launch arguments.

    Raises:
        ConfigError: the model is for something else.
    """
    card = options.card
    if card is not None and KINDS.get(card.task) != kind:
        raise ConfigError(
            f'--model: {card.path} is for {card.task.value}, expected a network for the {kind} node; leave it out to '
            'measure what the node does without'
        )
    return MadeDepth(kind, options.model, options.model_card, is_alone=True).nodes(topics)


class TaskGraph(ABC, Generic[SampleT, AnswerT]):
    """The nodes of a task, what they are shown, and how their messages are read."""

    topics: FeedTopics

    @abstractmethod
    def task(self) -> SimTask[SampleT, AnswerT, Any]:
        """What is measured of it."""

    @abstractmethod
    def nodes(self) -> tuple[NodeSpec, ...]:
        """The graph."""

    @abstractmethod
    def messages(self, sample: SampleT, header: Header) -> Mapping[str, Any]:
        """What shows a sample to the graph, by topic, in the order in which it is published."""

    @abstractmethod
    def read(self, messages: Mapping[str, Any], sample: SampleT) -> AnswerT:
        """The graph's messages as an answer.

        Args:
            messages: by topic, of `topics.answers` and `topics.latched`.
            sample: that they answer.

        Raises:
            FrameError: they cannot be used.
        """
