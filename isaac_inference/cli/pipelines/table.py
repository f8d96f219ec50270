# SPDX-License-Identifier: Apache-2.0
"""A graph of pipelines as tables: what runs where, what is to be listened to, and how often results come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from isaac_inference.models import ModelCard, read_card
from isaac_inference.ros.bringup.graph import NodeSpec
from isaac_inference.ros.bringup.launch_plan import LaunchPlan
from isaac_inference.ros.bringup.node_list import plugin
from isaac_inference.ros.bringup.pipelines.topics import outputs
from isaac_inference.serving.pipelines import DEFAULT_PRIORITY, PRIORITIES, PipelineSpec, Setup, most_at_once

_READERS = tuple(plugin(kind) for kind in ('detection', 'segmentation', 'depth', 'keypoints'))


def graph_table(setup: Setup, plan: LaunchPlan) -> Table:
    """A row for each pipeline."""
    table = Table(title=setup.path, title_justify='left')
    for name in ('pipeline', 'model', 'task', 'cameras', 'nodes, per camera', 'priority', 'rate', 'threads', 'batch'):
        table.add_column(name, overflow='fold')
    for pipeline in setup.pipelines:
        card = read_card(pipeline.model, pipeline.model_card or None)
        model = card.path.name
        if pipeline.keypoints_model:
            model += f', {read_card(pipeline.keypoints_model, pipeline.keypoints_card or None).path.name}'
        served = _served(pipeline, plan)
        priority, threads = served.get('priority', DEFAULT_PRIORITY), served.get('onnxruntime.threads', 0)
        table.add_row(
            pipeline.name,
            model,
            card.task.value,
            ', '.join(pipeline.cameras),
            _nodes(pipeline, plan),
            f'{priority} {PRIORITIES.get(priority, "")}',
            f'{pipeline.target_rate_hz:g} Hz' if pipeline.target_rate_hz else '',
            str(threads or 'all'),
            _batch(pipeline, card, served.get('max_batch', 0)),
        )
    return table


def topics_table(setup: Setup, plan: LaunchPlan) -> Table:
    """A row for each camera and pipeline: which images go in, who prepares them, what comes out."""
    table = Table(title='topics', title_justify='left')
    for name in ('camera', 'images', 'pipeline', 'images are prepared by', 'results'):
        table.add_column(name, overflow='fold')
    made_for = _prepared_for(plan)
    for camera in setup.cameras:
        image = next(
            iter(
                outputs(
                    NodeSpec('', '', plugin('camera'), remappings={'image': camera.image}, namespace=camera.name),
                    plan.namespace,
                )
            )
        )
        for pipeline in setup.pipelines:
            if camera.name not in pipeline.cameras:
                continue
            where = f'{pipeline.below}/{camera.name}'
            found = [topic for spec in plan.nodes if spec.namespace == where for topic in outputs(spec, plan.namespace)]
            table.add_row(camera.name, image, pipeline.name, made_for[where], '\n'.join(found))
    return table


class ResultTally:
    """How many results each camera of each pipeline has had, as the nodes that read the models' outputs say."""

    def __init__(self, setup: Setup, plan: LaunchPlan) -> None:
        self._readers = {
            (pipeline.name, camera): _reader(plan, f'{pipeline.below}/{camera}').full_name(plan.namespace)
            for pipeline in setup.pipelines
            for camera in pipeline.cameras
        }

    def fewest(self, statuses: Mapping[str, Any]) -> int:
        """The results of the camera that has had the fewest.

        Args:
            statuses: node -> its last DiagnosticStatus.
        """
        return min(int(_values(statuses, node).get('processed', '0')) for node in self._readers.values())

    def table(self, statuses: Mapping[str, Any]) -> Table:
        """A row for each camera of each pipeline."""
        table = Table(title='results', title_justify='left')
        for name in ('pipeline', 'camera', 'results', 'per second', 'its node says'):
            table.add_column(name, overflow='fold')
        for (pipeline, camera), node in self._readers.items():
            values = _values(statuses, node)
            said = statuses[node].message if node in statuses else 'nothing'
            table.add_row(pipeline, camera, values.get('processed', '0'), values.get('rate_out_hz', ''), said)
        return table


def _values(statuses: Mapping[str, Any], node: str) -> dict[str, str]:
    return {pair.key: pair.value for pair in statuses[node].values} if node in statuses else {}


def _reader(plan: LaunchPlan, where: str) -> NodeSpec:
    """The node that reads the model's outputs of a camera."""
    return next(spec for spec in plan.nodes if spec.namespace == where and spec.plugin in _READERS)


def _served(pipeline: PipelineSpec, plan: LaunchPlan) -> Mapping[str, Any]:
    """Parameters of the pipeline's inference node, which a parameter file may have had a say in."""
    where = pipeline.below
    return next(
        (one.parameters for one in plan.nodes if one.namespace == where and one.plugin == plugin('inference')), {}
    )


def _nodes(pipeline: PipelineSpec, plan: LaunchPlan) -> str:
    shared = [spec.name for spec in plan.nodes if spec.namespace == pipeline.below]
    each: list[str] = []
    for spec in plan.nodes:
        if spec.namespace.startswith(f'{pipeline.below}/') and spec.name not in each:
            each.append(spec.name)
    return f'{", ".join(shared)}\n{", ".join(each)}'


def _prepared_for(plan: LaunchPlan) -> dict[str, str]:
    """Namespace of a pipeline's camera -> the preprocess node that its tensors come from."""
    found = {}
    for spec in plan.nodes:
        if spec.plugin != plugin('preprocess'):
            continue
        found[spec.namespace] = spec.full_name(plan.namespace)
        for topic in spec.remappings.values():
            if topic.endswith('/input_tensors'):  # of another pipeline
                where = topic.removesuffix('/input_tensors').removeprefix(plan.namespace).strip('/')
                found[where] = f'{spec.full_name(plan.namespace)} (shared)'
    return found


def _batch(pipeline: PipelineSpec, card: ModelCard, asked: int) -> str:
    """How many frames run together, of at most `asked`; 0: as many as there are cameras."""
    most = most_at_once(card)
    if most == 1 and len(pipeline.cameras) > 1:
        return '1, the model takes no more'
    return f'up to {min(asked or len(pipeline.cameras), most or len(pipeline.cameras))}'
