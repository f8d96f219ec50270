# SPDX-License-Identifier: Apache-2.0
"""Objects that several cameras see, moment by moment: which are one, where they are, and their numbers over time."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from isaac_inference.ops.fusion.agreement import Before, Verdict, agree
from isaac_inference.ops.fusion.association import AreOne, Cluster, cluster
from isaac_inference.ops.fusion.combine import calibration_covariance
from isaac_inference.ops.fusion.disagreement import SPREAD, Disagreement, DisagreementWatch
from isaac_inference.ops.fusion.motion import Motion, motion_covariance
from isaac_inference.ops.fusion.settings import FusionSettings
from isaac_inference.ops.fusion.sighting import CameraView, Fused, Refusal, Sighting
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.geometry.symmetry import nearest
from isaac_inference.ops.tracking.association import assign

_NAMED = 0.5  # of a perfect fit: what it is worth that a camera calls an object by the number that it had
_REACH = 0.3  # m; further away a camera's number is no more believed
_LEAST = 1e-9
_FROM_SEVERAL, _FROM_ONE = 1.0, 0.5  # votes of a pose that several cameras, or only one, had found before
_SAME_SHIFT = 0.03  # m, at least, around the shift of two cameras that disagree


@dataclass(frozen=True)
class Round:
    """What became of one moment's measurements.

    Attributes:
        fused: the objects.
        refusals: what is not in them.
        disagreements: cameras that see everything at different places.
        left_out: cameras whose calibration is wrong, by all others; nothing of them is in `fused`.
    """

    fused: tuple[Fused, ...]
    refusals: tuple[Refusal, ...]
    disagreements: tuple[Disagreement, ...]
    left_out: tuple[str, ...]


@dataclass(eq=False)
class _Object:
    """What is remembered of an object. `votes`: of a camera's worth, that its last pose has."""

    number: int
    sighting: Sighting
    stamp_s: float
    votes: float
    motion: Motion
    refused: int = 0
    names: dict[str, str] = field(default_factory=dict)  # by camera, the number it has there

    def now(self, stamp_s: float, settings: FusionSettings) -> np.ndarray:
        """(6, 6) covariance of where it may be."""
        return self.sighting.covariance + motion_covariance(stamp_s - self.stamp_s, settings.speed, settings.turn_speed)


class Fuser:
    """Fuses what several cameras measure. Nothing is smoothed: what is given out is of that moment alone.

    Args:
        settings: how well cameras and their calibration are trusted.

    Example: two cameras see one box, and are equally sure.
        >>> def view(x):
        ...     pose = Pose(np.eye(3), np.array([x, 0.0, 0.1]))
        ...     return CameraView(0.0, [Sighting('box', pose, 1e-5 * np.eye(6), 0.9, (0.1, 0.1, 0.1))], np.ones(3))
        >>> fused, = Fuser(FusionSettings()).update({'front': view(0.0), 'left': view(0.004)}).fused
        >>> fused.number, fused.streams, float(fused.sighting.pose.translation[0].round(6))
        (1, ('front', 'left'), 0.002)
    """

    def __init__(self, settings: FusionSettings | None = None) -> None:
        self._settings = settings or FusionSettings()
        self._watch = DisagreementWatch(self._settings)
        self._objects: list[_Object] = []
        self._numbers = itertools.count(1)

    @property
    def shifts(self) -> dict[tuple[str, str], np.ndarray]:
        """By two cameras, how far apart they see the same objects: the (3,) median, m."""
        return self._watch.shifts()

    def reset(self) -> None:
        """Forget all objects and what is known of the cameras; numbers go on."""
        self._objects, self._watch = [], DisagreementWatch(self._settings)

    def forget_camera(self, stream: str) -> None:
        """A camera has been mounted or calibrated anew."""
        self._watch.forget(stream)

    def update(self, views: Mapping[str, CameraView]) -> Round:
        """One moment; its stamp is the newest view's, and each must be later than the one before.

        Args:
            views: by camera; those that see nothing are there with no sightings, those that say nothing are not.
        """
        chosen = self._settings
        if not views:
            return Round((), (), (), ())
        stamp_s = max(view.stamp_s for view in views.values())
        self._objects = [item for item in self._objects if stamp_s - item.stamp_s <= chosen.max_age_s]
        seen = {name: [self._calibrated(item, view) for item in view.sightings] for name, view in views.items()}
        elapsed_s = {name: stamp_s - view.stamp_s for name, view in views.items()}
        self._watch.put(seen)
        wrong = self._watch.found()
        left_out = self._watch.culprits(wrong)
        refusals = [
            Refusal('left_out', (name,), f'{name} is left out: its calibration is wrong')
            for name in left_out
            for _ in seen.pop(name, ())
        ]
        clusters = self._clusters(seen, elapsed_s, wrong)
        fused, unsure = [], [item.streams for item in wrong if not set(item.streams) & set(left_out)]
        for one, known in zip(clusters, self._known(clusters, stamp_s), strict=True):
            moved = self._moved(one, known, elapsed_s)
            item, refused = self._decide(moved, known, stamp_s, unsure)
            refusals += refused
            if item is not None:
                fused.append(item)
        return Round(tuple(sorted(fused, key=lambda item: item.number)), tuple(refusals), wrong, left_out)

    def _calibrated(self, item: Sighting, view: CameraView) -> Sighting:
        """With the covariance of a camera's calibration."""
        sigmas = self._settings.extrinsic_sigma_m, self._settings.extrinsic_sigma_rad
        return _wider(item, calibration_covariance(item.pose.translation, view.eye, *sigmas))

    def _clusters(
        self, seen: Mapping[str, Sequence[Sighting]], elapsed_s: Mapping[str, float], wrong: Sequence[Disagreement]
    ) -> list[Cluster]:
        """Of measurements of slightly different moments: any may have moved as fast as any, as nobody knows yet of
        which object it is."""
        motion = Motion(self._settings)
        wide = {name: [_wider(item, motion.covariance(elapsed_s[name])) for item in seen[name]] for name in seen}
        found = cluster(wide, self._settings, _contradict(wrong) if wrong else None)
        as_measured = {id(wide[name][row]): seen[name][row] for name in seen for row in range(len(seen[name]))}
        return [Cluster({name: as_measured[id(item)] for name, item in one.sightings.items()}) for one in found]

    def _moved(self, one: Cluster, known: _Object | None, elapsed_s: Mapping[str, float]) -> Cluster:
        """What was measured earlier is less sure by how far this object may have moved since."""
        motion = Motion(self._settings) if known is None else known.motion
        return Cluster(
            {
                name: _wider(item, motion.covariance(elapsed_s[name])) if elapsed_s[name] else item
                for name, item in one.sightings.items()
            }
        )

    def _known(self, clusters: Sequence[Cluster], stamp_s: float) -> list[_Object | None]:
        """Which object each is; None for a new one."""
        found: list[_Object | None] = [None] * len(clusters)
        likeness = np.zeros((len(self._objects), len(clusters)))
        places = [one.place() for one in clusters]
        for row, known in enumerate(self._objects):
            spread = known.now(stamp_s, self._settings)[:3, :3]
            for column, (one, (place, covariance)) in enumerate(zip(clusters, places, strict=True)):
                if all(item.label != known.sighting.label for item in one.sightings.values()):
                    continue
                apart = place - known.sighting.pose.translation
                square = float(apart @ np.linalg.solve(spread + covariance, apart))
                fit = max(1.0 - square / self._settings.gate**2, 0.0)
                if math.hypot(*apart) <= _REACH and _is_named(known, one):
                    fit += _NAMED
                likeness[row, column] = fit
        if likeness.size:
            for row, column in zip(*assign(likeness / (1.0 + _NAMED), _LEAST), strict=True):
                found[column] = self._objects[row]
        return found

    def _decide(
        self, one: Cluster, known: _Object | None, stamp_s: float, unsure: Sequence[tuple[str, str]]
    ) -> tuple[Fused | None, list[Refusal]]:
        """An object, or why not; `unsure` are two cameras each of which one is wrong, nobody knows which."""
        names, items = list(one.sightings), list(one.sightings.values())
        before = self._before(known, stamp_s)
        verdict = agree(items, before, self._settings)
        agree_now = {names[index] for index in verdict.agreeing}
        if not verdict.believed or any(set(pair) <= set(names) and not set(pair) <= agree_now for pair in unsure):
            if known is not None:
                known.refused += 1
            return None, [_refusal(names, items, verdict)]
        agreeing = [items[index] for index in verdict.agreeing]
        streams = tuple(sorted(names[index] for index in verdict.agreeing))
        sighting = _summary(agreeing, verdict, known)
        if known is None or known.sighting.label != sighting.label:
            known = _Object(next(self._numbers), sighting, stamp_s, _FROM_ONE, Motion(self._settings))
            self._objects.append(known)
        elif before is not None:  # else it is somewhere else than was thought
            known.motion.step(known.sighting.pose, sighting.pose, stamp_s - known.stamp_s)
        else:
            known.motion = Motion(self._settings)
        known.sighting, known.stamp_s, known.refused = sighting, stamp_s, 0
        if len(streams) > 1 or before is None:  # what one camera alone goes on with is worth what it was
            known.votes = _FROM_SEVERAL if len(streams) > 1 else _FROM_ONE
        known.names.update({names[index]: items[index].identity for index in verdict.agreeing if items[index].identity})
        outvoted = [names[index] for index in range(len(items)) if index not in verdict.agreeing]
        refusals = [_outlier(name, sighting.label, streams, verdict) for name in outvoted]
        return Fused(known.number, sighting, streams), refusals

    def _before(self, known: _Object | None, stamp_s: float) -> Before | None:
        if known is None or known.refused >= self._settings.takeover_hits:
            return None
        pose = known.sighting.pose
        return Before(known.sighting.label, pose, known.now(stamp_s, self._settings), known.votes)


def _wider(item: Sighting, added: np.ndarray) -> Sighting:
    second = item.second and dataclasses.replace(item.second, covariance=item.second.covariance + added)
    return dataclasses.replace(item, covariance=item.covariance + added, second=second)


def _summary(items: Sequence[Sighting], verdict: Verdict, known: _Object | None) -> Sighting:
    """One sighting of several that agree; a symmetric object's pose stays the one that it was called before."""
    best = max(items, key=lambda item: item.score)
    pose: Pose = verdict.pose
    if known is not None and known.sighting.label == best.label:
        pose = nearest(pose, known.sighting.pose, best.symmetries)
    alone = len(items) == 1 and verdict.covariance is items[0].covariance
    return dataclasses.replace(
        best, pose=pose, covariance=verdict.covariance, identity='', second=items[0].second if alone else None
    )


def _is_named(known: _Object, one: Cluster) -> bool:
    return any(item.identity and known.names.get(name) == item.identity for name, item in one.sightings.items())


def _contradict(wrong: Sequence[Disagreement]) -> AreOne:
    """Whether two measurements are as far apart as their cameras see everything."""
    shifts = {item.streams: item.shift for item in wrong}

    def are_one(first: str, second: str, item: Sighting, other: Sighting) -> bool:
        pair, sign = ((first, second), 1.0) if first < second else ((second, first), -1.0)
        if pair not in shifts or item.label != other.label:
            return False
        apart = other.pose.translation - item.pose.translation
        around = max(
            _SAME_SHIFT, SPREAD * float(np.linalg.norm(shifts[pair]))
        )  # of a camera that is turned, shifts differ
        return float(np.linalg.norm(apart - sign * shifts[pair])) < around

    return are_one


def _refusal(names: Sequence[str], items: Sequence[Sighting], verdict: Verdict) -> Refusal:
    label = items[verdict.agreeing[0]].label
    apart = _in_words(verdict)
    if verdict.refuted:
        text = f'{label}: {_listed(names)} sees it {apart} from where it just was'
        return Refusal('unlike_before', tuple(sorted(names)), text)
    labels = sorted({item.label for item in items})
    what = (
        f'{label}: {_listed(names)} see it {apart} apart'
        if len(labels) == 1
        else (f'{_listed(names)} see {" and ".join(labels)} at one place')
    )
    return Refusal('contradiction', tuple(sorted(names)), f'{what}, and none of them has a majority')


def _outlier(name: str, label: str, streams: Sequence[str], verdict: Verdict) -> Refusal:
    return Refusal('outlier', (name,), f'{label}: {name} sees it {_in_words(verdict)} from where {_listed(streams)} do')


def _in_words(verdict: Verdict) -> str:
    apart_m, apart_rad = verdict.apart
    return f'{1e3 * apart_m:.0f} mm and {math.degrees(apart_rad):.0f} degrees'


def _listed(names: Sequence[str]) -> str:
    return ' and '.join(sorted(names))
