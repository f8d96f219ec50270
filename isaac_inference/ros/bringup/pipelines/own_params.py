# SPDX-License-Identifier: Apache-2.0
"""Parameters that a YAML of pipelines, or of what starts beside them, gives to nodes: these must have and take them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from isaac_inference.errors import ConfigError
from isaac_inference.ros.bringup.node_list import NODES, PACKAGE, plugin
from isaac_inference.ros.runtime.container.components import load_class
from isaac_inference.ros.runtime.parameters.schema import coerce, specs, unknown_name
from isaac_inference.ros.runtime.resources import budgets_folder
from isaac_inference.serving.budgets.budget_file import read_budget
from isaac_inference.serving.pipelines import PipelineSpec, Setup

_ALIASES = {'crops_inference': 'inference'}
# What a pipeline's own keys say: two places for one thing would contradict each other.
_HAS_A_KEY = {
    'model': 'model',
    'model_card': 'model_card',
    'rectify': 'rectify',
    'streams': 'cameras',
    'priority': 'priority',
    'max_batch': 'max_batch',
    'batch_wait_ms': 'batch_wait_ms',
    'onnxruntime.threads': 'threads',
}
_CAMERAS = ('camera', 'sim_camera')
_OF_INFERENCE = {key: name for name, key in _HAS_A_KEY.items() if key in ('threads', 'max_batch', 'batch_wait_ms')}


def check_params(setup: Setup) -> None:
    """Refuse parameters that nodes do not have or do not take, and a source or a budget that there is not.

    Raises:
        ConfigError: a line for each.
    """
    problems = []
    for number, pipeline in enumerate(setup.pipelines):
        problems += [f'pipelines[{number}] ({pipeline.name}).{problem}' for problem in _of_keys(pipeline)]
        for node, values in pipeline.params.items():
            where = f'pipelines[{number}] ({pipeline.name}).params.{node}'
            problems += [f'{where}{problem}' for problem in _of_node(node, values)]
    for camera in setup.cameras:
        if camera.simulator:
            where = f'cameras.{camera.name}.simulator'
            problems += [f'{where}{problem}' for problem in _of_simulator(camera.simulator)]
        is_path = camera.source and not camera.source.isdigit() and '://' not in camera.source
        if is_path and not Path(camera.source).exists():
            problems.append(
                f'cameras.{camera.name}.source: no such file or folder {camera.source!r}; give an existing one, '
                'relative to this file or absolute, or the index of a camera'
            )
    if setup.budget:
        try:
            read_budget(setup.budget, budgets_folder())
        except ConfigError as error:
            problems.append(f'budget: {error}')
    if problems:
        raise ConfigError('\n'.join(f'pipelines {setup.path}: {problem}' for problem in problems))


def _of_keys(pipeline: PipelineSpec) -> Iterator[str]:
    """What nodes do not take of the keys that are handed on to them."""
    for key, parameter in _OF_INFERENCE.items():
        yield from (f'{key}{problem}' for problem in _values('inference', {parameter: getattr(pipeline, key)}))
    rate = {'target_rate_hz': pipeline.target_rate_hz}
    yield from (f'target_rate_hz{problem}' for problem in _values('budget', rate))


def _of_simulator(values: Mapping[str, Any]) -> Iterator[str]:
    if 'cameras' in values:
        yield '.cameras: the file has cameras: for that; cameras of the same simulator look at one scene'
    yield from _values('sim_camera', {name: value for name, value in values.items() if name != 'cameras'})


def _of_node(node: str, values: Mapping[str, Any]) -> Iterator[str]:
    known = [*(name for name in NODES if name not in _CAMERAS), *_ALIASES]
    if node not in known:
        close = difflib.get_close_matches(node, known, n=1)
        yield f': no such node, {f"did you mean {close[0]}?" if close else "there are: " + ", ".join(known)}'
        return
    for name in values:
        if name in _HAS_A_KEY:
            yield f'.{name}: the pipeline has {_HAS_A_KEY[name]}: for that; write it there'
    yield from _values(_ALIASES.get(node, node), {k: value for k, value in values.items() if k not in _HAS_A_KEY})


def _values(kind: str, values: Mapping[str, Any]) -> Iterator[str]:
    declared = {spec.name: spec for spec in specs(load_class(PACKAGE, plugin(kind)).Parameters)}
    for name, value in values.items():
        if name not in declared:
            yield f': {unknown_name(name, declared)}'
            continue
        try:
            coerce(declared[name], value)
        except ConfigError as error:
            yield f': {error}'
