# SPDX-License-Identifier: Apache-2.0
"""A person's body: how long and how thick its parts are, and where they are in a posture.

A person's own frame has its origin on the floor below the pelvis, x forward, y to their left, z up. Lengths are the
parts of the stature of Drillis and Contini (1966, Body Segment Parameters; the table in Winter, Biomechanics and Motor
Control of Human Movement); how thick limbs are follows the girths of the same tables' people, rounded. Both vary from
person to person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.geometry.rigid import Pose, so3_exp

KEYPOINTS = (
    'nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear', 'left_shoulder', 'right_shoulder', 'left_elbow',
    'right_elbow', 'left_wrist', 'right_wrist', 'left_hip', 'right_hip', 'left_knee', 'right_knee', 'left_ankle',
    'right_ankle',
)  # fmt: skip
"""The joints, in COCO's order."""

# part -> its length over the stature
_LENGTHS = {
    'ankle': 0.039,  # above the floor
    'shank': 0.246,
    'thigh': 0.245,
    'hips': 0.105,  # from one hip joint to the other: they are closer than the hips are wide (0.191)
    'trunk': 0.288,
    'shoulders': 0.225,  # from one joint to the other: less than the breadth over both shoulders (0.259)
    'upper_arm': 0.186,
    'forearm': 0.146,
    'hand': 0.108,
    'foot': 0.105,  # in front of the ankle
    'neck': 0.075,  # from between the shoulders to where the head begins
    'head': 0.066,  # the radius of a ball
}
# part -> its radius over the stature
_RADII = {
    'head': 0.057,
    'neck': 0.032,
    'chest': 0.058,
    'shoulder': 0.034,
    'pelvis': 0.060,
    'upper_arm': 0.028,
    'forearm': 0.021,
    'wrist': 0.0155,
    'hand': 0.019,
    'thigh': 0.044,
    'shank': 0.032,
    'ankle': 0.0215,
    'foot': 0.017,
}
_LIMB_OF = {  # joint -> the part that it is in the middle of; those of the face are on the skin
    'shoulder': 'shoulder', 'elbow': 'forearm', 'wrist': 'wrist', 'hip': 'pelvis', 'knee': 'shank', 'ankle': 'ankle',
}  # fmt: skip
_SKIN, _HAIR = ((130, 165, 225), (95, 130, 190), (60, 85, 140)), ((30, 30, 35), (45, 70, 110), (110, 140, 165))


@dataclass(frozen=True)
class Posture:
    """Angles of the joints in rad; pairs are (left, right).

    Attributes:
        hip: of the thighs, forward from straight down.
        knee: by how much the shanks are bent back.
        shoulder: of the upper arms, forward from straight down.
        spread: of the arms, away from the body.
        elbow: by how much the forearms are bent forward.
        lean: of the trunk, forward.
        twist: of the shoulders against the pelvis, to the left.
        head: (turn to the left, nod down).
    """

    hip: tuple[float, float] = (0.0, 0.0)
    knee: tuple[float, float] = (0.0, 0.0)
    shoulder: tuple[float, float] = (0.0, 0.0)
    spread: tuple[float, float] = (0.12, 0.12)
    elbow: tuple[float, float] = (0.1, 0.1)
    lean: float = 0.0
    twist: float = 0.0
    head: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Capsule:
    """A ball that was drawn along a line, with its paint.

    Attributes:
        start, end: (3,) m, the same for a ball.
        radius: m.
        color: BGR.
        stripe: BGR of its stripes across; None without.
        cap: (3,) unit vector, and a second BGR: the surface that looks that way has it; None without.
    """

    start: np.ndarray
    end: np.ndarray
    radius: float
    color: tuple[int, int, int]
    stripe: tuple[int, int, int] | None = None
    cap: tuple[np.ndarray, tuple[int, int, int]] | None = None

    def moved(self, pose: Pose) -> Capsule:
        """The same in another frame."""
        ends = pose.apply(np.stack((self.start, self.end)))
        cap = None if self.cap is None else (pose.rotation @ self.cap[0], self.cap[1])
        return Capsule(ends[0], ends[1], self.radius, self.color, self.stripe, cap)


@dataclass(frozen=True, eq=False)
class Figure:
    """One person: sizes in m, and what they wear.

    Attributes:
        height: the stature.
        lengths, radii: by part.
        shirt, stripe, trousers, shoes, skin, hair: BGR; no stripe is None.
        sleeves: whether the forearms are covered.
    """

    height: float
    lengths: dict[str, float]
    radii: dict[str, float]
    shirt: tuple[int, int, int]
    stripe: tuple[int, int, int] | None
    trousers: tuple[int, int, int]
    shoes: tuple[int, int, int]
    skin: tuple[int, int, int]
    hair: tuple[int, int, int]
    sleeves: bool

    @property
    def thickness(self) -> np.ndarray:
        """(17,) m, the radius of the limb that each joint is in; 0 for those on the skin of the head."""
        return np.array([self.radii.get(_LIMB_OF.get(name.partition('_')[2], ''), 0.0) for name in KEYPOINTS])


def random_figure(rng: np.random.Generator) -> Figure:
    """A person of 1.5 to 2.0 m; slim or stout, with each part a little longer or shorter than the average."""
    height = float(rng.uniform(1.5, 2.0))
    stout = rng.uniform(0.88, 1.18)
    lengths = {name: height * share * float(rng.uniform(0.95, 1.05)) for name, share in _LENGTHS.items()}
    radii = {name: height * share * float(stout * rng.uniform(0.93, 1.07)) for name, share in _RADII.items()}
    radii['head'] = height * _RADII['head'] * float(rng.uniform(0.95, 1.05))
    shirt, trousers, shoes, stripe = (_color(rng) for _ in range(4))
    tone, hair = _SKIN[int(rng.integers(len(_SKIN)))], _HAIR[int(rng.integers(len(_HAIR)))]
    with_stripes, sleeves = bool(rng.random() < 0.4), bool(rng.random() < 0.6)
    return Figure(height, lengths, radii, shirt, stripe if with_stripes else None, trousers, shoes, tone, hair, sleeves)


def _color(rng: np.random.Generator) -> tuple[int, int, int]:
    blue, green, red = (int(value) for value in rng.integers(25, 235, 3))
    return blue, green, red


def posed(figure: Figure, posture: Posture, place: Pose) -> tuple[np.ndarray, list[Capsule]]:
    """Where the joints and the parts of a body are; the lower foot is on the floor.

    Args:
        figure: whose.
        posture: its angles.
        place: T_world_person.

    Returns:
        (17, 3) m in the world, in the order of `KEYPOINTS`, and the parts there.
    """
    size, radius = figure.lengths, figure.radii
    joints: dict[str, np.ndarray] = {}
    turn = so3_exp(np.array((0.0, 0.0, -0.4 * posture.twist)))
    for side, sign, k in (('left', 1.0, 0), ('right', -1.0, 1)):
        hip = turn @ np.array((0.0, sign * size['hips'] / 2, 0.0))
        knee = hip + size['thigh'] * (turn @ _down(posture.hip[k], 0.03 * sign))
        ankle = knee + size['shank'] * (turn @ _down(posture.hip[k] - posture.knee[k], 0.0))
        joints |= {f'{side}_hip': hip, f'{side}_knee': knee, f'{side}_ankle': ankle}
    lowest = min(joints[f'{side}_ankle'][2] for side in ('left', 'right'))
    pelvis = np.array((0.0, 0.0, size['ankle'] - lowest))
    for name in joints:
        joints[name] = joints[name] + pelvis
    upright = so3_exp(np.array((0.0, posture.lean, 0.0)))
    chest = upright @ so3_exp(np.array((0.0, 0.0, posture.twist)))
    middle = pelvis + upright @ np.array((0.0, 0.0, size['trunk']))  # between the shoulders
    hands = {}
    for side, sign, k in (('left', 1.0, 0), ('right', -1.0, 1)):
        shoulder = middle + chest @ np.array((0.0, sign * size['shoulders'] / 2, 0.0))
        elbow = shoulder + size['upper_arm'] * (chest @ _down(posture.shoulder[k], sign * posture.spread[k]))
        fore = chest @ _down(posture.shoulder[k] + posture.elbow[k], 0.5 * sign * posture.spread[k])
        wrist = elbow + size['forearm'] * fore
        hands[side] = wrist + (0.75 * size['hand']) * fore
        joints |= {f'{side}_shoulder': shoulder, f'{side}_elbow': elbow, f'{side}_wrist': wrist}
    look = chest @ so3_exp(np.array((0.0, 0.0, posture.head[0]))) @ so3_exp(np.array((0.0, posture.head[1], 0.0)))
    neck = middle + upright @ np.array((0.02, 0.0, size['neck']))
    skull = neck + look @ np.array((0.012, 0.0, radius['head']))
    face = {
        'nose': (1.1, 0.0, -0.12), 'left_eye': (0.9, 0.34, 0.22), 'right_eye': (0.9, -0.34, 0.22),
        'left_ear': (-0.05, 1.0, 0.05), 'right_ear': (-0.05, -1.0, 0.05),
    }  # fmt: skip
    for name, toward in face.items():
        joints[name] = skull + look @ (radius['head'] * np.array(toward))
    parts = _parts(figure, joints, {'neck': neck, 'skull': skull, 'pelvis': pelvis, 'middle': middle}, hands, look)
    order = np.stack([joints[name] for name in KEYPOINTS])
    return place.apply(order), [part.moved(place) for part in parts]


def _down(forward: float, aside: float) -> np.ndarray:
    """(3,) unit: straight down, swung forward and aside by angles."""
    return np.array(
        (np.sin(forward) * np.cos(aside), np.sin(aside), -np.cos(forward) * np.cos(aside)),
    )


def _parts(
    figure: Figure,
    joints: dict[str, np.ndarray],
    axis: dict[str, np.ndarray],
    hands: dict[str, np.ndarray],
    look: np.ndarray,
) -> list[Capsule]:
    """The capsules of a body in the person's frame."""
    radius, skin = figure.radii, figure.skin
    back, ahead, above = look @ np.array((-0.62, 0.0, 0.78)), look[:, 0], look[:, 2]
    head, nose, trunk = axis['skull'], joints['nose'], axis['pelvis'] - axis['middle']
    parts = [
        Capsule(head - 0.012 * above, head + 0.02 * above, radius['head'], skin, None, (back, figure.hair)),
        Capsule(axis['middle'], axis['neck'] + 0.02 * above, radius['neck'], skin),
        Capsule(joints['left_shoulder'], joints['right_shoulder'], radius['shoulder'], figure.shirt, figure.stripe),
        Capsule(
            axis['middle'] + 0.2 * trunk, axis['pelvis'] - 0.15 * trunk, radius['chest'], figure.shirt, figure.stripe
        ),
        Capsule(joints['left_hip'], joints['right_hip'], radius['pelvis'], figure.trousers),
        Capsule(nose - 0.014 * ahead, nose - 0.012 * ahead, 0.014, skin),
    ]
    for eye in ('left_eye', 'right_eye'):
        parts.append(Capsule(joints[eye], joints[eye], 0.011, (30, 30, 30)))
    sleeve, bare = figure.shirt, figure.shirt if figure.sleeves else skin
    for side in ('left', 'right'):
        shoulder, elbow, wrist = (joints[f'{side}_{name}'] for name in ('shoulder', 'elbow', 'wrist'))
        hip, knee, ankle = (joints[f'{side}_{name}'] for name in ('hip', 'knee', 'ankle'))
        inner = axis['middle'] + 0.42 * (shoulder - axis['middle'])
        inner = inner + 0.35 * (axis['pelvis'] - inner) * (radius['chest'] / np.linalg.norm(axis['pelvis'] - inner))
        low = axis['pelvis'] + 0.9 * (hip - axis['pelvis']) + 0.12 * (inner - hip)
        toe = ankle + np.array((figure.lengths['foot'], 0.0, 0.0))
        toe[2] = max(radius['foot'], ankle[2] - figure.lengths['ankle'] + radius['foot'])
        heel = ankle - np.array((0.015, 0.0, figure.lengths['ankle'] - radius['foot']))
        parts += [
            Capsule(inner, low, radius['chest'], figure.shirt, figure.stripe),
            Capsule(shoulder, elbow, radius['upper_arm'], sleeve, figure.stripe),
            Capsule(elbow, elbow + 0.6 * (wrist - elbow), radius['forearm'], bare),
            Capsule(elbow + 0.6 * (wrist - elbow), wrist, radius['wrist'] * 1.1, bare),
            Capsule(wrist, hands[side], radius['hand'], skin),
            Capsule(hip, hip + 0.55 * (knee - hip), radius['thigh'], figure.trousers),
            Capsule(hip + 0.5 * (knee - hip), knee, radius['shank'] * 1.12, figure.trousers),
            Capsule(knee, knee + 0.5 * (ankle - knee), radius['shank'], figure.trousers),
            Capsule(knee + 0.4 * (ankle - knee), ankle, radius['ankle'] * 1.1, figure.trousers),
            Capsule(heel, toe, radius['foot'], figure.shoes),
        ]
    return parts
