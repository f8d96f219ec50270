# SPDX-License-Identifier: Apache-2.0
"""PoseNode with depth as image_transport's compressedDepth, over real DDS."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header
from support.ros.pose_bench import PoseBench, pose_of
from support.ros.pose_views import view_of
from support.ros.probe import RELIABLE
from support.rvl import compressed_depth

MakeGraph = Callable[..., AbstractContextManager[Any]]


def message_of(header: Header, depth: np.ndarray, encoding: str, codec: str) -> CompressedImage:
    """(H, W) m as a driver sends it."""
    if encoding == '16UC1':
        depth = np.nan_to_num(depth * 1000).round().astype(np.uint16)
    return CompressedImage(
        header=header, format=f'{encoding}; compressedDepth {codec}', data=compressed_depth(depth, codec)
    )


def without_raw_depth(bench: PoseBench) -> None:
    bench.probe.node.destroy_publisher(bench._writers.pop('depth/image'))
    topic = bench.node.resolve_topic_name('depth/image')
    bench.wait_until(lambda: not bench.node.count_publishers(topic), 'the topic has no type any more')


def feed(bench: PoseBench, topic: str) -> None:
    """Publish compressed depth on that topic of the bench from now on."""
    name = f'{bench.name.split("/")[0]}/{topic}'
    bench._writers['compressed'] = bench.probe.node.create_publisher(CompressedImage, name, RELIABLE)
    taken = f'compressed ({bench.graph.namespace}/{name})'
    bench.wait_until(lambda: bench.probe.value(bench.name, 'depth_transport') == taken, f'the node takes {taken}')


def ask(bench: PoseBench, depth: np.ndarray | None, encoding: str = '16UC1', codec: str = 'png') -> Any:
    """The objects of a frame with that depth; None: as the view has it."""
    view = view_of()
    header = bench.stamp()
    message = message_of(header, view.depth if depth is None else depth, encoding, codec)
    bench.put('compressed', message)
    bench.send(view, header=header)
    return view, bench.answer(header).detections


@pytest.mark.parametrize('topic', ['depth/image/compressedDepth', 'depth/image'])
@pytest.mark.parametrize(('encoding', 'codec'), [('16UC1', 'png'), ('16UC1', 'rvl'), ('32FC1', 'png')])
def test_poses_are_those_of_raw_depth(make_graph: MakeGraph, topic: str, encoding: str, codec: str) -> None:
    with make_graph() as graph, contextlib.closing(PoseBench(graph)) as bench:
        raw = bench.ask(view_of(), depth='32FC1').detections
        without_raw_depth(bench)
        feed(bench, topic)
        view, found = ask(bench, None, encoding, codec)
        assert len(found) == len(view.items)
        for one, other in zip(found, raw, strict=True):
            assert (
                np.linalg.norm(pose_of(one).translation - pose_of(other).translation) < 0.005
            )  # inverse depth is coarser


def test_the_choice_by_hand_holds_although_raw_depth_is_published(make_graph: MakeGraph) -> None:
    with make_graph() as graph, contextlib.closing(PoseBench(graph, depth_transport='compressedDepth')) as bench:
        feed(bench, 'depth/image/compressedDepth')
        view, found = ask(bench, None)
        assert len(found) == len(view.items)


def test_depth_that_cannot_be_decoded_is_named_and_the_frame_has_no_poses(make_graph: MakeGraph) -> None:
    with make_graph() as graph, contextlib.closing(PoseBench(graph)) as bench:
        without_raw_depth(bench)
        feed(bench, 'depth/image/compressedDepth')
        view, header = view_of(), bench.stamp()
        bench.put('compressed', CompressedImage(header=header, format='jpeg', data=b'\xff\xd8'))
        bench.send(view, header=header)
        assert not bench.answer(header).detections
        bench.wait_counted('skipped', 'depth_format')
