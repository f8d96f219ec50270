# SPDX-License-Identifier: Apache-2.0
"""Skeletons in space as visualization_msgs/MarkerArray, for RViz: lines for bones, balls for joints, sides apart."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from isaac_inference.models.card.skeletons.spec import SkeletonSpec
from isaac_inference.ops.drawing.skeletons import side_color, sides_of

BONES, JOINTS = 'skeletons/bones', 'skeletons/joints'
"""Namespaces of the markers; an id in them is the person's number, or -1 - row for somebody without one."""
_LINE, _BALL = 0.02, 0.05  # m


class SkeletonMarkers:
    """Makes the array of each frame, and takes away what the ones before left of people who are gone.

    Args:
        spec: of the skeleton.
    """

    def __init__(self, spec: SkeletonSpec) -> None:
        self._edges = spec.edges
        sides = sides_of(len(spec.names), spec.left, spec.right)
        self._colors = [_rgba(side_color(side)) for side in sides]
        self._edge_colors = [_rgba(side_color(sides[a] if sides[a] == sides[b] else 0)) for a, b in spec.edges]
        self._shown: set[int] = set()

    def array(self, header: Header, people: Mapping[int, np.ndarray]) -> MarkerArray:
        """The markers of a frame.

        Args:
            header: of the frame that positions are in.
            people: marker id -> (K, 3) m, NaN for joints that there are not.
        """
        markers = []
        for number, positions in people.items():
            there = np.isfinite(positions).all(axis=1)
            bones = [k for k, (a, b) in enumerate(self._edges) if there[a] and there[b]]
            ends = [joint for k in bones for joint in self._edges[k]]
            colors = [self._edge_colors[k] for k in bones for _ in range(2)]
            markers.append(_marker(header, BONES, number, Marker.LINE_LIST, _LINE, positions[ends], colors))
            found = np.flatnonzero(there).tolist()
            balls = [self._colors[joint] for joint in found]
            markers.append(_marker(header, JOINTS, number, Marker.SPHERE_LIST, _BALL, positions[found], balls))
        markers += _gone(header, self._shown - set(people))
        self._shown = set(people)
        return MarkerArray(markers=markers)

    def clear(self, header: Header) -> MarkerArray:
        """Takes away all that was shown."""
        gone, self._shown = self._shown, set()
        return MarkerArray(markers=_gone(header, gone))

    @property
    def is_showing(self) -> bool:
        """Whether any person's markers are there."""
        return bool(self._shown)


def _gone(header: Header, numbers: Collection[int]) -> list[Marker]:
    return [
        Marker(header=header, ns=space, id=number, action=Marker.DELETE)
        for number in sorted(numbers)
        for space in (BONES, JOINTS)
    ]


def _marker(
    header: Header, space: str, number: int, kind: int, scale: float, positions: np.ndarray, colors: list[ColorRGBA]
) -> Marker:
    """One list of lines or balls; one without any is taken away, as RViz warns of those."""
    if not len(positions):
        return Marker(header=header, ns=space, id=number, action=Marker.DELETE)
    return Marker(
        header=header,
        ns=space,
        id=number,
        type=kind,
        action=Marker.ADD,
        pose=Pose(orientation=Quaternion(w=1.0)),
        scale=Vector3(x=scale, y=scale, z=scale),
        color=ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0),
        points=[Point(x=x, y=y, z=z) for x, y, z in positions.tolist()],
        colors=colors,
    )


def _rgba(color: tuple[int, int, int]) -> ColorRGBA:
    blue, green, red = color
    return ColorRGBA(r=red / 255, g=green / 255, b=blue / 255, a=1.0)
