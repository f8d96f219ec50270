# SPDX-License-Identifier: Apache-2.0
"""`~/objects_cloud`: coloured points of the detected objects, while anyone subscribes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from sensor_msgs.msg import CompressedImage, PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.point_cloud import object_points
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ros.messages.cloud import point_cloud
from isaac_inference.ros.messages.compressed_depth import depth_frame_of
from isaac_inference.ros.messages.detections import read_detections
from isaac_inference.ros.messages.image import ImageFrame, color_image
from isaac_inference.ros.nodes.pose.masks import BUFFER, masks_of
from isaac_inference.ros.runtime.node import PipelineNode
from isaac_inference.ros.runtime.topics.pairing import Paired, Secondary, StampPairing
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.stages.poses import DepthView

_WAIT_S = 0.2


class ObjectsCloud:
    """Pairs detections with colour and depth, and publishes their points in the camera's frame."""

    def __init__(
        self,
        node: PipelineNode,
        labels: Sequence[str],
        view: Callable[[ImageFrame, Header, np.ndarray], DepthView],
        origin: Callable[[], np.ndarray],
        has_masks: bool = False,
    ) -> None:
        """Advertise on behalf of `node`, in its `on_setup`.

        Args:
            node: whose `poses_qos` and `depth_tolerance_s` hold.
            labels: class names by number, for the field `class_id`; other classes get the number of their first
                appearance, from len(labels) on.
            view: depth in the view of the image with that header, at least around these boxes, (N, 4) px; a FrameError
                leaves the cloud out.
            origin: (3,) m, where the camera is in its frame.
            has_masks: whether detections come with masks.
        """
        chosen = node.parameters
        self._node, self._view, self._origin = node, view, origin
        self._classes = {name: index for index, name in enumerate(labels)}
        self._clouds = node.advertise(plain(PointCloud2), '~/objects_cloud', chosen.poses_qos)
        stream = Secondary(tolerance_s=chosen.depth_tolerance, wait_s=_WAIT_S, depth=8)
        masks = {'masks': Secondary(tolerance_s=0.0, wait_s=_WAIT_S, depth=BUFFER)} if has_masks else {}
        self._pairing = StampPairing('detections', {'image': stream, 'depth': stream, **masks})

    @property
    def wanted(self) -> bool:
        """Whether anyone subscribes."""
        return self._clouds.wanted

    def clear(self) -> None:
        """Forget what waits."""
        self._pairing.clear()

    def put(self, stream: str, header: Header, item: object) -> None:
        """Take 'detections', 'image', 'depth' or 'masks'; ignored while no one subscribes."""
        if self._clouds.wanted:
            for pair in self._pairing.put(stream, stamp_ns(header), item):
                self._try_to_publish(pair)

    def _try_to_publish(self, pair: Paired) -> None:
        health = self._node.health
        needed = [name for name in pair.missing if name != 'masks']
        if needed:
            missing = ' and no '.join(needed)
            health.skipped('cloud_input', f'no objects_cloud for a frame: no {missing} belongs to it')
            return
        try:
            matches = pair.matches
            self._clouds.publish(self._message(pair.item, matches['image'], matches['depth'], matches.get('masks')))
        except FrameError as error:
            health.skipped(error.reason, f'no objects_cloud for a frame: {error}')

    def _message(
        self,
        detections: Detection2DArray,
        image: ImageFrame,
        depth: ImageFrame | CompressedImage,
        instances: ImageFrame | None,
    ) -> PointCloud2:
        color, order = color_image(image, ColorOrder.BGR)
        # the frame itself counts what cannot be used
        items = read_detections(detections.detections, lambda reason, text: None)
        boxes = np.array([item.box for item in items]).reshape(-1, 4)
        view = self._view(depth_frame_of(depth), detections.header, boxes)
        image_wh = (int(color.shape[1]), int(color.shape[0]))
        masks = masks_of(instances, items, len(detections.detections), image_wh, self._node.health.skipped)
        points = object_points(
            color if order is ColorOrder.BGR else color[..., ::-1],
            view.image,
            view.camera,
            boxes,
            np.array([self._class(item.label) for item in items], np.int64),
            np.array([_instance(item.identity, item.index) for item in items], np.int64),
            None if masks is None else [masks.full(i) if crop.any() else None for i, crop in enumerate(masks.crops)],
        )
        moved = replace(points, xyz=points.xyz + self._origin().astype(np.float32))
        return point_cloud(detections.header, moved)

    def _class(self, name: str) -> int:
        return self._classes.setdefault(name, len(self._classes))


def _instance(identity: str, index: int) -> int:
    """A tracker's number, in the 32 bits that the cloud has for it; without one the place in the array."""
    return int(identity) % (1 << 32) if identity.isdecimal() else index
