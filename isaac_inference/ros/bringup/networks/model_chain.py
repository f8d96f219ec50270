# SPDX-License-Identifier: Apache-2.0
"""Two models in a row: a detector, and a top-down network that finds the keypoints of each person in its boxes."""

from __future__ import annotations

from dataclasses import dataclass

from isaac_inference.errors import ConfigError, PerceptionError
from isaac_inference.models import DetectionSpec, ModelCard, Task, read_card
from isaac_inference.ros.bringup.names import check_paths
from isaac_inference.ros.bringup.networks.paths import absolute

_TWO = 'a person detector and a model of top-down keypoints'


@dataclass(frozen=True)
class ModelChain:
    """The cards of the two models."""

    detector: ModelCard
    keypoints: ModelCard


@dataclass(frozen=True)
class ChainPaths:
    """Where the two models and their cards are; '' for a card that is beside its model, or not there."""

    detector: str
    keypoints: str
    detector_card: str = ''
    keypoints_card: str = ''

    def read(self, what: str) -> ModelChain:
        """The cards of both.

        Args:
            what: names what the paths are from: 'launch argument models'.

        Raises:
            ConfigError: a model cannot be read, the first is no detector, or has keypoints itself, or the second is
                no model of top-down keypoints; says what was found.
        """
        chain = ModelChain(
            _read(self.detector, self.detector_card, what), _read(self.keypoints, self.keypoints_card, what)
        )
        problem = _problem(chain.detector, chain.keypoints)
        if problem:
            raise ConfigError(f'{what}: {problem}')
        return chain


def chain_paths(models: str, model_card: str, what: str) -> ChainPaths:
    """The two paths in an argument.

    Args:
        models: 'person.onnx,pose.onnx'.
        model_card: of both in this order, either of which may be empty, or ''.
        what: as of `ChainPaths.read`.

    Raises:
        ConfigError: there are not two, or there is no such file.

    Example:
        >>> chain_paths('/there/person.onnx', '', '--models')
        Traceback (most recent call last):
        ...
        isaac_inference.errors.ConfigError: --models: got 1 path, '/there/person.onnx', expected two paths, a person \
detector and a model of top-down keypoints: person.onnx,pose.onnx; for one model alone give model
    """
    paths = [part.strip() for part in models.split(',')]
    if len(paths) != 2 or not all(paths):
        listed = f'{len(paths)} path{"s" * (len(paths) != 1)}, {models!r}'
        raise ConfigError(
            f'{what}: got {listed}, expected two paths, {_TWO}: person.onnx,pose.onnx; for one model alone give model'
        )
    cards = [part.strip() for part in model_card.split(',')] if model_card else ['', '']
    if len(cards) != 2:
        raise ConfigError(
            f'{what}: the cards are {model_card!r}, expected one for each model, of which either may be empty: '
            'person.yaml,pose.yaml or ,pose.yaml'
        )
    check_paths(what, (*paths, *filter(None, cards)))
    return ChainPaths(*(absolute(path) for path in (*paths, *cards)))


def read_top_down(path: str, card_path: str, what: str) -> ModelCard:
    """The card of the second model alone, behind a detector elsewhere.

    Args:
        path, card_path: of the model and its card; '' for one that is beside it.
        what: as of `ChainPaths.read`.

    Raises:
        ConfigError: the model cannot be read, or is for something else.
    """
    card = _read(path, card_path, what)
    if card.task is not Task.TOP_DOWN_KEYPOINTS:
        raise ConfigError(f'{what}: {_found(card)}; expected a model of top-down keypoints')
    return card


def _read(path: str, card_path: str, what: str) -> ModelCard:
    try:
        return read_card(path, card_path or None)
    except PerceptionError as error:
        raise ConfigError(f'{what}: {error}') from error


def _problem(first: ModelCard, second: ModelCard) -> str:
    """What is wrong with two models as a chain; '' where nothing is."""
    found = f'{_found(first)}, and {_found(second)}'
    if second.task is not Task.TOP_DOWN_KEYPOINTS:
        swapped = isinstance(second.spec, DetectionSpec) and first.task is Task.TOP_DOWN_KEYPOINTS
        hint = '; give them the other way round' if swapped else ''
        return f'{found}; expected {_TWO}{hint}'
    if not isinstance(first.spec, DetectionSpec):
        return f'{found}; expected {_TWO}'
    if first.keypoints is not None:
        return f'{found}; the first finds keypoints by itself: give it alone as model, or another detector'
    return ''


def _found(card: ModelCard) -> str:
    return f'{card.path} is for {card.task.value} ({card.sources.get("task", "its card")})'
