# SPDX-License-Identifier: Apache-2.0
"""The build of a TensorRT engine as a node's preparation: in a process of its own, while the node goes on."""

from __future__ import annotations

from isaac_inference.engines import choose_backend
from isaac_inference.engines.tensorrt.build.ensure import find_engine
from isaac_inference.engines.tensorrt.build.process import BackgroundBuild
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import PerceptionError
from isaac_inference.models import ModelCard
from isaac_inference.ros.runtime.preparation import BUILDING


class EngineBuild:
    """An engine that is being built.

    Args:
        card: the model.
        settings: how to build it.
        tolerant: a failure ends the preparation without an error; it is kept in `failure`.
    """

    def __init__(self, card: ModelCard, settings: TensorRtSettings, *, tolerant: bool) -> None:
        self.failure = ''
        self._name, self._tolerant = card.name, tolerant
        self._build = BackgroundBuild(card, settings)

    def poll(self) -> str:
        """How far it is; '' when the engine is in the cache. Raises what went wrong."""
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
    card: ModelCard, backend: str, settings: TensorRtSettings, *, tolerant: bool
) -> EngineBuild | None:
    """A build that has begun, where the backend is TensorRT and its cache has no engine; else None.

    Raises:
        ConfigError: the backend or the settings can't be used.
        EngineError: the engine in the cache was built with less agreement than is asked for.
    """
    if choose_backend(backend).name != 'tensorrt' or not settings.auto_build or find_engine(card, settings) is not None:
        return None
    return EngineBuild(card, settings, tolerant=tolerant)
