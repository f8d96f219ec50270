# SPDX-License-Identifier: Apache-2.0
"""What depth around limbs says: steps on the way, what goes on beside them, arms before the trunk."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.models.card.skeletons.published import COCO_17
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.keypoints.body import body_of
from isaac_inference.ops.keypoints.hidden.around_limbs import LimbEvidence, LimbView, limb_evidence

BODY = body_of(COCO_17.names, COCO_17.edges)
AT = {name: index for index, name in enumerate(COCO_17.names)}
FOCAL, FAR = 600.0, 3.0
PLACES = {
    'left_shoulder': (360, 150), 'right_shoulder': (280, 150), 'left_elbow': (390, 215), 'right_elbow': (250, 215),
    'left_wrist': (400, 270), 'right_wrist': (240, 270), 'left_hip': (345, 255), 'right_hip': (295, 255),
    'left_knee': (350, 345), 'right_knee': (290, 345), 'left_ankle': (352, 430), 'right_ankle': (288, 430),
}  # fmt: skip


def scene() -> np.ndarray:
    """(480, 640) m: trunk and limbs at 3 m before a wall at 6 m, as round as they are."""
    depth = np.full((480, 640), 6.0, np.float32)
    ys, xs = np.mgrid[:480, :640]
    bones = [('shoulder', 'elbow', 9), ('elbow', 'wrist', 7), ('hip', 'knee', 14), ('knee', 'ankle', 10)]
    for first, second, radius in bones:
        for side in ('left', 'right'):
            a, b = (np.array(PLACES[f'{side}_{name}'], float) for name in (first, second))
            along = np.clip(((xs - a[0]) * (b - a)[0] + (ys - a[1]) * (b - a)[1]) / ((b - a) @ (b - a)), 0, 1)
            off = np.hypot(xs - a[0] - along * (b - a)[0], ys - a[1] - along * (b - a)[1])
            inside = off < radius
            deep = radius / FOCAL * FAR * (1 - np.sqrt(np.maximum(0, 1 - (off / radius) ** 2)))
            depth = np.where(inside, np.minimum(depth, FAR + deep), depth)
    trunk = (np.abs(xs - 320) < 42) & (ys > 145) & (ys < 265)
    return np.where(trunk, np.minimum(depth, FAR), depth).astype(np.float32)


def seen(
    depth: np.ndarray, without: tuple[str, ...] = (), unsure: tuple[str, ...] = (), **moved: tuple[int, int]
) -> LimbEvidence:
    """What is seen of the body, some of whose joints are elsewhere (px), not known, or not seen by the network."""
    pixels, known, not_seen = np.full((17, 2), np.nan), np.full(17, np.nan), np.zeros(17, bool)
    for name, place in {**PLACES, **moved}.items():
        pixels[AT[name]] = place
        known[AT[name]] = depth[place[1], place[0]] if np.isfinite(depth[place[1], place[0]]) else FAR
    known[[AT[name] for name in without]] = np.nan
    not_seen[[AT[name] for name in unsure]] = True
    view = LimbView(DepthImage(depth, 1.0), pixels, known, not_seen, FOCAL, 3.0, 0.0015, 1.75)
    return limb_evidence(view, BODY)


def test_a_body_that_stands_free_speaks_for_itself() -> None:
    found = seen(scene())
    assert not found.near.any() and not found.far.any() and not found.flat.any()
    arms = [AT[f'{side}_{name}'] for side in ('left', 'right') for name in ('elbow', 'wrist')]
    assert (found.relief[arms] > 0).all()
    assert (found.log_odds < 0.5).all()
    assert found.log_odds[AT['nose']] == 0.0


@pytest.mark.parametrize('ahead', [0.3, 0.8])
def test_a_step_towards_the_camera_on_the_way_to_a_joint(ahead: float) -> None:
    depth = scene()
    depth[380:470, 200:450] = FAR - ahead
    found = seen(depth)
    ankles = [AT['left_ankle'], AT['right_ankle']]
    assert (found.near[ankles] > 3).all() and (found.far[ankles] > 0).all()
    assert (found.log_odds[ankles] > 2).all()
    assert found.near[AT['left_knee']] == 0.0, 'the knee is no nearer than what is around it'


def test_what_crosses_the_way_hides_no_end_of_it() -> None:
    depth = scene()
    depth[375:395, 200:450] = FAR - 0.4
    assert not seen(depth).near[[AT['left_ankle'], AT['left_knee']]].any()


def test_beside_a_thin_limb_the_wall_hides_nothing() -> None:
    """The keypoints lie so that the way between them leads beside the arm."""
    depth = scene()
    depth[225:265, 385:410] = 6.0
    assert seen(depth).near[AT['left_wrist']] == 0.0


def test_a_board_that_goes_on_beside_a_leg_is_no_leg() -> None:
    depth = scene()
    depth[300:470, 150:500] = FAR - 0.02
    found = seen(depth)
    assert found.flat[AT['left_knee']] and not seen(scene()).flat[AT['left_knee']]


def test_an_arm_on_the_trunk_is_seen_where_it_is_before_it() -> None:
    depth, elbow = scene(), AT['left_elbow']
    flat = seen(depth, left_elbow=(342, 210))
    assert flat.inside[elbow] > 0.3 and flat.before[elbow] == pytest.approx(0.0, abs=0.1)
    depth[200:221, 334:351] = FAR - 0.08
    raised = seen(depth, left_elbow=(342, 210))
    assert raised.before[elbow] > 1 and raised.log_odds[elbow] < flat.log_odds[elbow] - 0.5


def test_a_neighbour_that_the_network_does_not_see_speaks_against_a_joint() -> None:
    plain, found = seen(scene()), seen(scene(), without=('left_elbow',), unsure=('left_elbow',))
    wrist = AT['left_wrist']
    assert found.unsure[wrist] and not plain.unsure[wrist] and not found.unsure[AT['right_wrist']]


def test_holes_and_borders_are_no_evidence() -> None:
    found = seen(np.full((480, 640), np.nan, np.float32))
    assert np.isfinite(found.log_odds).all() and not found.near.any() and not found.flat.any()


def test_a_skeleton_without_limbs_has_nothing_to_look_at() -> None:
    body = body_of(['tip', 'end'], [(0, 1)])
    view = LimbView(
        DepthImage(scene(), 1.0), np.array([(10.0, 10), (20, 20)]), np.full(2, 3.0), np.zeros(2, bool), 600.0, 3.0,
        0.0015, 1.7,
    )  # fmt: skip
    assert not limb_evidence(view, body).log_odds.any()
