# SPDX-License-Identifier: Apache-2.0
"""What PoseNode adds to a frame with five objects.

The composed graph as `isaac-inference evaluate --sim` starts it (simulated camera, preprocess, inference, detection,
track, pose), in this process and all of it on one core; the camera makes a frame when the one before is answered, with
five objects on the table. `pose` is the pose node's own handler: from taking the detections out of its mailbox to poses
published and sent, as it stamps it on `pose/timings`. Its neighbours' threads wait for the same core and the same
interpreter meanwhile, and that is in it. Frames count in which exactly five objects were detected.

The same detections and keypoints are then given to `stages.poses.PoseEstimator` in a bare loop, in turn with the graph
block by block, on the same core: the least that the poses themselves take. The track node's two handlers, ids and
smoothing, are given for information, and so is the whole again with registration.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from vision_msgs.msg import Detection2DArray

from benchmark.support.common import (
    STATS,
    Figure,
    Options,
    Result,
    Stats,
    Table,
    number,
    one_core,
    plt,
    save_plot,
    stacked_bars,
)
from benchmark.support.ros import READY_S, ros
from isaac_inference.errors import FrameError
from isaac_inference.models import ModelCard, read_card
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ros.bringup.evaluation.client import AnswerTopics, EvaluationClient
from isaac_inference.ros.bringup.graph import perception_graph
from isaac_inference.ros.bringup.runner import start_composed
from isaac_inference.ros.messages.depth import depth_array
from isaac_inference.ros.messages.image import IMAGE, ImageFrame
from isaac_inference.ros.messages.tensors import KEYPOINTS_TOPIC, TENSORS, TensorFrame
from isaac_inference.ros.nodes.pose.node import observed_objects
from isaac_inference.ros.runtime.health.diagnostics import parse_timings
from isaac_inference.ros.runtime.node import StageClock
from isaac_inference.ros.runtime.topics.qos import QosParameters, Reliability
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.sim import default_camera
from isaac_inference.stages.poses import DepthView, PoseEstimator, PoseMethod

TITLE = 'PoseNode'
OBJECTS, ASKED_MS = 5, 3.0
_SEED, _SCENE_FRAMES, _WARM_UP = 33, 25, 10
_ANSWER_S = 20.0
_RELIABLE = QosParameters(reliability=Reliability.RELIABLE, depth=10)
_KINDS = {PoseMethod.AUTO: 'keypoints', PoseMethod.REGISTRATION: 'registration'}


@dataclass
class _Frame:
    """What is kept of one stamp: the pose node's inputs, and each stage's work in ms in the order it was done."""

    detections: Detection2DArray | None = None
    keypoints: np.ndarray | None = None
    depth: ImageFrame | None = None
    work_ms: dict[str, list[float]] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Five objects, and everything is there."""
        found = len(self.detections.detections) if self.detections is not None else 0
        return found == OBJECTS and self.keypoints is not None and 'pose' in self.work_ms


class _Client(EvaluationClient):
    """An evaluation's client that keeps what the pose node was given."""

    def __init__(self, node_name: str = 'pose_node_client', **kwargs: Any) -> None:
        self.frames: dict[int, _Frame] = {}
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        super().on_setup()
        self.subscribe(TENSORS, KEYPOINTS_TOPIC, _RELIABLE, self._on_keypoints, depth=10)
        self.subscribe(IMAGE, 'depth/image', _RELIABLE, self._on_depth, depth=10)

    def _frame(self, message: Any) -> _Frame:
        return self.frames.setdefault(stamp_ns(message.header), _Frame())

    def _on_keypoints(self, frame: TensorFrame, clock: StageClock) -> None:
        self._frame(frame).keypoints = frame.tensors[KEYPOINTS_TOPIC]

    def _on_depth(self, frame: ImageFrame, clock: StageClock) -> None:
        self._frame(frame).depth = frame

    def _on_boxes(self, message: Detection2DArray, clock: StageClock) -> None:
        self._frame(message).detections = message
        super()._on_boxes(message, clock)

    def _on_timings(self, message: DiagnosticArray, clock: StageClock) -> None:
        timing = parse_timings(message)[-1]  # the sender's own; the pose node passes on those before it
        self._frame(message).work_ms.setdefault(timing.stage, []).append(timing.work_ms)
        super()._on_timings(message, clock)


def run(options: Options) -> Result:
    """With keypoints, then with registration."""
    result = Result('pose_node', TITLE)
    model = options.pose_model_path()
    card = read_card(model, None)
    bars: dict[str, dict[str, float]] = {}
    with one_core(), ros():
        for method in _KINDS:
            _measure(result, bars, model, card, method, options.pick(8, 2))
    figure, axes = plt.subplots(figsize=(10, 3.6))
    stacked_bars(axes, bars, 'ms')
    axes.set_xlabel('p50 of a frame [ms]')
    axes.set_title(f'The pose node and {OBJECTS} objects, one core')
    save_plot(figure, options, 'pose_node', result)
    return result


def _measure(
    result: Result, bars: dict[str, dict[str, float]], model: str, card: ModelCard, method: PoseMethod, blocks: int
) -> None:
    estimator, kind = PoseEstimator(card, method), _KINDS[method]
    frames: list[_Frame] = []
    bare: list[float] = []
    posed = 0
    with _graph(model, method) as client:
        _show(client, _WARM_UP)
        for _ in range(blocks):
            block = [frame for frame in _show(client, _SCENE_FRAMES * 2) if frame.counts]
            times, found = _bare(estimator, block)
            frames, bare, posed = frames + block, bare + times, posed + found
    if not frames:
        result.notes.append(f'{kind}: no frame with {OBJECTS} detections; nothing was measured.')
        return
    node = Stats.of([frame.work_ms['pose'][0] for frame in frames])
    alone = Stats.of(bare)
    ratio = node.p50 / alone.p50
    table = Table(f'{OBJECTS} objects with {kind}, one core [ms a frame]', ['what', *STATS, 'times bare'])
    table.add('pose: handler of the node', *node.cells(), ratio)
    table.add('  PoseEstimator in a bare loop', *alone.cells(), 1.0)
    for place, name in enumerate(('track: ids', 'track: smoothing')):
        times = [rows[place] for frame in frames if len(rows := frame.work_ms.get('track', [])) > place]
        if times:
            table.add(name, *Stats.of(times).cells(), float(np.median(times)) / alone.p50)
    result.tables.append(table)
    asked = method is PoseMethod.AUTO
    result.figures.append(
        Figure(
            f'PoseNode, {OBJECTS} objects with {kind}, one core, composed graph, p50 of a frame',
            f'at most {ASKED_MS:g} ms' if asked else f'for information: {OBJECTS} objects of at most 30 ms',
            f'{number(node.p50)} ms (p95 {number(node.p95)} ms); the poses alone {number(alone.p50)} ms, '
            f'{ratio:.2f} times; {posed} of {OBJECTS * len(frames)} objects with a pose',
            node.p50 <= ASKED_MS if asked else None,
        )
    )
    bars[f'node,\n{kind}'] = {'the poses alone': alone.p50, 'messages, pairing, waiting': node.p50 - alone.p50}
    result.data[kind] = {'node_ms': node.as_json(), 'bare_ms': alone.as_json(), 'ratio': ratio, 'posed': posed}


@contextlib.contextmanager
def _graph(model: str, method: PoseMethod) -> Any:
    simulator = {'seed': _SEED, 'step': True, 'objects': OBJECTS, 'scene_frames': _SCENE_FRAMES}
    specs = perception_graph(
        model=model,
        simulator=simulator,
        poses=True,
        track=True,
        annotate=False,
        pose_parameters={'method': method.value},
    )
    with (
        contextlib.closing(start_composed(specs)) as graph,
        contextlib.closing(_Client.start(graph.namespace, AnswerTopics())) as client,
    ):
        watched: Any = client
        graph.wait_until_ready(watched, READY_S)
        yield client


def _show(client: _Client, count: int) -> list[_Frame]:
    """`count` frames, one after the other."""
    collector, shown = client.collector, []
    stamps = collector.truth_stamps()
    last = stamps[-1] if stamps else -1
    for _ in range(count):
        client.ask()
        collector.wait(functools.partial(_has_truth, client, last), _ANSWER_S)
        new = collector.truth_stamps(last)
        if not new:
            continue
        last = new[0]
        collector.wait(functools.partial(collector.is_answered, last), _ANSWER_S)
        collector.wait(functools.partial(_timed, client, last), 1.0)  # published after the answers
        shown.append(client.frames.get(last, _Frame()))
    return shown


def _has_truth(client: _Client, after_ns: int) -> bool:
    return bool(client.collector.truth_stamps(after_ns))


def _timed(client: _Client, stamp: int) -> bool:
    work = client.frames[stamp].work_ms if stamp in client.frames else {}
    return 'pose' in work and len(work.get('track', [])) == 2


def _bare(estimator: PoseEstimator, frames: Sequence[_Frame]) -> tuple[list[float], int]:
    """ms a frame, and how many poses were found."""
    camera = default_camera()
    spent, found = [], 0
    for frame in frames:
        _, items = observed_objects(frame.detections, frame.keypoints, lambda reason, text: None)
        seen = [item for _, item in items]
        depth = _depth(frame, camera) if estimator.uses_depth else None
        begin = time.perf_counter()
        for item in seen:
            with contextlib.suppress(FrameError):
                estimator.estimate(item, camera, depth)
                found += 1
        spent.append(1e3 * (time.perf_counter() - begin))
    return spent, found


def _depth(frame: _Frame, camera: CameraModel) -> DepthView | None:
    if frame.depth is None:
        return None
    return DepthView(DepthImage.check(depth_array(frame.depth), frame.depth.image.encoding), camera)
