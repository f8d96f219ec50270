# SPDX-License-Identifier: Apache-2.0
"""PoseNode over DDS: keypoints and depth that disagree are counted, whether the object keeps a pose or not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.ros.pose_bench import PoseBench, covariance_of, pose_of
from support.ros.pose_views import View, view_of


@pytest.fixture(scope='module')
def bench(around: Any, pose_model: Path) -> Iterator[PoseBench]:
    with contextlib.closing(PoseBench(around, model=str(pose_model), method='registration')) as made:
        yield made


@pytest.fixture(scope='module')
def view() -> View:
    return view_of().only('cereal_box')


def test_a_pose_that_depth_disagrees_with_is_published_wide_and_noted(bench: PoseBench, view: View) -> None:
    beside = replace(view, depth=np.roll(view.depth, 4, axis=1))  # px: depth that isn't registered to the image
    (found,) = bench.ask(beside, depth='32FC1').detections
    bench.wait_counted('noted', 'depth_disagrees')
    assert bench.count('skipped', 'depth_disagrees') == 0
    off = pose_of(found).translation - view.items[0].pose.translation
    spread = np.sqrt(covariance_of(found).diagonal()[:3])
    assert (np.abs(off) < 3.0 * spread).all()
    assert spread[0] > 0.005, 'it covers where depth has the object, too'


def test_an_object_of_another_size_than_the_card_s_is_left_out_and_counted(bench: PoseBench, view: View) -> None:
    further = replace(view, depth=view.depth * np.float32(1.1))
    assert not bench.ask(further, 0, depth='32FC1').detections
    bench.wait_counted('skipped', 'registration_size')


def test_what_agrees_is_not_noted(bench: PoseBench, view: View) -> None:
    before = bench.count('noted', 'depth_disagrees')
    bench.ask(view, depth='32FC1')
    bench.ask(view, depth='32FC1')
    assert bench.count('noted', 'depth_disagrees') == before
