# SPDX-License-Identifier: Apache-2.0
"""Images and depth of people to `detections`, `keypoints` and `keypoints_3d`."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo, PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.tasks.keypoints import KeypointTask, PeopleAnswer, PeopleSample
from isaac_inference.models import ModelCard
from isaac_inference.ros.bringup.clients.feeder import FeedTopics
from isaac_inference.ros.bringup.evaluation.tasks.base import TaskGraph, TaskOptions, node
from isaac_inference.ros.bringup.graph import NodeSpec, found_by, perception_graph
from isaac_inference.ros.messages.camera_info import camera_info
from isaac_inference.ros.messages.detections import read_detections, read_keypoints
from isaac_inference.ros.messages.image import IMAGE, image_frame_from_array
from isaac_inference.ros.messages.people.joints import KEYPOINTS_3D, read_joints
from isaac_inference.ros.messages.tensors import KEYPOINTS_TOPIC, SOURCE_SIZE, TENSORS, TensorFrame
from isaac_inference.ros.nodes.sim_camera.people_truth import people_2d
from isaac_inference.ros.runtime.topics.type_adapter import TypeAdapter, plain
from isaac_inference.sim import default_camera
from isaac_inference.sim.people import KEYPOINTS, observed_keypoints

_DETECTIONS, _INFO, _DEPTH_INFO, _DEPTH = 'detections', 'camera_info', 'depth/camera_info', 'depth/image'
_CAMERA: dict[str, TypeAdapter[Any]] = {_INFO: plain(CameraInfo), _DEPTH_INFO: plain(CameraInfo), _DEPTH: IMAGE}
_FOUND: dict[str, TypeAdapter[Any]] = {_DETECTIONS: plain(Detection2DArray), KEYPOINTS_TOPIC: TENSORS}
_JOINTS: dict[str, TypeAdapter[Any]] = {KEYPOINTS_3D: plain(PointCloud2)}
_TIMINGS = ('skeletons/timings',)


def keypoint_graph(options: TaskOptions) -> TaskGraph[PeopleSample, PeopleAnswer]:
    """By a model's keypoints, or without a model by the true ones with a network's noise.

    Raises:
        ConfigError: the model finds no keypoints of people.
    """
    return ObservedKeypointGraph(options) if options.card is None else ModelKeypointGraph(options, options.card)


class ModelKeypointGraph(TaskGraph[PeopleSample, PeopleAnswer]):
    """The graph of a model, or of a person detector and the top-down model behind it; it has the skeletons node.

    Of a skeleton with more points the 17 of COCO are measured.

    Raises:
        ConfigError: the model finds no keypoints of people.
    """

    topics = FeedTopics({**_CAMERA, 'image': IMAGE}, {**_JOINTS, **_FOUND}, _TIMINGS)

    def __init__(self, options: TaskOptions, card: ModelCard) -> None:
        whose = options.behind or card
        skeleton = getattr(getattr(whose.spec, 'keypoints', None), 'skeleton', None)
        names = list(skeleton.names) if skeleton is not None else []
        missing = [name for name in KEYPOINTS if name not in names]
        if missing:
            without = f'; its skeleton has no {", ".join(missing)}' if names else ''
            raise ConfigError(
                f'--task keypoints: {whose.path} is for {whose.task.value}, of which nothing says that it finds the 17 '
                f'keypoints of COCO{without}; expected a model of people with "keypoints: {{skeleton: coco17}}" in its '
                'card, a person detector and such a model behind it (--models), or no model at all, to measure joints '
                'in space alone'
            )
        self._columns = [names.index(name) for name in KEYPOINTS]
        self._options, self._card = options, card

    def task(self) -> KeypointTask:
        return KeypointTask(self._options.min_visibility)

    def nodes(self) -> tuple[NodeSpec, ...]:
        model, model_card = self._options.model, self._options.model_card
        finds, crops = found_by(self._card), self._options.crops
        return perception_graph(model=model, model_card=model_card, annotate=False, crops=crops, finds=finds)

    def messages(self, sample: PeopleSample, header: Header) -> Mapping[str, Any]:
        return {**_camera(sample, header), 'image': image_frame_from_array(sample.frame.color, 'bgr8', header)}

    def read(self, messages: Mapping[str, Any], sample: PeopleSample) -> PeopleAnswer:
        message = messages[_DETECTIONS]
        rows = read_keypoints(message, messages[KEYPOINTS_TOPIC])
        seen = read_detections(message.detections, None)
        if self._options.crops is not None:  # the detector may find other things, and people whose keypoints are none
            seen = [item for item in seen if rows[item.index, :, 2].any()]
        index = [item.index for item in seen]
        boxes = np.array([item.box for item in seen], float).reshape(-1, 4)
        joints = read_joints(messages[KEYPOINTS_3D]).positions[index]
        return PeopleAnswer(boxes, rows[index][:, self._columns], joints[:, self._columns])


class ObservedKeypointGraph(TaskGraph[PeopleSample, PeopleAnswer]):
    """The skeletons node alone: what it is shown are the true boxes, and keypoints as a network might see them."""

    topics = FeedTopics({**_CAMERA, **_FOUND}, _JOINTS, _TIMINGS)

    def __init__(self, options: TaskOptions) -> None:
        self._options = options
        self._folder = tempfile.TemporaryDirectory()
        self._card = Path(self._folder.name) / 'people.yaml'
        self._card.write_text('keypoints: {skeleton: coco17}\n', encoding='utf-8')

    def task(self) -> KeypointTask:
        return KeypointTask(self._options.min_visibility)

    def nodes(self) -> tuple[NodeSpec, ...]:
        return (node('skeletons', model_card=str(self._card), use_depth='true'),)

    def messages(self, sample: PeopleSample, header: Header) -> Mapping[str, Any]:
        height, width = sample.frame.instances.shape
        size = {SOURCE_SIZE: np.array((width, height), np.int32)}
        return {
            **_camera(sample, header),
            KEYPOINTS_TOPIC: TensorFrame(header, {KEYPOINTS_TOPIC: _observed(sample)}, size),
            _DETECTIONS: people_2d(header, sample.frame.truths),
        }

    def read(self, messages: Mapping[str, Any], sample: PeopleSample) -> PeopleAnswer:
        return PeopleAnswer(sample.boxes, _observed(sample), read_joints(messages[KEYPOINTS_3D]).positions)


def _observed(sample: PeopleSample) -> np.ndarray:
    """(N, 17, 3) float32, the same whenever it is asked for."""
    return observed_keypoints(sample.frame.truths, np.random.default_rng([23, *sample.seed]))


def _camera(sample: PeopleSample, header: Header) -> dict[str, Any]:
    info = camera_info(header, default_camera())
    depth = image_frame_from_array(sample.frame.depth, '32FC1', header)
    return {_INFO: info, _DEPTH_INFO: info, _DEPTH: depth}
