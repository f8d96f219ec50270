# SPDX-License-Identifier: Apache-2.0
"""SegmentationNode: a model's outputs to a class for each pixel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from vision_msgs.msg import LabelInfo

from isaac_inference.errors import EngineError, FrameError
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ros.messages.class_mask import (
    CLASS_CONFIDENCE,
    CLASS_MASK,
    LABEL_INFO,
    class_mask_frame,
    label_info,
)
from isaac_inference.ros.messages.image import IMAGE
from isaac_inference.ros.messages.tensors import PICTURE_MARK, TENSORS, TensorFrame, is_on_device
from isaac_inference.ros.nodes.shared.gpu_choice import Device, stage_on_gpu
from isaac_inference.ros.nodes.shared.model_node import ModelNode, ModelParameters
from isaac_inference.ros.nodes.shared.source_letterbox import SourceLetterbox
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.node import StageClock
from isaac_inference.ros.runtime.parameters.schema import group, param
from isaac_inference.ros.runtime.topics.qos import LATCHED, RESULTS, QosParameters
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.stages.segmentation.frame_watch import FrameWatch
from isaac_inference.stages.segmentation.segmenter import Segmentation, Segmenter
from isaac_inference.stages.segmentation.settings import SegmentationSettings, Upsampling, segmentation_settings

if TYPE_CHECKING:
    from isaac_inference.cuda.device import Gpu
    from isaac_inference.stages.segmentation.segmenter_gpu import GpuSegmenter


@dataclass(frozen=True)
class SegmentationParameters(ModelParameters):
    """Parameters of the segmentation node."""

    upsampling: Upsampling = param(
        Upsampling.NEAREST,
        "How the network's cells become source pixels: nearest takes the class of the cell that a pixel lies in, "
        'bilinear that of the interpolated scores: smoother edges, some ms more.',
        live=True,
    )
    classes: tuple[str, ...] = param(
        (), 'Names of the classes to keep, others are unlabelled; empty keeps all.', live=True
    )
    min_confidence: float = param(
        0.0, 'A pixel of less confidence is unlabelled; 0 keeps all.', minimum=0.0, maximum=1.0, live=True
    )
    threshold: float = param(
        0.5,
        'Least probability of the class, for a model that knows a single class against the rest.',
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    quiet_frames: int = param(
        100,
        'After so many frames in a row in which every pixel had the same class, or in which different pictures gave '
        'exactly the same, diagnostics warn; 0 never warns.',
        unit='frames',
        minimum=0,
        maximum=100000,
        live=True,
    )
    device: Device = param(
        Device.AUTO, 'Where scores that lie on a GPU are read; "auto" and "cuda" do it there, "cpu" downloads them.'
    )
    gpu: int = param(0, 'Index of the GPU.', minimum=0)
    source_size: tuple[int, ...] = param(
        (0, 0),
        'Image width and height, for tensors from a preprocessor that sends no letterbox; 0, 0 drops such frames.',
        unit='px',
        minimum=0,
    )
    tensor_qos: QosParameters = group(QosParameters(), 'Subscription to the tensors.')
    mask_qos: QosParameters = group(RESULTS, 'Publishers of the class mask and its confidence.')


class SegmentationNode(ModelNode):
    """`output_tensors` (TensorList) to `class_mask` (Image), `class_confidence` (Image, while anyone subscribes) and,
    latched, `label_info` (LabelInfo): what nav2's semantic layers read.

    Both images have the size, stamp and frame of the source image. `class_mask` is mono8 (16UC1 for more than 255
    classes); the highest number, 255 or 65535, is a pixel without a class, which `label_info` names `unlabelled`.
    `class_confidence` is mono8, 255 for a probability of 1, and is published before the mask of the same stamp.
    """

    Parameters = SegmentationParameters
    stage = 'segmentation'

    def __init__(self, node_name: str = 'segmentation', **kwargs: object) -> None:
        self._segmenter: Segmenter | None = None
        self._gpu_stage: GpuSegmenter | None = None
        self._watch: FrameWatch | None = None
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        super().on_setup()
        chosen = self.parameters
        self._segmenter = Segmenter(self.card, self._settings(chosen))
        self._names = self._segmenter.names
        self._gpu_stage = stage_on_gpu(chosen.device, chosen.gpu, self._on_gpu, self.get_logger().warning)
        self._letterboxes = SourceLetterbox(self.card, chosen.source_size)
        self._labels = self.advertise(plain(LabelInfo), LABEL_INFO, LATCHED)
        self._masks = self.advertise(IMAGE, CLASS_MASK, chosen.mask_qos)
        self._confidences = self.advertise(IMAGE, CLASS_CONFIDENCE, chosen.mask_qos)
        self.subscribe(
            TENSORS,
            'output_tensors',
            chosen.tensor_qos,
            self._on_tensors,
            on_device=lambda: self._gpu_stage is not None,
        )

    def on_start(self) -> None:
        self._watch_anew(self.parameters.quiet_frames)
        self._tell_labels(self.parameters.min_confidence)

    def on_teardown(self) -> None:
        self._segmenter = None
        stage, self._gpu_stage = self._gpu_stage, None
        if stage is not None:
            stage.close()
        self._watch_anew(0)

    def on_parameters(self, updated: SegmentationParameters) -> None:
        if self._segmenter is None:
            return
        self._segmenter.settings = self._settings(updated)
        if self._gpu_stage is not None:
            self._gpu_stage.settings = self._segmenter.settings
        if updated.quiet_frames != self.parameters.quiet_frames:
            self._watch_anew(updated.quiet_frames)
        if updated.min_confidence != self.parameters.min_confidence and self.state == 'active':
            self._tell_labels(updated.min_confidence)

    def _on_gpu(self, gpu: Gpu) -> GpuSegmenter | None:
        from isaac_inference.cuda.timer import GpuTimer
        from isaac_inference.stages.segmentation.segmenter_gpu import GpuSegmenter

        if not GpuSegmenter.serves(self.card):  # class ids have no kernels: the CPU reads them
            return None
        self._timer = GpuTimer(gpu)
        return GpuSegmenter(self.card, gpu, self._settings(self.parameters))

    def _settings(self, chosen: SegmentationParameters) -> SegmentationSettings:
        return segmentation_settings(
            self.card,
            upsampling=chosen.upsampling,
            threshold=chosen.threshold,
            min_confidence=chosen.min_confidence,
            classes=chosen.classes,
        )

    def _tell_labels(self, threshold: float) -> None:
        self._labels.publish(label_info(self.get_clock().now().to_msg(), self._names, threshold))

    def _on_tensors(self, frame: TensorFrame, clock: StageClock) -> None:
        segmenter = self._segmenter
        if segmenter is None:
            raise FrameError('not_configured', 'a frame arrived while the node was being cleaned up')
        frame.check_card(self.card.id)
        letterbox = self._letterboxes.of(frame.auxiliary)
        with_confidence = self._confidences.wanted
        if any(map(is_on_device, frame.tensors.values())):
            found = self._segment_on_gpu(frame.tensors, letterbox, with_confidence)
        else:
            found = segmenter(frame.tensors, letterbox, with_confidence=with_confidence)
        self._look_at(found, frame.auxiliary)
        if found.confidence is not None:
            self._confidences.publish(class_mask_frame(found.confidence, frame.header))
        self._masks.publish(class_mask_frame(found.mask, frame.header))
        self.report_timings(frame.header, (*frame.timings, clock.finish()))

    def _segment_on_gpu(self, tensors: Mapping[str, Any], letterbox: Letterbox, with_confidence: bool) -> Segmentation:
        stage = self._gpu_stage
        if stage is None:
            raise FrameError('not_configured', 'a frame on the GPU arrived while the node was being cleaned up')
        try:
            with self._timer.measure(next(iter(tensors.values())).stream):
                pending = stage.enqueue(tensors, letterbox, with_confidence=with_confidence)
            found = stage.fetch(pending)
        except EngineError as error:
            raise FrameError('device_error', str(error)) from error
        self.health.measured('gpu_ms', self._timer.collect())
        return found

    def _watch_anew(self, frames: int) -> None:
        """Watch frames from now on, knowing of none before; 0 watches none."""
        self._watch = FrameWatch(frames, self._names) if frames else None
        self.remark('constant', '')
        self.remark('uniform', '')

    def _look_at(self, found: Segmentation, auxiliary: Mapping[str, np.ndarray]) -> None:
        """Warn of what only many frames show."""
        watch, mark = self._watch, auxiliary.get(PICTURE_MARK)
        if watch is not None:
            remarks = watch.add(found, None if mark is None else mark.tobytes())
            self.remark('constant', remarks.constant)
            self.remark('uniform', remarks.uniform)


main = node_main(SegmentationNode)
