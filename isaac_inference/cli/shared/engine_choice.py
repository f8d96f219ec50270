# SPDX-License-Identifier: Apache-2.0
"""Opens the engines that a command compares or measures."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from isaac_inference.cli.shared.build_progress import build_engine
from isaac_inference.cli.shared.setting_options import add_setting_options, given_settings
from isaac_inference.engines import Engine, choose_backend, create_engine
from isaac_inference.engines.registry import BACKENDS
from isaac_inference.models import ModelCard, read_card

# settings that these commands choose themselves, or mean otherwise
_BATCHES = ('min_batch', 'opt_batch', 'max_batch')
_NOT_HERE = ('auto_build', 'min_agreement', *_BATCHES, 'min_wh', 'opt_wh', 'max_wh')
_OF_MODEL = 'precision'  # what is compared is often just that


@dataclass(frozen=True)
class EngineChoice:
    """Which backend runs a model, and with which settings.

    Attributes:
        backend: 'auto' or a backend's name.
        given: backend's name -> settings by name that differ from their defaults; those of other backends than
            the chosen one are left alone.
    """

    backend: str = 'auto'
    given: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def engine(self, card: ModelCard, screen: Console | None = None) -> Engine:
        """The engine, not yet open.

        Args:
            card: the model.
            screen: where the progress is shown when the backend must build its engine first, which takes minutes.

        Raises:
            ConfigError: an unknown backend or setting.
            EngineError: the build failed.
        """
        backend = choose_backend(self.backend)
        settings = backend.choose_settings(**self.given.get(backend.name, {}))
        engine = create_engine(card, backend.name, settings={backend.name: settings})
        build = None if screen is None else backend.prepare(card, settings)
        if screen is not None and build is not None:
            build_engine(screen, build)
        return engine


def add_engine_arguments(command: Any) -> None:
    """The options of both models' engines, alike in `validate` and `bench`: for each backend a group."""
    command.add_argument('--backend', default='auto', metavar='B', help='what runs MODEL; default: auto')
    command.add_argument('--against-backend', default='', metavar='B', help='what runs OTHER; default: as --backend')
    command.add_argument('--card', default='', metavar='FILE', help='YAML card of MODEL; default: beside it')
    command.add_argument('--against-card', default='', metavar='FILE', help='YAML card of OTHER; default: beside it')
    for backend in BACKENDS:
        if backend.settings:
            but = f', but for --{_OF_MODEL}, which is of MODEL' * hasattr(backend.settings_type, _OF_MODEL)
            group = command.add_argument_group(backend.title, f'of both models{but}')
            add_setting_options(group, backend.settings_type, without=_NOT_HERE)


def add_one_engine_arguments(command: Any, default: str) -> None:
    """The options of the engine of a command that runs one model: the backend, and for each backend a group."""
    command.add_argument('--backend', default=default, metavar='B', help=f'what runs MODEL; default: {default}')
    for backend in BACKENDS:
        if backend.settings:
            group = command.add_argument_group(backend.title)
            add_setting_options(group, backend.settings_type, without=_NOT_HERE)


def engine_choice(arguments: argparse.Namespace) -> EngineChoice:
    """MODEL's from the command line of `add_one_engine_arguments`; ConfigError for a setting that can't be used."""
    return EngineChoice(arguments.backend, _given(arguments, 1))


def engine_choices(arguments: argparse.Namespace, max_batch: int = 1) -> tuple[EngineChoice, EngineChoice]:
    """(MODEL's, OTHER's) from the command line.

    Args:
        arguments: those of `add_engine_arguments`.
        max_batch: largest number of images at once; engines that are built are tuned for it.

    Raises:
        ConfigError: a setting that can't be used, of whichever backend.
    """
    own = _given(arguments, max_batch)
    both = {name: {key: value for key, value in given.items() if key != _OF_MODEL} for name, given in own.items()}
    return EngineChoice(arguments.backend, own), EngineChoice(arguments.against_backend or arguments.backend, both)


def _given(arguments: argparse.Namespace, max_batch: int) -> dict[str, dict[str, Any]]:
    """Backend's name -> the settings that the command line gives it, checked."""
    own: dict[str, dict[str, Any]] = {}
    for backend in BACKENDS:
        given = given_settings(arguments, backend.settings_type, without=_NOT_HERE)
        if max_batch > 1 and hasattr(backend.settings_type, 'max_batch'):
            given.update(zip(_BATCHES, (1, max_batch, max_batch), strict=True))
        backend.choose_settings(**given)
        own[backend.name] = given
    return own


def card_of(model: str, card: str) -> ModelCard:
    """The model's card; `card` '' for the one beside it."""
    return read_card(model, card or None)
