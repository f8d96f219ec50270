# SPDX-License-Identifier: Apache-2.0
"""How many results the cameras of pipelines have had, and when a start ends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rich.console import Console
from support.paths import ROOT

from isaac_inference.cli.pipelines import command
from isaac_inference.cli.pipelines.table import ResultTally
from isaac_inference.ros.bringup.launch_plan import ARGUMENTS, launch_plan
from isaac_inference.serving.pipelines import read_pipelines

FILE = str(ROOT / 'config' / 'pipelines' / 'priorities.yaml')
NODES = ('/safety/front/detection', '/safety/left/detection', '/scene/front/detection')


@pytest.fixture(scope='module')
def tally() -> ResultTally:
    plan = launch_plan({**{argument.name: argument.default for argument in ARGUMENTS}, 'pipelines': FILE})
    return ResultTally(read_pipelines(FILE), plan)


def statuses(*counts: int) -> dict[str, DiagnosticStatus]:
    return {
        node: DiagnosticStatus(name=node, message='running', values=[KeyValue(key='processed', value=str(count))])
        for node, count in zip(NODES, counts, strict=False)
    }


@pytest.mark.parametrize(('counts', 'fewest'), [((), 0), ((4, 3), 0), ((4, 3, 5), 3), ((4, 0, 5), 0)])
def test_the_camera_that_has_had_the_fewest_counts(tally: ResultTally, counts: tuple[int, ...], fewest: int) -> None:
    assert tally.fewest(statuses(*counts)) == fewest


def test_each_camera_has_a_row_with_what_its_node_says(tally: ResultTally) -> None:
    screen = Console(record=True, width=120)
    screen.print(tally.table(statuses(4, 3)))
    rows = [[cell.strip() for cell in line.split('│')[1:-1]] for line in screen.export_text().splitlines()]
    assert ['safety', 'front', '4', '', 'running'] in rows and ['safety', 'left', '3', '', 'running'] in rows
    assert ['scene', 'front', '0', '', 'nothing'] in rows


def test_a_camera_without_results_ends_the_wait(tally: ResultTally, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, '_PATIENCE_S', 0.0)
    watcher: Any = SimpleNamespace(statuses=statuses(9, 9))
    shown: list[Any] = []
    command._wait(tally, watcher, 2, shown.append)  # would else go on for ever
    assert [len(table.rows) for table in shown] == [3] * len(shown) != [], 'and the table is there meanwhile'


def test_enough_results_end_it(tally: ResultTally) -> None:
    watcher: Any = SimpleNamespace(statuses=statuses(2, 3, 2))
    command._wait(tally, watcher, 2)
