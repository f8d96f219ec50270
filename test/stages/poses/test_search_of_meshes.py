# SPDX-License-Identifier: Apache-2.0
"""Poses from depth alone, of meshes in the depth of a real camera: right or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.scenes.mesh_views import depth_view, mesh_card, mesh_view

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.symmetry import rotation_error
from isaac_inference.sim.depth_scenes import DepthScene
from isaac_inference.stages.poses import ObjectPose, Observed, PoseEstimator, PoseMethod


def _searched(folder: Path, view: DepthScene) -> ObjectPose:
    estimator = PoseEstimator(mesh_card(folder, view.kind.name), PoseMethod.REGISTRATION)
    return estimator.estimate(Observed(view.kind.name, 0.9, view.box), view.camera, depth_view(view))


@pytest.mark.parametrize(
    ('name', 'seed'),
    [
        ('jug', 30),  # a neighbouring turn about its height fits as well
        ('jug', 109),  # the best of four look-alikes was wrong, the right one was the sixth
        ('jug', 224),
        ('jug', 302),
        ('mug', 47),  # upside down, with its handle on the other side
        ('cracker_box', 5033),  # its end or its side: the fit slid along the faces, and the right one was given up
        ('mug', 5013),  # its handle is hidden
    ],
)
def test_the_right_one_of_those_that_look_alike_is_compared(tmp_path: Path, name: str, seed: int) -> None:
    view = mesh_view(name, seed, clutter=True)
    try:
        found = _searched(tmp_path, view)
    except FrameError as error:
        assert error.reason == 'registration_ambiguous'
    else:
        assert np.degrees(rotation_error(found.pose, view.pose, view.kind.symmetries)) < 10.0


def test_what_stands_before_an_object_is_not_taken_for_it(tmp_path: Path) -> None:
    """A box hides a part of a bottle; the bottle's model fits the box well enough, but not where it was detected."""
    with pytest.raises(FrameError, match=r'the box of its detection reaches \d\d% of its side past') as caught:
        _searched(tmp_path, mesh_view('bottle', 49, clutter=True))
    assert caught.value.reason == 'registration_fit'


def test_a_mug_whose_handle_is_hidden_is_refused_and_one_whose_handle_is_seen_is_not(tmp_path: Path) -> None:
    outcomes = {True: 0, False: 0}
    for seed in range(12):
        view = mesh_view('mug', seed)
        towards = view.pose.rotation.T @ -view.pose.translation
        shows_handle = towards[0] > -0.3 * np.linalg.norm(towards)  # it is at +x
        try:
            found = _searched(tmp_path, view)
        except FrameError as error:
            assert error.reason == 'registration_ambiguous'
        else:
            assert np.degrees(rotation_error(found.pose, view.pose, ())) < 10.0
            outcomes[shows_handle] += 1
    assert outcomes[True] >= 5 and outcomes[False] <= 1
