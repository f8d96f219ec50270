# SPDX-License-Identifier: Apache-2.0
"""The example planner as a node: what it picks, and all of it over real DDS."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import PoseArray, PoseStamped
from rclpy.parameter import Parameter
from support.ros.pick_bench import CAN, DOWN, FILE, Thing, frame, load_planner
from support.ros.probe import RELIABLE, Probe, probing
from support.waiting import LIMIT_S, TIME_FACTOR, wait_until
from vision_msgs.msg import Detection3DArray

from isaac_inference.ros.messages.poses import pose_array, pose_from_message
from isaac_inference.ros.runtime.container.spin import SpinThread

planner = load_planner()
PERIOD_S = 0.05 * TIME_FACTOR
SLOW_IMPORT = """
import importlib.abc, runpy, sys
class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == 'rclpy.node':
            print('importing', flush=True)
            sys.stdin.read()
sys.meta_path.insert(0, Slow())
runpy.run_path(sys.argv[1], run_name='__main__')
"""


class Driven:
    """A planner that is fed by hand; what it publishes is kept."""

    def __init__(self, node: Any) -> None:
        self.node, self.number = node, 0
        self.grasps: list[PoseStamped] = []
        node.grasp.publish = self.grasps.append

    def see(self, *things: Thing, times: int = 1, frame_id: str = 'base_link') -> list[float]:
        """Feed frames; returns the x of what was grasped in them."""
        before = len(self.grasps)
        for _ in range(times):
            self.number += 1
            array = frame(things, self.number, frame_id)
            self.node.pair(0, pose_array(array))
            self.node.pair(1, array)
        return [item.pose.position.x for item in self.grasps[before:]]


@pytest.fixture
def driven(ros: None) -> Iterator[Driven]:
    node = planner.PickPlanner()
    yield Driven(node)
    node.destroy_node()


def test_the_box_is_grasped_wherever_the_origin_of_the_object_is(driven):
    assert driven.see(Thing(at=(0.3, 0.0, 0.0), middle=(0.2, 0.0, 0.04)), times=6)[-1] == pytest.approx(0.5)


def test_an_object_is_taken_once_it_was_stable_for_n_frames(driven):
    assert driven.see(Thing(), times=4) == []
    assert driven.see(Thing(), times=2) == [0.5, 0.5]


def test_the_nearest_is_taken_and_kept(driven):
    assert driven.see(Thing(), CAN, times=5) == [0.3]
    nearer = Thing(identity='9', at=(0.2, 0.0, 0.04))
    assert driven.see(Thing(), CAN, nearer, times=6) == [0.3] * 6
    assert driven.see(Thing(), nearer) == [0.2]


@pytest.mark.parametrize(
    'useless',
    [
        CAN._replace(score=0.4),
        CAN._replace(identity=''),
        CAN._replace(size=(0.11, 0.11, 0.11)),
        CAN._replace(at=(float('nan'), 0.0, 0.0)),
    ],
    ids=['unsure', 'untracked', 'oversize', 'nowhere'],
)
def test_a_nearer_object_that_is_no_target_is_passed_over(driven, useless):
    assert driven.see(useless, Thing(), times=5) == [0.5]


def test_only_the_class_that_is_asked_for_is_taken(driven):
    driven.node.set_parameters([Parameter('target_class', value='tea_box')])
    assert driven.see(CAN, Thing(), times=5) == [0.5]
    driven.node.set_parameters([Parameter('target_class', value='spoon')])
    assert driven.see(CAN, Thing(), times=9) == []


def test_an_object_that_moves_is_not_stable(driven):
    for step in range(12):
        assert driven.see(Thing(at=(0.5 + 0.006 * step, 0.0, 0.04))) == []
    slow = [driven.see(Thing(at=(0.6 + 0.004 * step, 0.0, 0.04))) for step in range(6)]
    assert slow[:4] == [[]] * 4 and slow[4] and slow[5]


def test_a_frame_without_the_object_starts_the_count_anew(driven):
    driven.see(Thing(), times=4)
    driven.see()
    assert driven.see(Thing(), times=5) == [0.5]


def test_another_id_is_another_object(driven):
    driven.see(Thing(), times=4)
    assert driven.see(Thing(identity='2'), times=4) == []


def test_another_frame_gives_nothing_and_forgets(driven):
    assert driven.see(Thing(), times=9, frame_id='camera_optical_frame') == []
    driven.see(Thing(), times=5)
    driven.see(Thing(), frame_id='world')
    assert driven.see(Thing(), times=4) == []


def test_unequal_lengths_give_nothing(driven):
    driven.see(Thing(), times=4)
    array = frame([Thing()], 99)
    driven.node.plan(PoseArray(header=array.header), array.detections)
    assert driven.grasps == []


def test_streams_that_come_one_after_the_other_are_paired_by_stamp(driven):
    arrays = [frame([Thing()], number) for number in range(8)]
    for array in arrays:
        driven.node.pair(1, array)
    for array in arrays:
        driven.node.pair(0, pose_array(array))
    assert [item.header.stamp.sec for item in driven.grasps] == [1004, 1005, 1006, 1007]


def test_when_nothing_comes_any_more_the_target_is_forgotten(driven):
    driven.see(Thing(), times=5)
    assert driven.node.target == ('tea_box', '1')
    spin = SpinThread(driven.node)
    wait_until(lambda: driven.node.target is None and not driven.node.seen)
    spin.stop()


def test_what_finds_no_partner_is_not_kept_for_ever(driven):
    for number in range(100):
        driven.node.pair(0, pose_array(frame([Thing()], number)))
    assert len(driven.node.pairs) <= 20


# The whole node


@contextlib.contextmanager
def running(namespace: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    options = ['__ns:=' + namespace, 'poses:=track/poses', 'detections_3d:=track/detections_3d']
    command = [sys.executable, str(FILE), '--ros-args', *(part for option in options for part in ('-r', option))]
    with log.open('wb') as output, subprocess.Popen(command, stderr=output) as process:
        try:
            yield process
        finally:
            process.kill()


class Camera:
    """Publishes frames over DDS, each with a stamp of its own."""

    def __init__(self, probe: Probe) -> None:
        self._poses = probe.node.create_publisher(PoseArray, 'track/poses', RELIABLE)
        self._objects = probe.node.create_publisher(Detection3DArray, 'track/detections_3d', RELIABLE)
        self.sent: list[Detection3DArray] = []
        wait_until(lambda: self._poses.get_subscription_count() and self._objects.get_subscription_count())

    def send(self, *things: Thing, frame_id: str = 'base_link') -> None:
        self.sent.append(frame(things, len(self.sent), frame_id))
        self._objects.publish(self.sent[-1])
        self._poses.publish(pose_array(self.sent[-1]))

    def send_until(self, predicate: Any, *things: Thing, **options: Any) -> None:
        """Send frames at a camera's rate."""
        done = threading.Event()

        def send_on() -> None:
            while not done.is_set():
                self.send(*things, **options)
                done.wait(PERIOD_S)

        sender = threading.Thread(target=send_on)
        sender.start()
        try:
            wait_until(predicate)
        finally:
            done.set()
            sender.join()


@pytest.mark.parametrize('end', [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_even_while_it_is_still_importing(end: int) -> None:
    with subprocess.Popen(
        [sys.executable, '-c', SLOW_IMPORT, str(FILE)],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == 'importing\n'
            process.send_signal(end)
            _, err = process.communicate(timeout=LIMIT_S)
        finally:
            process.kill()
    assert process.returncode == 0
    assert 'Traceback' not in err


@pytest.mark.system
@pytest.mark.parametrize('end', [signal.SIGINT, signal.SIGTERM])
def test_the_node_over_dds(tmp_path, end):
    log = tmp_path / 'log'
    with running(f'/pick_{end}', log) as process, probing(f'/pick_{end}') as probe:
        grasps = probe.listen('grasp', PoseStamped)
        backs = probe.listen('pre_grasp', PoseStamped)
        camera = Camera(probe)
        camera.send_until(lambda: b'target_frame' in log.read_bytes(), Thing(), CAN, frame_id='camera_optical_frame')
        assert not grasps
        first = len(camera.sent)
        camera.send_until(lambda: len(grasps) > 2 and len(backs) > 2, Thing(), CAN)

        assert {item.header.frame_id for item in grasps} == {'base_link'}
        by_stamp = {item.header.stamp.sec: item for item in backs}
        assert {item.header.stamp.sec for item in grasps} <= {
            item.header.stamp.sec for item in camera.sent[first + 4 :]
        }
        taken = grasps[0]
        gripper, back = pose_from_message(taken.pose), pose_from_message(by_stamp[taken.header.stamp.sec].pose)
        assert np.allclose(gripper.translation, (0.3, 0.1, 0.08))  # the can, 4 cm below its top
        assert np.allclose(gripper.rotation[:, 2], DOWN, atol=1e-9)
        assert np.allclose(gripper.rotation, back.rotation)
        assert np.allclose(gripper.translation - back.translation, 0.12 * gripper.rotation[:, 2])

        camera.send_until(lambda: b'target can 2 lost' in log.read_bytes(), Thing(identity='5'))
        lost = len(camera.sent)
        camera.send_until(lambda: len(camera.sent) > lost + 3)
        assert max(item.header.stamp.sec for item in grasps) < camera.sent[lost].header.stamp.sec
        process.send_signal(end)
        time.sleep(0.03)
        process.send_signal(end)  # as a terminal and ros2 launch together do
        assert process.wait(LIMIT_S) == 0
    assert b'Traceback' not in log.read_bytes()
