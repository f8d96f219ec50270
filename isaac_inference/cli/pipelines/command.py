# SPDX-License-Identifier: Apache-2.0
"""isaac-inference pipelines: shows the graph that a YAML of pipelines makes, or its faults; and starts it."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable
from typing import Any

from rich.live import Live
from rich.table import Table

from isaac_inference.cli.pipelines.table import ResultTally, graph_table, topics_table
from isaac_inference.cli.shared.console import console
from isaac_inference.errors import ConfigError
from isaac_inference.ros.bringup.clients.graph_watcher import GraphWatcher
from isaac_inference.ros.bringup.launch_plan import ARGUMENTS, LaunchPlan, launch_plan
from isaac_inference.ros.bringup.runner import start_composed
from isaac_inference.ros.bringup.session import default_ros
from isaac_inference.serving.pipelines import Setup, read_pipelines

_START_S = 120.0
_PATIENCE_S = 60.0  # for the next result of the camera that has had the fewest
_POLL_S = 0.2


class _Watcher(GraphWatcher):
    """Listens to the diagnostics of the graph in its namespace."""

    def on_setup(self) -> None:
        self.watch()


def add_command(commands: Any) -> None:
    """Add `pipelines` to the command line."""
    command = commands.add_parser(
        'pipelines', help='check a YAML of models on cameras, show the graph that it makes, and start it'
    )
    command.add_argument('file', metavar='FILE.yaml', help='such as those of config/pipelines')
    command.add_argument('--start', action='store_true', help='start it, in this process, until Ctrl-C')
    command.add_argument('--simulate', action='store_true', help='with simulated cameras in place of its own')
    command.add_argument(
        '--results', type=int, default=0, metavar='N', help='with --start: end when each camera of each has had so many'
    )
    command.add_argument('--namespace', default='', metavar='NS', help='of all nodes')
    command.add_argument('--params-file', default='', metavar='FILE', help='ROS parameter file')
    command.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Show; with --start, run it. 0 where nothing is wrong, and all pipelines gave results.

    Raises:
        ConfigError: of the file, or of arguments that do not go together.
    """
    if arguments.results < 0 or (arguments.results and not arguments.start):
        raise ConfigError(f'--results {arguments.results}: expected a number above 0, together with --start')
    setup = read_pipelines(arguments.file)
    plan = launch_plan(
        {
            **{argument.name: argument.default for argument in ARGUMENTS},
            'pipelines': arguments.file,
            'namespace': arguments.namespace,
            'params_file': arguments.params_file,
            'simulate': str(arguments.simulate).lower(),
        }
    )
    screen = console()
    screen.print(graph_table(setup, plan))
    screen.print(topics_table(setup, plan))
    for remark in plan.remarks:
        screen.print(remark, style='yellow')
    return _run(setup, plan, arguments.results) if arguments.start else 0


def _run(setup: Setup, plan: LaunchPlan, results: int) -> int:
    """Start the nodes of a plan and show what becomes of them; 0 where all pipelines gave results.

    Args:
        results: end when every pipeline has had so many of each of its cameras; 0 goes on until Ctrl-C.
    """
    screen = console()
    with (
        default_ros('--log-level', 'warn'),
        contextlib.closing(start_composed(plan.nodes, namespace=plan.namespace)) as graph,
        contextlib.closing(_Watcher('pipelines_watcher', namespace=plan.namespace)) as watcher,
    ):
        watcher.run()
        graph.wait_until_ready(watcher, _START_S)
        screen.print('all nodes are active' + ('' if results else '; Ctrl-C ends them'))
        tally = ResultTally(setup, plan)
        # on a terminal the table is there all the time, and what the nodes log goes by above it
        live = Live(console=screen, transient=True) if screen.is_terminal else contextlib.nullcontext()
        with contextlib.suppress(KeyboardInterrupt), live as shown:
            _wait(tally, watcher, results, shown.update if shown is not None else lambda table: None)
        screen.print(tally.table(watcher.statuses))
        for fault in dict.fromkeys(watcher.faults):
            screen.print(fault, style='yellow')
        return 0 if tally.fewest(watcher.statuses) >= max(results, 1) else 1


def _wait(
    tally: ResultTally, watcher: GraphWatcher, results: int, show: Callable[[Table], None] = lambda table: None
) -> None:
    """Return when there are enough results, or when there have been no more for long.

    Args:
        show: is given the table, again and again.
    """
    before, since = -1, time.monotonic()
    while not results or tally.fewest(watcher.statuses) < results:
        fewest = tally.fewest(watcher.statuses)
        show(tally.table(watcher.statuses))
        if fewest != before:
            before, since = fewest, time.monotonic()
        elif results and time.monotonic() - since > _PATIENCE_S:
            return
        time.sleep(_POLL_S)
