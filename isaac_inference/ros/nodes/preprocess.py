# SPDX-License-Identifier: Apache-2.0
"""PreprocessNode: camera images to a model's input tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sensor_msgs.msg import CompressedImage

from isaac_inference.errors import EngineError, FrameError
from isaac_inference.ops.geometry.rectification import Rectification
from isaac_inference.ops.image.encodings import is_supported, readable
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ros.messages.image import ImageFrame, color_image
from isaac_inference.ros.messages.tensors import PICTURE_MARK, RECTIFIED, TENSORS, TensorFrame, picture_mark
from isaac_inference.ros.nodes.shared.gpu_choice import Device, stage_on_gpu
from isaac_inference.ros.nodes.shared.image_input import ImageInput, ImageParameters
from isaac_inference.ros.nodes.shared.model_node import ModelNode, ModelParameters
from isaac_inference.ros.nodes.shared.rectified_images import Picture, RectifiedImages
from isaac_inference.ros.nodes.shared.shared_tensors import Sharer, sharers
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.node import StageClock
from isaac_inference.ros.runtime.parameters.schema import group, param
from isaac_inference.ros.runtime.topics.qos import QosParameters
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.serving.rates.thinner import Thinner
from isaac_inference.stages.image.preprocess import Preprocessor

if TYPE_CHECKING:
    from isaac_inference.cuda.device import Gpu
    from isaac_inference.stages.image.preprocess_gpu import GpuPreprocessor


@dataclass(frozen=True)
class PreprocessParameters(ImageParameters, ModelParameters):
    """Parameters of the preprocess node."""

    device: Device = param(
        Device.AUTO, 'Where images are prepared; "auto" takes the GPU where the next stage takes tensors there.'
    )
    gpu: int = param(0, 'Index of the GPU.', minimum=0)
    max_rate_hz: float = param(
        0.0,
        'Most images to take per second; what is more is left out evenly, by the stamps: of 30 Hz every third for 10, '
        'two of three for 20. 0 takes all.',
        unit='Hz',
        minimum=0.0,
        live=True,
    )
    rectify: bool = param(
        False,
        'Rectify images by the CameraInfo on camera_info (K, D, R and P): what is found is then in pixels of the '
        'rectified image, to which rectified/camera_info belongs.',
    )
    also_models: tuple[str, ...] = param(
        (),
        'Other models that take the same tensors: number 1 of them gets its frames on also_1/input_tensors, by '
        'reference inside a process.',
    )
    also_model_cards: tuple[str, ...] = param((), 'Their cards, where these are not beside the models; "" for none.')
    image_qos: QosParameters = group(QosParameters(), 'Subscription to the images.')
    tensor_qos: QosParameters = group(QosParameters(), 'Publisher of the tensors.')
    rectified_qos: QosParameters = group(QosParameters(), 'Publishers of the rectified images and their CameraInfo.')


class PreprocessNode(ModelNode):
    """`image` (Image), or where only that is published its CompressedImage, to `input_tensors` (TensorList).

    Letterbox, colour order, normalisation and layout follow the model's card; the letterbox travels with the tensors.
    On a GPU the tensors stay there for the stages of this process.

    Models of `also_models` get the same tensors, each frame under the names of its own inputs and with its own card's
    id, on `also_1/input_tensors` and so on: a camera's images are prepared once for all of them.

    With `rectify`, `camera_info` (CameraInfo) too: the tensors then show the rectified image, and so do the letterbox
    and all that later stages find. Whoever needs that image or its intrinsics takes `rectified/image_rect` (Image, bgr8
    or rgb8), which is made only while anyone looks, and `rectified/camera_info`, both before the tensors of a frame. A
    frame without a usable CameraInfo is dropped.
    """

    Parameters = PreprocessParameters
    stage = 'preprocess'

    def __init__(self, node_name: str = 'preprocess', **kwargs: object) -> None:
        self._gpu_stage: GpuPreprocessor | None = None
        self._rectified: RectifiedImages | None = None
        self._others: list[Sharer] = []
        self._thinner = Thinner()
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        super().on_setup()
        self._preprocessor = Preprocessor(self.card)
        self._preprocessor(np.zeros((480, 640, 3), np.uint8))  # OpenCV's first call takes tens of ms: not on a frame
        chosen = self.parameters
        self._others = sharers(self.card, chosen.also_models, chosen.also_model_cards)
        self._gpu_stage = stage_on_gpu(chosen.device, chosen.gpu, self._on_gpu, self.get_logger().warning)
        self._tensors = self.advertise(TENSORS, 'input_tensors', chosen.tensor_qos)
        self._shared = [
            self.advertise(TENSORS, f'also_{number}/input_tensors', chosen.tensor_qos)
            for number, _ in enumerate(self._others, 1)
        ]
        self._rectified = RectifiedImages(self, chosen.image_qos, chosen.rectified_qos) if chosen.rectify else None
        self._images = ImageInput(self, 'image', self.parameters)
        self._images.subscribe(self.parameters.image_qos, self._on_image, primary=True)

    def on_stop(self) -> None:
        if self._rectified is not None:
            self._rectified.clear()

    def on_teardown(self) -> None:
        stage, self._gpu_stage = self._gpu_stage, None
        if stage is not None:
            stage.close()

    def _on_gpu(self, gpu: Gpu) -> GpuPreprocessor:
        from isaac_inference.cuda.timer import GpuTimer
        from isaac_inference.stages.image.preprocess_gpu import DEFAULT_DEPTH, GpuPreprocessor

        self._timer = GpuTimer(gpu)
        # whoever else takes the tensors may have a frame in hand and one that waits
        return GpuPreprocessor(self.card, gpu, depth=DEFAULT_DEPTH + 2 * len(self._others))

    def _on_image(self, item: ImageFrame | CompressedImage, clock: StageClock) -> None:
        taken_ns = stamp_ns(item.header) or clock.arrived_ns
        if not self._thinner.takes(taken_ns, self.parameters.max_rate_hz, clock.arrived_ns):
            self.leave_out(item.header, clock)
            return
        frame = self._images.read(item)
        if self._gpu_stage is not None and self._takes_gpu(frame):
            self._on_gpu_image(self._gpu_stage, frame, clock)
            return
        image, order = color_image(frame, self._preprocessor.wanted)
        rectifier = self._preprocessor.rectifier
        size = (image.shape[1], image.shape[0])
        made = self._rectification(frame, size, lambda made: (rectifier.picture(image, made), f'{order}8'))
        self._publish(frame, *self._preprocessor(image, order, made), made, clock)

    def _on_gpu_image(self, stage: GpuPreprocessor, frame: ImageFrame, clock: StageClock) -> None:
        image = readable(frame.image)
        size = (image.width, image.height)
        try:
            made = self._rectification(frame, size, lambda made: (stage.picture(image, made), 'bgr8'))
            with self._timer.measure(stage.stream):
                tensors, letterbox = stage(image, made)
        except EngineError as error:
            raise FrameError('device_error', str(error)) from error
        self.health.measured('gpu_ms', self._timer.collect())
        self._publish(frame, tensors, letterbox, made, clock)

    def _rectification(self, frame: ImageFrame, size: tuple[int, int], picture: Picture) -> Rectification | None:
        """How the frame is rectified, or None; what others need to know of that is published."""
        if self._rectified is None:
            return None
        made = self._rectified.rectification(*size)
        self._rectified.publish(frame.header, made, picture)
        return made

    def _takes_gpu(self, frame: ImageFrame) -> bool:
        """Whether this frame goes the GPU's way; encodings that only cv_bridge knows never do."""
        listened = any(one.wanted_on_device for one in (self._tensors, *self._shared))
        asked = self.parameters.device is Device.CUDA or listened
        return asked and is_supported(frame.image.encoding)

    def _publish(
        self,
        frame: ImageFrame,
        tensors: Mapping[str, Any],
        letterbox: Letterbox,
        made: Rectification | None,
        clock: StageClock,
    ) -> None:
        auxiliary = {'letterbox': letterbox.to_array(), PICTURE_MARK: picture_mark(frame.image.data)}
        if made is not None:
            auxiliary[RECTIFIED] = made.rectified.K[(0, 1, 0, 1), (0, 1, 2, 2)]
        timings = (clock.finish(),)
        made_frame = TensorFrame(frame.header, tensors, auxiliary, timings, self.card.id)
        self._tensors.publish(made_frame)
        for other, publisher in zip(self._others, self._shared, strict=True):
            publisher.publish(other.frame(made_frame))
        self.report_timings(frame.header, timings)


main = node_main(PreprocessNode)
