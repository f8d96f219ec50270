# SPDX-License-Identifier: Apache-2.0
"""CropsNode: the people that a detector found in an image, as one batch of crops for a top-down keypoint model."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.models import Task
from isaac_inference.ops.geometry.calibration import ImageRectified
from isaac_inference.ros.messages.camera_info import CameraFeed
from isaac_inference.ros.messages.class_mask import LABEL_INFO, labels_of
from isaac_inference.ros.messages.crops import CropRows
from isaac_inference.ros.messages.detections import SeenBox, read_detections
from isaac_inference.ros.messages.image import ImageFrame, color_image
from isaac_inference.ros.messages.tensors import RECTIFIED, TENSORS, TensorFrame
from isaac_inference.ros.nodes.shared.image_input import ImageInput, ImageParameters
from isaac_inference.ros.nodes.shared.model_node import ModelNode, ModelParameters
from isaac_inference.ros.nodes.shared.released import work_off
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.node import StageClock
from isaac_inference.ros.runtime.parameters.schema import group, param
from isaac_inference.ros.runtime.topics.pairing import Paired, Secondary, StampPairing
from isaac_inference.ros.runtime.topics.qos import LATCHED, RESULTS, QosParameters
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.stages.keypoints.crops import Cropper
from isaac_inference.stages.keypoints.people import MAX_PEOPLE, PERSON, choose_people


@dataclass(frozen=True)
class CropsParameters(ImageParameters, ModelParameters):
    """Parameters of the crops node; `model` is the top-down one, not the detector."""

    labels: tuple[str, ...] = param(
        (PERSON,),
        'Classes of the detections that are cropped. Where the detector has one class only, and it is none of these, '
        'that one is taken, and said.',
    )
    box_scale: float = param(
        1.25,
        "Factor on a box's sides before it is cropped: what is around it helps the network. It is that of training.",
        minimum=0.5,
        maximum=4.0,
    )
    max_people: int = param(
        8, 'Most people that are cropped in a frame, those with the highest scores.', minimum=1, maximum=1000, live=True
    )
    buffer_size: int = param(
        16, 'Images kept while their detections are being made.', unit='images', minimum=1, maximum=1000
    )
    wait_s: float = param(
        0.3, 'How long detections wait for an image that comes after them.', unit='s', minimum=0.0, maximum=10.0
    )
    image_rectified: ImageRectified = param(
        ImageRectified.AUTO,
        "Whether the image follows CameraInfo's P (true) or K and D (false); auto goes by names. Keypoints of a "
        'rectified image say so.',
    )
    image_qos: QosParameters = group(QosParameters(), 'Subscriptions to the images and their camera_info.')
    detections_qos: QosParameters = group(RESULTS, 'Subscription to the detections.')
    tensor_qos: QosParameters = group(QosParameters(), 'Publisher of the crops.')


class CropsNode(ModelNode):
    """`image` (Image or CompressedImage) and `detections` (Detection2DArray), paired by stamp, to `~/input_tensors`
    (TensorList): one row for each person, the highest score first.

    The box of a person is enlarged, widened or heightened to the aspect ratio of the model's input, and padded where it
    reaches beyond the image. What leads each row back travels with the tensors. A frame in which there is nobody gives
    a batch without rows, so that nobody who waits for its keypoints waits in vain.

    Which detections are people say `labels`, and the detector's `label_info` where it has no such class. Those that
    cannot be cropped are counted under the reasons of `stages.keypoints.people`.

    `detections` are the primary input: each of their messages asks for crops. One whose image is not there, since it is
    of another stamp, came too late or not at all, is dropped as `image_missing`.

    With the `camera_info` (CameraInfo) of a rectified image the frames are marked as its (`RECTIFIED`), as a detector's
    are, so that who brings the keypoints into space takes the same camera.
    """

    Parameters = CropsParameters
    stage = 'crops'

    def __init__(self, node_name: str = 'crops', **kwargs: object) -> None:
        self._pairing = StampPairing('detections', {})
        self._camera = CameraFeed()
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        super().on_setup()
        chosen: CropsParameters = self.parameters
        if self.card.task is not Task.TOP_DOWN_KEYPOINTS:
            raise ConfigError(
                f'parameter model: {self.card.path} is for {self.card.task.value} '
                f'({self.card.sources.get("task", "its card")}), expected a model for {Task.TOP_DOWN_KEYPOINTS.value}, '
                'which is shown one person at a time'
            )
        self._cropper = Cropper(self.card, chosen.box_scale)
        self._labels = frozenset(chosen.labels)
        # OpenCV's first call takes tens of ms: not on a frame
        self._cropper(np.zeros((480, 640, 3), np.uint8), self._cropper.wanted, [(10.0, 10.0, 100.0, 200.0)])
        self._tensors = self.advertise(TENSORS, '~/input_tensors', chosen.tensor_qos)
        image = Secondary(tolerance_s=0.0, wait_s=chosen.wait_s, depth=chosen.buffer_size)
        topics = {name: self.resolve_topic_name(name) for name in ('image', 'detections')}
        self._pairing = StampPairing('detections', {'image': image}, topics=topics)
        self._images = ImageInput(self, 'image', chosen)
        # what is amiss with the images says the node that detects in them, of which this is no second one
        self._images.subscribe(
            chosen.image_qos, self._on_image, primary=False, depth=chosen.buffer_size, wanted=lambda: True
        )
        self._open_camera()
        self.subscribe(plain(CameraInfo), 'camera_info', chosen.image_qos, self._on_camera_info, primary=False)
        self.subscribe(plain(LabelInfo), LABEL_INFO, LATCHED, self._on_label_info, primary=False)
        self.subscribe(plain(Detection2DArray), 'detections', chosen.detections_qos, self._on_detections, primary=True)
        self.every(max(chosen.wait_s / 3, 0.02), self._on_tick, inline=lambda: not self._pairing.is_waiting)

    def on_stop(self) -> None:
        self._pairing.clear()
        self._labels = frozenset(self.parameters.labels)
        self._open_camera()

    def _open_camera(self) -> None:
        """Know no camera yet."""
        names = [self.resolve_topic_name(name) for name in ('image', 'camera_info')]
        self._camera = CameraFeed(self.parameters.image_rectified, names)

    def _on_camera_info(self, message: CameraInfo, clock: StageClock) -> None:
        with contextlib.suppress(FrameError):  # who needs the camera names what is wrong with it
            self._camera.put(message)

    def _on_image(self, item: ImageFrame | CompressedImage, clock: StageClock) -> None:
        # decoded when it is cropped: most of a camera's may never be
        self._release(self._pairing.put('image', stamp_ns(item.header), item))

    def _on_label_info(self, message: LabelInfo, clock: StageClock) -> None:
        """Which of the detector's classes are people."""
        names, wanted = tuple(labels_of(message).values()), self.parameters.labels
        self._labels, assumed, problem = frozenset(wanted), None, None
        if wanted and not self._labels.intersection(names):
            listed = ', '.join(wanted)
            if len(names) == 1:
                self._labels, assumed = frozenset(names), names[0]
                self.get_logger().info(
                    f'assumed: the one class of the detector, {names[0]}, is who is cropped, as it has no {listed}; '
                    f"name it {PERSON} in the detector's card, or set labels, if it is not so"
                )
            else:
                problem = (
                    f'labels: got [{listed}], none of which is a class of the detector, so that nobody is cropped; it '
                    f'has {", ".join(names) or "none"}: set labels'
                )
        self.health.show('assumed.labels', assumed)
        self.health.standing('labels', problem)

    def _on_detections(self, message: Detection2DArray, clock: StageClock) -> None:
        released = self._pairing.put('detections', stamp_ns(message.header), (message, clock))
        clock.defer()
        self._release(released)

    def _on_tick(self) -> None:
        self._release(self._pairing.expire())
        self.health.standing('unpaired', self._pairing.explain())

    def _release(self, released: Sequence[Paired]) -> None:
        work_off(self, self._pairing, released, self._crop)

    def _crop(self, message: Detection2DArray, pair: Paired, clock: StageClock) -> None:
        item: ImageFrame | CompressedImage | None = pair.matches['image']
        seen = read_detections(message.detections, self.health.skipped)
        people = [box for box in seen if not self._labels or box.label in self._labels]
        if not people:
            self._publish(message.header, self._cropper.nothing(), CropRows(len(message.detections)), clock)
        elif item is None:
            raise FrameError(
                'image_missing',
                f'{len(people)} people were found in an image that is not there: none of this stamp came, or it was '
                'kept no longer; is `image` the topic that the detections are made from, and are buffer_size '
                f'({self.parameters.buffer_size}) and wait_s ({self.parameters.wait_s:g}) enough?',
            )
        else:
            self._crop_people(message, people, item, clock)

    def _crop_people(
        self, message: Detection2DArray, people: list[SeenBox], item: ImageFrame | CompressedImage, clock: StageClock
    ) -> None:
        image, order = color_image(self._images.read(item), self._cropper.wanted)
        source_wh = (image.shape[1], image.shape[0])
        boxes = np.array([one.box for one in people])
        scores = np.array([one.score for one in people])
        chosen = choose_people(boxes, scores, source_wh, self.parameters.max_people)
        for reason, text in chosen.left_out:
            self.health.skipped(reason, text, say_once=reason == MAX_PEOPLE)  # a crowd is no fault
        for reason, text in chosen.noted:
            self.health.noted(reason, text, say_once=True)
        self.health.kept(len(chosen.rows))
        rows = list(chosen.rows)
        if rows:
            tensors, letterboxes = self._cropper(image, order, boxes[rows])
        else:
            tensors, letterboxes = self._cropper.nothing(), []
        found = CropRows(
            len(message.detections),
            tuple(people[row].index for row in rows),
            boxes[rows],
            tuple(letterboxes),
            source_wh,
        )
        self._publish(message.header, tensors, found, clock)

    def _publish(self, header: Header, tensors: dict[str, np.ndarray], found: CropRows, clock: StageClock) -> None:
        timings = (clock.finish(),)
        auxiliary = {**found.auxiliary(), **self._rectified(found.source_wh)}
        self._tensors.publish(TensorFrame(header, tensors, auxiliary, timings, self.card.id))
        self.report_timings(header, timings)

    def _rectified(self, image_wh: tuple[int, int] | None) -> dict[str, np.ndarray]:
        """The mark of a rectified image; none where that is not known, or CameraInfo is of another size's images."""
        if image_wh is not None:
            with contextlib.suppress(FrameError):
                self._camera.fit(*image_wh)
        camera, flat = self._camera.camera, self._camera.flat
        if camera is None or flat is None or image_wh not in (None, (camera.width, camera.height)):
            return {}
        return {RECTIFIED: flat}


main = node_main(CropsNode)
