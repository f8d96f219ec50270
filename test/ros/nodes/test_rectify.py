# SPDX-License-Identifier: Apache-2.0
"""PreprocessNode with `rectify`: what it makes of images and CameraInfos, over real DDS, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from isaac_ros_tensor_list_interfaces.msg import TensorList
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from support.cuda.host_build import why_no_compiler
from support.cuda.host_gpu import FakeGpu
from support.onnx_models import known_detections, known_keypoints, ultralytics_metadata, write_model
from support.raw_images import raw_image
from support.ros.node_graph import Graph
from support.ros.probe import image_message

from isaac_inference.models import read_card
from isaac_inference.ops.geometry.rectification import Rectification
from isaac_inference.ops.image.encodings import to_color
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ops.image.raw_image import RawImage
from isaac_inference.ros.messages.camera_info import CameraFeed, calibration
from isaac_inference.ros.messages.image import byte_array, byte_view, from_image_message
from isaac_inference.ros.messages.tensors import PICTURE_MARK, RECTIFIED, TensorFrame, from_tensor_list
from isaac_inference.stages import Preprocessor
from isaac_inference.stages.image.preprocess_gpu import GpuPreprocessor

WH = (160, 120)
K = [110.0, 0, 82.5, 0, 112, 58.25, 0, 0, 1]
D = [-0.25, 0.06, 0.0012, -0.0018, 0.0]
P = [90.0, 0, 78.0, 0, 0, 92, 61.0, 0, 0, 0, 1, 0]
FISHEYE = {'distortion_model': 'equidistant', 'd': [-0.03, 0.012, -0.011, 0.003]}
RATIONAL = {'distortion_model': 'rational_polynomial', 'd': [0.6, -0.2, 0.0004, -0.0003, 0.01, 0.9, -0.1, 0.02]}
PRISM = {**RATIONAL, 'd': [*RATIONAL['d'], 0.001, -0.0005, 0.0008, 0.0003]}
NAN = float('nan')


def info_message(**fields: Any) -> CameraInfo:
    message = CameraInfo(width=WH[0], height=WH[1], distortion_model='plumb_bob', d=D, k=K, p=P)
    message.r = np.eye(3).ravel().tolist()
    message.header.frame_id = 'lens'
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def photo(wh: tuple[int, int] = WH, seed: int = 0) -> np.ndarray:
    """Noise as smooth as a photo is."""
    noise = np.random.default_rng(seed).integers(0, 256, (wh[1], wh[0], 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3.0)


class Seen:
    """A preprocess node that rectifies, and what it publishes."""

    def __init__(self, graph: Graph, model: Path, **parameters: Any) -> None:
        self.graph, self.probe = graph, graph.probe
        self.card = read_card(model)
        self.node = graph.load('PreprocessNode', 'preprocess', model=str(model), rectify=True, **parameters)
        self.tensors: list[TensorFrame] = self.probe.listen('input_tensors', TensorList, read=from_tensor_list)
        self.infos: list[CameraInfo] = self.probe.listen('rectified/camera_info', CameraInfo)
        self._writer = self.probe.node.create_publisher(CameraInfo, 'camera_info', 10)
        self._compressed = self.probe.node.create_publisher(CompressedImage, 'image/compressed', 10)
        self.probe.wait_active('preprocess')

    def put_info(self, message: CameraInfo) -> CameraInfo:
        """CameraInfo, once the node has read it."""
        self.probe.send(message, self._writer)
        images = self.node._rectified
        said = repr(calibration(message))  # NaN is unlike itself
        self.probe.wait_until(lambda: repr(images._said) == said, 'the node has read camera_info')
        return message

    def ask(self, message: Image) -> TensorFrame:
        """The tensors of an image."""
        self.probe.send(message)
        return self.answer(message)

    def ask_compressed(self, message: CompressedImage) -> TensorFrame:
        self.probe.send(message, self._compressed)
        return self.answer(message)

    def answer(self, message: Any) -> TensorFrame:
        self.probe.wait_until(lambda: self._of(message), 'its tensors come')
        return self._of(message)[0]

    def _of(self, message: Any) -> list[TensorFrame]:
        return [frame for frame in list(self.tensors) if frame.header == message.header]

    def has_answered(self, message: Any) -> bool:
        return bool(self._of(message))

    def send_bad(self, message: Image, reason: str) -> DiagnosticStatus:
        """Send an image that gives no tensors; the diagnostics that say so."""
        before = int(self.probe.value('preprocess', f'dropped.{reason}') or 0)
        self.probe.send(message)
        self.probe.wait_until(
            lambda: int(self.probe.value('preprocess', f'dropped.{reason}') or 0) == before + 1,
            f'{reason} is counted',
        )
        assert not self.has_answered(message)
        return self.probe.status('preprocess')


@pytest.fixture
def seen(empty_graph: Graph, model: Path) -> Seen:
    return Seen(empty_graph, model)


def expected_of(seen: Seen, image: RawImage, info: CameraInfo) -> tuple[np.ndarray, Letterbox]:
    """The input that the stage makes, which is tested against OpenCV for itself."""
    preprocessor = Preprocessor(seen.card)
    made = Rectification.between(calibration(info), (image.width, image.height))
    tensors, letterbox = preprocessor(*to_color(image, preprocessor.wanted), made)
    return next(iter(tensors.values())), letterbox


def assert_right(seen: Seen, message: Image, info: CameraInfo) -> TensorFrame:
    frame = seen.ask(message)
    expected, letterbox = expected_of(seen, from_image_message(message).image, info)
    np.testing.assert_array_equal(frame.tensors['images'], expected)
    np.testing.assert_array_equal(frame.auxiliary['letterbox'], letterbox.to_array())
    return frame


# What it makes


def test_the_tensors_are_opencv_s(seen: Seen) -> None:
    """The whole way, by maps of OpenCV's own of the model's input: P with the letterbox in it."""
    seen.put_info(info_message())
    image = photo()
    frame = seen.ask(image_message(image))
    letterbox = Letterbox.from_array(frame.auxiliary['letterbox'])
    flat = np.reshape(P, (3, 4))[:, :3].copy()
    flat[(0, 1), (0, 1)] *= letterbox.scale_xy
    flat[:2, 2] = (flat[:2, 2] + 0.5) * letterbox.scale_xy + np.array(letterbox.offset_xy) - 0.5
    maps = cv2.initUndistortRectifyMap(
        np.reshape(K, (3, 3)), np.array(D), np.eye(3), flat, letterbox.input_wh, cv2.CV_32FC1
    )
    expected = cv2.remap(image, *maps[:2], cv2.INTER_LINEAR)[..., ::-1] / 255.0
    inside = np.all([(maps[axis] > 0) & (maps[axis] < WH[axis] - 1) for axis in (0, 1)], axis=0)
    inside[: letterbox.region[0].start] = inside[letterbox.region[0].stop :] = False
    assert inside.sum() > 2000
    found = frame.tensors['images'][0].transpose(1, 2, 0)
    difference = np.abs(found - expected)[inside]
    assert difference.max() <= 1.6 / 255
    assert difference.mean() <= 0.1 / 255


@pytest.mark.parametrize('lens', [{}, FISHEYE, RATIONAL, PRISM])
def test_lens_models(seen: Seen, lens: dict[str, Any]) -> None:
    assert_right(seen, image_message(photo()), seen.put_info(info_message(**lens)))


@pytest.mark.parametrize(
    'encoding', ['mono8', 'rgb8', 'bgra8', 'mono16', 'bayer_rggb8', 'bayer_gbrg16', 'yuyv', 'uyvy', 'nv12', 'nv24']
)
def test_encodings(seen: Seen, encoding: str) -> None:
    info = seen.put_info(info_message())
    image = raw_image(encoding, *WH)
    message = image_message(
        np.zeros((WH[1], WH[0], 3), np.uint8), encoding, step=image.step, data=byte_array(image.data)
    )
    assert_right(seen, message, info)


def test_a_compressed_image(empty_graph: Graph, model: Path) -> None:
    seen = Seen(empty_graph, model, transport='compressed')
    info = seen.put_info(info_message())
    header = image_message().header
    data = cv2.imencode('.png', photo())[1].tobytes()
    frame = seen.ask_compressed(CompressedImage(header=header, format='bgr8; png compressed bgr8', data=data))
    expected, _ = expected_of(seen, RawImage.from_array(photo(), 'bgr8'), info)
    np.testing.assert_array_equal(frame.tensors['images'], expected)


def test_the_frame_says_that_it_is_rectified_and_a_raw_one_does_not(seen: Seen, model: Path) -> None:
    seen.put_info(info_message())
    frame = seen.ask(image_message(photo()))
    assert frame.auxiliary[RECTIFIED].tolist() == [90.0, 92.0, 78.0, 61.0]
    assert PICTURE_MARK in frame.auxiliary
    seen.node.trigger_deactivate()
    raw = seen.graph.load('PreprocessNode', 'raw', model=str(model))
    seen.probe.wait_active('raw')
    assert RECTIFIED not in seen.ask(image_message(photo())).auxiliary
    assert raw.parameters.rectify is False


def test_the_rectified_image_is_published_while_anyone_looks(seen: Seen) -> None:
    info = seen.put_info(info_message())
    seen.ask(image_message(photo()))
    rectifier = seen.node._preprocessor.rectifier
    assert rectifier._image is None, 'nobody looks: it is not made'
    pictures: list[Image] = seen.probe.listen('rectified/image_rect', Image)
    message = image_message(photo(seed=1))
    seen.ask(message)
    seen.probe.wait_until(lambda: pictures, 'the picture comes')
    (picture,) = pictures
    assert picture.header == message.header
    assert (picture.width, picture.height, picture.encoding) == (*WH, 'bgr8')
    maps = cv2.initUndistortRectifyMap(
        np.reshape(K, (3, 3)), np.array(D), np.eye(3), np.reshape(P, (3, 4))[:, :3], WH, cv2.CV_32FC1
    )
    expected = cv2.remap(photo(seed=1), *maps[:2], cv2.INTER_LINEAR)
    inside = np.all([(maps[axis] > 0) & (maps[axis] < WH[axis] - 1) for axis in (0, 1)], axis=0)
    found = byte_view(picture.data).reshape(WH[1], WH[0], 3)
    assert np.abs(found.astype(int) - expected)[inside].max() <= 1
    assert info.p[0] == 90.0


def test_the_rectified_camera_info_leaves_no_doubt(seen: Seen) -> None:
    """By K, by K and D, and by P it says the same; nothing has to be assumed of it, not even by its name."""
    sent = seen.put_info(info_message(p=[*P[:3], -90.0 * 0.12, *P[4:]]))
    message = image_message(photo())
    seen.ask(message)
    seen.probe.wait_until(lambda: seen.infos, 'its CameraInfo comes')
    info = seen.infos[0]
    assert info.header == message.header
    assert (info.width, info.height, info.binning_x, info.roi.width) == (*WH, 0, 0)
    assert (np.reshape(info.p, (3, 4))[:, :3].ravel() == info.k).all()
    assert not any(info.d)
    assert np.reshape(info.r, (3, 3)).tolist() == np.eye(3).tolist()
    assert list(info.p) == pytest.approx(list(sent.p)), 'the baseline too'
    feed = CameraFeed(topics=('image_raw', 'camera_info'))
    feed.put(info)
    assert feed.camera is not None
    assert (feed.camera.model, feed.undecided) == ('none', False)
    assert list(feed.origin) == pytest.approx([0.12, 0, 0])
    assert 'image_rectified' not in feed.assumed


def test_a_calibration_that_changes_makes_new_maps_and_one_that_does_not_makes_none(seen: Seen) -> None:
    first, second = info_message(), info_message(p=[80.0, *P[1:]])
    for info in (first, second, first):
        seen.put_info(info)
        assert_right(seen, image_message(photo()), info)
    made = seen.node._rectified.rectification(*WH)
    seen.put_info(info_message(header=image_message().header))
    assert_right(seen, image_message(photo()), first)
    assert seen.node._rectified.rectification(*WH) is made


ROI = RegionOfInterest(x_offset=24, y_offset=16, width=112, height=80)


@pytest.mark.parametrize(
    'fields, wh, flat',
    [
        ({'roi': ROI}, (112, 80), (112, 80)),
        ({'roi': ROI}, WH, WH),  # the roi of another stream, or one that is yet to come
        ({'binning_x': 2, 'binning_y': 2}, (80, 60), (80, 60)),
        ({'binning_x': 2, 'roi': ROI}, (56, 80), (56, 80)),
        ({'roi': RegionOfInterest(x_offset=24, y_offset=16, width=112, height=80, do_rectify=True)}, (112, 80), None),
    ],
)
def test_parts_and_joined_pixels(
    seen: Seen, fields: dict[str, Any], wh: tuple[int, int], flat: tuple[int, int] | None
) -> None:
    info = seen.put_info(info_message(**fields))
    frame = assert_right(seen, image_message(photo(wh)), info)
    source = tuple(frame.auxiliary['letterbox'][:2].astype(int).tolist())
    assert source == flat if flat else source != wh
    seen.probe.wait_until(lambda: seen.infos, 'its CameraInfo comes')
    told = seen.infos[-1]
    assert (told.width, told.height) == source
    assert not any((told.binning_x, told.binning_y, told.roi.width))


class Untimed:
    """In place of a GpuTimer."""

    def measure(self, stream: Any) -> AbstractContextManager[None]:
        return nullcontext()

    def collect(self) -> list[float]:
        return []


@pytest.mark.skipif(bool(why_no_compiler()), reason=why_no_compiler())
@pytest.mark.parametrize('encoding', ['bgr8', 'bayer_rggb8', 'mono16'])
def test_the_gpu_s_way_is_the_same(seen: Seen, encoding: str) -> None:
    """Its kernels run on the CPU here, in a node that takes them for a GPU's."""
    info = seen.put_info(info_message())
    seen.node._gpu_stage, seen.node._timer = GpuPreprocessor(seen.card, FakeGpu()), Untimed()
    seen.node._takes_gpu = lambda frame: True
    pictures: list[Image] = seen.probe.listen('rectified/image_rect', Image)
    image = raw_image(encoding, *WH)
    message = image_message(
        np.zeros((WH[1], WH[0], 3), np.uint8), encoding, step=image.step, data=byte_array(image.data)
    )
    assert RECTIFIED in assert_right(seen, message, info).auxiliary
    seen.probe.wait_until(lambda: pictures, 'the picture comes')
    color, order = to_color(image, ColorOrder.BGR)
    made = Rectification.between(calibration(info), WH)
    expected = Preprocessor(seen.card).rectifier.picture(color, made)
    found = byte_view(pictures[0].data).reshape(WH[1], WH[0], 3)
    np.testing.assert_array_equal(found, expected if order is ColorOrder.BGR else expected[..., ::-1])
    seen.put_info(info_message(p=[0.0] * 12))
    seen.send_bad(image_message(photo()), 'no_intrinsics')


# What it refuses


def test_without_a_camera_info_frames_are_dropped_counted_and_named(seen: Seen) -> None:
    status = seen.send_bad(image_message(photo()), 'no_camera_info')
    assert status.level == DiagnosticStatus.ERROR
    assert 'no_camera_info' in status.message
    assert_right(seen, image_message(photo()), seen.put_info(info_message()))
    assert seen.probe.wait_report('preprocess').level == DiagnosticStatus.OK
    seen.node.trigger_deactivate()
    seen.node.trigger_activate()
    seen.probe.wait_report('preprocess')  # which counts anew
    seen.send_bad(image_message(photo()), 'no_camera_info')


BAD = {
    'zero K': ({'k': [0.0] * 9}, 'no_intrinsics'),
    'zero P': ({'p': [0.0] * 12}, 'no_intrinsics'),
    'singular K': ({'k': [110.0, 0, 82, 0, 0, 58, 0, 0, 1]}, 'bad_intrinsics'),
    'NaN in K': ({'k': [NAN, *K[1:]]}, 'bad_intrinsics'),
    'NaN in P': ({'p': [*P[:2], NAN, *P[3:]]}, 'bad_intrinsics'),
    'NaN coefficient': ({'d': [NAN, 0.0, 0.0, 0.0, 0.0]}, 'bad_intrinsics'),
    'too few coefficients': ({'d': [0.1, 0.2]}, 'bad_intrinsics'),
    'fisheye with five': ({'distortion_model': 'fisheye', 'd': [0.1, 0.0, 0.0, 0.0, 0.1]}, 'bad_intrinsics'),
    'a fisheye called plumb_bob': ({'d': [-1.5, 0.4, -0.02, 0.01]}, 'bad_rectification'),
    'an unknown model': ({'distortion_model': 'fov'}, 'unknown_distortion'),
    '180 degrees': ({'p': [8.0, 0, 78, 0, 0, 8, 61, 0, 0, 0, 1, 0]}, 'field_of_view'),
    'P of half the size': ({'p': [45.0, 0, 39, 0, 0, 46, 30.5, 0, 0, 0, 1, 0]}, 'bad_rectification'),
    'P of twice the size': ({'p': [180.0, 0, 156, 0, 0, 184, 122, 0, 0, 0, 1, 0]}, 'bad_rectification'),
    'R that is none': ({'r': [3.0, 0, 0, 0, 1, 0, 0, 0, 1]}, 'bad_rectification'),
    'a baseline in mm': ({'p': [*P[:3], -90.0 * 120, *P[4:]]}, 'stereo_baseline'),
    'another size': ({'width': 320, 'height': 240, 'k': [220.0, 0, 165, 0, 224, 116, 0, 0, 1]}, 'camera_info_size'),
    'roi outside': ({'roi': RegionOfInterest(x_offset=100, y_offset=0, width=80, height=120)}, 'camera_info_roi'),
    'no size': ({'width': 0, 'height': 0}, 'bad_intrinsics'),
}


@pytest.fixture(scope='module')
def one_for_all(make_graph: Callable[..., AbstractContextManager[Graph]], model: Path) -> Iterator[Seen]:
    with make_graph() as graph:
        yield Seen(graph, model)


@pytest.mark.parametrize('case', BAD)
def test_what_cannot_be_is_dropped_counted_and_named_and_the_next_is_good(one_for_all: Seen, case: str) -> None:
    fields, reason = BAD[case]
    seen = one_for_all
    seen.put_info(info_message(**fields))
    infos = len(seen.infos)
    for _ in range(2):  # every frame that it costs
        seen.send_bad(image_message(photo()), reason)
    assert len(seen.infos) == infos, 'nothing is said of a rectified image that there is not'
    assert_right(seen, image_message(photo()), seen.put_info(info_message()))


def test_an_image_of_another_size_is_named_too(one_for_all: Seen) -> None:
    seen = one_for_all
    info = seen.put_info(info_message())
    seen.send_bad(image_message(photo((80, 60))), 'camera_info_size')
    assert_right(seen, image_message(photo()), info)


def test_a_calibration_that_may_be_another_lens_s_is_a_problem(seen: Seen) -> None:
    odd = info_message(d=[-0.04, 0.02, -0.03, 0.008])
    assert_right(seen, image_message(photo()), seen.put_info(odd))
    status = seen.probe.wait_report('preprocess')
    assert status.level == DiagnosticStatus.WARN
    assert 'fisheye' in status.message
    assert_right(seen, image_message(photo()), seen.put_info(info_message()))
    assert seen.probe.wait_report('preprocess').level == DiagnosticStatus.OK
    assert '160x120, plumb_bob' in seen.probe.value('preprocess', 'rectified')


# What later stages make of it


def test_keypoints_say_that_they_are_of_the_rectified_image(empty_graph: Graph, tmp_path: Path) -> None:
    """And are in its pixels: the letterbox has travelled with the frame."""
    metadata = ultralytics_metadata(['cup', 'can', 'box'], imgsz=(64, 64), task='pose', kpt_shape=[8, 3])
    path = write_model(tmp_path / 'pose.onnx', 'yolov8_pose', input_wh=(64, 64), metadata=metadata)
    empty_graph.load_all(path, annotate=False, preprocess={'rectify': True})
    probe = empty_graph.probe
    keypoints: list[TensorFrame] = probe.listen('keypoints', TensorList, read=from_tensor_list)
    node = empty_graph.node('preprocess')
    writer = probe.node.create_publisher(CameraInfo, 'camera_info', 10)
    info = info_message(binning_x=2, binning_y=2)
    probe.send(info, writer)
    probe.wait_until(lambda: node._rectified._said == calibration(info), 'the node has read camera_info')
    array = probe.ask(image_message(np.full((60, 80, 3), 255, np.uint8)))
    assert len(array.detections) == 3
    probe.wait_until(lambda: keypoints, 'the keypoints come too')
    (frame,) = keypoints
    assert frame.auxiliary[RECTIFIED].tolist() == [45.0, 46.0, (78 + 0.5) / 2 - 0.5, (61 + 0.5) / 2 - 0.5]
    assert frame.auxiliary['source_size'].tolist() == [80, 60]
    letterbox = Letterbox.between((80, 60), (64, 64))
    known = {one.class_id: np.array(known_keypoints(one))[:, :2] for one in known_detections(3, (64, 64))}
    for detection, found in zip(array.detections, frame.tensors['keypoints'], strict=True):
        label = ['cup', 'can', 'box'].index(detection.results[0].hypothesis.class_id)
        np.testing.assert_allclose(found[:, :2], letterbox.points_to_source(known[label]), atol=0.05)
