# SPDX-License-Identifier: Apache-2.0
"""A node that sends pictures into a running graph and waits for what comes back."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo

from isaac_inference.errors import FrameError
from isaac_inference.ops.masks.masks import Masks
from isaac_inference.ops.masks.polygons import polygons
from isaac_inference.ops.segmentation.unlabelled import unlabelled
from isaac_inference.pictures import SourceFrame
from isaac_inference.ros.bringup.graph_watcher import GraphWatcher
from isaac_inference.ros.messages.class_mask import CLASS_MASK, LABEL_INFO, class_mask_array, labels_of
from isaac_inference.ros.messages.detections import SeenBox, read_detections, read_keypoints
from isaac_inference.ros.messages.image import IMAGE, ImageFrame, image_frame_from_array
from isaac_inference.ros.messages.masks import INSTANCE_MASK, read_masks
from isaac_inference.ros.messages.tensors import KEYPOINTS_TOPIC, TENSORS, TensorFrame
from isaac_inference.ros.runtime.health.diagnostics import parse_timings
from isaac_inference.ros.runtime.health.timing import StageTiming, total_ms
from isaac_inference.ros.runtime.node import StageClock
from isaac_inference.ros.runtime.topics.qos import LATCHED, RELIABLE, QosParameters, Reliability
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import plain

FRAME_ID = 'camera_optical_frame'
RESEND_S = 1.0  # a best-effort frame that was lost on its way is sent again
_OUTLINE_PX = 0.5  # by which an outline may be off
_KEEP = 8  # frames whose late answers are still recognised


@dataclass
class FrameResult:
    """What the graph said of one picture; `error` says why there is nothing.

    `detections` holds, for each, 'class_id', 'score', 'bbox' (center x and y, width, height in source pixels), 'id'
    and, of a model that has them, 'keypoints': [x, y, confidence] of each, in source pixels, and 'mask': its 'area' in
    pixels and 'polygons', an outline [[x, y], ...] for each of its pieces. `classes` has, of a model with a class for
    each pixel, the share of the picture that each class has, the largest first; None of others.
    """

    image: str | int
    stamp_ns: int = 0
    frame_id: str = ''
    width: int = 0
    height: int = 0
    detections: list[dict[str, Any]] = field(default_factory=list)
    latency_ms: dict[str, float] = field(default_factory=dict)
    picture: np.ndarray | None = None
    error: str = ''
    classes: dict[str, float] | None = None

    @classmethod
    def failure(cls, image: str | int, error: str) -> FrameResult:
        """A frame without a result."""
        return cls(image, error=error)

    def as_json(self) -> dict[str, Any]:
        """The documented JSON object; a frame without a result has null detections and an 'error'."""
        found = {'detections': self.detections} if self.classes is None else {'classes': self.classes}
        line: dict[str, Any] = {
            'image': self.image,
            'stamp_ns': self.stamp_ns,
            'frame_id': self.frame_id,
            'width': self.width,
            'height': self.height,
            **({'detections': None} if self.error else found),
            'latency_ms': self.latency_ms,
        }
        return {**line, 'error': self.error} if self.error else line


@dataclass
class _Answer:
    """The messages of one stamp, as they come in."""

    detections: Detection2DArray | None = None
    mask: ImageFrame | None = None
    keypoints: TensorFrame | None = None
    masks: ImageFrame | None = None
    timings: tuple[StageTiming, ...] | None = None
    picture: np.ndarray | None = None


class GraphClient(GraphWatcher):
    """Feeds `image`, collects `detections` or, of a model with a class for each pixel, `class_mask`; stage timings,
    keypoints, masks and pictures (when asked to) and all nodes' diagnostics.
    """

    def __init__(self, node_name: str = 'run_client', **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        self._pictures = self._keypoints = self._masks = self._classes = False
        self._names: dict[int, str] = {}
        self._changed = threading.Condition()
        self._answers: OrderedDict[int, _Answer] = OrderedDict()

    @classmethod
    def start(
        cls,
        namespace: str,
        *,
        pictures: bool,
        keypoints: bool = False,
        masks: bool = False,
        classes: bool = False,
    ) -> GraphClient:
        """Make the client in `namespace`, spin it in its own thread, and activate it.

        Args:
            namespace: the graph's.
            pictures: wait for each frame's annotated picture too.
            keypoints: wait for each frame's keypoints too: for a model that has them.
            masks: wait for each frame's masks too: for a model that has them.
            classes: wait for each frame's class mask instead of its detections.
        """
        client = cls(namespace=namespace)
        client._pictures, client._keypoints, client._masks = pictures, keypoints, masks
        client._classes = classes
        client.run()
        return client

    def on_setup(self) -> None:
        self._images = self.advertise(IMAGE, 'image', QosParameters(reliability=Reliability.RELIABLE))
        self.watch()
        if self._classes:
            self.subscribe(IMAGE, CLASS_MASK, RELIABLE, self._on_mask, primary=True, depth=10)
            self.subscribe(plain(LabelInfo), LABEL_INFO, LATCHED, self._on_label_info)
        else:
            self.subscribe(plain(Detection2DArray), 'detections', RELIABLE, self._on_detections, primary=True, depth=10)
        last = 'segmentation' if self._classes else 'detection'
        self.subscribe(plain(DiagnosticArray), f'{last}/timings', RELIABLE, self._on_timings, depth=10)
        if self._keypoints:
            self.subscribe(TENSORS, KEYPOINTS_TOPIC, RELIABLE, self._on_keypoints, depth=10)
        if self._masks:
            self.subscribe(IMAGE, INSTANCE_MASK, RELIABLE, self._on_masks, depth=10)
        if self._pictures:
            self.subscribe(IMAGE, 'annotate/debug_image', RELIABLE, self._on_picture, depth=10)

    def ask(self, frame: SourceFrame, timeout_s: float) -> FrameResult:
        """Send one picture and wait for everything that belongs to it."""
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=FRAME_ID)
        stamp = stamp_ns(header)
        height, width = frame.image.shape[:2]
        result = FrameResult(frame.name, stamp, FRAME_ID, width, height)
        with self._changed:
            self._answers[stamp] = _Answer()
            while len(self._answers) > _KEEP:
                self._answers.popitem(last=False)
        answer = self._wait(image_frame_from_array(frame.image, 'bgr8', header), stamp, timeout_s)
        try:
            if answer is not None and answer.mask is not None:
                result.classes = _shares(class_mask_array(answer.mask), self._names)
            elif answer is not None and answer.detections is not None:
                result.detections = self._detections_of(answer.detections, answer, (width, height))
            else:
                what = CLASS_MASK if self._classes else 'detections'
                result.error = f'no {what} within {timeout_s:g} s; {self.explain()}'
                return result
        except FrameError as error:
            result.error = str(error)
            return result
        result.latency_ms = {timing.stage: timing.work_ms for timing in answer.timings or ()}
        result.latency_ms['total'] = total_ms(answer.timings or ())
        result.picture = answer.picture
        return result

    def _detections_of(
        self, message: Detection2DArray, answer: _Answer, source_wh: tuple[int, int]
    ) -> list[dict[str, Any]]:
        """The rows of a frame; raises FrameError where keypoints or masks do not belong to them."""
        keypoints = None if answer.keypoints is None else read_keypoints(message, answer.keypoints)
        seen = read_detections(message.detections, self.health.skipped)
        count = len(message.detections)
        masks = None if answer.masks is None else read_masks(answer.masks, seen, count, source_wh)
        return [
            {**_as_json(item, keypoints), **({} if masks is None else _mask_as_json(masks, index))}
            for index, item in enumerate(seen)
        ]

    def _wait(self, image: ImageFrame, stamp_ns: int, timeout_s: float) -> _Answer | None:
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            self._images.publish(image)
            with self._changed:
                if self._changed.wait_for(lambda: self._complete(self._answers.get(stamp_ns)), min(left, RESEND_S)):
                    break
        with self._changed:
            return self._answers.pop(stamp_ns, None)

    def _complete(self, answer: _Answer | None) -> bool:
        return (
            answer is not None
            and (answer.detections is not None or answer.mask is not None)
            and answer.timings is not None
            and (answer.keypoints is not None or not self._keypoints)
            and (answer.masks is not None or not self._masks)
            and (answer.picture is not None or not self._pictures)
        )

    def _note(self, header: Header, **part: Any) -> None:
        with self._changed:
            answer = self._answers.get(stamp_ns(header))
            if answer is not None:
                for name, value in part.items():
                    setattr(answer, name, value)
                self._changed.notify_all()

    def _on_detections(self, message: Detection2DArray, clock: StageClock) -> None:
        self._note(message.header, detections=message)

    def _on_mask(self, mask: ImageFrame, clock: StageClock) -> None:
        self._note(mask.header, mask=mask)

    def _on_label_info(self, message: LabelInfo, clock: StageClock) -> None:
        self._names = labels_of(message)

    def _on_keypoints(self, frame: TensorFrame, clock: StageClock) -> None:
        self._note(frame.header, keypoints=frame)

    def _on_masks(self, frame: ImageFrame, clock: StageClock) -> None:
        self._note(frame.header, masks=frame)

    def _on_timings(self, message: DiagnosticArray, clock: StageClock) -> None:
        self._note(message.header, timings=parse_timings(message))

    def _on_picture(self, frame: ImageFrame, clock: StageClock) -> None:
        image = frame.image
        self._note(frame.header, picture=image.data.reshape(image.height, image.width, 3))


def _shares(mask: np.ndarray, names: dict[int, str]) -> dict[str, float]:
    """The share of the picture that each class has, the largest first; pixels without a class are in none."""
    counts = np.bincount(mask.reshape(-1), minlength=unlabelled(mask.dtype) + 1)[:-1]
    present = sorted(np.flatnonzero(counts).tolist(), key=lambda number: -counts[number])
    return {names.get(number, str(number)): round(int(counts[number]) / mask.size, 6) for number in present}


def _as_json(seen: SeenBox, keypoints: np.ndarray | None) -> dict[str, Any]:
    """One detection; `keypoints` are those of all, (N, K, 3), or None."""
    bbox = seen.item.bbox
    line = {
        'class_id': seen.label,
        'score': seen.score,
        'bbox': [bbox.center.position.x, bbox.center.position.y, bbox.size_x, bbox.size_y],
        'id': seen.identity,
        **({'theta': seen.theta} if seen.theta else {}),
    }
    return line if keypoints is None else {**line, 'keypoints': keypoints[seen.index].tolist()}


def _mask_as_json(masks: Masks, index: int) -> dict[str, Any]:
    """One detection's mask: pixels in it, and the outline of each of its pieces, [[x, y], ...] in px."""
    outlines = polygons(masks, index, tolerance_px=_OUTLINE_PX)
    return {'mask': {'area': int(masks.areas[index]), 'polygons': [outline.tolist() for outline in outlines]}}
