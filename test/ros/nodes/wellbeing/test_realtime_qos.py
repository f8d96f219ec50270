# SPDX-License-Identifier: Apache-2.0
"""A graph with the launch file's qos:=realtime: frames get through, and a pause is counted on each topic."""

from __future__ import annotations

from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from support.ros.probe import image_message

from isaac_inference.ros.bringup.graph import perception_graph
from isaac_inference.ros.bringup.qos_choice import read_qos, with_qos


def test_frames_get_through_and_a_pause_is_counted_on_each_topic(empty_graph: Any, model: Any) -> None:
    qos = read_qos('realtime')
    for spec in perception_graph(model=str(model), annotate=False):
        empty_graph.load(spec.plugin.split('::')[1], spec.name, **with_qos(spec, qos).parameters)
    probe, names = empty_graph.probe, ('preprocess', 'inference', 'detection')
    probe.wait_active(*names)
    probe.ask(image_message())
    for node, topic in (('inference', 'input_tensors'), ('detection', 'output_tensors')):
        key = f'deadline_missed.{empty_graph.namespace}/{topic}'
        probe.wait_until(
            lambda node=node, key=key: (
                int(probe.value(node, key) or 0) >= 3 and probe.status(node).level == DiagnosticStatus.WARN
            )
        )
        assert f'{topic}: ' in probe.status(node).message
    assert not probe.value('preprocess', f'deadline_missed.{empty_graph.namespace}/image'), "the camera's is its own"
