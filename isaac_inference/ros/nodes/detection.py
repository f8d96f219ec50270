# SPDX-License-Identifier: Apache-2.0
"""DetectionNode: a model's outputs to Detection2DArray and, for models that have them, keypoints and masks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo, VisionClass

from isaac_inference.errors import EngineError, FrameError
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ros.messages.detections import detection_array
from isaac_inference.ros.messages.image import IMAGE
from isaac_inference.ros.messages.masks import INSTANCE_MASK, instance_frame
from isaac_inference.ros.messages.tensors import (
    KEYPOINTS_TOPIC,
    PICTURE_MARK,
    RECTIFIED,
    SOURCE_SIZE,
    TENSORS,
    TensorFrame,
    is_on_device,
)
from isaac_inference.ros.nodes.shared.gpu_choice import Device, stage_on_gpu
from isaac_inference.ros.nodes.shared.model_node import ModelNode, ModelParameters
from isaac_inference.ros.nodes.shared.source_letterbox import SourceLetterbox
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.node import StageClock
from isaac_inference.ros.runtime.parameters.schema import group, param
from isaac_inference.ros.runtime.topics.qos import LATCHED, RESULTS, QosParameters
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.stages.detection.frame_watch import FrameWatch
from isaac_inference.stages.detection.postprocess import DetectionSettings, Postprocessor, detection_settings

if TYPE_CHECKING:
    from isaac_inference.cuda.device import Gpu
    from isaac_inference.stages.detection.postprocess_gpu import GpuPostprocessor


@dataclass(frozen=True)
class DetectionParameters(ModelParameters):
    """Parameters of the detection node."""

    score_threshold: float = param(0.25, 'Minimum score of a detection.', minimum=0.0, maximum=1.0, live=True)
    class_thresholds: tuple[str, ...] = param((), 'Exceptions to score_threshold, each "class name: score".', live=True)
    classes: tuple[str, ...] = param((), 'Names of the classes to keep; empty keeps all.', live=True)
    iou_threshold: float = param(
        0.45, 'NMS drops a box that overlaps a better one by more than this IoU.', minimum=0.0, maximum=1.0, live=True
    )
    class_agnostic_nms: bool = param(False, 'NMS compares boxes across classes.', live=True)
    nms_top_k: int = param(1000, 'Candidates that enter NMS, best first.', minimum=1, maximum=30000, live=True)
    max_detections: int = param(
        100, 'Maximum number of detections per frame, best first.', minimum=1, maximum=10000, live=True
    )
    publish_empty: bool = param(True, 'Publish an empty array for a frame without detections.', live=True)
    quiet_frames: int = param(
        100,
        'After so many frames in a row in which no score came near the lowest threshold, or in which different '
        'pictures gave exactly the same, diagnostics warn; 0 never warns. Scores are watched where the decoder tells '
        'the best one: not efficient_nms.',
        unit='frames',
        minimum=0,
        maximum=100000,
        live=True,
    )
    device: Device = param(
        Device.AUTO, 'Where tensors that lie on a GPU are decoded; "auto" and "cuda" do it there, "cpu" downloads them.'
    )
    gpu: int = param(0, 'Index of the GPU.', minimum=0)
    source_size: tuple[int, ...] = param(
        (0, 0),
        'Image width and height, for tensors from a preprocessor that sends no letterbox; 0, 0 drops such frames.',
        unit='px',
        minimum=0,
    )
    tensor_qos: QosParameters = group(QosParameters(), 'Subscription to the tensors.')
    detections_qos: QosParameters = group(RESULTS, 'Publisher of the detections.')


class DetectionNode(ModelNode):
    """`output_tensors` (TensorList) to `detections` (Detection2DArray) and, latched, `label_info` (LabelInfo).

    Boxes are in source pixels; `class_id` is the class's name; `id` stays empty until something tracks.

    A model with keypoints has a further topic, `keypoints` (TensorList): one tensor `keypoints`, (N, K, 3) float32, of
    x and y in source pixels (0 is the image's edge) and confidence; row i belongs to detection i of the same stamp. It
    is published before those detections, and for every frame that has them: with N = 0 for an empty array.

    A model with masks has the topic `instance_mask` (Image, 16UC1) in the same way, but only while anyone subscribes:
    of the source's size, with i + 1 where detection i of the same stamp is seen, 0 where none is. Where masks overlap
    the higher score wins. An object without a pixel in it is published all the same, and counted as noted.
    """

    Parameters = DetectionParameters
    stage = 'detection'

    def __init__(self, node_name: str = 'detection', **kwargs: object) -> None:
        self._postprocessor: Postprocessor | None = None
        self._gpu_stage: GpuPostprocessor | None = None
        self._watch: FrameWatch | None = None
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        super().on_setup()
        settings = self._settings(self.parameters)
        self._postprocessor = Postprocessor(self.card, settings)
        self._lowest_threshold = float(np.min(settings.score_thresholds))
        chosen = self.parameters
        self._gpu_stage = stage_on_gpu(chosen.device, chosen.gpu, self._on_gpu, self.get_logger().warning)
        self._letterboxes = SourceLetterbox(self.card, chosen.source_size)
        self._labels = self.advertise(plain(LabelInfo), 'label_info', LATCHED)
        self._detections = self.advertise(plain(Detection2DArray), 'detections', self.parameters.detections_qos)
        self._keypoints = (
            None
            if self.card.keypoints is None
            else self.advertise(TENSORS, KEYPOINTS_TOPIC, self.parameters.detections_qos)
        )
        self._instance_mask = (
            None if self.card.masks is None else self.advertise(IMAGE, INSTANCE_MASK, self.parameters.detections_qos)
        )
        self.subscribe(
            TENSORS,
            'output_tensors',
            self.parameters.tensor_qos,
            self._on_tensors,
            on_device=lambda: self._gpu_stage is not None,
        )

    def on_start(self) -> None:
        self._watch_anew(self.parameters.quiet_frames)
        stamp = self.get_clock().now().to_msg()
        classes = [VisionClass(class_id=index, class_name=name) for index, name in enumerate(self.card.labels)]
        self._labels.publish(
            LabelInfo(header=Header(stamp=stamp), class_map=classes, threshold=self.parameters.score_threshold)
        )

    def on_teardown(self) -> None:
        self._postprocessor = None
        stage, self._gpu_stage = self._gpu_stage, None
        if stage is not None:
            stage.close()
        self._watch_anew(0)

    def on_parameters(self, updated: DetectionParameters) -> None:
        if self._postprocessor is None:
            return
        if updated.quiet_frames != self.parameters.quiet_frames:
            self._watch_anew(updated.quiet_frames)
        settings = self._settings(updated)
        self._postprocessor.settings = settings
        self._lowest_threshold = float(np.min(settings.score_thresholds))
        if self._gpu_stage is not None:
            self._gpu_stage.settings = settings

    def _on_gpu(self, gpu: Gpu) -> GpuPostprocessor | None:
        from isaac_inference.cuda.timer import GpuTimer
        from isaac_inference.stages.detection.postprocess_gpu import GpuPostprocessor

        if not GpuPostprocessor.serves(self.card):  # what needs no NMS is small: the CPU decodes it
            return None
        self._timer = GpuTimer(gpu)
        return GpuPostprocessor(self.card, gpu, self._settings(self.parameters))

    def _settings(self, chosen: DetectionParameters) -> DetectionSettings:
        return detection_settings(
            self.card,
            score_threshold=chosen.score_threshold,
            class_thresholds=chosen.class_thresholds,
            classes=chosen.classes,
            iou_threshold=chosen.iou_threshold,
            class_aware=not chosen.class_agnostic_nms,
            top_k=chosen.nms_top_k,
            max_detections=chosen.max_detections,
        )

    def _on_tensors(self, frame: TensorFrame, clock: StageClock) -> None:
        postprocessor = self._postprocessor
        if postprocessor is None:
            raise FrameError('not_configured', 'a frame arrived while the node was being cleaned up')
        frame.check_card(self.card.id)
        letterbox = self._letterboxes.of(frame.auxiliary)
        wants_masks = self._instance_mask is not None and self._instance_mask.wanted
        if any(map(is_on_device, frame.tensors.values())):
            found, instances = self._decode_on_gpu(frame.tensors, letterbox, wants_masks)
        else:
            found, instances = postprocessor(frame.tensors, letterbox, masks=wants_masks), None
            if found.masks is not None:
                self._note_empty_masks(found, found.masks.areas)
                instances = found.masks.painted(found.scores)
        self._look_at(found, letterbox, frame.auxiliary)
        if len(found) or self.parameters.publish_empty:
            if self._keypoints is not None and found.keypoints is not None:
                size = {SOURCE_SIZE: np.array(letterbox.source_wh, np.int32)}
                if RECTIFIED in frame.auxiliary:
                    size[RECTIFIED] = frame.auxiliary[RECTIFIED]
                timings = (*frame.timings, clock.finish())
                rows = {KEYPOINTS_TOPIC: found.keypoints}
                self._keypoints.publish(TensorFrame(frame.header, rows, size, timings, self.card.id))
            if self._instance_mask is not None and instances is not None:
                self._instance_mask.publish(instance_frame(frame.header, instances))
            self._detections.publish(detection_array(frame.header, found, self.card.labels))
        self.report_timings(frame.header, (*frame.timings, clock.finish()))

    def _note_empty_masks(self, found: Detections, areas: np.ndarray) -> None:
        for index in np.flatnonzero(areas == 0).tolist():
            label, score = self.card.labels[found.class_ids[index]], found.scores[index]
            box = found.boxes[index].round(1).tolist()
            self.health.noted('mask_empty', f'{label} {score:.2f}: no pixel of its mask is in its box {box}')

    def _watch_anew(self, frames: int) -> None:
        """Watch frames from now on, knowing of none before; 0 watches none."""
        self._watch = FrameWatch(frames) if frames else None
        self.remark('quiet', '')
        self.remark('constant', '')
        self.health.show('best_score', None)

    def _look_at(self, found: Detections, letterbox: Letterbox, auxiliary: Mapping[str, np.ndarray]) -> None:
        """Show the frame's best score, and warn of what only many frames show."""
        best, watch, mark = found.best_score, self._watch, auxiliary.get(PICTURE_MARK)
        picture = None if mark is None else mark.tobytes()
        self.health.show('best_score', None if math.isnan(best) else float(best))
        if watch is not None:
            remarks = watch.add(found, letterbox.source_wh, self._lowest_threshold, picture)
            self.remark('quiet', remarks.quiet)
            self.remark('constant', remarks.constant)

    def _decode_on_gpu(
        self, tensors: Mapping[str, Any], letterbox: Letterbox, masks: bool
    ) -> tuple[Detections, np.ndarray | None]:
        stage = self._gpu_stage
        if stage is None:
            raise FrameError('not_configured', 'a frame on the GPU arrived while the node was being cleaned up')
        try:
            with self._timer.measure(next(iter(tensors.values())).stream):
                pending = stage.enqueue(tensors, letterbox, masks=masks)
            found, instances = stage.fetch(pending), stage.instances(pending)
            if instances is not None:
                self._note_empty_masks(found, stage.mask_areas(pending))
        except EngineError as error:
            raise FrameError('device_error', str(error)) from error
        self.health.measured('gpu_ms', self._timer.collect())
        return found, instances


main = node_main(DetectionNode)
