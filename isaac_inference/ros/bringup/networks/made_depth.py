# SPDX-License-Identifier: Apache-2.0
"""Depth that the graph makes itself, of two cameras or of a depth camera with holes: which nodes follow from what."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from isaac_inference.errors import ConfigError
from isaac_inference.models import AnyCard, ModelCard, Task
from isaac_inference.ros.bringup.graph import CameraTopics, NodeSpec

KINDS: Mapping[Task, str] = {Task.STEREO_DEPTH: 'stereo', Task.DEPTH_COMPLETION: 'completion'}
"""The task of a network -> the node that it is for, and the launch argument that starts that node without one."""

_SIDES = ('left', 'right')
_TENSORS = ('input_tensors', 'output_tensors')


@dataclass(frozen=True)
class MadeDepth:
    """The node that makes depth, and its network.

    Attributes:
        kind: name of the node.
        model: path of the network; '' for none.
        model_card: path of its card; '' looks beside the model.
        is_alone: whether the graph has nothing else to do.
    """

    kind: str
    model: str = ''
    model_card: str = ''
    is_alone: bool = False

    def camera(self, topics: CameraTopics) -> CameraTopics:
        """What the rest of the graph takes: its depth is the one that is made."""
        made = CameraTopics()
        return dataclasses.replace(topics, depth=made.depth, depth_info=made.depth_info)

    def nodes(self, given: Mapping[str, str]) -> tuple[NodeSpec, ...]:
        """The node, and the inference node of its network; beside another model its tensors have topics of their own.

        Args:
            given: the launch arguments.
        """
        # '' too: what a parameter file names for all nodes is not this one's
        network = {'model': self.model, 'model_card': self.model_card}
        is_beside = bool(self.model) and not self.is_alone
        tensors = {name: f'{self.kind}/{name}' for name in _TENSORS} if is_beside else {}
        node = NodeSpec.of(self.kind, network, {**_topics(self.kind, given), **tensors})
        if not self.model:
            return (node,)
        return node, NodeSpec.of('inference', network, tensors, f'{self.kind}_inference' if is_beside else '')


def made_depth(
    given: Mapping[str, str],
    card: AnyCard | None,
    card_of: Callable[[str, str], AnyCard | None],
    depth_card: str = '',
    origins: Mapping[str, str] | None = None,
) -> MadeDepth | None:
    """The depth that launch arguments ask for; None for none.

    Args:
        given: every argument's value, by name, paths absolute.
        card: that of `model`.
        card_of: reads the card of a model's path and its card's, which may be ''.
        depth_card: path of the card of `depth_model`; '' looks beside it.
        origins: for errors, what names `model` or `depth_model` where it is no launch argument: 'parameter file ...'.

    Raises:
        ConfigError: arguments that contradict each other, or a depth_model that is for something else.
    """
    said = {name: f'{name}:={given[name]}' for name in ('model', 'depth_model')}
    said |= {name: f'{origin}: {given[name]}' for name, origin in (origins or {}).items() if name in said}
    argument, found = 'model', card
    if given['depth_model']:
        argument, found = 'depth_model', card_of(given['depth_model'], depth_card)
    if given['depth_model'] and found is None:
        path = given['depth_model']
        raise ConfigError(f'launch argument depth_model: {path} cannot be read; `isaac-inference info {path}` says why')
    kind = KINDS.get(found.task) if isinstance(found, ModelCard) else None
    if given['depth_model'] and kind is None and isinstance(found, ModelCard):
        raise ConfigError(
            f'launch argument depth_model: {given["depth_model"]} is for {found.task.value}, expected '
            f'{" or ".join(task.value for task in KINDS)}; other models are given as model'
        )
    own = isinstance(card, ModelCard) and card.task in KINDS
    if own and given['depth_model']:
        raise ConfigError(f'launch: {said["model"]} and {said["depth_model"]}: both make depth; give one of them')
    wanted = {name for name in KINDS.values() if given[name] == 'true' or (given[name] == 'auto' and kind == name)}
    if kind is not None and kind not in wanted:
        raise ConfigError(
            f'launch: {kind}:=false and {said[argument]}, which is a network for the {kind} node; leave one of them out'
        )
    if len(wanted) > 1:
        network = '' if kind is None else f', and {said[argument]} is a network for the {kind} node'
        raise ConfigError(
            f'launch arguments {", ".join(f"{name}:={given[name]}" for name in KINDS.values())}: both nodes publish '
            f'depth/image{network}; launch one of them a second time, with a namespace of its own'
        )
    if not wanted:
        return None
    made = MadeDepth(
        wanted.pop(),
        given[argument] if kind is not None else '',
        given['model_card'] if own else depth_card,
        not (given['tags'] or given['detections'] or (given['model'] and not own)),
    )
    _check(made, given)
    return made


def _check(made: MadeDepth, given: Mapping[str, str]) -> None:
    """Raise ConfigError for arguments that have no effect, or a wrong one, where depth is made."""
    if made.kind == 'stereo' and given['depth'] != CameraTopics().depth:
        raise ConfigError(
            f'launch argument depth:={given["depth"]} with the stereo node, which makes depth/image itself; leave it '
            'out'
        )
    if made.is_alone and given['rectify'] == 'true':
        how = 'the stereo node rectifies raw pairs itself' if made.kind == 'stereo' else 'depth is that of the image'
        raise ConfigError(f'launch argument rectify:=true without a model of one image: {how}; leave it out')
    if made.is_alone and given['source']:
        raise ConfigError(
            f'launch argument source:={given["source"]}: a camera node has one image, and the {made.kind} node takes '
            f'{"two" if made.kind == "stereo" else "depth, too"}; start your driver, or replay a recording'
        )


def _topics(kind: str, given: Mapping[str, str]) -> dict[str, str]:
    """The remappings of what a node takes."""
    if kind == 'stereo':
        pairs = {f'{side}/image': given[side] for side in _SIDES}
        pairs |= {f'{side}/camera_info': given[f'{side}_info'] for side in _SIDES}
        return {name: topic for name, topic in pairs.items() if name != topic}
    made, sensor = CameraTopics(), {}
    for name, topic, own in (('image', 'depth', made.depth), ('camera_info', 'depth_info', made.depth_info)):
        if given[topic] != own:  # that is what the node publishes
            sensor[f'sensor_depth/{name}'] = given[topic]
    return {'image': given['image'], 'camera_info': given['camera_info'], **sensor}
