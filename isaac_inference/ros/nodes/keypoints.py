# SPDX-License-Identifier: Apache-2.0
"""KeypointsNode: what a top-down model makes of people, to keypoints in source pixels, and alone to detections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo, VisionClass

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.models import Task
from isaac_inference.models.card.tasks import TopDownKeypointsSpec
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.keypoints.similarity import ALIKE
from isaac_inference.ros.messages.crops import CropRows, is_of_crops, read_crop_rows
from isaac_inference.ros.messages.detections import detection_array
from isaac_inference.ros.messages.tensors import KEYPOINTS_TOPIC, RECTIFIED, SOURCE_SIZE, TENSORS, TensorFrame
from isaac_inference.ros.nodes.shared.model_node import ModelNode, ModelParameters
from isaac_inference.ros.nodes.shared.source_letterbox import SourceLetterbox
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.node import StageClock
from isaac_inference.ros.runtime.parameters.schema import group, param
from isaac_inference.ros.runtime.topics.qos import LATCHED, RESULTS, QosParameters
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.stages.keypoints.belonging import left_out
from isaac_inference.stages.keypoints.decoder import TopDownDecoder
from isaac_inference.stages.keypoints.people import PERSON
from isaac_inference.stages.keypoints.placing import PersonSettings, beyond_the_image, in_source, person_of

# Of frames that wait: a frame without people, which costs the network nothing, comes right behind one that has cost it
# its whole time, and must not displace that.
_DEPTH = 4
_LEFT_OUT = {
    'nobody_seen': 'the network sees nobody in its crop',
    'outside_box': 'most of the keypoints found in its crop lie outside of its box, so they are of somebody else',
    'same_person': 'the keypoints found in its crop are those of another one, whose box they fill better',
}


@dataclass(frozen=True)
class KeypointsParameters(ModelParameters):
    """Parameters of the keypoints node."""

    min_confidence: float = param(
        0.3, 'Confidence from which on a keypoint is sure: it counts for a person.', minimum=0.0, maximum=1.0, live=True
    )
    min_keypoints: int = param(
        4,
        'Fewest sure keypoints of a person, where there is no detector; all of them, where a model has fewer.',
        minimum=1,
        maximum=1000,
        live=True,
    )
    score_threshold: float = param(
        0.25,
        'Minimum score of a person, the mean confidence of the sure keypoints, where there is no detector.',
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    same_person: float = param(
        ALIKE,
        "Similarity (OKS) from which on the keypoints of two boxes are one person's: those of less confidence are left "
        'out. Above 1 leaves out none.',
        minimum=0.0,
        maximum=2.0,
        live=True,
    )
    publish_detections: bool = param(
        True, 'Publish `detections` of whole images, the one person that an image shows; false behind a detector.'
    )
    label: str = param(
        '', "Class of the detection of a whole image; empty: the one that the model's card names, else person."
    )
    source_size: tuple[int, ...] = param(
        (0, 0),
        'Image width and height, for tensors from a preprocessor that sends no letterbox; 0, 0 drops such frames.',
        unit='px',
        minimum=0,
    )
    tensor_qos: QosParameters = group(QosParameters(), 'Subscription to the tensors.')
    detections_qos: QosParameters = group(RESULTS, 'Publishers of the keypoints and detections.')


class KeypointsNode(ModelNode):
    """`output_tensors` (TensorList) of a top-down model to `keypoints` (TensorList), as DetectionNode publishes them.

    They are one tensor `keypoints`, (N, K, 3) float32, of x and y in source pixels (0 is the image's edge) and
    confidence; row i belongs to detection i of the same stamp.

    Behind CropsNode there is one row for each detection. The row of one that was not cropped, or whose crop shows the
    network nobody or somebody else (`stages.keypoints.belonging`), is unknown: NaN, with confidence 0.

    Of whole images, without a detector, also `detections` (Detection2DArray), after the keypoints, and latched
    `label_info` (LabelInfo): the one person whom the image shows, whose box is the extent of the sure keypoints and
    whose score is their mean confidence; none where nobody is there.

    A keypoint outside of the image was not seen: its confidence is 0.
    """

    Parameters = KeypointsParameters
    stage = 'keypoints'

    def __init__(self, node_name: str = 'keypoints', **kwargs: object) -> None:
        self._decoder: TopDownDecoder | None = None
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        super().on_setup()
        chosen: KeypointsParameters = self.parameters
        spec = self.card.spec
        if not isinstance(spec, TopDownKeypointsSpec):
            raise ConfigError(
                f'parameter model: {self.card.path} is for {self.card.task.value} '
                f'({self.card.sources.get("task", "its card")}), expected a model for {Task.TOP_DOWN_KEYPOINTS.value}'
            )
        self._count = spec.keypoints.count
        self._label = chosen.label or (self.card.labels[0] if len(self.card.labels) == 1 else PERSON)
        self._decoder = TopDownDecoder(self.card)
        self._letterboxes = SourceLetterbox(self.card, chosen.source_size)
        self._keypoints = self.advertise(TENSORS, KEYPOINTS_TOPIC, chosen.detections_qos)
        self._detections = self._labels = None
        if chosen.publish_detections:
            self._labels = self.advertise(plain(LabelInfo), 'label_info', LATCHED)
            self._detections = self.advertise(plain(Detection2DArray), 'detections', chosen.detections_qos)
        self.subscribe(TENSORS, 'output_tensors', chosen.tensor_qos, self._on_tensors, depth=_DEPTH)

    def on_start(self) -> None:
        if self._labels is not None:
            self._labels.publish(
                LabelInfo(
                    header=Header(stamp=self.get_clock().now().to_msg()),
                    class_map=[VisionClass(class_id=0, class_name=self._label)],
                    threshold=self.parameters.score_threshold,
                )
            )

    def on_teardown(self) -> None:
        self._decoder = None

    def _on_tensors(self, frame: TensorFrame, clock: StageClock) -> None:
        decoder = self._decoder
        if decoder is None:
            raise FrameError('not_configured', 'a frame arrived while the node was being cleaned up')
        frame.check_card(self.card.id)
        if is_of_crops(frame.auxiliary):
            found = read_crop_rows(frame.auxiliary)
            points = self._decoded(decoder, frame.tensors, len(found.rows))
            self._publish(frame, self._rows(points, found), found.source_wh, clock)
        else:
            letterbox = self._letterboxes.of(frame.auxiliary)
            points = in_source(self._decoded(decoder, frame.tensors, 1), [letterbox])
            self._publish_person(frame, points, letterbox.source_wh, clock)
        self.report_timings(frame.header, (*frame.timings, clock.finish()))

    def _decoded(self, decoder: TopDownDecoder, outputs: Mapping[str, np.ndarray], count: int) -> np.ndarray:
        """(count, K, 3) in px of the network's input."""
        if not count:
            return np.empty((0, self._count, 3), np.float32)
        points = decoder.decode(outputs)
        if points.shape != (count, self._count, 3):
            raise FrameError(
                'bad_tensor',
                f'keypoints: the outputs give {list(points.shape)}, expected {[count, self._count, 3]}: a row for each '
                'image that was fed; look at the node that runs the model',
            )
        return points

    def _rows(self, points: np.ndarray, found: CropRows) -> np.ndarray:
        """(detections, K, 3) float32 in source px, NaN with confidence 0 where nothing is known."""
        rows: np.ndarray = np.full((found.detections, self._count, 3), np.nan, np.float32)
        rows[..., 2] = 0.0
        if not found.rows or found.source_wh is None:
            return rows
        chosen = self.parameters
        points = in_source(points, found.letterboxes)
        wrong = left_out(points, found.boxes, chosen.min_confidence, chosen.same_person)
        beyond = beyond_the_image(points, found.source_wh)
        for place, row in enumerate(found.rows):
            if place in wrong:
                reason, other = wrong[place]
                repeated = f' (it is detection {found.rows[other]})' if other >= 0 else ''
                self.health.skipped(reason, f'detection {row}: {_LEFT_OUT[reason]}{repeated}')
                continue
            rows[row] = points[place]
            if beyond[place]:
                self._note_cut(f'detection {row}', int(beyond[place]))
        self.health.kept(len(found.rows) - len(wrong))
        return rows

    def _publish_person(
        self, frame: TensorFrame, points: np.ndarray, source_wh: tuple[int, int], clock: StageClock
    ) -> None:
        detections = self._detections
        if detections is None:
            raise FrameError(
                'no_crops',
                'a frame of a whole image came, not of crops, and publish_detections is false: remap output_tensors to '
                'what is made of the crops, or set publish_detections to true',
            )
        chosen = self.parameters
        fewest = min(chosen.min_keypoints, self._count)
        settings = PersonSettings(chosen.min_confidence, fewest, chosen.score_threshold)
        person = person_of(points[0], settings)
        seen = Detections.empty()
        if person is not None:
            beyond = int(beyond_the_image(points, source_wh)[0])
            if beyond:
                self._note_cut(self._label, beyond)
            boxes, scores = np.array([person.box], np.float32), np.array([person.score], np.float32)
            seen = Detections(boxes, scores, np.zeros(1, np.int32))
        self._publish(frame, points[: len(seen)], source_wh, clock)
        detections.publish(detection_array(frame.header, seen, [self._label]))

    def _note_cut(self, who: str, count: int) -> None:
        text = f'{who}: {count} of {self._count} keypoints lie outside of the image, where nothing was seen'
        self.health.noted('cut_at_border', text, say_once=True)  # whoever walks past a camera is, twice

    def _publish(
        self, frame: TensorFrame, rows: np.ndarray, source_wh: tuple[int, int] | None, clock: StageClock
    ) -> None:
        beside = {} if source_wh is None else {SOURCE_SIZE: np.array(source_wh, np.int32)}
        if RECTIFIED in frame.auxiliary:
            beside[RECTIFIED] = frame.auxiliary[RECTIFIED]
        timings = (*frame.timings, clock.finish())
        self._keypoints.publish(TensorFrame(frame.header, {KEYPOINTS_TOPIC: rows}, beside, timings, self.card.id))


main = node_main(KeypointsNode)
