# SPDX-License-Identifier: Apache-2.0
"""Which measurements of several cameras are of one object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from isaac_inference.ops.fusion.settings import FusionSettings
from isaac_inference.ops.fusion.sighting import Sighting
from isaac_inference.ops.tracking.association import assign

_INSIDE = 0.8  # of an object's thickness: solid objects whose centres are nearer than that would be one in the other
_LEAST = 1e-9
AreOne = Callable[[str, str, Sighting, Sighting], bool]


@dataclass(eq=False)
class Cluster:
    """Measurements of one object, at most one of each camera, by the camera's name."""

    sightings: dict[str, Sighting] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Class of the measurement that is surest where it is."""
        return min(self.sightings.values(), key=lambda item: float(np.trace(item.covariance[:3, :3]))).label

    def place(self) -> tuple[np.ndarray, np.ndarray]:
        """(3,) m, where its centre is by all of them, and the (3, 3) covariance of that."""
        information = [np.linalg.inv(item.covariance[:3, :3]) for item in self.sightings.values()]
        covariance = np.linalg.inv(np.sum(information, axis=0))
        pulls = [part @ item.pose.translation for part, item in zip(information, self.sightings.values(), strict=True)]
        return covariance @ np.sum(pulls, axis=0), covariance


def cluster(
    seen: Mapping[str, Sequence[Sighting]], settings: FusionSettings, contradict: AreOne | None = None
) -> list[Cluster]:
    """All measurements of a moment, object by object.

    Camera by camera, the one that sees most first, each measurement is given to an object of its class whose position
    it fits within the gate, one to one, so that the sum of squared distances is least; which of several neighbours it
    is must be clear (`ambiguity`), or it stays by itself. Of what is left, two are one object if they could only be one
    in the other: that is for the vote to decide, as is what `contradict` says.

    Args:
        seen: by camera, with all covariance that they need.
        settings: gate and ambiguity.
        contradict: given the names of two cameras and a measurement of each, says whether these are known to be of one
            object that the cameras see at different places.

    Example: two equal cans, and both cameras see both.
        >>> from isaac_inference.ops.geometry.rigid import Pose
        >>> def can(x):
        ...     return Sighting('can', Pose(np.eye(3), np.array([x, 0, 1.0])), 1e-5 * np.eye(6), 0.9, (0.06, 0.06, 0.1))
        >>> found = cluster({'front': [can(0.0), can(0.08)], 'left': [can(0.081), can(0.002)]}, FusionSettings())
        >>> [[float(item.pose.translation[0]) for item in one.sightings.values()] for one in found]
        [[0.0, 0.002], [0.08, 0.081]]
    """
    clusters: list[Cluster] = []
    for stream in sorted(seen, key=lambda name: -len(seen[name])):
        items, begun = seen[stream], list(clusters)
        pairs = _pairs(begun, items, settings)
        for row, column in pairs:
            begun[row].sightings[stream] = items[column]
        taken = {column for _, column in pairs}
        clusters += [Cluster({stream: item}) for column, item in enumerate(items) if column not in taken]
    return _joined(clusters, contradict)


def _pairs(clusters: Sequence[Cluster], items: Sequence[Sighting], settings: FusionSettings) -> list[tuple[int, int]]:
    """(cluster, item) that are clearly one object."""
    if not clusters or not items:
        return []
    gains = np.zeros((len(clusters), len(items)))  # by how much a pair is within the gate, squared
    for row, one in enumerate(clusters):
        (place, covariance), label = one.place(), one.label
        for column, item in enumerate(items):
            if item.label == label:
                apart = item.pose.translation - place
                square = float(apart @ np.linalg.solve(covariance + item.covariance[:3, :3], apart))
                gains[row, column] = max(settings.gate**2 - square, 0.0)
    chosen = assign(gains, _LEAST)
    return [pair for pair in zip(*(part.tolist() for part in chosen), strict=True) if _is_clear(gains, pair, settings)]


def _is_clear(gains: np.ndarray, pair: tuple[int, int], settings: FusionSettings) -> bool:
    """Whether the best assignment without a pair is clearly worse, if there is anything else that it could be."""
    row, column = pair
    if np.count_nonzero(gains[row]) == np.count_nonzero(gains[:, column]) == 1:
        return True
    others = gains.copy()
    others[row, column] = 0.0
    return float(gains[assign(gains, _LEAST)].sum() - others[assign(others, _LEAST)].sum()) >= settings.ambiguity


def _joined(clusters: list[Cluster], contradict: AreOne | None) -> list[Cluster]:
    """Those that can only be one object put together, the nearest first."""
    while len(clusters) > 1:
        best: tuple[float, int, int] | None = None
        for first in range(len(clusters)):
            for second in range(first + 1, len(clusters)):
                nearness = _are_one(clusters[first], clusters[second], contradict)
                if nearness is not None and (best is None or nearness < best[0]):
                    best = nearness, first, second
        if best is None:
            break
        _, first, second = best
        clusters[first].sightings.update(clusters[second].sightings)
        del clusters[second]
    return clusters


def _are_one(first: Cluster, second: Cluster, contradict: AreOne | None) -> float | None:
    """How far apart two are that can only be one object, m; None where they can be two."""
    if first.sightings.keys() & second.sightings.keys():
        return None
    apart = float(np.linalg.norm(first.place()[0] - second.place()[0]))
    thick = min(item.thickness for one in (first, second) for item in one.sightings.values())
    if apart < _INSIDE * thick:
        return apart
    if contradict is not None and any(
        contradict(name, other, item, it)
        for name, item in first.sightings.items()
        for other, it in second.sightings.items()
    ):
        return apart
    return None
