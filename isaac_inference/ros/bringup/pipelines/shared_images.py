# SPDX-License-Identifier: Apache-2.0
"""One preprocess node for all pipelines that want the same tensors of a camera."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from isaac_inference.models import ModelCard
from isaac_inference.ros.bringup.graph import NodeSpec
from isaac_inference.ros.bringup.names import resolve
from isaac_inference.ros.bringup.networks.paths import MODEL, card_of
from isaac_inference.ros.bringup.node_list import plugin
from isaac_inference.stages.image.same_input import same_input

_PREPROCESS = plugin('preprocess')
_BUDGET = plugin('budget')
_TENSORS = 'input_tensors'
_TIMINGS = 'preprocess/timings'
_RECTIFIED = 'rectified/'


def share_preprocessing(nodes: Sequence[NodeSpec], root: str) -> list[NodeSpec]:
    """The same graph without preprocess nodes that make what another one makes already.

    The first of those that look at the same images with the same parameters, and whose models want the same tensors as
    their cards say, prepares them for all.

    Args:
        root: namespace of the graph.
    """
    leaders: list[NodeSpec] = []
    followers: dict[int, list[NodeSpec]] = {}  # of a leader, by its number
    moved: dict[str, str] = {}  # namespace of a preprocess node that goes -> of the one that takes its place
    for spec in nodes:
        if spec.plugin != _PREPROCESS:
            continue
        number = next((i for i, leader in enumerate(leaders) if _is_same(leader, spec, root)), None)
        if number is None:
            leaders.append(spec)
            continue
        followers.setdefault(number, []).append(spec)
        moved[spec.namespace] = leaders[number].namespace
    shared = {id(leaders[number]): _leading(leaders[number], those, root) for number, those in followers.items()}
    gone = {id(spec) for those in followers.values() for spec in those}
    return [shared.get(id(spec), _looking(spec, moved, root)) for spec in nodes if id(spec) not in gone]


def _is_same(one: NodeSpec, other: NodeSpec, root: str) -> bool:
    if _images(one, root) != _images(other, root) or _settings(one) != _settings(other):
        return False
    cards = [_card(spec) for spec in (one, other)]
    return all(isinstance(card, ModelCard) for card in cards) and same_input(*cards) is not None


def _images(spec: NodeSpec, root: str) -> list[str]:
    """Where it takes images and, to rectify them, CameraInfo."""
    taken = ['image', *(['camera_info'] if spec.parameters.get('rectify') else [])]
    return [resolve(resolve(root, spec.namespace), spec.remappings.get(topic, topic)) for topic in taken]


def _settings(spec: NodeSpec) -> dict[str, Any]:
    return {name: value for name, value in spec.parameters.items() if name not in MODEL}


def _card(spec: NodeSpec) -> Any:
    return card_of(*(str(spec.parameters.get(name, '')) for name in MODEL))


def _leading(leader: NodeSpec, others: Sequence[NodeSpec], root: str) -> NodeSpec:
    also = {
        f'also_{number}/{_TENSORS}': resolve(resolve(root, spec.namespace), spec.remappings.get(_TENSORS, _TENSORS))
        for number, spec in enumerate(others, 1)
    }
    models, cards = ([str(spec.parameters.get(name, '')) for spec in others] for name in MODEL)
    return dataclasses.replace(
        leader,
        parameters={**leader.parameters, 'also_models': models, 'also_model_cards': cards},
        remappings={**leader.remappings, **also},
    )


def _looking(spec: NodeSpec, moved: Mapping[str, str], root: str) -> NodeSpec:
    """A node that takes rectified images, or looks at how long that takes, where they are made."""
    if spec.namespace not in moved:
        return spec
    where = resolve(root, moved[spec.namespace])
    remappings = {
        name: resolve(where, topic) if topic.startswith(_RECTIFIED) else topic
        for name, topic in spec.remappings.items()
    }
    if spec.plugin == _BUDGET:
        remappings[_TIMINGS] = resolve(where, _TIMINGS)
    return dataclasses.replace(spec, remappings=remappings)
