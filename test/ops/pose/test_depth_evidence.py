# SPDX-License-Identifier: Apache-2.0
"""At which scale of a pose depth shows the object, and what follows from it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.scenes.ray_scene import CAMERA, cuboid, noisy, plane

from isaac_inference.errors import ConfigError
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.geometry.object_model import ObjectModel
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ops.pose.depth_evidence import DepthEvidence, EvidenceSettings, depth_evidence
from isaac_inference.ops.pose.surface_fit import SeenDepth
from isaac_inference.ops.pose.wrong_scale import scale_suspects

SIZE = (0.16, 0.06, 0.22)
TRUTH = Pose(so3_exp((0.4, -0.7, 0.3)), np.array((0.05, -0.02, 0.8)))
SURE = np.diag(np.repeat((0.002**2, 0.01**2), 3))
TABLE = plane((0.0, 0.1, 1.2), (0.0, -0.5, -1.0))


def evidence(seen: np.ndarray, scale: float = 1.0, covariance: np.ndarray = SURE) -> DepthEvidence | None:
    """Of a card whose size is `scale` times the true one: in the same pixels, `scale` times as far away."""
    model = ObjectModel.build('cuboid', np.multiply(SIZE, scale))
    pose = Pose(TRUTH.rotation, scale * TRUTH.translation)
    return depth_evidence(model, SeenDepth(DepthImage(seen, 1.0), CAMERA), pose, covariance, EvidenceSettings())


@pytest.fixture(scope='module')
def seen() -> np.ndarray:
    return noisy(np.minimum(cuboid(TRUTH, SIZE), TABLE))


@pytest.mark.parametrize('scale', [0.02, 0.5, 0.9, 0.95, 1.05, 1.1, 2.0, 25.4])
def test_a_wrong_size_shows_as_its_inverse_everywhere(seen: np.ndarray, scale: float) -> None:
    found = evidence(seen, scale)
    assert found is not None
    assert found.scale == pytest.approx(1.0 / scale, rel=0.01)
    assert found.share > 0.8
    assert found.contradicts_size(certain=False)
    assert not found.confirms


@pytest.mark.parametrize('scale', [0.98, 1.0, 1.02])
def test_what_a_camera_may_be_off_by_confirms_the_pose(seen: np.ndarray, scale: float) -> None:
    found = evidence(seen, scale)
    assert found is not None
    assert found.confirms
    assert not found.contradicts_size(certain=True)


def test_a_distance_that_keypoints_leave_open_contradicts_nothing(seen: np.ndarray) -> None:
    loose = SURE + np.diag((0.0, 0.0, 0.05**2, 0.0, 0.0, 0.0))
    found = evidence(seen, 1.1, loose)
    assert found is not None
    assert not found.contradicts_size(certain=True)


def test_something_in_front_has_no_one_scale_unless_the_object_can_not_be_hidden(seen: np.ndarray) -> None:
    hidden = np.minimum(seen, noisy(plane((0.0, 0.0, 0.6), (0.3, 0.2, -1.0))))
    found = evidence(hidden)
    assert found is not None
    assert not found.confirms
    assert not found.contradicts_size(certain=False)
    assert found.contradicts_size(certain=True)


def test_a_part_in_front_leaves_what_is_beside_it(seen: np.ndarray) -> None:
    half = seen.copy()
    half[:, :180] = np.minimum(half[:, :180], 0.5)
    found = evidence(half)
    assert found is not None
    assert found.confirms
    assert not found.contradicts_size(certain=False)


def test_missing_depth_says_nothing(seen: np.ndarray) -> None:
    assert evidence(np.full_like(seen, np.nan)) is None


@pytest.mark.parametrize(
    'field, value', [('max_scale_error', 0.0), ('window', 0.2), ('own_share', 1.1), ('min_points', float('nan'))]
)
def test_settings_out_of_range_are_refused(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f'evidence, {field}'):
        dataclasses.replace(EvidenceSettings(), **{field: value})


@pytest.mark.parametrize(
    'scale, unit_m, said',
    [
        (1 / 39.0, 0.001, 'its size or mesh is 39 times too large (inches taken for metres?)'),
        (0.0101, 1.0, 'its size or mesh is 99 times too large (centimetres taken for metres?); or depth is in another'),
        (100.0, 0.001, 'its size or mesh is 100 times too small (metres taken for centimetres?); or depth'),
        (0.1, 0.001, 'set depth_unit_scale: 0.01'),
        (0.001, 1.0, 'set depth_unit_scale: 1000'),
        (1.25, 0.001, 'its size or mesh is 1.25 times too small'),
    ],
)
def test_the_likely_mistake_is_named(scale: float, unit_m: float, said: str) -> None:
    assert said in scale_suspects(scale, unit_m)
