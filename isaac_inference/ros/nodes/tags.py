# SPDX-License-Identifier: Apache-2.0
"""TagsNode: images to Detection2DArray and keypoints, of the objects whose printed tags are seen."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo, VisionClass

from isaac_inference.errors import ConfigError
from isaac_inference.models import ObjectsCard, read_objects
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ops.tags.detector import TagSettings
from isaac_inference.ros.messages.detections import detection_array
from isaac_inference.ros.messages.image import ImageFrame, color_image
from isaac_inference.ros.messages.tensors import KEYPOINTS_TOPIC, SOURCE_SIZE, TENSORS, TensorFrame
from isaac_inference.ros.nodes.shared.image_input import ImageInput, ImageParameters
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.node import PipelineNode, StageClock
from isaac_inference.ros.runtime.parameters.node_parameters import NodeParameters
from isaac_inference.ros.runtime.parameters.schema import group, param
from isaac_inference.ros.runtime.topics.qos import LATCHED, RESULTS, QosParameters
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.stages.tags.finder import TagFinder, TaggedObjects

_SETTINGS = TagSettings()
_SAID = {
    'tag_small': 'tags whose sides are shorter than min_side_px; come closer, or take a larger image',
    'tag_edges': 'tags with an edge that cannot be measured; each needs white paper around it, and more contrast than '
    'min_contrast',
    'tag_twice': 'tags that are seen twice though their object has one of them; print other ids for another object',
}
_SHOWN = 8


@dataclass(frozen=True)
class TagsParameters(ImageParameters, NodeParameters):
    """Parameters of the tags node."""

    model_card: str = param('', 'Path of the YAML card with the objects and their tags; the only required parameter.')
    min_side_px: float = param(
        _SETTINGS.min_side_px, 'Tags with shorter sides are left out.', unit='px', minimum=4.0, maximum=10000.0
    )
    min_contrast: float = param(
        _SETTINGS.min_contrast,
        'Grey levels between the border of a tag and the paper around it, at least.',
        minimum=1.0,
        maximum=255.0,
    )
    correct_bits: float = param(
        _SETTINGS.correct_bits,
        'Share of the wrong bits that a family can correct which are corrected: more finds more tags in bad light, and '
        'more that are none.',
        minimum=0.0,
        maximum=1.0,
    )
    publish_empty: bool = param(True, 'Publish an empty array for a frame without tags.', live=True)
    image_qos: QosParameters = group(QosParameters(), 'Subscription to the images.')
    detections_qos: QosParameters = group(RESULTS, 'Publishers of the detections and keypoints.')


class TagsNode(PipelineNode):
    """`image` (Image, or CompressedImage) to `detections` (Detection2DArray), `keypoints` (TensorList) and, latched,
    `label_info` (LabelInfo): what DetectionNode publishes of a model with keypoints.

    A detection is an object of the card; its keypoints are the corners of the object's tags in the card's order, (N, K,
    3) float32 with x and y in px (0 is the image's edge) and confidence 1, or 0 for those that are not seen. K is 4
    times the tags of the object that has most.
    """

    Parameters = TagsParameters
    stage = 'tags'

    def __init__(self, node_name: str = 'tags', **kwargs: object) -> None:
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        chosen: TagsParameters = self.parameters
        card = read_objects('', chosen.model_card)
        if not isinstance(card, ObjectsCard):
            raise ConfigError(
                'parameter model_card: got nothing, expected the path of a YAML card with tags; launch with '
                'tags:=/path/to/card.yaml or set it in the parameter file'
            )
        self._card, self.model = card, card.name
        self._finder = TagFinder(card, TagSettings(chosen.min_side_px, chosen.min_contrast, chosen.correct_bits))
        self._finder(np.zeros((480, 640), np.uint8))  # OpenCV's first call takes tens of ms: not on a frame
        for note in card.notes:
            self.get_logger().warning(note)
        self._labels = self.advertise(plain(LabelInfo), 'label_info', LATCHED)
        self._detections = self.advertise(plain(Detection2DArray), 'detections', chosen.detections_qos)
        self._keypoints = self.advertise(TENSORS, KEYPOINTS_TOPIC, chosen.detections_qos)
        self._images = ImageInput(self, 'image', chosen)
        self._images.subscribe(chosen.image_qos, self._on_image)

    def on_start(self) -> None:
        stamp = self.get_clock().now().to_msg()
        classes = [VisionClass(class_id=index, class_name=name) for index, name in enumerate(self._card.labels)]
        self._labels.publish(LabelInfo(header=Header(stamp=stamp), class_map=classes, threshold=1.0))
        self.health.show('unknown_tags', None)

    def _on_image(self, item: ImageFrame | CompressedImage, clock: StageClock) -> None:
        frame = self._images.read(item)
        image, order = color_image(frame, ColorOrder.BGR)
        gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY if order is ColorOrder.BGR else cv2.COLOR_RGB2GRAY)
        seen = self._finder(gray)
        self._count(seen)
        if len(seen.found) or self.parameters.publish_empty:
            height, width = gray.shape
            size = {SOURCE_SIZE: np.array((width, height), np.int32)}
            rows = {KEYPOINTS_TOPIC: seen.found.keypoints}
            self._keypoints.publish(TensorFrame(frame.header, rows, size, (clock.finish(),), self._card.id))
            self._detections.publish(detection_array(frame.header, seen.found, self._card.labels))
        self.report_timings(frame.header, (clock.finish(),))

    def _count(self, seen: TaggedObjects) -> None:
        """What of the frame is of no use."""
        for reason, count in seen.left_out.items():
            for _ in range(count):
                self.health.skipped(reason, _SAID[reason])
        names = [f'{family} {number}' for family, number in seen.unknown]
        if names:  # such as another board's, or what looks like a tag: no fault, but good to know
            shown = ', '.join(names[:_SHOWN]) + (', ...' if len(names) > _SHOWN else '')
            self.health.show('unknown_tags', shown)
        if len(seen.found):
            self.health.kept(len(seen.found))


main = node_main(TagsNode)
