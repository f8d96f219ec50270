# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the frames is one line in the log, from the first node that sees it; all others only show it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from support.ros.probe import image_message
from support.waiting import wait_until

from isaac_inference.ros.runtime.node import PipelineNode

NODES = ('preprocess', 'inference', 'detection')
SOON = 0.5  # seconds without input after which a node is STALE; nothing depends on how soon, once nodes are discovered


class Lines:
    """All lines that nodes log as warnings or worse, and those that say that an input is back, from their first on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.warnings: list[tuple[str, str]] = []
        self.remarks: list[tuple[str, str]] = []

        def log(node: PipelineNode, is_error: bool, text: str) -> None:
            self.warnings.append((node.get_name(), text))

        def inform(node: PipelineNode, text: str) -> None:
            self.remarks.append((node.get_name(), text))

        monkeypatch.setattr(PipelineNode, '_log', log)
        monkeypatch.setattr(PipelineNode, '_inform', inform)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    return Lines(monkeypatch)


@pytest.fixture
def graph(make_graph: Any, model: Path) -> Iterator[Any]:
    with make_graph() as made:
        yield made


def is_stale(graph: Any, *nodes: str) -> bool:
    return all(graph.probe.status(name).level == DiagnosticStatus.STALE for name in nodes)


def test_silence_and_its_end_are_one_line_each_from_the_node_at_the_camera(
    lines: Lines, graph: Any, model: Path
) -> None:
    images = f'{graph.namespace}/image'
    wait_until(lambda: graph.container.count_publishers(images), 'it is known here who publishes the images')
    graph.load_all(model, annotate=False, **{name: {'input_timeout_s': SOON} for name in NODES})
    graph.probe.wait_until(lambda: is_stale(graph, *NODES), 'all nodes are stale')
    graph.probe.wait_until(lambda: lines.warnings, 'somebody says so')
    for name in NODES:
        graph.probe.wait_report(name)
    [(name, text)] = lines.warnings
    assert name == 'preprocess'
    offers = (
        f'{graph.namespace}/probe offers {graph.namespace}/image, but nothing arrives: it sends nothing, or all of it'
    )
    assert f'since activation: {offers}' in text
    assert 'fastdds_large_images.xml' in text
    status = graph.probe.status('inference').message
    assert f'the node of this process that publishes {graph.namespace}/input_tensors sends nothing' in status
    graph.probe.ask(image_message())
    graph.probe.wait_until(lambda: lines.remarks, 'the end is said')
    [(name, text)] = lines.remarks
    assert name == 'preprocess'
    assert text.startswith(f'{graph.namespace}/image: messages arrive, after ')
    graph.probe.wait_until(lambda: len(lines.warnings) == 2, 'the next silence is said')
    assert 'no input for' in lines.warnings[1][1]
    assert 'after 1 message: ' in lines.warnings[1][1]


def test_images_without_a_stamp_are_one_line(lines: Lines, graph: Any, model: Path) -> None:
    graph.load_all(model)
    message = image_message()
    message.header.stamp = Time()
    for _ in range(3):
        graph.probe.ask(message)
        graph.probe.detections.clear()
    for name in NODES:
        graph.probe.wait_until(lambda name=name: 'without a stamp' in graph.probe.status(name).message, f'{name} shows')
    assert [name for name, text in lines.warnings if 'stamp' in text] == ['preprocess']
    graph.probe.ask(image_message())
    graph.probe.wait_until(lambda: 'stamp' not in graph.probe.status('preprocess').message, 'it is over')
