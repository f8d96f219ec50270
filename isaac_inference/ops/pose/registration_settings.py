# SPDX-License-Identifier: Apache-2.0
"""Every number that decides whether and how a registration succeeds, with its unit, range and reason."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from isaac_inference.errors import ConfigError

_INF = math.inf


@dataclass(frozen=True)
class FittingSettings:
    """How the model is fitted to depth. These trade time for robustness; they do not decide what is accepted.

    A diameter is the object's largest extent; lengths in metres hold at every distance.

    Attributes:
        points_across: the depth points are thinned to this many per diameter, above 0; more cost time and add little,
            because neighbouring depth pixels err together.
        min_spacing: spacing of thinned points, in m, above 0: small objects are not sampled finer than depth cameras
            resolve.
        max_spacing: largest spacing of thinned points, in m, `min_spacing` or more: each face of a large object keeps
            enough points.
        prior_shift: standard deviation in m added to the initial position, 0 or more: a keypoint fit that looks too
            good must not forbid what depth knows better.
        prior_turn_deg: the same for the initial rotation, in degrees, 0 to 180.
        reach_sigmas: depth points count when they are within this many standard deviations of the initial pose, above
            0; 2, because few errors are larger.
        min_reach_sigmas: lower bound of that distance in standard deviations of the depth noise, above 0: noise must
            not remove points of the object.
        max_reach: upper bound of that distance in diameters, above 0: neighbours must not be taken for the object.
        max_reach_floor: lower bound of `max_reach` for tiny objects, in m, 0 or more.
        max_fitness_loss: a refinement that lowers fitness by more than this, and support at all, is discarded for the
            initial pose; 0 to 1. Smaller losses are sampling noise.
        rough_reach: search: distance in diameters at which points still pull a rough placement, above 0; wide,
            because rough placements are rough.
        refined_placements: search: how many of the rough placements are refined, 1 or more; each costs as much time as
            refining an initial pose.
        min_rough_score: search: rough placements below this part of the best score are not refined, which saves time;
            0 to 1.
        placement_shift: search: standard deviation of a rough placement, in diameters, above 0; wide, so that depth
            decides.
        placement_turn_deg: search: the same for its rotation, in degrees, above 0 to 180.
        search_reach: search: distance in diameters at which points count in the refinement, above 0. Less than with an
            initial pose, because rough placements have been aligned already.
        search_reach_tolerances: search: lower bound of that in multiples of `RegistrationSettings.distance`, above 0.
        full_support: search: from this support on a placement's score no longer grows, above 0 to 1: seeing more than
            half of the visible side says nothing about which placement is right.

    Raises:
        ConfigError: a value outside its range.
    """

    points_across: float = 40.0
    min_spacing: float = 0.002
    max_spacing: float = 0.02
    prior_shift: float = 0.002
    prior_turn_deg: float = 0.5
    reach_sigmas: float = 2.0
    min_reach_sigmas: float = 4.0
    max_reach: float = 0.25
    max_reach_floor: float = 0.02
    max_fitness_loss: float = 0.03
    rough_reach: float = 0.2
    refined_placements: int = 4
    min_rough_score: float = 0.5
    placement_shift: float = 0.15
    placement_turn_deg: float = 15.0
    search_reach: float = 0.05
    search_reach_tolerances: float = 2.0
    full_support: float = 0.5

    def __post_init__(self) -> None:
        for name in ('prior_shift', 'max_reach_floor'):
            _require(self, name, 0.0, _INF)
        for name in ('points_across', 'min_spacing', 'reach_sigmas', 'min_reach_sigmas', 'max_reach', 'rough_reach'):
            _require(self, name, 0.0, _INF, above=True)
        for name in ('placement_shift', 'search_reach', 'search_reach_tolerances'):
            _require(self, name, 0.0, _INF, above=True)
        for name in ('max_fitness_loss', 'min_rough_score'):
            _require(self, name, 0.0, 1.0)
        _require(self, 'full_support', 0.0, 1.0, above=True)
        _require(self, 'prior_turn_deg', 0.0, 180.0)
        _require(self, 'placement_turn_deg', 0.0, 180.0, above=True)
        _require(self, 'max_spacing', self.min_spacing, _INF)
        _require(self, 'refined_placements', 1, _INF)


@dataclass(frozen=True)
class RegistrationSettings:
    """When a registered pose is accepted. Lengths are in metres at up to 1 m and grow with the distance beyond.

    Attributes:
        noise: standard deviation of a depth point, above 0.
        distance: a model point is confirmed when depth is within this of it, above 0.
        min_fitness: part of the model's visible points that must be confirmed, those behind other things not counted;
            0 to 1.
        min_support: the same with those behind other things counted: an object hidden more than this is refused; 0 to
            1.
        max_rmse: largest RMS distance of the confirmed points, above 0.
        max_overhang: depth points on the model's faces continued past their edges, over those on the model, 0 or more:
            more means that the object is larger than the model, unless it is flush with a neighbour.
        min_explained: without an initial pose: part of the foreground that must lie on the model, 0 to 1; less means
            another object, or one that touches another.
        max_shift: how far a refinement may move the object, in diameters, 0 or more: further means that the initial
            pose was wrong, or that something else was fitted.
        max_turn_deg: how far it may turn it, in degrees, 0 to 180; for the same reason.
        max_ambiguity: without an initial pose: a different pose that scores more than this part of the best makes the
            result ambiguous; 0 to 1, 1 accepts all. Scores this close do not tell poses apart.
        same_place: poses further apart than this are different, in diameters, 0 or more: what a refinement leaves open
            is less.
        same_turn_deg: poses turned further apart than this are different, in degrees, 0 to 180; for the same reason.
        max_undeclared_turn_deg: without an initial pose: when poses that look alike in depth differ by more than this
            from every declared symmetry, none is returned, unless `allow_geometric_symmetry`; in degrees, 0 to 180.
            Smaller turns are within what a registration leaves open anyway.
        min_points: depth points near the model after thinning, 1 or more; fewer leave a pose open.
        max_points: depth points that are used at most, `min_points` or more; time grows with them.
        allow_geometric_symmetry: without an initial pose: return the canonical one of the poses that look alike in
            depth, such as the four of a box, instead of an error.
        fitting: how the model is fitted.

    Raises:
        ConfigError: a value outside its range.
    """

    noise: float = 0.003
    distance: float = 0.01
    min_fitness: float = 0.7
    min_support: float = 0.15
    max_rmse: float = 0.006
    max_overhang: float = 0.25
    min_explained: float = 0.6
    max_shift: float = 0.35
    max_turn_deg: float = 25.0
    max_ambiguity: float = 0.95
    same_place: float = 0.1
    same_turn_deg: float = 15.0
    max_undeclared_turn_deg: float = 5.0
    min_points: int = 40
    max_points: int = 500
    allow_geometric_symmetry: bool = False
    fitting: FittingSettings = field(default_factory=FittingSettings)

    def __post_init__(self) -> None:
        for name in ('noise', 'distance', 'max_rmse'):
            _require(self, name, 0.0, _INF, above=True)
        for name in ('max_overhang', 'max_shift', 'same_place'):
            _require(self, name, 0.0, _INF)
        for name in ('min_fitness', 'min_support', 'min_explained', 'max_ambiguity'):
            _require(self, name, 0.0, 1.0)
        for name in ('max_turn_deg', 'same_turn_deg', 'max_undeclared_turn_deg'):
            _require(self, name, 0.0, 180.0)
        _require(self, 'min_points', 1, _INF)
        _require(self, 'max_points', self.min_points, _INF)


def _require(settings: Any, name: str, low: float, high: float, above: bool = False) -> None:
    value = getattr(settings, name)
    if not (math.isfinite(value) and low <= value <= high and not (above and value == low)):
        least = f'above {low:g}' if above else f'at least {low:g}'
        raise ConfigError(
            f'registration, {name}: got {value!r}, expected a finite number {least}'
            + (f' and at most {high:g}' if high < _INF else '')
        )
