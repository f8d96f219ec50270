# SPDX-License-Identifier: Apache-2.0
"""Parameters of the budget node."""

from __future__ import annotations

from dataclasses import dataclass

from isaac_inference.ros.runtime.parameters.node_parameters import NodeParameters
from isaac_inference.ros.runtime.parameters.schema import group, param
from isaac_inference.ros.runtime.topics.qos import QosParameters


@dataclass(frozen=True)
class BudgetParameters(NodeParameters):
    """What frames are compared with, and whose."""

    budget: str = param(
        '',
        'Latency budget: a preset of config/budgets, such as "manipulation", or the path of a YAML file; empty watches '
        'the rate alone.',
    )
    target_rate_hz: float = param(
        0.0,
        'Frames per second that should come out; below 80 % of it the node warns, and names the bottleneck. 0: none.',
        unit='Hz',
        minimum=0.0,
        live=True,
    )
    nodes: tuple[str, ...] = param(
        ('preprocess', 'inference', 'detection'),
        'Nodes whose timings make up a frame, in the order of the data; the last one is the output.',
    )
    window: int = param(300, 'Frames over which percentiles are taken.', unit='frames', minimum=1, maximum=100000)
    rate_window_s: float = param(5.0, 'Time over which frames are counted for the rate.', unit='s', minimum=0.5)
    patience_s: float = param(
        0.5,
        'How long beyond max_allowed_processing_time_ms the report of a frame may be on its way; then the frame counts '
        'as one without a result.',
        unit='s',
        minimum=0.0,
    )
    max_clock_offset_s: float = param(
        5.0,
        "Frames that seem older than this on arrival have stamps of another clock than this machine's: they are "
        'compared from their arrival on, and the clock is named.',
        unit='s',
        minimum=0.001,
    )
    camera_qos: QosParameters = group(
        QosParameters(depth=10), 'Subscription to the CameraInfo, which tells of frames before any stage does.'
    )
