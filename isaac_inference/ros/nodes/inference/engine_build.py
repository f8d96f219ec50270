# SPDX-License-Identifier: Apache-2.0
"""What an engine needs before it can be opened, such as its build, as a node's preparation: the node goes on."""

from __future__ import annotations

from collections.abc import Mapping

from isaac_inference.engines import choose_backend
from isaac_inference.engines.preparation import EnginePreparation
from isaac_inference.engines.settings import BackendSettings
from isaac_inference.errors import PerceptionError
from isaac_inference.models import ModelCard
from isaac_inference.ros.runtime.preparation import BUILDING


class EngineBuild:
    """An engine that is being built.

    Args:
        name: the model's name.
        build: what the backend began.
        tolerant: a failure ends the preparation without an error; it is kept in `failure`.
    """

    def __init__(self, name: str, build: EnginePreparation, *, tolerant: bool) -> None:
        self.failure = ''
        self._name, self._build, self._tolerant = name, build, tolerant

    def poll(self) -> str:
        """How far it is; '' when the engine can be opened. Raises what went wrong."""
        if not self._build.done:
            now = self._build.poll()
            part = '' if now.fraction is None else f' {100 * now.fraction:.0f} %'
            return f'{BUILDING} the engine of {self._name}:{part} {now.phase} for {now.elapsed_s:.0f} s ({now.message})'
        try:
            self._build.result()
        except PerceptionError as error:
            if not self._tolerant:
                raise
            self.failure = str(error)
        return ''

    def cancel(self) -> None:
        """End the build; nothing half-done stays behind."""
        self._build.cancel()


def build_where_missing(
    card: ModelCard, backend: str, settings: Mapping[str, BackendSettings], *, tolerant: bool
) -> EngineBuild | None:
    """A build that has begun, where the backend builds its engines and has none of this model yet; else None.

    Raises:
        ConfigError: the backend or its settings can't be used.
        EngineError: there is an engine, built with less agreement than is asked for.
    """
    chosen = choose_backend(backend)
    build = chosen.prepare(card, chosen.choose_settings(settings))
    return None if build is None else EngineBuild(card.name, build, tolerant=tolerant)
