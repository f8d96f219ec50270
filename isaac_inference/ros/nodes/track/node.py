# SPDX-License-Identifier: Apache-2.0
"""TrackNode: ids that stay from frame to frame, and smooth poses."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import PoseArray
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, Detection3D, Detection3DArray

from isaac_inference.errors import FrameError
from isaac_inference.models import ObjectsCard, read_objects
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.geometry.symmetry import Symmetry, canonical
from isaac_inference.ops.pose.second_pose import SecondPose
from isaac_inference.ops.tracking import KeypointSmoother, SeenMasks, SmoothPose, Tracker, TwoPoseFilter
from isaac_inference.ros.messages.detections import SeenBox, best_result, detections_message, read_detections, with_id
from isaac_inference.ros.messages.image import IMAGE, ImageFrame
from isaac_inference.ros.messages.masks import INSTANCE_MASK, instance_array
from isaac_inference.ros.messages.poses import (
    SeenObject,
    detection_3d,
    frame_prefix,
    object_frames,
    objects_message,
    pose_array,
    pose_from_message,
    read_object,
    second_pose,
)
from isaac_inference.ros.messages.tensors import KEYPOINTS_TOPIC, TENSORS, TensorFrame
from isaac_inference.ros.nodes.track.frame_flow import FrameFlow
from isaac_inference.ros.nodes.track.parameters import Association, TrackParameters
from isaac_inference.ros.nodes.track.rows import RowStream, TrackedRows
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.node import PipelineNode, StageClock
from isaac_inference.ros.runtime.parameters.schema import AutoSwitch
from isaac_inference.ros.runtime.topics.pairing import Paired, Secondary, StampPairing
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.ros.runtime.transforms.broadcaster import TransformBroadcaster
from isaac_inference.stages.poses.by_keypoints import model_points, symmetries_of

_Key = tuple[str, str]  # class and id


class TrackNode(PipelineNode):
    """`detections` (Detection2DArray) to `~/detections`, with ids; `detections_3d` (Detection3DArray, with ids) to
    `~/detections_3d`, `~/poses` (PoseArray, same order) and /tf, smoothed.

    `keypoints` and `instance_mask` of the same stamp as `detections`, which have a row for each of these, go out as
    `~/keypoints`, smoothed, and `~/instance_mask`, in the rows of `~/detections`; each only while anyone subscribes,
    and before its detections where it came before them.

    What can't be tracked keeps its place in `~/detections` with an empty id; a pose that is unusable or an outlier is
    left out. Both are counted as skipped, and so is every start from scratch.

    `detections` are the primary input, whose messages health counts and whose silence is STALE. With `boxes` false
    they are not subscribed to, and `detections_3d` takes that place.
    """

    Parameters = TrackParameters
    stage = 'track'

    def __init__(self, node_name: str = 'track', **kwargs: object) -> None:
        self._pairing = StampPairing('detections', {})
        self._smoother = KeypointSmoother()
        self._forget_all()
        self._broadcaster: TransformBroadcaster | None = None
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        chosen: TrackParameters = self.parameters
        self._read_model()
        self._tracker = Tracker(chosen.tracker_settings())
        self._pose_settings, self._mirror_settings = chosen.pose_settings(), chosen.mirror_settings()
        self._smoother = KeypointSmoother(chosen.one_euro.settings())
        self._detections = self.advertise(plain(Detection2DArray), '~/detections', chosen.output_qos)
        self._detections_3d = self.advertise(plain(Detection3DArray), '~/detections_3d', chosen.output_qos)
        self._poses = self.advertise(plain(PoseArray), '~/poses', chosen.output_qos)
        self._broadcaster = TransformBroadcaster(self)
        self._frame_prefix = frame_prefix(chosen.tf_prefix, self.get_namespace())
        depth, qos = chosen.input_qos.depth, chosen.input_qos
        if chosen.boxes:
            self._subscribe_boxes(chosen)
        poses = plain(Detection3DArray)
        self.subscribe(poses, 'detections_3d', qos, self._on_poses, primary=not chosen.boxes, depth=depth)

    def _subscribe_boxes(self, chosen: TrackParameters) -> None:
        depth, qos = chosen.input_qos.depth, chosen.input_qos
        by_masks = chosen.association is Association.MASKS
        self._keypoints = self.advertise(TENSORS, f'~/{KEYPOINTS_TOPIC}', chosen.output_qos)
        self._masks = self.advertise(IMAGE, f'~/{INSTANCE_MASK}', chosen.output_qos)
        streams = {'masks': Secondary(tolerance_s=0.0, wait_s=chosen.wait_s, depth=depth)} if by_masks else {}
        self._pairing = StampPairing('detections', streams, topics={'masks': self.resolve_topic_name(INSTANCE_MASK)})
        on_boxes = self._on_detections_with_masks if by_masks else self._on_detections
        self.subscribe(plain(Detection2DArray), 'detections', qos, on_boxes, primary=True, depth=depth)
        self.subscribe(
            TENSORS,
            KEYPOINTS_TOPIC,
            qos,
            self._on_keypoints,
            depth=depth,
            wanted=lambda: self._keypoints.wanted,
            inline=lambda frame: not self._keypoint_rows.is_awaited(stamp_ns(frame.header)),  # then it is only kept
        )
        self.subscribe(
            IMAGE,
            INSTANCE_MASK,
            qos,
            self._on_masks,
            depth=depth,
            wanted=lambda: by_masks or self._masks.wanted,
        )
        if by_masks:
            self.every(max(chosen.wait_s / 3, 0.02), self._on_tick)

    def on_stop(self) -> None:
        self._tracker.reset()
        self._smoother.reset()
        self._pairing.clear()
        self._forget_all()

    def on_teardown(self) -> None:
        if self._broadcaster is not None:
            self._broadcaster.close()
            self._broadcaster = None

    def _forget_all(self) -> None:
        self._flow, self._flow_3d = FrameFlow(), FrameFlow()
        self._objects: dict[_Key, _Object] = {}
        self._keypoint_rows: RowStream[TensorFrame] = RowStream(functools.partial(self._lost, 'keypoints'))
        self._mask_rows: RowStream[ImageFrame] = RowStream(functools.partial(self._lost, 'masks'))

    def _read_model(self) -> None:
        chosen = self.parameters
        self._labels: frozenset[str] | None = None
        self._symmetries: Mapping[str, tuple[Symmetry, ...]] = {}
        self._posed_by_keypoints: Collection[str] = ()
        card = read_objects(chosen.model, chosen.model_card)
        if card is None:
            return
        self.model = card.name
        is_open = isinstance(card, ObjectsCard) and card.is_open
        # a model without classes, as of top-down keypoints, is not whose detections these are
        self._labels = None if is_open or not card.labels else frozenset(card.labels)
        self._symmetries = symmetries_of(card.objects)
        self._posed_by_keypoints = frozenset(model_points(card))
        for symmetries in self._symmetries.values():
            canonical(Pose.identity(), symmetries)  # impossible ones are refused now, not with every frame

    # Boxes

    def _on_detections(self, message: Detection2DArray, clock: StageClock) -> None:
        self._track(message, clock)

    def _on_detections_with_masks(self, message: Detection2DArray, clock: StageClock) -> None:
        released = self._pairing.put('detections', stamp_ns(message.header), (message, clock))
        clock.defer()
        self._release(released)

    def _on_keypoints(self, frame: TensorFrame, clock: StageClock) -> None:
        rows = self._keypoint_rows.put(stamp_ns(frame.header), frame)
        if rows is not None:
            self._send_keypoints(rows, frame)

    def _on_masks(self, frame: ImageFrame, clock: StageClock) -> None:
        stamp = stamp_ns(frame.header)
        if self._masks.wanted:
            rows = self._mask_rows.put(stamp, frame)
            if rows is not None:
                self._send_masks(rows, frame)
        if self.parameters.association is Association.MASKS:
            self._release(self._pairing.put('masks', stamp, frame))

    def _on_tick(self) -> None:
        self._release(self._pairing.expire())
        self.health.standing('unpaired', self._pairing.explain())

    def _release(self, released: Sequence[Paired]) -> None:
        self._pairing.drop_forgotten(self.health.dropped)
        for pair in released:
            message, clock = pair.item
            with self.work(clock):
                self._track(message, clock, self._seen_masks(message, pair.matches['masks']))

    def _seen_masks(self, message: Detection2DArray, frame: ImageFrame | None) -> SeenMasks | None:
        if frame is None:
            self.health.skipped('unpaired_masks', 'detections without masks of their stamp, tracked by boxes')
            return None
        try:
            return SeenMasks.of_image(instance_array(frame), len(message.detections))
        except FrameError as error:
            self.health.skipped(error.reason, f'a frame is tracked by boxes alone: {error}')
            return None

    def _track(self, message: Detection2DArray, clock: StageClock, masks: SeenMasks | None = None) -> None:
        stamp_s, broken = self._flow.take(message.header, self.parameters.max_gap_s)
        if broken is not None:
            self._count(*broken)
            self._tracker.reset()
            self._smoother.reset()
            for stream in (self._keypoint_rows, self._mask_rows):
                stream.forget_tracked()
        items = message.detections
        seen = read_detections(items, self._count, self._labels)
        ids = self._tracker.update(stamp_s, *self._arrays(len(items), seen), masks).tolist()
        kept = None
        if not (self.parameters.publish_tentative or all(ids)):
            kept = [row for row, number in enumerate(ids) if number]
        rows = TrackedRows(message, stamp_s, seen, ids, kept)
        self._send_rows(rows)
        tracked = [
            with_id(items[row], str(ids[row]) if ids[row] else '')
            for row in (range(len(ids)) if kept is None else kept)
        ]
        self._detections.publish(detections_message(message.header, tracked))
        self.report_timings(message.header, (clock.finish(),))

    def _arrays(self, count: int, found: Sequence[SeenBox]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes, scores and class numbers; all 0, so of no use, where something is wrong with a detection."""
        boxes, scores = np.zeros((count, 4)), np.zeros(count)
        names = [''] * count
        for seen in found:
            boxes[seen.index], scores[seen.index], names[seen.index] = seen.box, seen.score, seen.label
        return boxes, scores, np.array([self._flow.number(name) for name in names], np.int64)

    # What belongs to their rows

    def _send_rows(self, rows: TrackedRows) -> None:
        """What has come of it already; the rest goes when it comes."""
        stamp = stamp_ns(rows.message.header)
        if self._keypoints.wanted:
            keypoints = self._keypoint_rows.track(stamp, rows)
            if keypoints is not None:
                self._send_keypoints(rows, keypoints)
        else:
            self._keypoint_rows.forget_tracked()
        if self._masks.wanted:
            masks = self._mask_rows.track(stamp, rows)
            if masks is not None:
                self._send_masks(rows, masks)
        else:
            self._mask_rows.forget_tracked()

    def _lost(self, what: str, text: str) -> None:
        self._count(f'{what}_without_detections', f'{what} {text}')

    def _send_keypoints(self, rows: TrackedRows, frame: TensorFrame) -> None:
        try:
            points = self._smoothed_keypoints(rows, rows.keypoints(frame))
            self._keypoints.publish(rows.keypoint_frame(frame, points))
        except FrameError as error:
            self._count(error.reason, f'a frame goes on without its keypoints: {error}')

    def _smoothed_keypoints(self, rows: TrackedRows, points: np.ndarray) -> np.ndarray:
        choice = self.parameters.smooth_keypoints
        if choice is AutoSwitch.FALSE:
            return points
        raw = self._posed_by_keypoints if choice is AutoSwitch.AUTO else ()
        followed = [seen for seen in rows.seen if seen.label not in raw and rows.ids[seen.index]]
        if not followed:
            return points
        ids, sizes = [0] * len(points), np.ones(len(points))
        for seen in followed:
            ids[seen.index] = rows.ids[seen.index]
            sizes[seen.index] = math.sqrt(seen.item.bbox.size_x * seen.item.bbox.size_y)
        return self._smoother.update(rows.stamp_s, ids, points, sizes)

    def _send_masks(self, rows: TrackedRows, frame: ImageFrame) -> None:
        try:
            self._masks.publish(rows.mask_frame(frame))
        except FrameError as error:
            self._count(error.reason, f'a frame goes on without its masks: {error}')

    # Poses

    def _on_poses(self, message: Detection3DArray, clock: StageClock) -> None:
        chosen = self.parameters
        stamp_s, broken = self._flow_3d.take(message.header, chosen.max_gap_s)
        if broken is not None:
            self._count(*broken)
            self._objects.clear()
        measured = self._measured(message)
        together = self._updated_together(stamp_s, measured)
        smooth: list[Detection3D] = []
        given: set[_Key] = set()
        for item in measured:
            try:
                smooth.append(self._smoothed(message.header, stamp_s, item, given, together))
            except FrameError as error:
                self._count(error.reason, str(error))
        if chosen.predict_s > 0.0:
            smooth.extend(self._filled_in(message.header, stamp_s, smooth))
        self._forget(stamp_s)
        answer = objects_message(message.header, smooth)
        self._detections_3d.publish(answer)
        if self._poses.wanted:
            self._poses.publish(pose_array(answer))
        if chosen.publish_tf:
            self._publish_tf(answer)
        self.report_timings(message.header, (clock.finish(),))

    def _measured(self, message: Detection3DArray) -> list[_Measured]:
        """The objects that can be used; those that cannot are counted."""
        measured = []
        for item in message.detections:
            try:
                seen = read_object(item, self._labels)
                pose = pose_from_message(seen.result.pose.pose)
                covariance = np.array(seen.result.pose.covariance).reshape(6, 6)
                known = covariance if np.count_nonzero(covariance) else None
                measured.append(_Measured((seen.label, item.id), seen, pose, known, second_pose(seen)))
            except FrameError as error:
                self._count(error.reason, str(error))
        return measured

    def _updated_together(self, stamp_s: float, measured: list[_Measured]) -> dict[int, SmoothPose | None]:
        """What the filters say of the objects that simply go on, by `id` of the measurement: mostly of all.

        Those that are new, come twice, or may be in one of two poses are left to `_smoothed`.
        """
        going: dict[_Key, tuple[TwoPoseFilter, _Measured]] = {}
        for item in measured:
            known = self._objects.get(item.key)
            if known is not None and item.second is None and known.filter.follows_one(stamp_s):
                going.setdefault(item.key, (known.filter, item))
        filters, items = [one for one, _ in going.values()], [item for _, item in going.values()]
        poses, covariances = [item.pose for item in items], [item.covariance for item in items]
        try:
            found = TwoPoseFilter.update_together(filters, stamp_s, poses, covariances)
        except FrameError:  # one of them; which one is told when they are taken one by one
            return {}
        return {id(item): result for item, result in zip(items, found, strict=True)}

    def _smoothed(
        self,
        header: Header,
        stamp_s: float,
        measured: _Measured,
        given: set[_Key],
        together: Mapping[int, SmoothPose | None],
    ) -> Detection3D:
        """One object; `given` are those that came before it in the message, `together` as of `_updated_together`.

        Raises:
            FrameError: it can't be published.
        """
        key, seen = measured.key, measured.seen
        label, identity = key
        if not identity:
            return seen.item
        if key in given:
            raise FrameError('duplicate_id', f'{label} {identity} comes twice in a message, the second is left out')
        known = self._objects.get(key)
        if known is None:
            known = _Object(TwoPoseFilter(self._pose_settings, self._symmetries.get(label, ()), self._mirror_settings))
        if id(measured) in together:
            result = together[id(measured)]
        else:
            result = known.filter.update(stamp_s, measured.pose, measured.covariance, measured.second)
        self._objects[key] = known
        given.add(key)
        if known.filter.withheld:
            raise FrameError('ambiguous_pose', f'{label} {identity}: {known.filter.withheld}')
        if result is None:
            raise FrameError(
                'pose_outlier',
                f'{label} {identity}: the pose is too far from where the object was heading; '
                'if it moves like that, raise outlier_gate',
            )
        known.score, known.size, known.box_center = seen.score, seen.size, seen.box_center(measured.pose)
        return known.message(header, key, seen.score, result)

    def _filled_in(self, header: Header, stamp_s: float, smooth: list[Detection3D]) -> list[Detection3D]:
        """Predicted poses of the objects that are missing."""
        limit = self.parameters.predict_s
        present = {(best_result(item).hypothesis.class_id, item.id) for item in smooth}
        filled = []
        for key, known in self._objects.items():
            seen_s = known.filter.stamp_s
            if key in present or seen_s is None or known.filter.hits < 2 or not 0.0 < stamp_s - seen_s < limit:
                continue
            try:
                guess = known.filter.predict(stamp_s)
            except FrameError:  # which of two poses it is in is open
                continue
            score = known.score * (1.0 - (stamp_s - seen_s) / limit)
            filled.append(known.message(header, key, score, guess))
        return filled

    def _forget(self, stamp_s: float) -> None:
        """Objects whose filter would start from scratch, and that are predicted no more."""
        limit = max(self._pose_settings.max_gap_s, self.parameters.predict_s)
        for key in [key for key, known in self._objects.items() if stamp_s - (known.filter.stamp_s or 0.0) > limit]:
            del self._objects[key]

    def _publish_tf(self, answer: Detection3DArray) -> None:
        named = [item for item in answer.detections if item.id]
        if named and not answer.header.frame_id:
            self._count('no_frame_id', 'poses come without a header.frame_id, so they have no place in /tf')
        elif self._broadcaster is not None and (self._broadcaster.wanted or not stamp_ns(answer.header)):
            try:
                self._broadcaster.send(object_frames(answer.header, named, self._frame_prefix))
            except FrameError as error:  # such as a frame without a stamp; the poses are out already
                self._count(error.reason, str(error))

    def _count(self, reason: str, text: str) -> None:
        """Something of a frame is lost, though not the frame."""
        self.health.skipped(reason)
        if text:
            self.health.warn(reason, f'{reason}: {text}')


@dataclass(frozen=True, eq=False)
class _Measured:
    """An object of a message that can be used; `covariance` is None where it has none."""

    key: _Key
    seen: SeenObject
    pose: Pose
    covariance: np.ndarray | None
    second: SecondPose | None


@dataclass
class _Object:
    """What is remembered of an object with an id."""

    filter: TwoPoseFilter
    score: float = 0.0
    size: tuple[float, float, float] = (0.0, 0.0, 0.0)
    box_center: np.ndarray | None = None

    def message(self, header: Header, key: _Key, score: float, found: SmoothPose) -> Detection3D:
        """The object under its class and id, at a filtered pose."""
        return detection_3d(
            header,
            key[0],
            score,
            found.pose,
            self.size,
            identity=key[1],
            covariance=found.covariance,
            box_center=self.box_center,
        )


main = node_main(TrackNode)
