# SPDX-License-Identifier: Apache-2.0
"""Frames with a truth, from a recording."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation import FrameRecord
from isaac_inference.ros.bringup.evaluation.client import IMAGES, INFOS, TRUTH_BOXES, TRUTH_POSES, AnswerTopics
from isaac_inference.ros.bringup.evaluation.collector import FrameCollector
from isaac_inference.ros.bringup.evaluation.messages import boxes_from_message, poses_from_message
from isaac_inference.ros.messages.detections import Skip
from isaac_inference.ros.recording import Recording
from isaac_inference.ros.runtime.health.diagnostics import parse_timings
from isaac_inference.ros.runtime.topics.stamp import stamp_ns

_WINDOW = 16  # stamps; messages of one frame lie no further apart than so many frames


@dataclass
class RecordedFrame:
    """The messages of one stamp: `inputs` are camera messages by relative topic, `others` truth and answers."""

    stamp_ns: int
    inputs: list[tuple[str, Any]] = field(default_factory=list)
    others: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def has_image(self) -> bool:
        """Whether the colour image is there."""
        return any(topic == IMAGES[0] for topic, _ in self.inputs)

    @property
    def has_truth(self) -> bool:
        """Whether the whole truth is there."""
        return TRUTH_BOXES in self.others and TRUTH_POSES in self.others

    def give_truth_to(self, collector: FrameCollector) -> None:
        """Note the truth."""
        poses = self.others[TRUTH_POSES][-1]
        collector.note(
            self.stamp_ns,
            truth_boxes=boxes_from_message(self.others[TRUTH_BOXES][-1]),
            truth_poses=poses_from_message(poses),
            truth_frame=poses.header.frame_id,
        )

    def give_answers_to(self, collector: FrameCollector, topics: AnswerTopics, skip: Skip) -> None:
        """Note the recorded answers; `skip` is told of each object that cannot be used, which counts as missed."""
        if topics.boxes in self.others:
            collector.note(self.stamp_ns, boxes=boxes_from_message(self.others[topics.boxes][-1], skip))
        if topics.poses in self.others:
            message = self.others[topics.poses][-1]
            frame_id = message.header.frame_id
            collector.note(self.stamp_ns, poses=poses_from_message(message, skip), poses_frame=frame_id)
        for topic in topics.timings:
            for message in self.others.get(topic, ()):
                stages = {timing.stage: timing for timing in parse_timings(message)}
                ends = [timing.finished_ns for timing in stages.values()]
                collector.note(self.stamp_ns, stages=stages, finished_ns=max(ends, default=0))


class RecordedFrames:
    """The frames of a recording. Its topics' namespace is that of `truth/detections`.

    Args:
        path: the recording.
        topics: the answers that are looked for.

    Raises:
        ConfigError: it can't be read, or has no truth.
    """

    def __init__(self, path: str, topics: AnswerTopics) -> None:
        self._path, self._topics = path, topics
        self._recording = Recording(path)
        known = self._recording.topics()
        truths = sorted((name for name in known if name.endswith(f'/{TRUTH_BOXES}')), key=len)
        if not truths:
            raise ConfigError(
                f'--recording {path}: no topic {TRUTH_BOXES} in it, so there is nothing to compare with; '
                f'it has {", ".join(sorted(known)) or "no topics"}'
            )
        self._prefix = truths[0].removesuffix(TRUTH_BOXES)
        self.frames = known[truths[0]].count
        self._names: Mapping[str, str] = {
            self._prefix + name: name
            for name in (*IMAGES, *INFOS, TRUTH_BOXES, TRUTH_POSES, topics.boxes, topics.poses, *topics.timings)
            if name and self._prefix + name in known
        }
        self._require(TRUTH_POSES)

    def replayed(self) -> Iterator[RecordedFrame]:
        """Camera messages and truth, in the order of the stamps.

        Raises:
            ConfigError: there are no images.
        """
        self._require(IMAGES[0])
        return self._frames((*IMAGES, *INFOS, TRUTH_BOXES, TRUTH_POSES))

    def records(self, skip: Skip, frames: int = 0, warmup: int = 0) -> list[FrameRecord]:
        """What the recorded answers amount to.

        Args:
            skip: told of each object of an answer that cannot be used.
            frames: how many, after the first `warmup`; 0: all.
            warmup: frames that are not counted.

        Raises:
            ConfigError: there are no answers.
        """
        names = [name for name in (self._topics.boxes, self._topics.poses) if name]
        for name in names:
            self._require(name)
        collector = FrameCollector(wants_poses=bool(self._topics.poses))
        for frame in self._frames((TRUTH_BOXES, TRUTH_POSES, *names, *self._topics.timings)):
            if frame.has_truth:
                frame.give_truth_to(collector)
                frame.give_answers_to(collector, self._topics, skip)
        stamps = collector.truth_stamps()[warmup:]
        return collector.records(stamps[:frames] if frames else stamps)

    def _frames(self, wanted: tuple[str, ...]) -> Iterator[RecordedFrame]:
        waiting: OrderedDict[int, RecordedFrame] = OrderedDict()
        for item in self._recording.messages([full for full, name in self._names.items() if name in wanted]):
            name, message = self._names[item.topic], item.message
            stamp = stamp_ns(message.header)
            frame = waiting.setdefault(stamp, RecordedFrame(stamp))
            if name in IMAGES + INFOS:
                frame.inputs.append((name, message))
            else:
                frame.others.setdefault(name, []).append(message)
            if len(waiting) > _WINDOW:
                yield waiting.pop(min(waiting))
        for stamp in sorted(waiting):
            yield waiting[stamp]

    def _require(self, name: str) -> None:
        if name not in self._names.values():
            raise ConfigError(
                f'--recording {self._path}: no topic {self._prefix}{name} in it; record it too '
                f'(of those needed it has {", ".join(sorted(self._names)) or "none"})'
            )
