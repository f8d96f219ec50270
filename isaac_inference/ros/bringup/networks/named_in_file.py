# SPDX-License-Identifier: Apache-2.0
"""The models that a parameter file names: which nodes there are follows from what they are, too."""

from __future__ import annotations

from collections.abc import Mapping

from isaac_inference.errors import ConfigError
from isaac_inference.models import AnyCard, DetectionSpec, ModelCard
from isaac_inference.ros.bringup.graph import CropModel, FoundTopics
from isaac_inference.ros.bringup.networks.made_depth import KINDS
from isaac_inference.ros.bringup.networks.model_chain import ChainPaths, read_top_down
from isaac_inference.ros.bringup.networks.paths import MODEL, absolute, card_of, located
from isaac_inference.ros.bringup.params_file import ParamsFile

_DETECTOR = 'preprocess'  # its section names the model of a graph


class NamedInFile:
    """What a parameter file says of models; nothing where there is no file.

    Args:
        path: of the file; '' for none.
        namespace: of the nodes.

    Raises:
        ConfigError: as of `ParamsFile`.
    """

    def __init__(self, path: str, namespace: str) -> None:
        self._path, self._namespace = path, namespace
        self._file = ParamsFile(absolute(path)) if path else None

    def detector(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """The model and card of the graph, where no launch argument is a detector or a card; else nothing."""
        if self._file is None or any(given[name] for name in (*MODEL, 'models', 'tags', 'detections')):
            return {}
        return {name: located(path) for name, path in self._section(_DETECTOR).items() if path}

    def chain(self, given: Mapping[str, str]) -> tuple[ChainPaths | None, str]:
        """Two models, of which the file has one for the crops node; and in words where they are named.

        The first is that of the argument, where it finds boxes and no more, or that of the file.
        """
        if any(given[name] for name in ('models', 'tags', 'detections')):
            return None, ''
        second, origin = self._of_crops(), self.origin('crops')
        if given['model']:
            if not _finds_boxes_alone(card_of(given['model'], given['model_card'])):
                return None, ''
            origin = f'launch argument model and {origin}'
        named = given if given['model'] else self._section(_DETECTOR)
        first = {name: located(named[name]) for name in MODEL}
        if not first['model'] or not second['model'] or first['model'] == second['model']:
            return None, ''
        return ChainPaths(first['model'], second['model'], first['model_card'], second['model_card']), origin

    def crops(self, given: Mapping[str, str]) -> CropModel | None:
        """The top-down model that the file has for the crops node, behind the detections of a detector elsewhere.

        Raises:
            ConfigError: it cannot be read, or is for something else.
        """
        if not given['detections'] or given['model'] or given['keypoints'] != FoundTopics().keypoints:
            return None
        model, model_card = self._of_crops().values()
        if not model:
            return None
        return CropModel.of(model, model_card, read_top_down(model, model_card, self.origin('crops')))

    def depth_network(self, given: Mapping[str, str]) -> tuple[str, str, str]:
        """The network of the node that makes depth, by the argument depth_model or else by the file; the card that the
        file has for it; and the file's section where that names it. '' for none.

        Raises:
            ConfigError: the section of such a node names a model that cannot be read, or one for something else.
        """
        for task, kind in KINDS.items():
            own = self._section(kind)['model']
            path = located(given['depth_model'] or own)
            if not path or path == located(given['model']) or given[kind] == 'false':
                continue
            model_card = self.card(kind, path)
            card = card_of(path, model_card)
            if isinstance(card, ModelCard) and card.task is task:
                return path, model_card, '' if given['depth_model'] else self.origin(kind)
            if not given['depth_model'] and own != self._section(_DETECTOR)['model']:
                why = f'is for {card.task.value}' if isinstance(card, ModelCard) else 'cannot be read'
                raise ConfigError(
                    f'{self.origin(kind)}: {path} {why}, expected a network for {task.value}; '
                    f'`isaac-inference info {path}` says what it is, and {kind}:=false does without'
                )
        return located(given['depth_model']), '', ''

    def card(self, name: str, model: str) -> str:
        """The card of a node that is given another model than the detector's; '' for none."""
        section = self._section(name)
        own = located(section['model'])
        is_its = own == model or (not own and section['model_card'] != self._section(_DETECTOR)['model_card'])
        return located(section['model_card']) if is_its else ''

    def origin(self, name: str) -> str:
        """A node's section, in words."""
        return f'parameter file {self._path}: {name}'

    def _of_crops(self) -> dict[str, str]:
        """Model and card of the crops node's section; '' where the model is that of all nodes."""
        section = self._section('crops')
        is_own = section['model'] != self._section(_DETECTOR)['model']
        return {name: located(path) if is_own else '' for name, path in section.items()}

    def _section(self, name: str) -> dict[str, str]:
        section = {} if self._file is None else self._file.node_section(f'{self._namespace}/{name}')
        return {name: str(section.get(name, '')) for name in MODEL}


def _finds_boxes_alone(card: AnyCard | None) -> bool:
    return isinstance(card, ModelCard) and isinstance(card.spec, DetectionSpec) and card.keypoints is None
