# SPDX-License-Identifier: Apache-2.0
"""Opens the engines that a command compares or measures."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from isaac_inference.cli.shared.tensorrt_options import add_setting_options, given_settings
from isaac_inference.engines import Engine, create_engine
from isaac_inference.errors import ConfigError
from isaac_inference.models import ModelCard, read_card

# settings that these commands choose themselves, or mean otherwise
_NOT_HERE = ('auto_build', 'min_agreement', 'min_batch', 'opt_batch', 'max_batch', 'min_wh', 'opt_wh', 'max_wh')


@dataclass(frozen=True)
class EngineChoice:
    """Which backend runs a model, and with which settings.

    Attributes:
        backend: 'auto' or a backend's name.
        threads: CPU threads of one inference; 0 for all.
        tensorrt: fields of TensorRtSettings that shall differ from their defaults; other backends leave them alone.
    """

    backend: str = 'auto'
    threads: int = 0
    tensorrt: Mapping[str, Any] = field(default_factory=dict)

    def engine(self, card: ModelCard, screen: Console | None = None) -> Engine:
        """The engine, not yet open.

        Args:
            card: the model.
            screen: where the progress is shown when TensorRT must build its engine first, which takes minutes.

        Raises:
            ConfigError: an unknown backend or setting.
            EngineError: the build failed.
        """
        shared: dict[str, Any] = {'threads': self.threads}
        settings = self._tensorrt_settings()
        if settings is not None:
            shared['tensorrt'] = settings
        engine = create_engine(card, self.backend, shared=shared)
        if engine.backend == 'tensorrt' and screen is not None:
            _build_first(engine, screen)
        return engine

    def _tensorrt_settings(self) -> Any:
        """TensorRtSettings, or None when TensorRT is out of the question or nothing of it was asked for."""
        wanted = {name: value for name, value in self.tensorrt.items() if value is not None}
        if self.backend not in ('auto', 'tensorrt') or not wanted:
            return None
        from isaac_inference.engines.tensorrt.settings import TensorRtSettings

        return TensorRtSettings(**wanted)


def _build_first(engine: Any, screen: Console) -> None:
    """Build the engine where there is none yet, and show how far it is."""
    from isaac_inference.cli.shared.build_progress import build_engine
    from isaac_inference.engines.tensorrt.build.ensure import find_engine
    from isaac_inference.engines.tensorrt.build.process import BackgroundBuild

    if find_engine(engine.card, engine.settings) is None:
        build_engine(screen, BackgroundBuild(engine.card, engine.settings))


def add_engine_arguments(command: Any) -> None:
    """The options of both models' engines, alike in `validate` and `bench`."""
    command.add_argument('--backend', default='auto', metavar='B', help='what runs MODEL; default: auto')
    command.add_argument('--against-backend', default='', metavar='B', help='what runs OTHER; default: as --backend')
    command.add_argument('--card', default='', metavar='FILE', help='YAML card of MODEL; default: beside it')
    command.add_argument('--against-card', default='', metavar='FILE', help='YAML card of OTHER; default: beside it')
    command.add_argument('--threads', type=int, default=0, metavar='N', help='CPU threads of an engine; 0: all')
    group = command.add_argument_group('TensorRT', 'of both models, but for --precision, which is of MODEL')
    add_setting_options(group, without=_NOT_HERE)


def engine_choices(arguments: argparse.Namespace, max_batch: int = 1) -> tuple[EngineChoice, EngineChoice]:
    """(MODEL's, OTHER's) from the command line.

    Args:
        arguments: those of `add_engine_arguments`.
        max_batch: largest number of images at once; TensorRT tunes for it.
    """
    if arguments.threads < 0:
        raise ConfigError(f'--threads: got {arguments.threads}, expected 0 (all) or more')
    own = given_settings(arguments, without=_NOT_HERE)
    if max_batch > 1:
        own.update(min_batch=1, opt_batch=max_batch, max_batch=max_batch)
    both = {name: value for name, value in own.items() if name != 'precision'}
    return (
        EngineChoice(arguments.backend, arguments.threads, own),
        EngineChoice(arguments.against_backend or arguments.backend, arguments.threads, both),
    )


def card_of(model: str, card: str) -> ModelCard:
    """The model's card; `card` '' for the one beside it."""
    return read_card(model, card or None)
