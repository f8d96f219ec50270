# SPDX-License-Identifier: Apache-2.0
"""TrackNode: ids that stay from frame to frame, and smooth poses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import PoseArray
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray, Detection3D, Detection3DArray

from isaac_inference.errors import FrameError
from isaac_inference.models import ObjectsCard, read_objects
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.geometry.symmetry import Symmetry, canonical
from isaac_inference.ops.pose.second_pose import SecondPose
from isaac_inference.ops.tracking import (
    MirrorSettings,
    PoseFilterSettings,
    SmoothPose,
    Tracker,
    TrackerSettings,
    TwoPoseFilter,
)
from isaac_inference.ros.messages.detections import best_result, read_detections, with_id
from isaac_inference.ros.messages.poses import (
    SeenObject,
    detection_3d,
    frame_prefix,
    object_frames,
    pose_array,
    pose_from_message,
    read_object,
    second_pose,
)
from isaac_inference.ros.nodes.track.frame_flow import FrameFlow
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.node import PipelineNode, StageClock
from isaac_inference.ros.runtime.parameters.node_parameters import NodeParameters
from isaac_inference.ros.runtime.parameters.schema import group, param
from isaac_inference.ros.runtime.topics.qos import RESULTS, QosParameters
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.ros.runtime.transforms.broadcaster import TransformBroadcaster

_Key = tuple[str, str]  # class and id
_BOXES, _POSES, _MIRROR = TrackerSettings(), PoseFilterSettings(), MirrorSettings()  # their defaults are ours


@dataclass(frozen=True)
class TrackParameters(NodeParameters):
    """Parameters of the track node."""

    model: str = param('', 'Path of the ONNX model, for its class names and symmetries; empty accepts any class.')
    model_card: str = param(
        '', 'Path of its YAML card; empty looks beside the model. Without a model, a card of objects.'
    )
    boxes: bool = param(
        True,
        'Give ids to `detections`; false for a graph that has only `detections_3d`, which then come with ids and '
        'whose silence is STALE.',
    )
    publish_tentative: bool = param(
        True,
        'Publish detections that have no id yet, with an empty one; false leaves them out, and rows no longer match '
        'those of `keypoints` and of `instance_mask`.',
        live=True,
    )
    publish_tf: bool = param(True, 'Publish the smooth poses on /tf, as <tf_prefix>/<class>_<id>.', live=True)
    tf_prefix: str = param(
        'auto',
        'What the frames of objects begin with, before a slash: auto takes the namespace of the node, so that two '
        'cameras do not give one frame two parents; empty: nothing.',
    )
    predict_s: float = param(
        0.0,
        'How long a missing pose is filled in by prediction, with a falling score; 0 fills in nothing.',
        unit='s',
        minimum=0.0,
        maximum=2.0,
        live=True,
    )
    max_gap_s: float = param(
        2.0, 'After a longer gap between frames all tracks start from scratch.', unit='s', minimum=0.01
    )
    high_score: float = param(
        _BOXES.high_score, 'Minimum score of a detection that begins a track.', minimum=0.0, maximum=1.0
    )
    low_score: float = param(
        _BOXES.low_score, 'Minimum score of a detection that continues a track.', minimum=0.0, maximum=1.0
    )
    confirm_hits: int = param(_BOXES.confirm_hits, 'Detections before a track gets its id.', minimum=1, maximum=100)
    min_iou: float = param(
        _BOXES.min_iou, 'Minimum IoU of a detection with the predicted box of its track.', minimum=0.01, maximum=1.0
    )
    max_age_s: float = param(_BOXES.max_age_s, 'How long the id of an unseen object is kept.', unit='s', minimum=0.0)
    position_noise: float = param(
        _POSES.position_noise, 'Standard deviation of a position without covariance.', unit='m', minimum=1e-6
    )
    rotation_noise: float = param(
        _POSES.rotation_noise, 'Standard deviation of a rotation without covariance.', unit='rad', minimum=1e-6
    )
    outlier_gate: float = param(
        _POSES.gate, 'A pose further off its prediction is an outlier.', unit='standard deviations', minimum=1.0
    )
    takeover_hits: int = param(
        _POSES.takeover_hits,
        'Consecutive consistent outliers that replace the pose of a track.',
        minimum=1,
        maximum=100,
    )
    max_second_probability: float = param(
        _MIRROR.max_probability,
        'Of the mirrored pose of a flat object, such as a single tag, up to which the other one is published; 0.5 '
        'publishes all.',
        minimum=0.00001,
        maximum=0.5,
    )
    input_qos: QosParameters = group(RESULTS, 'Subscriptions to the detections.')
    output_qos: QosParameters = group(RESULTS, 'Publishers of the tracked detections and poses.')


class TrackNode(PipelineNode):
    """`detections` (Detection2DArray) to `~/detections`, with ids; `detections_3d` (Detection3DArray, with ids) to
    `~/detections_3d`, `~/poses` (PoseArray, same order) and /tf, smoothed.

    What can't be tracked keeps its place in `~/detections` with an empty id; a pose that is unusable or an outlier is
    left out. Both are counted as skipped, and so is every start from scratch.

    `detections` are the primary input, whose messages health counts and whose silence is STALE. With `boxes` false
    they are not subscribed to, and `detections_3d` takes that place.
    """

    Parameters = TrackParameters
    stage = 'track'

    def __init__(self, node_name: str = 'track', **kwargs: object) -> None:
        self._forget_all()
        self._broadcaster: TransformBroadcaster | None = None
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        chosen = self.parameters
        self._read_model()
        self._tracker = Tracker(
            TrackerSettings(
                high_score=chosen.high_score,
                low_score=chosen.low_score,
                confirm_hits=chosen.confirm_hits,
                min_iou=chosen.min_iou,
                max_age_s=chosen.max_age_s,
            )
        )
        self._pose_settings = PoseFilterSettings(
            position_noise=chosen.position_noise,
            rotation_noise=chosen.rotation_noise,
            gate=chosen.outlier_gate,
            takeover_hits=chosen.takeover_hits,
        )
        self._mirror_settings = MirrorSettings(max_probability=chosen.max_second_probability)
        self._detections = self.advertise(plain(Detection2DArray), '~/detections', chosen.output_qos)
        self._detections_3d = self.advertise(plain(Detection3DArray), '~/detections_3d', chosen.output_qos)
        self._poses = self.advertise(plain(PoseArray), '~/poses', chosen.output_qos)
        self._broadcaster = TransformBroadcaster(self)
        self._frame_prefix = frame_prefix(chosen.tf_prefix, self.get_namespace())
        depth = chosen.input_qos.depth
        boxes, poses, qos = plain(Detection2DArray), plain(Detection3DArray), chosen.input_qos
        if chosen.boxes:
            self.subscribe(boxes, 'detections', qos, self._on_detections, primary=True, depth=depth)
        self.subscribe(poses, 'detections_3d', qos, self._on_poses, primary=not chosen.boxes, depth=depth)

    def on_stop(self) -> None:
        self._tracker.reset()
        self._forget_all()

    def on_teardown(self) -> None:
        if self._broadcaster is not None:
            self._broadcaster.close()
            self._broadcaster = None

    def _forget_all(self) -> None:
        self._flow, self._flow_3d = FrameFlow(), FrameFlow()
        self._objects: dict[_Key, _Object] = {}

    def _read_model(self) -> None:
        chosen = self.parameters
        self._labels: frozenset[str] | None = None
        self._symmetries: Mapping[str, tuple[Symmetry, ...]] = {}
        card = read_objects(chosen.model, chosen.model_card)
        if card is None:
            return
        self.model = card.name
        is_open = isinstance(card, ObjectsCard) and card.is_open
        self._labels = None if is_open else frozenset(card.labels)
        self._symmetries = {
            name: tuple(Symmetry(axis, order) for axis, order in spec.symmetries) for name, spec in card.objects.items()
        }
        for symmetries in self._symmetries.values():
            canonical(Pose.identity(), symmetries)  # impossible ones are refused now, not with every frame

    # Boxes

    def _on_detections(self, message: Detection2DArray, clock: StageClock) -> None:
        stamp_s, broken = self._flow.take(message.header, self.parameters.max_gap_s)
        if broken is not None:
            self._count(*broken)
            self._tracker.reset()
        items = message.detections
        ids = self._tracker.update(stamp_s, *self._arrays(items)).tolist()
        tracked = [with_id(item, str(number) if number else '') for item, number in zip(items, ids, strict=True)]
        if not self.parameters.publish_tentative:
            tracked = [item for item in tracked if item.id]
        self._detections.publish(Detection2DArray(header=message.header, detections=tracked))
        self.report_timings(message.header, (clock.finish(),))

    def _arrays(self, items: list[Detection2D]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes, scores and class numbers; all 0, so of no use, where something is wrong with a detection."""
        boxes, scores = np.zeros((len(items), 4)), np.zeros(len(items))
        names = [''] * len(items)
        for seen in read_detections(items, self._count, self._labels):
            boxes[seen.index], scores[seen.index], names[seen.index] = seen.box, seen.score, seen.label
        return boxes, scores, np.array([self._flow.number(name) for name in names], np.int64)

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
        answer = Detection3DArray(header=message.header, detections=smooth)
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
