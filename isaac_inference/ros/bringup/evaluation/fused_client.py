# SPDX-License-Identifier: Apache-2.0
"""Collects what several cameras together found, and the truth that they have in common."""

from __future__ import annotations

from std_msgs.msg import Empty
from vision_msgs.msg import Detection3DArray

from isaac_inference.evaluation import Boxes
from isaac_inference.ros.bringup.evaluation.client import (
    STEP,
    TRUTH_POSES,
    AnswerTopics,
    EvaluationClient,
)
from isaac_inference.ros.bringup.evaluation.messages import poses_from_message
from isaac_inference.ros.runtime.node import StageClock
from isaac_inference.ros.runtime.topics.qos import QosParameters, Reliability
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import plain

FUSED = 'fused/detections_3d'
TOPICS = AnswerTopics(boxes='', poses=FUSED, timings=())
_RELIABLE = QosParameters(reliability=Reliability.RELIABLE, depth=100)


class FusedClient(EvaluationClient):
    """An evaluation client without boxes: the answers are `fused/detections_3d`, which is its primary input.

    Its namespace is that of the fusion node and of the simulator, and the cameras' are below it; `TOPICS` is what it is
    started with.
    """

    def __init__(self, node_name: str = 'fused_client', **kwargs: object) -> None:
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        self._listen(Detection3DArray, TRUTH_POSES, self._on_common_truth)
        self._listen(Detection3DArray, FUSED, self._on_fused, primary=True)
        self.watch()
        self._step = self.advertise(plain(Empty), STEP, _RELIABLE)

    def _on_common_truth(self, message: Detection3DArray, clock: StageClock) -> None:
        self.collector.note(stamp_ns(message.header), truth_boxes=Boxes.empty())
        self._on_truth_poses(message, clock)

    def _on_fused(self, message: Detection3DArray, clock: StageClock) -> None:
        poses, header = poses_from_message(message, self.health.skipped), message.header
        self.collector.note(
            stamp_ns(header),
            poses=poses,
            boxes=Boxes.empty(),
            poses_frame=header.frame_id,
            finished_ns=clock.arrived_ns,
        )
