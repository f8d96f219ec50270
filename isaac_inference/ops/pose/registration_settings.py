# SPDX-License-Identifier: Apache-2.0
"""Every number that decides whether and how a registration succeeds, with its unit, range and reason."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from isaac_inference.ops.depth.settings import DepthSettings
from isaac_inference.ops.setting_ranges import require

_WHAT = 'registration'


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

    def __post_init__(self) -> None:
        above = ('points_across', 'min_spacing', 'reach_sigmas', 'min_reach_sigmas', 'max_reach')
        require(self, _WHAT, above, above=True)
        require(self, _WHAT, ('prior_shift', 'max_reach_floor'))
        require(self, _WHAT, ('max_fitness_loss',), high=1.0)
        require(self, _WHAT, ('prior_turn_deg',), high=180.0)
        require(self, _WHAT, ('max_spacing',), self.min_spacing)


@dataclass(frozen=True)
class SearchSettings:
    """How a pose is looked for without an initial one: many templates roughly, few of them exactly.

    A diameter is the object's largest extent.

    Attributes:
        template_reach: distance in diameters within which depth agrees with a template, above 0; wide, because the
            nearest template is some 15 degrees off.
        mismatch_weight: what a template loses when the extents that are seen differ from its own by a diameter, 0 or
            more; a perfect agreement is worth 1.
        shifted_templates: how many of the best templates are also tried with a side of them hidden, 1 or more.
        fitted_templates: how many of the best templates are fitted to depth, all at once, 1 or more.
        template_steps: steps of that fit, 1 or more; fewer leave it before it has settled.
        last_reach: distance in diameters at which depth counts in the last of them, above 0.
        min_agreement: the search ends without a pose when no fitted template agrees with depth by this much, up to 1
            for complete agreement; refusing early saves the exact fits.
        unexplained_weight: what a fitted template loses when none of the points of the object lie on it, 0 or more:
            much, because the inside of a hollow object agrees with nearly any turn of it.
        refined_placements: how many of the fitted templates are fitted exactly, 1 or more; each costs as much time as
            refining an initial pose.
        agreement_margin: those that agree less than the best by this much are not, 0 or more.
        rival_margin: look-alikes of the best placement that agree less with depth than it by this much are not
            compared with it exactly, 0 or more.
        rival_steps: steps of the rough fit of a look-alike, 1 or more: few, because it is nearly where it belongs.
        placement_shift: standard deviation of a fitted template, in diameters, above 0; wide, so that depth decides.
        placement_turn_deg: the same for its rotation, in degrees, above 0 to 180.
        exact_reach: distance in diameters at which points count in the exact fit, above 0.
        exact_reach_tolerances: lower bound of that in multiples of `RegistrationSettings.distance`, above 0.
        rough_margin: placements against which depth speaks by this much more than against the best, once all are
            fitted with a part of the points, are not fitted with all of them, in squared standard deviations as
            `RegistrationSettings.min_evidence`, 0 or more.
        sure_turn_deg: a pose whose rotation is sure to this standard deviation about every axis is not tried with other
            turns, in degrees, 0 to 180: where depth shows how an object is turned, it does so twice as surely.
        whole_support: of an object with less support than this, look-alikes are also tried where the part that is seen
            would be theirs, above 0 to 1: with more, its middle is where it is however it is turned.
        full_support: from this support on a placement is not less probable for what hides it, above 0 to 1: seeing
            more than half of the visible side says nothing about which placement is right.

    Raises:
        ConfigError: a value outside its range.
    """

    template_reach: float = 0.12
    mismatch_weight: float = 1.0
    shifted_templates: int = 80
    fitted_templates: int = 32
    template_steps: int = 8
    last_reach: float = 0.05
    min_agreement: float = -0.5
    unexplained_weight: float = 2.0
    refined_placements: int = 4
    agreement_margin: float = 0.5
    rival_margin: float = 0.4
    rival_steps: int = 3
    placement_shift: float = 0.15
    placement_turn_deg: float = 15.0
    exact_reach: float = 0.08
    exact_reach_tolerances: float = 2.0
    rough_margin: float = 25.0
    sure_turn_deg: float = 1.2
    whole_support: float = 0.75
    full_support: float = 0.5

    def __post_init__(self) -> None:
        above = ('template_reach', 'last_reach', 'placement_shift', 'exact_reach', 'exact_reach_tolerances')
        margins = ('mismatch_weight', 'unexplained_weight', 'agreement_margin', 'rival_margin', 'rough_margin')
        counts = ('shifted_templates', 'fitted_templates', 'template_steps', 'rival_steps', 'refined_placements')
        require(self, _WHAT, above, above=True)
        require(self, _WHAT, margins)
        require(self, _WHAT, counts, 1)
        require(self, _WHAT, ('min_agreement',), -math.inf, 1.0)
        require(self, _WHAT, ('placement_turn_deg',), high=180.0, above=True)
        require(self, _WHAT, ('sure_turn_deg',), high=180.0)
        require(self, _WHAT, ('whole_support', 'full_support'), high=1.0, above=True)


@dataclass(frozen=True)
class RegistrationSettings:
    """When a registered pose is accepted. Lengths are in metres at up to 1 m and grow with the distance beyond.

    Attributes:
        noise: standard deviation of a depth point, above 0.
        bias: standard deviation of what depth as a whole is off by, as a part of the distance, 0 or more: the same in
            all points, so that it goes into the covariance as it is. 0 for a simulated camera.
        bend: standard deviation of how much more the object's border is off by than its middle, 0 or more; the same.
        misalignment_px: standard deviation of depth's shift against the colour image, in px of depth, 0 or more.
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
        min_evidence: without an initial pose: a different pose makes the result ambiguous unless depth speaks against
            it by this much more, in squared standard deviations of independent depth points, 0 or more; 0 accepts
            all. 16 are four standard deviations of one point: with half of that, one pose in a hundred was wrong on
            nearly symmetric objects.
        min_turn_evidence: the same for the pose itself, turned a little further than `same_turn_deg` about the axis
            that it is least sure of, 0 or more. 9 are three standard deviations, and nothing is between: of such poses
            one in a hundred is turned by as much.
        min_search_fitness: without an initial pose: `min_fitness` where that is less; 0 to 1. Right poses that were
            found from depth alone had 0.9 or more, most wrong ones less.
        min_ends_seen: without an initial pose: where depth leaves a shift open, as on a flat face, the share of places
            just past the model's ends at which something further away must be seen, 0 to 1; less means a part of a
            larger surface.
        max_box_outside: without an initial pose: the part of a side by which the detection's box may reach past the
            outline of the pose that was found, 0 or more; less than 0.05 for right poses and exact boxes, so that the
            rest is for boxes that are not.
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
        search: how a pose is looked for without an initial one.

    Raises:
        ConfigError: a value outside its range.
    """

    noise: float = 0.003
    bias: float = DepthSettings.depth_error
    bend: float = 0.001
    misalignment_px: float = 0.7
    distance: float = 0.01
    min_fitness: float = 0.7
    min_support: float = 0.15
    max_rmse: float = 0.006
    max_overhang: float = 0.25
    min_explained: float = 0.6
    max_shift: float = 0.35
    max_turn_deg: float = 25.0
    min_evidence: float = 16.0
    min_turn_evidence: float = 9.0
    min_search_fitness: float = 0.88
    min_ends_seen: float = 0.1
    max_box_outside: float = 0.2
    same_place: float = 0.1
    same_turn_deg: float = 15.0
    max_undeclared_turn_deg: float = 5.0
    min_points: int = 40
    max_points: int = 500
    allow_geometric_symmetry: bool = False
    fitting: FittingSettings = field(default_factory=FittingSettings)
    search: SearchSettings = field(default_factory=SearchSettings)

    def __post_init__(self) -> None:
        faults = ('bias', 'bend', 'misalignment_px')
        limits = ('min_evidence', 'min_turn_evidence', 'max_overhang', 'max_shift', 'same_place', 'max_box_outside')
        shares = ('min_fitness', 'min_search_fitness', 'min_ends_seen', 'min_support', 'min_explained')
        require(self, _WHAT, ('noise', 'distance', 'max_rmse'), above=True)
        require(self, _WHAT, (*faults, *limits))
        require(self, _WHAT, shares, high=1.0)
        require(self, _WHAT, ('max_turn_deg', 'same_turn_deg', 'max_undeclared_turn_deg'), high=180.0)
        require(self, _WHAT, ('min_points',), 1)
        require(self, _WHAT, ('max_points',), self.min_points)
