# SPDX-License-Identifier: Apache-2.0
"""What the nodes of a graph say is wrong, as a command shows it."""

from __future__ import annotations

import contextlib

from support.onnx_models import write_model
from support.ros.node_graph import empty_container
from support.waiting import wait_until

from isaac_inference.ros.bringup.clients.graph_watcher import GraphWatcher


class Watcher(GraphWatcher):
    def on_setup(self) -> None:
        self.watch()


def test_what_others_only_follow_from_comes_first(ros, tmp_path):
    """Where no camera publishes, it is the preprocess node that says so, whatever nodes are called."""
    soon = {
        'model': str(write_model(tmp_path / 'tiny.onnx', 'yolov8')),
        'input_timeout_s': 0.3,
        'diagnostics_period_s': 0.2,
    }
    with empty_container() as graph:
        graph.load('PreprocessNode', 'last', **soon)
        graph.load('InferenceNode', 'first', **soon)
        graph.load('DetectionNode', 'between', **soon)
        with contextlib.closing(Watcher('watcher', namespace=graph.namespace)) as watcher:
            watcher.run()
            wait_until(
                lambda: sum('no input' in fault for fault in watcher.faults) == 3,
                'all three say that they have no input',
            )
            faults = [fault for fault in watcher.faults if 'no input' in fault]
    assert faults[0].startswith(f'{graph.namespace}/last: ')
    assert all('see its own status' in fault for fault in faults[1:])
