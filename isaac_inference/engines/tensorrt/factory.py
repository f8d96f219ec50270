# SPDX-License-Identifier: Apache-2.0
"""Makes TensorRT engines: finds the plan of a model in this user's cache, or builds it, and hands it to its runner."""

from __future__ import annotations

from isaac_inference.engines.tensorrt.build.ensure import ensure_engine, find_engine
from isaac_inference.engines.tensorrt.build.process import BackgroundBuild
from isaac_inference.engines.tensorrt.loader import Plan
from isaac_inference.engines.tensorrt.runner import TensorRtEngine
from isaac_inference.engines.tensorrt.settings import TensorRtSettings, build_command
from isaac_inference.models.card.card import ModelCard


def make_engine(card: ModelCard, settings: TensorRtSettings | None = None) -> TensorRtEngine:
    """An engine, not yet open; its plan is found or built when it is opened, as `find_plan` does.

    Args:
        card: the model.
        settings: how to build and run it; None for the defaults.
    """
    chosen = settings or TensorRtSettings()
    return TensorRtEngine(card, lambda: find_plan(card, chosen), chosen)


def find_plan(card: ModelCard, settings: TensorRtSettings) -> Plan:
    """The plan of a model from this user's cache, built first where that is allowed.

    Raises:
        ConfigError: TensorRT is missing, or the settings don't fit the model, this TensorRT or this GPU.
        EngineError: there is none and `auto_build` is off, with the command that builds it; or the build failed.
    """
    entry = ensure_engine(card, settings)
    remedy = f'remove {entry.path} and build it again with: {build_command(card, settings)}'
    return Plan(entry.read(), str(entry.path), remedy)


def start_build(card: ModelCard, settings: TensorRtSettings) -> BackgroundBuild | None:
    """A build that has begun in a process of its own, where the cache has no engine and `auto_build` is on; else None.

    Raises:
        ConfigError: TensorRT is missing, or the settings don't fit the model.
        EngineError: the engine in the cache was built with less agreement than is asked for.
    """
    if not settings.auto_build or find_engine(card, settings) is not None:
        return None
    return BackgroundBuild(card, settings)
