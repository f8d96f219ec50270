# SPDX-License-Identifier: Apache-2.0
"""How well cameras and their calibration are trusted."""

from __future__ import annotations

from dataclasses import dataclass

from isaac_inference.ops.setting_ranges import require


@dataclass(frozen=True)
class FusionSettings:
    """Noise, gates and votes.

    Attributes:
        extrinsic_sigma_m: standard deviation of each camera's calibrated position, along each axis, in m.
        extrinsic_sigma_rad: of its rotation, about each axis, in rad.
        speed, turn_speed: standard deviations of how fast objects move of which nothing is known yet, in m/s and
            rad/s, for what was measured at another moment; later each one's own speed counts.
        gate: two poses whose normalised distance, in standard deviations, is above this are not one object's, or one
            of them is wrong.
        ambiguity: a measurement that fits two neighbouring equal objects is given to the nearer one only if the
            other's squared distance, in standard deviations, is this much larger.
        majority: share of the votes, each of a camera's information, above which poses are believed that others
            contradict.
        correlated: whether the measurements' errors may be the same ones, as of two models on one camera: combined by
            covariance intersection, which claims no more than the best of them.
        max_disagreement: of two cameras, in m: if all that both see is further apart, one's calibration is wrong.
        disagreement_pairs: objects that both have seen before that is said.
        takeover_hits: refused this often in a row, an object's former pose is forgotten.
        max_age_s: how long the number of an unseen object is kept, in s.

    Raises:
        ConfigError: a value outside its range.
    """

    extrinsic_sigma_m: float = 0.002
    extrinsic_sigma_rad: float = 0.002
    speed: float = 0.2
    turn_speed: float = 1.0
    gate: float = 6.0
    ambiguity: float = 9.0
    majority: float = 0.6
    correlated: bool = False
    max_disagreement: float = 0.02
    disagreement_pairs: int = 15
    takeover_hits: int = 4
    max_age_s: float = 2.0

    def __post_init__(self) -> None:
        require(self, 'fusion', ['majority'], 0.5, 1.0)
        require(self, 'fusion', ['gate', 'max_disagreement', 'max_age_s'], above=True)
        require(self, 'fusion', ['takeover_hits', 'disagreement_pairs'], 1)
        require(self, 'fusion', ['extrinsic_sigma_m', 'extrinsic_sigma_rad', 'speed', 'turn_speed', 'ambiguity'])
