# SPDX-License-Identifier: Apache-2.0
"""Reads a YAML of pipelines; what is wrong with it is said all at once.

cameras:
  front: {image: /front/image_raw, camera_info: /front/camera_info}   # topics, below /front unless with a slash
  left: {source: ~/recordings/left.mcap}            # a camera node plays it
  rear: {simulator: {seed: 3}}                      # a simulated one
pipelines:
  - name: objects                                   # and the namespace of its nodes
    model: cups.onnx                                # relative to this file; demo is the package's own
    cameras: [front, left]                          # default: all
    tasks: [poses, track]                           # default: all that the model gives reason to
    priority: 3                                     # 0 best effort .. 3 safety; default 1
    target_rate_hz: 15
    params: {detection: {score_threshold: 0.4}}     # of the pipeline's nodes
budget: manipulation                                # how long a frame may take in all
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from isaac_inference.errors import ConfigError
from isaac_inference.models import Task
from isaac_inference.models.demo import demo_model
from isaac_inference.serving.pipelines.check import NOT_OF_ONE_IMAGE, check
from isaac_inference.serving.pipelines.fields import NAME_EXPECTED, Fields, OneOfAKind, is_name
from isaac_inference.serving.pipelines.spec import (
    DEFAULT_PRIORITY,
    PRIORITIES,
    Added,
    CameraSpec,
    PipelineSpec,
    Setup,
)

DEMO = 'demo'
"""Names the package's own model, where a path would stand."""
READ = {
    **{task.value: task for task in Task if task not in NOT_OF_ONE_IMAGE},
    'masks': Task.INSTANCE_SEGMENTATION,
    'segmentation': Task.SEMANTIC_SEGMENTATION,
    'depth': Task.MONO_DEPTH,
}
"""What a model gives by itself, as `tasks` may name it: that is checked, and nothing has to be added for it."""
_PIPELINE_KEYS = (
    'name',
    'model',
    'model_card',
    'keypoints_model',
    'keypoints_card',
    'cameras',
    'tasks',
    'namespace',
    'priority',
    'target_rate_hz',
    'threads',
    'max_batch',
    'batch_wait_ms',
    'rectify',
    'target_frame',
    'params',
)


def read_pipelines(path: str | Path) -> Setup:
    """What a YAML of pipelines says, checked against the models that it names.

    Args:
        path: of the file. Paths in it are relative to it.

    Raises:
        ConfigError: it can't be read, or something in it is wrong: a line for each fault, with the file, the key, what
            it has and what it may have.
    """
    file = Path(path).expanduser()
    try:
        content = yaml.load(file.read_text(encoding='utf-8'), OneOfAKind)  # a SafeLoader
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f'pipelines {path}: {error}; expected a YAML file like those of config/pipelines') from error
    problems: list[str] = []
    setup, reads = _setup(content, file.absolute(), problems)
    problems += check(setup, reads)
    if problems:
        raise ConfigError('\n'.join(f'pipelines {path}: {problem}' for problem in problems))
    return setup


def _setup(content: Any, file: Path, problems: list[str]) -> tuple[Setup, dict[int, frozenset[Task]]]:
    """What the file says, and by number of the pipeline the tasks that its model is said to be for."""
    top = Fields(content, '', problems)
    top.only(('cameras', 'pipelines', 'budget'))
    cameras = _cameras(top.get('cameras'), file.parent, problems)
    entries = top.get('pipelines')
    if not isinstance(entries, list) or not entries:
        top.refuse('pipelines', entries, 'a list of pipelines, each "- name: ..." with a model and cameras')
        entries = []
    every = tuple(camera.name for camera in cameras)
    made = [_pipeline(entry, number, file.parent, every, problems) for number, entry in enumerate(entries)]
    budget = top.text('budget', expected='the name of a file in config/budgets, or a path')
    budget = _near(budget, file.parent) if budget.endswith(('.yaml', '.yml')) else budget
    reads = {number: tasks for number, (_, tasks) in enumerate(made)}
    return Setup(str(file), cameras, tuple(pipeline for pipeline, _ in made), budget), reads


def _cameras(entries: Any, folder: Path, problems: list[str]) -> tuple[CameraSpec, ...]:
    top = Fields(entries, 'cameras', problems)
    if not isinstance(entries, Mapping) or not entries:
        if entries is None or entries == {}:
            top.refuse('', entries, 'at least one, as in "front: {image: /front/image_raw}"')
        return ()
    made = []
    for name, entry in entries.items():
        fields = Fields(entry, f'cameras.{name}', problems)
        if not is_name(str(name)):
            top.refuse('', name, NAME_EXPECTED)
        fields.only(field.name for field in dataclasses.fields(CameraSpec) if field.name != 'name')
        topics = {key: fields.topic(key, getattr(CameraSpec, key)) for key in _TOPICS}
        source = fields.text('source', expected='a folder, a video, a recording or the index of a camera')
        simulator = fields.get('simulator')
        if simulator is not None and not isinstance(simulator, Mapping):
            fields.refuse('simulator', simulator, 'parameters of sim_camera, as in {seed: 1}; {} for its defaults')
            simulator = None
        if source and simulator is not None:
            fields.refuse('source', source, 'nothing beside simulator: both would publish its images')
        source = source if source.isdigit() or '://' in source else _near(source, folder)
        made.append(CameraSpec(str(name), **topics, source=source, simulator=simulator))
    return tuple(made)


def _pipeline(
    entry: Any, number: int, folder: Path, every: tuple[str, ...], problems: list[str]
) -> tuple[PipelineSpec, frozenset[Task]]:
    name = entry.get('name') if isinstance(entry, Mapping) else None
    fields = Fields(entry, f'pipelines[{number}]' + (f' ({name})' if name else ''), problems)
    fields.only(_PIPELINE_KEYS)
    if name is None:
        fields.refuse('name', name, NAME_EXPECTED)
    model = fields.text('model', expected='the path of an ONNX file')
    if not model:
        fields.refuse('model', fields.get('model'), f'the path of an ONNX file, or {DEMO}')
    cameras = fields.texts('cameras', f'names of cameras; there are: {", ".join(every) or "none"}')
    adds, reads = _tasks(fields)
    spec = PipelineSpec(
        name=fields.name('name'),
        model=_model(model, folder),
        cameras=every if cameras is None else cameras,
        model_card=_card(fields.text('model_card', expected='the path of a YAML card'), folder),
        keypoints_model=_near(fields.text('keypoints_model', expected='the path of an ONNX file'), folder),
        keypoints_card=_card(fields.text('keypoints_card', expected='the path of a YAML card'), folder),
        adds=adds,
        namespace=fields.topic('namespace', ''),
        priority=fields.whole('priority', DEFAULT_PRIORITY, min(PRIORITIES), max(PRIORITIES), _CLASSES),
        target_rate_hz=fields.number('target_rate_hz', 0.0),
        threads=fields.whole('threads', 0, 0),
        max_batch=fields.whole('max_batch', 0, 0),
        batch_wait_ms=fields.number('batch_wait_ms', 0.0),
        rectify=fields.switch('rectify'),
        target_frame=fields.text('target_frame', expected='the name of a frame'),
        params=_params(fields),
    )
    return spec, reads


def _tasks(fields: Fields) -> tuple[frozenset[Added] | None, frozenset[Task]]:
    """What is to be done with what the model finds, and what the model is said to be for."""
    known = [*READ, *(added.value for added in Added)]
    given = fields.texts('tasks', f'a list of {", ".join(known)}')
    if given is None:
        return None, frozenset()
    for task in given:
        if task not in known:
            fields.refuse('tasks', task, f'one of {", ".join(known)}')
    added = frozenset(Added(task) for task in given if task in list(Added))
    return added, frozenset(READ[task] for task in given if task in READ)


def _params(fields: Fields) -> dict[str, dict[str, Any]]:
    given = fields.get('params')
    if given is None:
        return {}
    nodes = given if isinstance(given, Mapping) else {'': given}
    made = {}
    for node, values in nodes.items():
        if not isinstance(values, Mapping):
            fields.refuse(f'params.{node}'.rstrip('.'), values, 'parameters of a node, as in {score_threshold: 0.4}')
            continue
        made[str(node)] = dict(_flat(values, ''))
    return made


def _flat(values: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    """Dotted names; a mapping is a group of parameters."""
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        found += _flat(value, f'{prefix}{name}.') if isinstance(value, Mapping) else [(f'{prefix}{name}', value)]
    return found


def _model(path: str, folder: Path) -> str:
    return str(demo_model()) if path == DEMO else _near(path, folder)


def _card(path: str, folder: Path) -> str:
    """A card that lies beside the file, or the name of one that is shipped: that has no ending."""
    near = _near(path, folder)
    return path if path and not Path(path).suffix and not Path(near).is_file() else near


def _near(path: str, folder: Path) -> str:
    """A path as the file means it, absolute; '' stays ''."""
    return str(folder / Path(path).expanduser()) if path else ''


_TOPICS = ('image', 'camera_info', 'depth', 'depth_info')
_CLASSES = ': ' + ', '.join(f'{number} {meaning}' for number, meaning in PRIORITIES.items())
