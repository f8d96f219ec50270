# SPDX-License-Identifier: Apache-2.0
"""The graph of one camera and its model, from launch arguments and what a parameter file says of models."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from isaac_inference.errors import ConfigError
from isaac_inference.models import AnyCard, DetectionSpec, ModelCard, Task
from isaac_inference.ros.bringup.graph import CameraTopics, CropModel, FoundTopics, NodeSpec, found_by, perception_graph
from isaac_inference.ros.bringup.names import switch
from isaac_inference.ros.bringup.networks.made_depth import KINDS, MadeDepth, made_depth
from isaac_inference.ros.bringup.networks.model_chain import ChainPaths, ModelChain, chain_paths
from isaac_inference.ros.bringup.networks.named_in_file import NamedInFile
from isaac_inference.ros.bringup.networks.paths import MODEL, absolute, card_of, located

MODELS = 'launch argument models'
KEYPOINTS = FoundTopics().keypoints


@dataclass(frozen=True)
class OneCamera:
    """The nodes of one camera's graph.

    Attributes:
        nodes: in the order of the data.
        in_file: model and model_card where the parameter file names them, instead of an argument.
    """

    nodes: tuple[NodeSpec, ...]
    in_file: Mapping[str, str]


def one_camera(given: Mapping[str, str], in_file: NamedInFile) -> OneCamera:
    """From arguments to nodes.

    Args:
        given: every launch argument's value, by name.
        in_file: what the parameter file says of the models of these nodes.

    Raises:
        ConfigError: arguments that contradict each other, or what the model can do.
    """
    rectify = switch('rectify', given['rectify'])
    crops = _behind_detections(given, in_file)
    if crops is not None:
        given = {**given, 'model': '', 'model_card': ''}
    _check_detector(given)
    if rectify:
        _check_rectification(given)
    chain: ChainPaths | None
    if given['models']:
        chain, read = _given_chain(given, in_file)
        crops = CropModel.of(chain.keypoints, chain.keypoints_card, read.keypoints)
        given = {**given, 'model': chain.detector, 'model_card': chain.detector_card}
    else:
        chain, origin = in_file.chain(given)
        if chain is not None:
            crops = CropModel.of(chain.keypoints, chain.keypoints_card, chain.read(origin).keypoints)
    if chain is None and crops is None:
        crops = in_file.crops(given)
    found = in_file.detector(given)
    named = {**given, **found}
    card = card_of(named['model'], named['tags'] or named['model_card'])
    _check_task(named, card)
    made = _made_depth(named, in_file, card, 'model' in found)
    poses = bool(card and card.objects) if given['poses'] == 'auto' else switch('poses', given['poses'])
    graph = perception_graph(
        model=located(named['model']),
        model_card=located(given['tags'] or named['model_card']),
        tags=bool(given['tags']),
        found=FoundTopics(given['detections'], given['keypoints']) if given['detections'] else None,
        camera=_camera(given, made),
        source=_source(given['source']),
        poses=poses,
        track=poses if given['track'] == 'auto' else switch('track', given['track']),
        annotate=switch('annotate', given['annotate']),
        finds=found_by(card),
        crops=crops,
        pose_parameters={'target_frame': given['target_frame']} if given['target_frame'] else None,
        rectify=rectify,
        late_depth=made is not None,
    )
    if made is not None:
        graph = (*made.nodes(given), *(() if made.is_alone else graph))
    return OneCamera(graph, found)


def _given_chain(given: Mapping[str, str], in_file: NamedInFile) -> tuple[ChainPaths, ModelChain]:
    """The two models of the argument models, and their cards.

    Raises:
        ConfigError: as of `chain_paths` and `ChainPaths.read`; with what to give for models that are no chain at all.
    """
    try:
        chain = chain_paths(given['models'], given['model_card'], MODELS)
        card_path = chain.keypoints_card or in_file.card('crops', chain.keypoints)
        chain = dataclasses.replace(chain, keypoints_card=card_path)
        return chain, chain.read(MODELS)
    except ConfigError as error:
        cards = [card_of(path.strip()) for path in given['models'].split(',')]
        tasks = [card.task if isinstance(card, ModelCard) else None for card in cards]
        if len(tasks) < 2 or None in tasks or Task.TOP_DOWN_KEYPOINTS in tasks or given['cameras']:
            raise
        raise ConfigError(f'{error}; or give cameras:=front, for each of them to run by itself') from None


def _made_depth(
    given: Mapping[str, str], in_file: NamedInFile, card: AnyCard | None, is_model_of_file: bool
) -> MadeDepth | None:
    """The depth that the graph makes itself; raises ConfigError as `made_depth` and `NamedInFile.depth_network`."""
    switches = {
        name: str(switch(name, given[name])).lower() for name in ('rectify', *KINDS.values()) if given[name] != 'auto'
    }
    depth_model, depth_card, origin = in_file.depth_network(given)
    paths = {**{name: located(given[name]) for name in MODEL}, 'depth_model': depth_model}
    origins = {'model': in_file.origin('preprocess')} if is_model_of_file else {}
    if origin:
        origins['depth_model'] = origin
    return made_depth({**given, **switches, **paths}, card, card_of, depth_card, origins)


def _camera(given: Mapping[str, str], made: MadeDepth | None) -> CameraTopics:
    """The topics of the camera, and of its depth or that which is made."""
    topics = CameraTopics(given['image'], given['camera_info'], given['depth'], given['depth_info'])
    return topics if made is None else made.camera(topics)


def _behind_detections(given: Mapping[str, str], in_file: NamedInFile) -> CropModel | None:
    """The top-down model that is given beside the detections of a detector elsewhere; None for other models.

    Raises:
        ConfigError: the keypoints of these detections are given, too.
    """
    if not (given['detections'] and given['model']) or given['models']:
        return None
    model = absolute(given['model'])
    model_card = located(given['model_card']) or in_file.card('crops', model)
    card = card_of(model, model_card)
    if not isinstance(card, ModelCard) or card.task is not Task.TOP_DOWN_KEYPOINTS:
        return None
    if given['keypoints'] != KEYPOINTS:
        raise ConfigError(
            f'launch arguments keypoints:={given["keypoints"]} and model:={given["model"]}: each gives the keypoints '
            f'of {given["detections"]}; leave keypoints out for those of the model, which are on {KEYPOINTS}, or '
            'model for your own'
        )
    return CropModel.of(model, model_card, card)


def _check_detector(given: Mapping[str, str]) -> None:
    """Refuse two sources of detections.

    Raises:
        ConfigError: names both.
    """
    used = [f'{name}:={given[name]}' for name in ('model', 'models', 'tags', 'detections') if given[name]]
    if len(used) > 1:
        raise ConfigError(
            f'launch arguments {" and ".join(used)}: each is a detector, expected one; launch the other ones a second '
            'time, with a namespace of their own'
        )
    if given['tags'] and given['model_card']:
        raise ConfigError(
            f'launch arguments tags:={given["tags"]} and model_card:={given["model_card"]}: tags names the card of all '
            'nodes; put what the other says of the objects into it'
        )
    if given['keypoints'] != KEYPOINTS and not given['detections']:
        raise ConfigError(
            f'launch argument keypoints:={given["keypoints"]}: it belongs to detections, which is not given; set it too'
        )


def _check_rectification(given: Mapping[str, str]) -> None:
    """Refuse to rectify for what takes its images elsewhere.

    Raises:
        ConfigError: names it.
    """
    for name in ('tags', 'detections'):
        if given[name]:
            raise ConfigError(
                f'launch arguments rectify:=true and {name}:={given[name]}: images are rectified for a model alone; '
                'leave rectify out, since poses go by K and D of a raw image, or give image and camera_info the topics '
                'of images that are rectified already'
            )


def _check_task(given: Mapping[str, str], card: AnyCard | None) -> None:
    """Refuse what a model cannot give; a card of objects alone, or none, is no such model.

    Raises:
        ConfigError: poses or tracks are asked of a model that finds no objects.
    """
    if not isinstance(card, ModelCard):
        return
    task = card.task
    if not isinstance(card.spec, DetectionSpec):
        for name in ('poses',) if task is Task.TOP_DOWN_KEYPOINTS else ('poses', 'track'):
            if given[name] != 'auto' and switch(name, given[name]):
                raise ConfigError(
                    f'launch argument {name}: true, but {given["model"]} is for {task.value} and finds no objects; '
                    'leave it out, or give a detector'
                )


def _source(source: str) -> str:
    return source if source.isdigit() else absolute(source)
