# SPDX-License-Identifier: Apache-2.0
"""Joints of which the network is sure although something hides them: left out, not put on what hides them."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.models.card.skeletons.published import COCO_17
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.keypoints.body import body_of
from isaac_inference.ops.keypoints.joints import HIDDEN, PersonJoints, joints_in_space
from isaac_inference.sim import default_camera
from isaac_inference.sim.people import PeopleFrame, PeopleScene, PersonTruth
from isaac_inference.sim.sensor import SensorSettings

CLEAN = SensorSettings(blur=0.0, noise=0.0, depth_noise=0.0, depth_hole_edges=False)
CAMERA = default_camera()
BODY = body_of(COCO_17.names, COCO_17.edges)
AT = {name: index for index, name in enumerate(COCO_17.names)}
FAR_M = 0.15


@functools.lru_cache(maxsize=64)
def frame_of(seed: int, time_s: float = 0.6) -> PeopleFrame:
    return PeopleScene(CAMERA, seed, people=1, sensor=CLEAN).frame(time_s)


def sure_of_all(truth: PersonTruth) -> np.ndarray:
    """(17, 3) a network that is as sure of hidden joints as of seen ones, and puts all where they are."""
    return np.column_stack((truth.pixels, np.full(17, 0.9)))


def found_in(
    truth: PersonTruth, depth: np.ndarray, camera: CameraModel = CAMERA, rows: np.ndarray | None = None
) -> PersonJoints:
    given = sure_of_all(truth) if rows is None else rows
    return joints_in_space(given, truth.box.astype(np.float64), camera, DepthImage(depth, 1.0), BODY)


@pytest.mark.parametrize('parts', ['head', 'limbs'])
def test_of_what_a_body_hides_of_itself_little_is_published(parts: str) -> None:
    """Over thirty people who walk this way and that: what is far off is left out, and hardly anything that is seen."""
    own = slice(0, 5) if parts == 'head' else slice(5, 17)
    far, kept, seen, lost = 0, 0, 0, 0
    for seed in range(700, 730):
        truth = frame_of(seed).truths[0]
        found = found_in(truth, frame_of(seed).exact_depth)
        visible = truth.visible[own]
        # what a joint would be off by where it were put on what hides it
        depth = frame_of(seed).exact_depth
        inside = [(0 <= x < 640) and (0 <= y < 480) for x, y in truth.pixels]
        shown = np.array(
            [depth[int(y), int(x)] if within else np.nan for (x, y), within in zip(truth.pixels, inside, strict=True)]
        )
        off = (truth.joints[:, 2] - shown - BODY.behind)[own]
        there = found.found[own]
        far += int((~visible & (off > FAR_M)).sum())
        kept += int((~visible & (off > FAR_M) & there).sum())
        seen += int(visible.sum())
        lost += int((visible & np.array([reason == HIDDEN for reason in found.left_out[own]])).sum())
    assert far >= 20, 'there is something to find'
    assert kept <= 0.25 * far, (kept, far)
    assert lost <= 0.06 * seen, (lost, seen)


@pytest.mark.parametrize('ahead', [0.3, 0.6, 1.0])
def test_legs_behind_a_board_are_not_on_the_board(ahead: float) -> None:
    seen, kept = [], 0
    for seed in (61, 62, 64, 66):
        frame = frame_of(seed)
        truth = frame.truths[0]
        depth = frame.exact_depth.copy()
        knee, hip = (truth.pixels[[AT[f'left_{name}'], AT[f'right_{name}']], 1].mean() for name in ('knee', 'hip'))
        rows = slice(int(0.6 * hip + 0.4 * knee), CAMERA.height)
        board = float(truth.joints[:, 2].min()) - ahead
        depth[rows] = board
        found = found_in(truth, depth)
        legs = [AT[f'{side}_{name}'] for side in ('left', 'right') for name in ('knee', 'ankle')]
        kept += int(found.found[legs].sum())
        seen.append(found.found[[AT['left_shoulder'], AT['right_shoulder']]].any())
    assert kept <= 1, 'of sixteen'
    assert sum(seen) >= 3, 'what is above the board is there'


def test_what_a_hand_of_another_person_hides_is_named() -> None:
    """Somebody's arm across a knee: nearer than this body's bones explain by a step on the way to it."""
    frame = frame_of(61)
    truth = frame.truths[0]
    depth, knee = frame.exact_depth.copy(), truth.pixels[AT['left_knee']]
    other = truth.pixels[AT['right_knee']]
    assert np.hypot(*(knee - other)) > 20, 'the other leg is elsewhere'
    x, y = knee.astype(int)
    depth[y - 9 : y + 10, x - 60 : x + 61] = truth.joints[AT['left_knee'], 2] - 0.3
    found = found_in(truth, depth)
    assert found.left_out[AT['left_knee']], found.left_out
    assert found.found[AT['left_hip']] and found.found[AT['left_shoulder']]


def test_joints_of_two_people_in_two_depths_are_nobodys() -> None:
    """One box around two people: a network takes the left half of one, and the right half of whom is behind."""
    frame = frame_of(61)
    truth = frame.truths[0]
    rows, depth = sure_of_all(truth), np.full((CAMERA.height, CAMERA.width), 8.0, np.float32)
    right = np.array([name.startswith('right') for name in COCO_17.names])
    middle = rows[:, :2].mean(axis=0)
    rows[right, :2] = middle + (rows[right, :2] - middle) / 1.5
    for x, y, z in np.column_stack((rows[:, :2], truth.joints[:, 2].mean() * np.where(right, 1.5, 1.0))):
        depth[int(y) - 6 : int(y) + 7, int(x) - 6 : int(x) + 7] = z
    with pytest.raises(FrameError, match='they are of two people, or something hides most of one') as caught:
        found_in(truth, depth, rows=rows)
    assert caught.value.reason == 'person_layers'


def test_a_wall_behind_a_few_joints_is_no_second_person() -> None:
    frame = frame_of(62)
    truth = frame.truths[0]
    rows = sure_of_all(truth)
    rows[[AT['left_wrist'], AT['right_wrist']], 0] += (60.0, -60.0)  # beside the arms, where the wall is
    found = found_in(truth, frame.exact_depth, rows=rows)
    assert found.found.sum() >= 8


@pytest.mark.parametrize('seed', [700, 702, 705, 711])
def test_a_camera_on_its_side_finds_the_same(seed: int) -> None:
    frame = frame_of(seed)
    truth = frame.truths[0]
    rows = sure_of_all(truth)
    height = CAMERA.height
    turned = np.column_stack((height - rows[:, 1], rows[:, 0], rows[:, 2]))
    K = CAMERA.K
    camera = CameraModel(
        height, CAMERA.width, np.array([[K[1, 1], 0, height - 1 - K[1, 2]], [0, K[0, 0], K[0, 2]], [0, 0, 1]])
    )
    depth = np.ascontiguousarray(np.rot90(frame.exact_depth, -1))
    upright, lying = found_in(truth, frame.exact_depth), found_in(truth, depth, camera, turned)
    assert (upright.found != lying.found).sum() <= 2
    both = upright.found & lying.found
    back = np.stack((lying.positions[:, 1], -lying.positions[:, 0], lying.positions[:, 2]), axis=1)
    assert np.abs(back - upright.positions)[both].max() < 0.05


def test_the_covariance_says_what_is_left_of_a_doubt() -> None:
    """Somebody seen from the side: which shoulder is the far one may be unsure, but the doubt is in the covariance."""
    wide = []
    for seed in range(700, 730):
        truth = frame_of(seed).truths[0]
        found = found_in(truth, frame_of(seed).exact_depth)
        hidden = found.found & ~truth.visible
        error = np.abs(found.positions - truth.joints)[hidden, 2]
        sigma = np.sqrt(found.covariances[hidden, 2, 2])
        wide += (error <= 3.0 * sigma).tolist()
    assert len(wide) >= 10
    assert np.mean(wide) >= 0.75
