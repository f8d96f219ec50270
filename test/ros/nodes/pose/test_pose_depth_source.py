# SPDX-License-Identifier: Apache-2.0
"""PoseNode and depth as drivers give it: not synchronised, of another lens, of another place, of another shape."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TransformStamped
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from support.ros.pose_bench import STEP_NS, PoseBench, assert_near
from support.ros.pose_views import View, depth_seen_from, view_of
from support.ros.probe import LATCHED
from tf2_msgs.msg import TFMessage

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ros.runtime.transforms import TransformError

MS = 1_000_000
SEEDS = (11, 3, 5)
# where the depth camera is in the colour camera's frame
ASIDE = Pose(so3_exp(np.array((0.004, 0.02, -0.006))), np.array((0.05, 0.003, -0.002)))


@pytest.fixture
def bench(around: Any, pose_model: Path) -> Iterator[PoseBench]:
    """Registration by depth: its poses are as right as depth is."""
    with contextlib.closing(PoseBench(around, model=str(pose_model), method='registration')) as bench:
        yield bench


@pytest.fixture
def by_depth(around: Any) -> Iterator[PoseBench]:
    with contextlib.closing(PoseBench(around)) as bench:
        yield bench


def lens(width: int = 320, height: int = 200) -> CameraModel:
    """A depth camera's: another focal length, another shape than the colour images have."""
    focal = 0.66 * width
    return CameraModel(width, height, np.array([[focal, 0, width / 2 + 2], [0, focal, height / 2 - 3], [0, 0, 1]]))


class DepthCamera:
    """A depth camera beside the colour camera, in a frame of its own."""

    def __init__(self, bench: PoseBench, camera: CameraModel, place: Pose = ASIDE) -> None:
        self.bench, self.camera, self.place = bench, camera, place
        self.frame = f'depth_{bench.frame}'
        self._static = bench.probe.node.create_publisher(TFMessage, '/tf_static', LATCHED)

    def close(self) -> None:
        self.bench.probe.node.destroy_publisher(self._static)

    def tell_place(self, view: View) -> None:
        """Publish where it is, and wait until the node knows: it listens from the first depth on that needs it."""
        link = TransformStamped(header=Header(frame_id=self.bench.frame), child_frame_id=self.frame)
        shift, turn = link.transform.translation, link.transform.rotation
        shift.x, shift.y, shift.z = self.place.translation.tolist()
        turn.x, turn.y, turn.z, turn.w = self.place.quaternion()
        self._static.publish(TFMessage(transforms=[link]))
        self.bench.answer(self.send(view, 11))
        self.bench.wait_until(self._is_known, 'the node knows where the depth camera is')

    def tell_lens(self) -> None:
        """Publish its CameraInfo."""
        self.bench.put_camera(self.camera, header=self.header(self.bench.stamp()), topic='depth/camera_info')

    def header(self, of: Header) -> Header:
        """The same stamp, its own frame."""
        return Header(stamp=of.stamp, frame_id=self.frame)

    def send(self, view: View, seed: int) -> Header:
        """A frame: colour's detections, and depth as this camera sees it."""
        header = self.bench.stamp()
        self.bench.put_camera(view.camera, header)
        self.bench.put_depth(self.header(header), depth_seen_from(seed, self.camera, self.place))
        return self.bench.send(view, header=header, info=False)

    def _is_known(self) -> bool:
        try:
            self.bench.node._transforms.lookup(self.bench.frame, self.frame, self.bench.last_ns)
        except (TransformError, AttributeError):
            return False
        return True


@contextlib.contextmanager
def beside(bench: PoseBench, camera: CameraModel, place: Pose = ASIDE) -> Iterator[DepthCamera]:
    with contextlib.closing(DepthCamera(bench, camera, place)) as made:
        yield made


# Time


def free_running(bench: PoseBench, view: View, apart_ns: int) -> Header:
    """A frame whose depth has another stamp; both come at 10 Hz."""
    header = bench.stamp()
    bench.put_camera(view.camera, header)
    bench.put_depth(bench.header(bench.last_ns + apart_ns), view.depth)
    return bench.send(view, header=header, info=False)


@pytest.mark.parametrize('apart_ms', [33, -33, 48, -48])
def test_depth_of_a_camera_that_runs_by_itself_is_used(by_depth: PoseBench, apart_ms: int) -> None:
    view = view_of()
    depth = by_depth.node._pairing._streams['depth']
    for _ in range(2):  # a period is known from here on
        by_depth.stamp()
        stamp_ns = by_depth.last_ns + apart_ms * MS
        by_depth.put_depth(by_depth.header(stamp_ns), view.depth)
        by_depth.wait_until(lambda stamp_ns=stamp_ns: depth.last_ns == stamp_ns, 'the node has the depth image')
    for _ in range(3):
        array = by_depth.answer(free_running(by_depth, view, apart_ms * MS))
        assert len(array.detections) == len(view.items)
    by_depth.wait_until(
        lambda: by_depth.probe.value(by_depth.name, 'depth_tolerance_ms') == f'{0.55 * STEP_NS / MS:.3f}',
        'diagnostics say how far apart depth may be',
    )


def test_depth_that_is_further_away_than_its_period_allows_is_not_used(by_depth: PoseBench) -> None:
    view = view_of()
    for _ in range(3):
        by_depth.ask(view, depth='32FC1')
    header = by_depth.stamp()
    by_depth.put_depth(by_depth.header(by_depth.last_ns + 60 * MS), view.depth)
    by_depth.send(view, header=header)
    assert not by_depth.answer(header).detections
    by_depth.wait_counted('skipped', 'unpaired_depth')


def test_a_tolerance_that_is_given_holds(around: Any) -> None:
    view = view_of()
    with contextlib.closing(PoseBench(around, depth_tolerance_s=0.01)) as bench:
        for _ in range(3):
            bench.ask(view, depth='32FC1')
        assert not bench.answer(free_running(bench, view, 15 * MS)).detections
        assert bench.answer(free_running(bench, view, 9 * MS)).detections
        bench.wait_until(lambda: bench.probe.value(bench.name, 'depth_tolerance_ms') == '10.000')


# Place and lens


@pytest.mark.parametrize('camera', [lens(), lens(320, 240), view_of().camera], ids=['wide', 'other lens', "colour's K"])
def test_depth_of_another_camera_is_brought_over(bench: PoseBench, camera: CameraModel) -> None:
    with beside(bench, camera) as other:
        other.tell_lens()
        other.tell_place(view_of())
        for seed in SEEDS:
            view = view_of(seed)
            array = bench.answer(other.send(view, seed))
            assert len(array.detections) == len(view.items), bench.probe.wait_report(bench.name)
            for found, item in zip(array.detections, view.items, strict=True):
                assert_near(found, item.pose, m=0.004, deg=2.0)


def assert_refused(bench: PoseBench, header: Header, *says: str) -> None:
    """No pose of depth alone, and a standing problem that says why."""
    assert not bench.answer(header).detections
    bench.wait_until(lambda: bench.count('skipped', 'depth_unregistered') >= 1)
    status = bench.probe.wait_report(bench.name)
    assert status.level == DiagnosticStatus.WARN
    for text in says:
        assert text in status.message


def test_depth_of_an_unknown_place_is_refused(by_depth: PoseBench) -> None:
    """With the colour camera's own K: its frame alone tells."""
    view = view_of()
    with beside(by_depth, view.camera) as other:
        other.tell_lens()
        assert_refused(by_depth, other.send(view, 11), other.frame, by_depth.frame, '/tf')
        other.tell_place(view)
        assert len(by_depth.answer(other.send(view, 11)).detections) == len(view.items)
        assert by_depth.probe.wait_report(by_depth.name).message == 'running'


def test_depth_of_an_unknown_lens_is_refused(by_depth: PoseBench) -> None:
    view = view_of()
    with beside(by_depth, lens()) as other:
        other.tell_place(view)
        assert_refused(by_depth, other.send(view, 11), other.frame, by_depth.frame, 'depth/camera_info')
        other.tell_lens()
        assert len(by_depth.answer(other.send(view, 11)).detections) == len(view.items)


def test_the_colour_camera_s_info_is_not_taken_for_depth_s(by_depth: PoseBench) -> None:
    view = view_of()
    with beside(by_depth, view.camera) as other:
        by_depth.put_camera(view.camera, topic='depth/camera_info')
        other.tell_place(view)
        assert_refused(by_depth, other.send(view, 11), "the image's own", by_depth.frame)


def test_depth_of_another_shape_is_refused(by_depth: PoseBench) -> None:
    view = view_of()
    header = by_depth.stamp()
    by_depth.put_depth(header, depth_seen_from(11, lens(), Pose.identity()))
    by_depth.send(view, header=header)
    assert_refused(by_depth, header, '320x200', '320x240')
    by_depth.ask(view, depth='32FC1')


def test_a_frame_of_another_name_at_the_same_place_is_registered(bench: PoseBench) -> None:
    view = view_of()
    with beside(bench, view.camera, Pose.identity()) as other:
        other.tell_place(view)
        for found, item in zip(bench.answer(other.send(view, 11)).detections, view.items, strict=True):
            assert_near(found, item.pose, m=0.003, deg=2.0)


def test_a_slash_makes_no_other_frame(by_depth: PoseBench) -> None:
    view = view_of()
    header = by_depth.stamp()
    by_depth.put_depth(Header(stamp=header.stamp, frame_id=f'/{by_depth.frame}'), view.depth)
    by_depth.send(view, header=header)
    assert len(by_depth.answer(header).detections) == len(view.items)


def test_the_cloud_is_brought_over_too(bench: PoseBench) -> None:
    view, camera = view_of().only('toy_block'), lens(640, 400)
    clouds = bench.probe.listen(f'{bench.name}/objects_cloud', PointCloud2)
    with beside(bench, camera) as other:
        other.tell_lens()
        other.tell_place(view)
        header = bench.stamp()
        bench.put_image(header, view.color)
        bench.put_depth(other.header(header), depth_seen_from(11, camera, ASIDE))
        bench.send(view, header=header)
        bench.wait_until(lambda: any(cloud.header == header for cloud in list(clouds)), 'the cloud of the frame')
    cloud = next(cloud for cloud in clouds if cloud.header == header)
    points = np.frombuffer(bytes(cloud.data), '<f4').reshape(-1, 6)[:, :3].astype(float)
    item = view.items[0]
    local = item.pose.inverse().apply(points)
    assert len(points) > 100
    assert (np.abs(local) < np.array(item.size) / 2 + 0.004).all(axis=1).mean() > 0.95
    bench.probe.ignore(f'{bench.name}/objects_cloud')


# A rectified image, and depth that is registered to the raw one


def bent(zoom: float = 1.0) -> CameraModel:
    """The raw camera of `view_of`'s images, whose straight lines are curves; `zoom` times the focal length."""
    flat = view_of().camera
    K = flat.K * np.array([[zoom, 1, 1], [1, zoom, 1], [1, 1, 1]])
    return CameraModel(flat.width, flat.height, K, (-0.25, 0.08, 0.001, -0.0008, 0.0), 'plumb_bob')


def seen_in_boxes(bench: PoseBench, view: View) -> tuple[CameraModel, np.ndarray]:
    """The camera of the depth that the node has worked with, and how far that is from the image's own, m, in boxes."""
    used = bench.node._depth._last[3]
    depth = used.image.metres()
    off = []
    for item in view.items:
        left, top, right, bottom = np.round(item.box).astype(int)
        rows, columns = slice(max(top, 0), bottom), slice(max(left, 0), right)
        off.append((depth[rows, columns] - view.depth[rows, columns]).ravel())
    return used.camera, np.abs(np.concatenate(off))


@pytest.mark.parametrize('how', [{}, {'depth_rectified': 'false'}])
def test_raw_depth_of_a_rectified_image_is_rectified(around: Any, pose_model: Path, how: dict[str, Any]) -> None:
    same_place = Pose(np.eye(3), np.zeros(3))
    with contextlib.closing(PoseBench(around, model=str(pose_model), method='registration', **how)) as bench:
        bench.put_camera(bent(), topic='depth/camera_info')
        for seed in SEEDS:
            view, header = view_of(seed), bench.stamp()
            bench.put_camera(view.camera, header)
            bench.put_depth(header, depth_seen_from(seed, bent(), same_place))
            array = bench.answer(bench.send(view, header=header, info=False))
            camera, off = seen_in_boxes(bench, view)
            assert camera.model == 'none'
            assert np.nanmedian(off) < 0.002
            assert np.nanmean(off > 0.03) < 0.1, 'but for the edges of objects'
            for found, item in zip(array.detections, view.items, strict=True):
                assert_near(found, item.pose, m=0.004, deg=2.0)


@pytest.mark.parametrize('zoom', [0.9, 1.2])
def test_raw_depth_of_a_rectified_image_may_have_another_focal_length(
    around: Any, pose_model: Path, zoom: float
) -> None:
    """As most calibrations give: P is chosen for what is left of the picture, K is the lens's."""
    same_place = Pose(np.eye(3), np.zeros(3))
    how = {'method': 'registration', 'depth_rectified': 'false'}
    with contextlib.closing(PoseBench(around, model=str(pose_model), **how)) as bench:
        view, header = view_of(SEEDS[0]), bench.stamp()
        P = np.column_stack((view.camera.K, np.zeros(3))).ravel().tolist()
        bench.put_camera(bent(zoom), topic='depth/camera_info', p=P)
        bench.put_camera(view.camera, header)
        bench.put_depth(header, depth_seen_from(SEEDS[0], bent(zoom), same_place))
        array = bench.answer(bench.send(view, header=header, info=False))
        for found, item in zip(array.detections, view.items, strict=True):
            assert_near(found, item.pose, m=0.004, deg=2.0)


def test_rectified_depth_of_a_rectified_image_stays(around: Any, pose_model: Path) -> None:
    """Its own CameraInfo has K, D and P; the name of its topic says which of them it follows."""
    topics = {'depth/image': 'depth_registered/image_rect'}
    with contextlib.closing(PoseBench(around, model=str(pose_model), method='registration', topics=topics)) as bench:
        view = view_of()
        P = np.column_stack((view.camera.K, np.zeros(3))).ravel().tolist()
        bench.put_camera(bent(), topic='depth/camera_info', p=P)
        for found, item in zip(bench.ask(view, depth='32FC1').detections, view.items, strict=True):
            assert_near(found, item.pose, m=0.003, deg=2.0)
        camera, off = seen_in_boxes(bench, view)
        assert camera.model == 'none'
        assert not np.nan_to_num(off).any(), 'not a reading is moved'


def test_raw_depth_of_a_rectified_image_without_its_lens_is_refused(around: Any) -> None:
    with contextlib.closing(PoseBench(around, depth_rectified='false')) as bench:
        header = bench.send(view_of(), depth='32FC1')
        assert_refused(bench, header, 'depth_rectified: false')
        bench.put_camera(view_of().camera, topic='depth/camera_info')
        bench.ask(view_of(), depth='32FC1')
