# SPDX-License-Identifier: Apache-2.0
"""People as REP 155 publishes them: topics for each who has an id, and the list of those who are there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from std_msgs.msg import Header

from isaac_inference.ros.messages.people.hri_bodies import body_points, hri_msgs, ids, region, skeleton_2d
from isaac_inference.ros.runtime.node import PipelineNode
from isaac_inference.ros.runtime.topics.publisher import Publisher
from isaac_inference.ros.runtime.topics.qos import QosParameters
from isaac_inference.ros.runtime.topics.type_adapter import plain


@dataclass(frozen=True, eq=False)
class SeenPerson:
    """One person in the image: (K, 3) keypoints and (4,) box in px, and the score of the detection."""

    keypoints: np.ndarray
    box: np.ndarray
    score: float


class Bodies:
    """`<prefix>/<id>/skeleton2d`, `<prefix>/<id>/roi` and `<prefix>/tracked`.

    An id is `p<number>`, after the namespace where there is one, so that two cameras do not name one person alike; the
    topics of somebody who is gone are closed. The package hri_msgs must be there.
    """

    def __init__(self, node: PipelineNode, prefix: str, names: Sequence[str], least: float, qos: QosParameters) -> None:
        """Advertise on behalf of `node`, in its `on_setup`.

        Args:
            node: the node.
            prefix: of the topics.
            names: of the skeleton's points.
            least: confidence of a point that is given.
            qos: of the publishers.
        """
        self._node, self._prefix, self._names, self._least, self._qos = node, prefix.rstrip('/'), names, least, qos
        kinds = hri_msgs()
        self._kinds = {'skeleton2d': kinds.Skeleton2D, 'roi': kinds.NormalizedRegionOfInterest2D}  # type: ignore[union-attr]
        self._tracked = node.advertise(plain(kinds.IdsList), f'{self._prefix}/tracked', qos)  # type: ignore[union-attr]
        space = re.sub(r'\W+', '_', node.get_namespace()).strip('_')
        self._begin = f'{space}_p' if space else 'p'
        self._open: dict[str, dict[str, Publisher[Any]]] = {}

    def publish(self, header: Header, people: Mapping[str, SeenPerson], image_wh: tuple[int, int]) -> None:
        """The people of one frame, by the tracker's id; those without one are not given."""
        named = {self._begin + re.sub(r'\W', '_', identity): person for identity, person in people.items() if identity}
        for name in [name for name in self._open if name not in named]:
            self._close(name)
        for name, person in named.items():
            topics = self._open.get(name) or self._advertise(name)
            points = body_points(person.keypoints, self._names, image_wh, self._least)
            topics['roi'].publish(region(header, person.box, image_wh, person.score))
            topics['skeleton2d'].publish(skeleton_2d(header, points))
        self._tracked.publish(ids(header, sorted(named)))

    def clear(self) -> None:
        """Close the topics of everybody."""
        for name in list(self._open):
            self._close(name)

    def _advertise(self, name: str) -> dict[str, Publisher[Any]]:
        self._open[name] = {
            part: Publisher(self._node, plain(kind), f'{self._prefix}/{name}/{part}', self._qos, self._node.health)
            for part, kind in self._kinds.items()
        }
        return self._open[name]

    def _close(self, name: str) -> None:
        for publisher in self._open.pop(name).values():
            publisher.close()
