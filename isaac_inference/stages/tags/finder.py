# SPDX-License-Identifier: Apache-2.0
"""From the tags that are seen to the objects that a card says they are on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.models import ObjectsCard
from isaac_inference.models.card.tags import CORNERS
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.tags.detector import SeenTag, TagDetector, TagSettings
from isaac_inference.ops.tags.families import FAMILIES

_Key = tuple[str, int]  # family and id


@dataclass(frozen=True, eq=False)
class TaggedObjects:
    """The tagged objects of one image.

    Attributes:
        found: one row for each object; its keypoints are the corners of the object's tags in the card's order, with
            confidence 1 where they are seen and 0 where not. The box is that around the tags that are seen.
        left_out: how many tags are of no use, by reason: 'tag_small' and 'tag_edges' as of `TagDetector`, 'tag_twice'
            (an object has one of them, the image two: which of them is it?).
        unknown: tags that are on no object of the card, sorted.
    """

    found: Detections
    left_out: Mapping[str, int] = field(default_factory=dict)
    unknown: tuple[_Key, ...] = ()


class TagFinder:
    """Finds the objects of a card by their tags."""

    def __init__(self, card: ObjectsCard, settings: TagSettings | None = None) -> None:
        """Prepare.

        Args:
            card: with tags on its objects.
            settings: what is taken for a tag.

        Raises:
            ConfigError: no object has tags, or OpenCV cannot find tags.
        """
        if not card.has_tags or card.keypoints is None:
            raise ConfigError(
                f'card {card.name}: got no object with tags, expected at least one; add `tags: [{{family: 36h11, '
                'id: 7, size: 0.08}]` to an object, with the side of the black square in metres'
            )
        self._row = card.keypoints.count
        self._classes = {name: index for index, name in enumerate(card.labels)}
        self._places: dict[_Key, tuple[str, int]] = {}  # of each tag: its object, and its first keypoint
        self._counts = {name: len(spec.tags) for name, spec in card.objects.items() if spec.tags}
        for name, spec in card.objects.items():
            for index, tag in enumerate(spec.tags):
                self._places[tag.family, tag.id] = name, CORNERS * index
        families = sorted({family for family, _ in self._places})
        self._detector = TagDetector([FAMILIES[name] for name in families], settings)

    def __call__(self, gray: np.ndarray) -> TaggedObjects:
        """The objects in an image, (H, W) uint8.

        An object with one tag may be there several times, as several of a class; of one with more tags there is one.
        """
        tags, left_out = self._detector(gray)
        seen: dict[_Key, list[SeenTag]] = {}
        for tag in tags:
            seen.setdefault((tag.family, tag.id), []).append(tag)
        unknown = tuple(sorted(key for key in seen if key not in self._places))
        instances: dict[str, list[list[SeenTag]]] = {}
        for key, copies in seen.items():
            if key not in self._places:
                continue
            name, _ = self._places[key]
            if self._counts[name] == 1:
                instances[name] = [[tag] for tag in copies]
            elif len(copies) == 1:
                instances.setdefault(name, [[]])[0].append(copies[0])
            else:
                left_out['tag_twice'] = left_out.get('tag_twice', 0) + len(copies)
        rows = [(name, found) for name in self._counts for found in instances.get(name, ())]
        return TaggedObjects(self._detections(rows, gray.shape), left_out, unknown)

    def _detections(self, rows: Sequence[tuple[str, list[SeenTag]]], shape: tuple[int, ...]) -> Detections:
        keypoints = np.zeros((len(rows), self._row, 3), np.float32)
        boxes = np.zeros((len(rows), 4), np.float32)
        for row, (_, found) in enumerate(rows):
            for tag in found:
                _, first = self._places[tag.family, tag.id]
                keypoints[row, first : first + CORNERS, :2] = tag.corners
                keypoints[row, first : first + CORNERS, 2] = 1.0
            corners = np.concatenate([tag.corners for tag in found])
            boxes[row, :2], boxes[row, 2:] = corners.min(axis=0), corners.max(axis=0)
        height, width = shape[:2]
        np.clip(boxes, 0.0, np.array((width, height, width, height), np.float32), out=boxes)
        classes = np.array([self._classes[name] for name, _ in rows], np.int32)
        return Detections(boxes, np.ones(len(rows), np.float32), classes, keypoints)
