# SPDX-License-Identifier: Apache-2.0
"""How somebody walks: where they are and how their joints are bent, as a function of time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.sim.people.body import Figure, Posture

_STRIDE = 0.8  # from one step of a foot to its next, over the stature
_STANDING = 0.15  # part of the people who stand
_GESTURES = 0.45  # part of those who do something with an arm


@dataclass(frozen=True)
class Walk:
    """Somebody's way along an oval, and the manner of it.

    Attributes:
        center, reach: (x, y) m: the oval's middle and its half axes.
        start: rad, where on it they are at first.
        sense: 1 counter-clockwise, -1 clockwise.
        speed: m/s; 0 for somebody who stands and looks about.
        swing: rad, how far the legs go.
        lean: rad.
        arms: None for an arm that swings, else (shoulder, spread, elbow) in rad of one that is held up and waves;
            (left, right).
        phase: rad.
    """

    center: tuple[float, float]
    reach: tuple[float, float]
    start: float
    sense: float
    speed: float
    swing: float
    lean: float
    arms: tuple[tuple[float, float, float] | None, tuple[float, float, float] | None]
    phase: float

    def at(self, time_s: float, figure: Figure) -> tuple[Pose, Posture]:
        """(T_world_person, the posture) at a time."""
        way = self.speed * time_s
        angle = self.start + self.sense * way / (0.5 * (self.reach[0] + self.reach[1]))
        x = self.center[0] + self.reach[0] * math.cos(angle)
        y = self.center[1] + self.reach[1] * math.sin(angle)
        heading = math.atan2(self.reach[1] * math.cos(angle), -self.reach[0] * math.sin(angle))
        heading += 0.0 if self.sense > 0 else math.pi
        if not self.speed:
            heading = self.start + 0.4 * math.sin(0.5 * time_s + self.phase)
        step = self.phase + 2.0 * math.pi * way / (_STRIDE * figure.height)
        place = Pose(so3_exp(np.array((0.0, 0.0, heading))), np.array((x, y, 0.0)))
        return place, self._posture(step, time_s)

    def _posture(self, step: float, time_s: float) -> Posture:
        swing = self.swing if self.speed else 0.03
        bend = 0.75 * swing / 0.42
        legs = (step, step + math.pi)
        hip = tuple(swing * math.sin(leg) + 0.04 for leg in legs)
        knee = tuple(0.08 + bend * max(0.0, math.cos(leg - 0.35)) ** 2 for leg in legs)
        shoulder, spread, elbow = [], [], []
        for leg, held in zip(legs, self.arms, strict=True):
            if held is None:
                shoulder.append(-0.8 * swing * math.sin(leg))
                spread.append(0.14)
                elbow.append(0.3 + 0.25 * max(0.0, -math.sin(leg)))
            else:
                wave = math.sin(3.0 * time_s + self.phase)
                shoulder.append(held[0])
                spread.append(held[1] + 0.1 * wave)
                elbow.append(held[2] + 0.35 * wave)
        glance = 0.35 * math.sin(0.7 * time_s + self.phase), 0.12 * math.sin(0.9 * time_s + 2.0 * self.phase)
        twist = 0.1 * math.sin(step + math.pi) if self.speed else 0.0
        return Posture(
            (hip[0], hip[1]), (knee[0], knee[1]), (shoulder[0], shoulder[1]), (spread[0], spread[1]),
            (elbow[0], elbow[1]), self.lean, twist, glance,
        )  # fmt: skip


def random_walk(center: tuple[float, float], width: float, rng: np.random.Generator) -> Walk:
    """Somebody's way about `center`, at most `width` m to either side of it in y."""
    reach = (float(rng.uniform(0.5, 1.5)), width * float(rng.uniform(0.5, 1.0)))
    speed = 0.0 if rng.random() < _STANDING else float(rng.uniform(0.7, 1.5))
    held = []
    for _ in range(2):
        drawn = tuple(float(value) for value in rng.uniform((0.3, 0.1, 0.4), (2.6, 0.7, 1.9)))
        held.append((drawn[0], drawn[1], drawn[2]) if rng.random() < _GESTURES / 2 else None)
    return Walk(
        center,
        reach,
        float(rng.uniform(0.0, 2.0 * math.pi)),
        float(rng.choice((-1.0, 1.0))),
        speed,
        float(rng.uniform(0.3, 0.48)),
        float(rng.uniform(0.0, 0.12)),
        (held[0], held[1]),
        float(rng.uniform(0.0, 2.0 * math.pi)),
    )
