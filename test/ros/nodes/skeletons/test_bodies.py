# SPDX-License-Identifier: Apache-2.0
"""People as REP 155 has them, over DDS: where hri_msgs is installed (ROS distributions have it; the wheels do not)."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.people.skeleton_bench import SkeletonBench, exact_rows, people

from isaac_inference.ros.messages.people import hri_bodies
from isaac_inference.ros.nodes.skeletons import node as node_module


def test_without_the_package_nothing_is_missed(
    around: Any, people_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_module, 'hri_msgs', lambda: None)
    with contextlib.closing(SkeletonBench(around, str(people_model))) as bench:
        assert bench.node._bodies is None
        assert np.isfinite(bench.ask(people(), ids=['1']).positions).any()


def test_asked_for_without_the_package_it_does_not_start(
    around: Any, people_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_module, 'hri_msgs', lambda: None)
    with contextlib.closing(SkeletonBench(around, str(people_model), active=False, hri='true')) as bench:
        bench.probe.wait_until(lambda: bench.probe.status(bench.name).message, 'it is refused')
        assert 'hri-msgs' in bench.probe.status(bench.name).message


def test_each_person_with_an_id_has_topics_until_they_leave(around: Any, people_model: Path) -> None:
    kinds = pytest.importorskip('hri_msgs.msg')
    frame = people(count=2)
    with contextlib.closing(SkeletonBench(around, str(people_model), hri='true')) as bench:
        tracked = bench.listen('bodies/tracked', kinds.IdsList)
        space = f'{bench.graph.namespace}/{bench._space}'.strip('/').replace('/', '_')
        names = [f'{space}_p{number}' for number in (3, 4)]
        skeletons = [bench.listen(f'bodies/{name}/skeleton2d', kinds.Skeleton2D) for name in names]
        regions = [bench.listen(f'bodies/{name}/roi', kinds.NormalizedRegionOfInterest2D) for name in names]

        header = bench.send(frame, ids=['3', '4'])
        bench.probe.wait_until(lambda: tracked, 'the list comes')
        assert tracked[0].header == header
        assert tracked[0].ids == names
        header = bench.send(frame, ids=['3', '4'])  # the readers of the first frame may have come too late
        bench.probe.wait_until(lambda: all(skeletons) and all(regions), 'skeletons and regions come')
        row, truth = exact_rows(frame)[0], frame.truths[0]
        points = skeletons[0][-1].skeleton
        assert len(points) == 18
        seen = hri_bodies._POINTS.index('left_shoulder')
        if truth.visible[5]:
            assert (points[seen].x, points[seen].y) == pytest.approx((row[5, 0] / 640, row[5, 1] / 480), abs=1e-6)
        assert all(0.0 <= value <= 1.0 for point in points for value in (point.x, point.y, point.c))
        assert regions[0][-1].xmax == pytest.approx(truth.box[2] / 640, abs=1e-3)
        bench.send(frame, rows=exact_rows(frame)[:1], boxes=np.array([truth.box]), ids=['3'])
        bench.probe.wait_until(lambda: tracked[-1].ids == names[:1], 'one is left')
        bench.probe.wait_until(lambda: not set(bench.node._bodies._open) - set(names[:1]), 'the topics are closed')


def test_people_without_an_id_are_not_given(around: Any, people_model: Path) -> None:
    kinds = pytest.importorskip('hri_msgs.msg')
    with contextlib.closing(SkeletonBench(around, str(people_model), hri='true')) as bench:
        tracked = bench.listen('bodies/tracked', kinds.IdsList)
        bench.send(people())
        bench.probe.wait_until(lambda: tracked, 'the list comes')
        assert list(tracked[0].ids) == []
