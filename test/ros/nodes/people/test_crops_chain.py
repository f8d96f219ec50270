# SPDX-License-Identifier: Apache-2.0
"""Detections and images to keypoints through real nodes: a row for each detection, in source pixels, or unknown."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header
from support.keypoints.dots import dots_of, scene
from support.keypoints.people import People
from support.ros.probe import LATCHED, RELIABLE, image_message
from vision_msgs.msg import LabelInfo, VisionClass

from isaac_inference.models import ModelCard
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ros.messages.camera_info import camera_info
from isaac_inference.ros.messages.tensors import RECTIFIED, SOURCE_SIZE

WH = (640, 480)
PX = 0.5
LEFT, RIGHT = (100.0, 100.0, 160.0, 200.0), (400.0, 220.0, 500.0, 460.0)
EMPTY = np.full((WH[1], WH[0], 3), 255, np.uint8)


def assert_at(row: np.ndarray, box: Any) -> None:
    assert np.abs(row[:, :2] - dots_of(box)).max() <= PX
    assert (row[:, 2] > 0.5).all()


def assert_unknown(row: np.ndarray) -> None:
    assert np.isnan(row[:, :2]).all()
    assert (row[:, 2] == 0).all()


def test_a_row_for_each_detection_in_its_order(people: Any) -> None:
    """The higher score is cropped first, but that is nobody's business here."""
    rows = people.ask(scene(WH, [LEFT, RIGHT]), [LEFT, RIGHT], scores=[0.5, 0.9])
    assert rows.shape == (2, 3, 3) and rows.dtype == np.float32
    assert_at(rows[0], LEFT)
    assert_at(rows[1], RIGHT)


def test_what_travels_with_them(people: Any) -> None:
    header = people.send(image_message(scene(WH, [LEFT])), [LEFT])
    people.rows_of(header)
    [frame] = people._of(header)
    assert frame.auxiliary[SOURCE_SIZE].tolist() == list(WH)
    assert [timing.stage for timing in frame.timings] == ['crops', 'inference', 'keypoints']
    assert frame.card is not None and frame.card.name == 'dots'


def test_nobody_in_the_picture_is_a_tensor_without_rows(people: Any) -> None:
    """Whoever waits for the keypoints of these detections need not wait in vain."""
    assert people.ask(EMPTY, []).shape == (0, 3, 3)


def test_what_is_no_person_has_a_row_that_is_unknown(people: Any) -> None:
    rows = people.ask(scene(WH, [LEFT, RIGHT]), [LEFT, RIGHT], labels=['car', 'person'])
    assert_unknown(rows[0])
    assert_at(rows[1], RIGHT)


def test_only_other_things(people: Any) -> None:
    """No image is looked at, and none is waited for: it never comes."""
    rows = people.rows_of(people.send(None, [LEFT, RIGHT], labels=['car', 'car'], header=image_message().header))
    assert rows.shape == (2, 3, 3)
    assert_unknown(rows[0])
    assert_unknown(rows[1])


def test_a_person_leaves_and_comes_back(people: Any) -> None:
    for boxes in ([LEFT], [], [], [LEFT, RIGHT], [RIGHT]):
        rows = people.ask(scene(WH, boxes), boxes)
        assert len(rows) == len(boxes)
        for row, box in zip(rows, boxes, strict=True):
            assert_at(row, box)


@pytest.mark.parametrize('count', [5, 20])
def test_more_people_than_are_wanted(people: Any, count: int) -> None:
    """max_people is 8: the highest scores; each other row is unknown, named and counted."""
    corners = [(64.0 * (index % 10) + 10.5, 200.0 * (index // 10) + 20.25) for index in range(count)]
    boxes = [(x, y, x + 44, y + 58.5) for x, y in corners]
    scores = np.random.default_rng(count).permutation(np.linspace(0.3, 0.9, count)).tolist()
    [before] = people.counts('crops', 'skipped.max_people')
    rows = people.ask(scene(WH, boxes), boxes, scores=scores)
    best = set(np.argsort(scores)[-8:].tolist())
    for index, row in enumerate(rows):
        if index in best:
            assert_at(row, boxes[index])
        else:
            assert_unknown(row)
    [after] = people.counts('crops', 'skipped.max_people')
    assert int(after or 0) - int(before or 0) == max(0, count - 8)


def test_people_cut_at_the_border(people: Any) -> None:
    """The box ends where the image does, and the crop goes on as padding, in which nothing is found."""
    whole = (-22.0, 100.0, 38.0, 200.0)  # the left half is beyond the image
    seen = scene((WH[0] + 40, WH[1]), [(18.0, 100.0, 78.0, 200.0)])[:, 40:]
    [row] = people.ask(np.ascontiguousarray(seen), [(0.0, 100.0, 38.0, 200.0)])
    inside = dots_of(whole)[:, 0] > 5
    assert inside.tolist() == [True, False, True]
    assert np.abs(row[inside, :2] - dots_of(whole)[inside]).max() <= PX
    assert ((row[:, 0] >= 0) | (row[:, 2] == 0)).all()


def test_an_empty_crop_is_named_and_the_others_go_on(people: Any) -> None:
    """A box outside of the image, as of a detector that saw another one."""
    [before] = people.counts('crops', 'skipped.empty_crop')
    rows = people.ask(scene(WH, [LEFT]), [(700.0, 10.0, 760.0, 80.0), LEFT])
    assert_unknown(rows[0])
    assert_at(rows[1], LEFT)
    [after] = people.counts('crops', 'skipped.empty_crop')
    assert int(after) == int(before or 0) + 1


def test_only_empty_crops(people: Any) -> None:
    [row] = people.ask(EMPTY, [(700.0, 10.0, 760.0, 80.0)])
    assert_unknown(row)


def test_a_box_around_two_people_gives_no_skeleton_of_both(people: Any) -> None:
    near = (200.0, 110.0, 260.0, 210.0)
    [before] = people.counts('crops', 'skipped.several_people')
    rows = people.ask(scene(WH, [LEFT, near]), [LEFT, (98.0, 98.0, 262.0, 212.0), near], scores=[0.5, 0.9, 0.6])
    assert_unknown(rows[1])
    assert (rows[[0, 2], :, 2] > 0).all()
    [after] = people.counts('crops', 'skipped.several_people')
    assert int(after) == int(before or 0) + 1


def test_two_boxes_of_one_person_give_one_skeleton(people: Any) -> None:
    """The second box is looser, so NMS has left it; what it shows is the same person."""
    loose = (85.0, 85.0, 175.0, 215.0)
    [before] = people.counts('keypoints', 'skipped.same_person')
    rows = people.ask(scene(WH, [LEFT, RIGHT]), [LEFT, RIGHT, loose])
    assert_at(rows[1], RIGHT)
    known = [index for index in (0, 2) if rows[index, :, 2].any()]
    assert len(known) == 1
    assert_at(rows[known[0]], LEFT)
    assert_unknown(rows[2 - known[0]])
    [after] = people.counts('keypoints', 'skipped.same_person')
    assert int(after) == int(before or 0) + 1


def test_a_box_in_which_the_network_sees_nobody(people: Any) -> None:
    [before] = people.counts('keypoints', 'skipped.nobody_seen')
    rows = people.ask(scene(WH, [RIGHT]), [LEFT, RIGHT])
    assert_unknown(rows[0])
    assert_at(rows[1], RIGHT)
    [after] = people.counts('keypoints', 'skipped.nobody_seen')
    assert int(after) == int(before or 0) + 1


def test_detections_that_come_before_their_image(people: Any) -> None:
    image = image_message(scene(WH, [LEFT]))
    header = people.send(None, [LEFT], header=image.header)
    people.probe.send(image)
    assert_at(people.rows_of(header)[0], LEFT)


def test_a_detection_that_cannot_be_read_is_left_out_and_its_row_is_unknown(people: Any) -> None:
    rows = people.ask(scene(WH, [LEFT]), [(50.0, 50.0, 50.0, 80.0), LEFT])
    assert_unknown(rows[0])
    assert_at(rows[1], LEFT)
    assert people.counts('crops', 'skipped.bad_box') != ['']


def test_gray_images_and_other_encodings(people: Any) -> None:
    """What color_image reads is read here too."""
    picture = scene(WH, [LEFT])
    rgb = people.rows_of(people.send(image_message(picture[..., ::-1].copy(), encoding='rgb8'), [LEFT]))
    assert_at(rgb[0], LEFT)
    mono = people.rows_of(people.send(image_message(EMPTY[..., 0].copy(), encoding='mono8'), [LEFT]))
    assert_unknown(mono[0])


def test_an_image_of_another_size_than_before(people: Any) -> None:
    box = (30.0, 20.0, 70.0, 90.0)
    assert_at(people.ask(scene((160, 120), [box]), [box])[0], box)
    assert_at(people.ask(scene(WH, [LEFT]), [LEFT])[0], LEFT)


def test_the_one_class_of_a_detector_is_who_is_cropped(make_graph: Any, dots: Any) -> None:
    """A person detector whose file does not name its class calls it class_0."""
    with make_graph() as graph:
        running = People(graph, dots)
        infos = graph.probe.node.create_publisher(LabelInfo, 'label_info', LATCHED)
        graph.probe.send(LabelInfo(class_map=[VisionClass(class_id=0, class_name='class_0')]), infos)
        graph.probe.wait_until(lambda: graph.probe.value('crops', 'assumed.labels') == 'class_0')
        assert_at(running.ask(scene(WH, [LEFT]), [LEFT], labels=['class_0'])[0], LEFT)


def test_a_detector_without_people_is_a_problem_that_says_what_it_has(make_graph: Any, dots: Any) -> None:
    with make_graph() as graph:
        running = People(graph, dots)
        infos = graph.probe.node.create_publisher(LabelInfo, 'label_info', LATCHED)
        classes = [VisionClass(class_id=index, class_name=name) for index, name in enumerate(('cup', 'can'))]
        graph.probe.send(LabelInfo(class_map=classes), infos)
        graph.probe.wait_until(lambda: 'none of which is a class' in graph.probe.status('crops').message)
        assert 'it has cup, can: set labels' in graph.probe.status('crops').message
        assert_unknown(running.ask(scene(WH, [LEFT]), [LEFT], labels=['cup'])[0])


def test_other_classes_can_be_cropped(make_graph: Any, dots: Any) -> None:
    with make_graph() as graph:
        running = People(graph, dots, crops={'wait_s': 10.0, 'labels': ['dog']})
        rows = running.ask(scene(WH, [LEFT, RIGHT]), [LEFT, RIGHT], labels=['person', 'dog'])
        assert_unknown(rows[0])
        assert_at(rows[1], RIGHT)


def test_a_model_for_one_image_at_once_is_run_row_by_row_and_says_so(make_graph: Any, one_at_a_time: Any) -> None:
    with make_graph() as graph:
        running = People(graph, one_at_a_time)
        node, lines = graph.node('crops_inference'), []
        logger = node.get_logger()
        node.get_logger = lambda: SimpleNamespace(info=lines.append, warning=logger.warning, error=logger.error)
        running.ask(scene(WH, [LEFT]), [LEFT])
        assert lines == []
        for _ in range(2):
            rows = running.ask(scene(WH, [LEFT, RIGHT]), [LEFT, RIGHT])
            assert_at(rows[0], LEFT)
            assert_at(rows[1], RIGHT)
        assert running.counts('crops_inference', 'batch') == ['1 at once']
        [line] = lines
        assert 'model one: frames of several images are run in parts, as it takes 1 at once; export it with' in line


@pytest.mark.parametrize('binning', [1, 2])
def test_keypoints_of_a_part_of_a_rectified_image_are_in_its_pixels_and_say_its_camera(
    empty_graph: Any, dots: ModelCard, binning: int
) -> None:
    """CameraInfo is of the whole sensor, with its roi and binning; images, boxes and keypoints are of the part."""
    people = People(empty_graph, dots, crops={'wait_s': 10.0, 'image_rectified': 'true'})
    K = np.array([[900.0, 0, 800], [0, 910.0, 600], [0, 0, 1]])
    message = camera_info(Header(frame_id='lens'), CameraModel(1600, 1200, K, (-0.2, 0.0, 0.0, 0.0, 0.0)))
    P = np.array([[800.0, 0, 790, 0], [0, 800.0, 590, 0], [0, 0, 1, 0]])
    message.p = P.ravel().tolist()
    part = RegionOfInterest(x_offset=128, y_offset=64, width=640 * binning, height=480 * binning, do_rectify=True)
    message.roi, message.binning_x, message.binning_y = part, binning, binning
    people.probe.send(message, people.probe.node.create_publisher(CameraInfo, 'camera_info', RELIABLE))
    node = empty_graph.node('crops')
    people.probe.wait_until(lambda: node._camera.camera is not None, 'the node knows the camera')
    header = people.send(image_message(scene(WH, [LEFT])), [LEFT])
    assert_at(people.rows_of(header)[0], LEFT)
    [frame] = people._of(header)
    assert frame.auxiliary[SOURCE_SIZE].tolist() == list(WH)
    # where the whole sensor shows a keypoint, the same camera leads to it
    fx, fy, cx, cy = frame.auxiliary[RECTIFIED].tolist()
    x, y = dots_of(LEFT)[0] - 0.5
    full = (np.array((x, y)) + 0.5) * binning + (part.x_offset, part.y_offset) - 0.5
    np.testing.assert_allclose(((x - cx) / fx, (y - cy) / fy), (full - P[:2, 2]) / 800.0, atol=1e-9)


def test_raw_images_and_those_of_an_unknown_camera_carry_no_mark(empty_graph: Any, dots: ModelCard) -> None:
    people = People(empty_graph, dots)
    header = people.send(image_message(scene(WH, [LEFT])), [LEFT])
    people.rows_of(header)
    assert RECTIFIED not in people._of(header)[0].auxiliary
    K = np.array([[500.0, 0, 320], [0, 500.0, 240], [0, 0, 1]])
    message = camera_info(Header(frame_id='lens'), CameraModel(*WH, K, (-0.2, 0.0, 0.0, 0.0, 0.0)))
    people.probe.send(message, people.probe.node.create_publisher(CameraInfo, 'camera_info', RELIABLE))
    node = empty_graph.node('crops')
    people.probe.wait_until(lambda: node._camera.camera is not None, 'the node knows the camera')
    header = people.send(image_message(scene(WH, [LEFT])), [LEFT])
    people.rows_of(header)
    assert RECTIFIED not in people._of(header)[0].auxiliary


def test_a_camera_without_a_calibration_is_no_fault_of_the_crops(empty_graph: Any, dots: ModelCard) -> None:
    """They need none: who does names it."""
    people = People(empty_graph, dots)
    infos = people.probe.node.create_publisher(CameraInfo, 'camera_info', RELIABLE)
    people.probe.send(CameraInfo(width=WH[0], height=WH[1]), infos)
    people.probe.wait_until(lambda: people.counts('skeletons', 'dropped.no_intrinsics') == ['1'], 'it has come')
    assert_at(people.ask(scene(WH, [LEFT]), [LEFT])[0], LEFT)
    assert people.counts('crops', 'dropped.no_intrinsics', 'dropped') == ['', '0']
