# SPDX-License-Identifier: Apache-2.0
"""Pairs that are none, and calibrations that contradict: named, counted, and nothing is published of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from std_msgs.msg import Header
from support.ros.probe import LATCHED
from support.ros.stereo_bench import StereoBench, pair_infos
from tf2_msgs.msg import TFMessage

from isaac_inference.sim.stereo import BASELINE, StereoSample, stereo_sample


@pytest.fixture(scope='module')
def sample() -> StereoSample:
    return stereo_sample(7700)


@pytest.fixture(scope='module')
def bench(make_graph: Callable[..., AbstractContextManager[Any]], sample: StereoSample) -> Iterator[StereoBench]:
    with make_graph() as graph:
        bench = StereoBench(graph, wait_s=0.05)
        yield bench


@pytest.fixture(autouse=True)
def sound(bench: StereoBench, sample: StereoSample) -> Iterator[None]:
    """Each test begins with a calibration that is sound, of which nothing was looked at yet; the node lives on."""
    bench.put_infos(*pair_infos(sample))
    bench.node._next_check_s = 0.0
    yield
    bench.put_infos(*pair_infos(sample))
    assert np.isfinite(bench.ask(sample.left, sample.right)).any()


def test_swapped_images(bench: StereoBench, sample: StereoSample) -> None:
    bench.refused('stereo_swapped', sample.right, sample.left)
    bench.refused('stereo_swapped', sample.right, sample.left)  # it is looked at again as long as it is wrong


def test_an_unrectified_pair(bench: StereoBench, sample: StereoSample) -> None:
    bench.refused('stereo_unrectified', sample.left, np.roll(sample.right, 5, axis=0))


def test_rows_that_are_a_pixel_apart_are_said(bench: StereoBench, sample: StereoSample) -> None:
    assert np.isfinite(bench.ask(sample.left, np.roll(sample.right, 1, axis=0))).any()
    bench.probe.wait_until(lambda: '+1.0 px lower' in bench.probe.status('stereo').message, 'diagnostics say so')
    bench.node._next_check_s = 0.0
    bench.ask(sample.left, sample.right)
    bench.probe.wait_until(lambda: 'px lower' not in bench.probe.status('stereo').message, 'it is over')


def test_images_of_different_moments(bench: StereoBench, sample: StereoSample) -> None:
    bench.refused('stereo_unpaired', sample.left, sample.right, later_ms=30.0)


def test_images_a_millisecond_apart_are_a_pair(bench: StereoBench, sample: StereoSample) -> None:
    assert np.isfinite(bench.ask(sample.left, sample.right, later_ms=1.0)).any()


def test_images_of_different_sizes(bench: StereoBench, sample: StereoSample) -> None:
    bench.refused('stereo_size', sample.left, np.ascontiguousarray(sample.right[:240]))


def test_images_of_another_size_than_the_calibration(bench: StereoBench, sample: StereoSample) -> None:
    small = [np.ascontiguousarray(image[::2, ::2]) for image in (sample.left, sample.right)]
    bench.refused('camera_info_size', *small)


@pytest.mark.parametrize(
    'baseline, reason', [(0.0, 'stereo_baseline'), (-BASELINE, 'stereo_swapped'), (1000 * BASELINE, 'stereo_baseline')]
)
def test_baselines_that_cannot_be(bench: StereoBench, sample: StereoSample, baseline: float, reason: str) -> None:
    bench.put_infos(*pair_infos(sample, baseline))
    bench.refused(reason, sample.left, sample.right)


def test_projections_that_are_not_of_one_pair(bench: StereoBench, sample: StereoSample) -> None:
    left, right = pair_infos(sample)
    right.p[0] = right.p[5] = 1.05 * right.p[0]
    bench.put_infos(left, right)
    bench.refused('stereo_calibration', sample.left, sample.right)


def test_a_transform_that_contradicts_the_projection(bench: StereoBench, sample: StereoSample) -> None:
    links = []
    for name, shift in (('wrong', 0.1), ('right', BASELINE)):
        link = TransformStamped(header=Header(frame_id='stereo_left'), child_frame_id=f'stereo_{name}')
        link.transform.translation.x, link.transform.rotation.w = shift, 1.0
        links.append(link)
    static = bench.probe.node.create_publisher(TFMessage, '/tf_static', LATCHED)
    with contextlib.ExitStack() as stack:
        stack.callback(bench.probe.node.destroy_publisher, static)
        bench.probe.send(TFMessage(transforms=links), static)
        source = bench.node._transforms

        def is_known() -> bool:
            with contextlib.suppress(Exception):
                source.lookup('stereo_left', 'stereo_right', 1)
                return True
            return False

        bench.probe.wait_until(is_known, 'the node knows the transforms')
        bench.refused('stereo_baseline', sample.left, sample.right, frames=('stereo_left', 'stereo_wrong'))
        assert np.isfinite(bench.ask(sample.left, sample.right, frames=('stereo_left', 'stereo_right'))).any()


def test_images_without_anything_to_match(bench: StereoBench) -> None:
    flat = np.full((480, 640), 90, np.uint8)
    assert not np.isfinite(bench.ask(flat, flat)).any()
    bench.probe.wait_until(
        lambda: 'of the pixels have a match' in bench.probe.status('stereo').message, 'that is shown in diagnostics'
    )
