# SPDX-License-Identifier: Apache-2.0
"""FusionNode: the poses of several cameras become one of each object."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence

import numpy as np
from geometry_msgs.msg import PoseArray
from std_msgs.msg import Header
from vision_msgs.msg import Detection3D, Detection3DArray

from isaac_inference.errors import FrameError
from isaac_inference.models import ObjectsCard, read_objects
from isaac_inference.ops.fusion import CameraView, Fused, Fuser, Round, Sighting, checked_covariance
from isaac_inference.ops.geometry.rigid import Pose, transform_covariance
from isaac_inference.ops.geometry.symmetry import Symmetry, canonical
from isaac_inference.ops.pose.second_pose import moved
from isaac_inference.ros.messages.poses import (
    detection_3d,
    frame_prefix,
    object_frames,
    objects_message,
    pose_array,
    pose_from_message,
    read_object,
    second_pose,
)
from isaac_inference.ros.nodes.fusion.parameters import FusionParameters
from isaac_inference.ros.nodes.fusion.rounds import Gathered, Rounds
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.node import PipelineNode, StageClock
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.topic_graph import Source, TopicGraph
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.ros.runtime.transforms import TransformSource, make_transform_source
from isaac_inference.ros.runtime.transforms.base import frame_name
from isaac_inference.ros.runtime.transforms.broadcaster import TransformBroadcaster
from isaac_inference.stages.poses.by_keypoints import symmetries_of

FUSED_3D, FUSED_POSES = 'fused/detections_3d', 'fused/poses'
_QUEUE = 10  # messages of one camera that wait for the worker


class FusionNode(PipelineNode):
    """`<stream>/pose/detections_3d` (Detection3DArray) of each of `streams` to `fused/detections_3d`, `fused/poses`
    (PoseArray, same order) and /tf, in `target_frame`: each object once, with an id that stays.

    A moment's poses are those whose stamps are within `slop_s`; what is there after `wait_s` is fused, so a camera that
    is dead, late or without a transform costs the others nothing but its own measurements. The stamp is the newest one
    of what is fused. Nothing is smoothed; a track node with `boxes: false` behind this one does that.

    Every camera's messages are frames: health counts them all, and is STALE when all are silent. What each camera does
    is in diagnostics below its name; objects that are not given out are counted as skipped under their reason.
    """

    Parameters = FusionParameters
    stage = 'fusion'

    def __init__(self, node_name: str = 'fusion', **kwargs: object) -> None:
        self._broadcaster: TransformBroadcaster | None = None
        self._transforms: TransformSource | None = None
        self._rounds = Rounds((), 0, 0.0)
        self._fuser = Fuser()
        self._forget_all()
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        chosen: FusionParameters = self.parameters
        chosen.check()
        self._read_model()
        self._cameras = [name.strip('/') for name in chosen.streams]
        self._target = frame_name(chosen.target_frame)
        self._frame_prefix = frame_prefix(chosen.tf_prefix, self.get_namespace())
        self._without_covariance = np.diag(np.repeat((chosen.position_noise**2, chosen.rotation_noise**2), 3))
        self._rounds = Rounds(self._cameras, round(chosen.slop_s * 1e9), chosen.wait_s)
        self._fuser = Fuser(chosen.settings())
        self._forget_all()
        self._detections = self.advertise(plain(Detection3DArray), FUSED_3D, chosen.output_qos)
        self._poses = self.advertise(plain(PoseArray), FUSED_POSES, chosen.output_qos)
        self._broadcaster = TransformBroadcaster(self)
        self._source()
        self._graphs: dict[str, TopicGraph] = {}
        for place, name in enumerate(self._cameras):
            handle = functools.partial(self._on_first if place == 0 else self._on_other, name)
            topic = f'{name}/{chosen.poses.strip("/")}'
            poses = plain(Detection3DArray)
            self._graphs[name] = TopicGraph(self, topic, Detection3DArray)
            self.subscribe(poses, topic, chosen.input_qos, handle, primary=place == 0, depth=_QUEUE)
        self.every(max(chosen.wait_s / 3, 0.02), self._on_tick)
        self.every(max(chosen.diagnostics_period_s / 2, 0.05), self._say_how_streams_are)

    def on_time_jump(self, now_ns: int) -> None:
        self._rounds.clear()
        self._fuser.reset()
        if self._transforms is not None:
            self._transforms.rewind(now_ns)

    def on_stop(self) -> None:
        self._rounds.clear()
        self._fuser.reset()
        self._forget_all()

    def on_teardown(self) -> None:
        for open_one in (self._broadcaster, self._transforms):
            if open_one is not None:
                open_one.close()
        self._broadcaster = self._transforms = None

    def _forget_all(self) -> None:
        self._frames: dict[str, str] = {}  # by stream, its frame_id
        self._has_way: dict[str, bool] = {}  # by stream, whether the last transform was found
        self._contributed = dict.fromkeys(self._rounds.counts, 0)
        self._begin_s = time.monotonic()

    def _read_model(self) -> None:
        chosen = self.parameters
        self._labels: frozenset[str] | None = None
        self._symmetries: Mapping[str, tuple[Symmetry, ...]] = {}
        card = read_objects(chosen.model, chosen.model_card)
        if card is None:
            return
        self.model = card.name
        is_open = isinstance(card, ObjectsCard) and card.is_open
        self._labels = None if is_open or not card.labels else frozenset(card.labels)
        self._symmetries = symmetries_of(card.objects)
        for symmetries in self._symmetries.values():
            canonical(Pose.identity(), symmetries)  # impossible ones are refused now, not with every frame

    # Inputs

    def _on_first(self, stream: str, message: Detection3DArray, clock: StageClock) -> None:
        self._put(stream, message, clock)

    def _on_other(self, stream: str, message: Detection3DArray, clock: StageClock) -> None:
        """A frame as well, though a node has but one input that it counts by itself."""
        self.health.received(self._since_ms(message.header))
        with self.work(clock):
            self._put(stream, message, clock)

    def _since_ms(self, header: Header) -> float | None:
        """Since the header's stamp; None where there is no stamp, or no time."""
        stamp = stamp_ns(header)
        has_both = stamp > 0 and self.time_watch.has_time
        return (self.get_clock().now().nanoseconds - stamp) / 1e6 if has_both else None

    def _put(self, stream: str, message: Detection3DArray, clock: StageClock) -> None:
        stamp = stamp_ns(message.header)
        if not stamp:
            raise FrameError(
                'zero_stamp',
                f'{stream}: poses without a stamp belong to no moment; have the camera fill in header.stamp',
            )
        self._follow_frame(stream, message.header)
        released = self._rounds.put(stream, stamp, (message, clock))
        clock.defer()
        self._fuse_all(released)

    def _follow_frame(self, stream: str, header: Header) -> None:
        frame, before = frame_name(header.frame_id), self._frames.get(stream)
        self._frames[stream] = frame
        if before is not None and before != frame:
            self.health.noted('frame_id_changed')
            self.health.warn(
                f'frame_id_changed.{stream}',
                f'{stream}: frame_id changed from {before!r} to {frame!r}; its poses are fused by the transform of the '
                'latter, and what was known of its calibration is forgotten. If it goes back and forth, two publishers '
                'send this topic',
            )
            self._fuser.forget_camera(stream)

    def _on_tick(self) -> None:
        self._fuse_all(self._rounds.expire())

    # Moments

    def _fuse_all(self, released: Sequence[Gathered]) -> None:
        for one in released:
            self._fuse(one)

    def _fuse(self, gathered: Gathered) -> None:
        views: dict[str, CameraView] = {}
        newest: tuple[int, Header, StageClock] | None = None
        for stream, (stamp, (message, clock)) in gathered.members.items():
            with self.work(clock):
                views[stream] = self._view(stream, message)
                if newest is None or stamp > newest[0]:
                    newest = stamp, message.header, clock
        if newest is None:  # none of them could be used
            return
        _, header, clock = newest
        begin = time.perf_counter()
        result = self._fuser.update(views)
        self._say_what_was_refused(result)
        for stream in {name for item in result.fused for name in item.streams}:
            self._contributed[stream] += 1
        self._publish(Header(stamp=header.stamp, frame_id=self._target), result)
        self.health.measured('fuse_ms', [(time.perf_counter() - begin) * 1e3])
        self.report_timings(header, (clock.finish(),))

    def _view(self, stream: str, message: Detection3DArray) -> CameraView:
        """One camera's poses in the target frame.

        Raises:
            FrameError: there is no transform.
        """
        stamp = stamp_ns(message.header)
        T_target_camera, sightings = self._way(stream, message.header), []
        for item in message.detections:
            try:
                sightings.append(self._sighting(item, T_target_camera))
            except FrameError as error:
                self.health.skipped(error.reason, f'{stream}: {error}')
        eye = None if T_target_camera is None else T_target_camera.translation
        return CameraView(stamp / 1e9, sightings, eye)

    def _way(self, stream: str, header: Header) -> Pose | None:
        """T_target_camera at the image's stamp; None where the poses are in the target frame already."""
        frame = frame_name(header.frame_id)
        if not frame:
            raise FrameError(
                'no_frame_id', f'{stream}: poses without header.frame_id; name the frame of its camera there'
            )
        if frame == self._target:
            self.health.show(
                f'{stream}.assumed', f'in {frame} already; a wrong rotation of its camera is not accounted for'
            )
            return None
        self._check_frame(frame)
        # who has no transform is not waited for in every frame
        wait_s = self.parameters.transform_wait_s if self._has_way.get(stream, True) else 0.0
        try:
            matrix = self._source().wait(self._target, frame, stamp_ns(header), wait_s)
        except FrameError as error:
            self._has_way[stream] = False
            raise FrameError(error.reason, f'{stream} is not fused: {error}') from error
        self._has_way[stream] = True
        return Pose.from_matrix(matrix)

    def _check_frame(self, frame: str) -> None:
        """Raises FrameError: 'shared_frame_id': it is that of another camera, too."""
        if text := self._shared_frames().get(frame):
            raise FrameError('shared_frame_id', text)

    def _shared_frames(self) -> dict[str, str]:
        """The frames that several cameras have, and what to do: /tf has one place for all of them."""
        if self.parameters.correlated:
            return {}
        streams: dict[str, list[str]] = {}
        for name, frame in self._frames.items():
            streams.setdefault(frame, []).append(name)
        return {
            frame: f'{" and ".join(sorted(names))} all send poses in frame {frame!r}, and /tf has one place for it: '
            'give each camera driver a frame_id of its own; for several models on one camera set correlated: true'
            for frame, names in streams.items()
            if len(names) > 1 and frame != self._target
        }

    def _source(self) -> TransformSource:
        """Open from configure on, so that static transforms are there when poses come."""
        if self._transforms is None:
            self._transforms = make_transform_source(self, self.parameters.transform_source)
        return self._transforms

    def _sighting(self, item: Detection3D, T_target_camera: Pose | None) -> Sighting:
        """Raises FrameError: it cannot be used."""
        seen = read_object(item, self._labels)
        pose, second = pose_from_message(seen.result.pose.pose), second_pose(seen)
        given = np.array(seen.result.pose.covariance).reshape(6, 6)
        covariance = checked_covariance(given) if given.any() else self._without_covariance
        if T_target_camera is not None:
            pose, covariance = T_target_camera @ pose, transform_covariance(covariance, T_target_camera)
            second = second and moved(second, T_target_camera)
        symmetries = self._symmetries.get(seen.label, ())
        center = seen.box_center(pose_from_message(seen.result.pose.pose))
        return Sighting(seen.label, pose, covariance, seen.score, seen.size, item.id, symmetries, second, center)

    # Outputs

    def _publish(self, header: Header, result: Round) -> None:
        objects = [_message(header, item) for item in result.fused]
        answer = objects_message(header, objects)
        self._detections.publish(answer)
        if self._poses.wanted:
            self._poses.publish(pose_array(answer))
        if self.parameters.publish_tf and self._broadcaster is not None and self._broadcaster.wanted:
            try:
                self._broadcaster.send(object_frames(header, objects, self._frame_prefix))
            except FrameError as error:  # the poses are out already
                self.health.skipped(error.reason, str(error))

    def _say_what_was_refused(self, result: Round) -> None:
        for refusal in result.refusals:
            text = '' if refusal.reason == 'left_out' else refusal.text  # that is said of the camera, once
            self.health.skipped(refusal.reason, text)
        if result.fused or result.refusals:
            self.health.kept(len(result.fused))
        text = '; '.join(item.text() for item in result.disagreements)
        if result.left_out:
            text += f'; {" and ".join(result.left_out)} is left out, as the others agree'
        elif text:
            text += '; which of them is wrong cannot be told, so what both see is not given out'
        self.health.standing(
            'disagreement',
            text and f'{text}: check the calibration, i.e. what /tf says of where these cameras are',
            error=True,
            log_again=False,
        )

    def _say_how_streams_are(self) -> None:
        """Of each stream in diagnostics, and a warning while one is silent and others are not."""
        now, limit = time.monotonic(), self.parameters.input_timeout_s
        silent = {}
        for name, counts in self._rounds.counts.items():
            since = now - max(counts.last_arrival_s, self._begin_s)
            values = {'received': counts.received, 'fused': self._contributed[name], 'late': counts.late}
            for key, value in values.items():
                self.health.show(f'{name}.{key}', value)
            if counts.last_arrival_s > 0:
                self.health.show(f'{name}.silent_s', since)
            silent[name] = since if since > limit else None
        shared = '; '.join(self._shared_frames().values())
        self.health.standing('shared_frame_id', shared, error=True, log_again=False)
        others_live = not all(silent.values())
        for name, silent_s in silent.items():
            text = None
            if silent_s and others_live:
                why = self._why_silent(name)
                text = f'{name}: no poses for {silent_s:.1f} s; the others are fused without it; {why}'
            self.health.standing(f'silent.{name}', text, log_again=False)
        for (first, second), shift in self._fuser.shifts.items():
            self.health.show(f'disagreement_mm.{first}.{second}', 1e3 * float(np.linalg.norm(shift)))

    def _why_silent(self, name: str) -> str:
        """Of a stream: in words, with the names that would be heard where nobody publishes under this one."""
        graph, received = self._graphs[name], self._rounds.counts[name].received
        if received or graph.source() is not Source.NOBODY:
            return graph.explain(received)
        end = f'/{self.parameters.poses.strip("/")}'
        there = [
            topic.removesuffix(end)
            for topic, types in self.get_topic_names_and_types()
            if topic.endswith(end) and graph.type_name in types and self.count_publishers(topic)
        ]
        known = f'streams that there are: {", ".join(sorted(there))}' if there else 'nor any other stream'
        return f'nobody publishes {graph.topic} ({graph.type_name}); {known}'


def _message(header: Header, item: Fused) -> Detection3D:
    seen = item.sighting
    return detection_3d(
        header,
        seen.label,
        seen.score,
        seen.pose,
        seen.size,
        identity=str(item.number),
        covariance=seen.covariance,
        box_center=seen.box_center,
        second=seen.second,
    )


main = node_main(FusionNode)
