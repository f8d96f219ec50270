# SPDX-License-Identifier: Apache-2.0
"""Starting the graph without a launch system: in one container, or as processes."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Any, Protocol

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter

from isaac_inference.errors import ConfigError
from isaac_inference.ros.bringup.graph import NodeSpec
from isaac_inference.ros.bringup.launch_plan import resolve
from isaac_inference.ros.runtime.container.container import ComponentContainer
from isaac_inference.ros.runtime.container.spin import SpinThread
from isaac_inference.ros.runtime.parameters.schema import to_ros_value
from isaac_inference.ros.runtime.preparation import BUILDING

_POLL_S = 0.05
_runs = itertools.count(1)
_STOP_S = 5.0  # a process that ignores SIGINT for this long is killed


class Watcher(Protocol):
    """A node that listens to the diagnostics of a graph."""

    statuses: dict[str, DiagnosticStatus]

    def explain(self) -> str:
        """What the diagnostics say is wrong."""


class RunningGraph(Protocol):
    """A started graph."""

    namespace: str

    def wait_until_ready(self, client: Watcher, timeout_s: float) -> None:
        """Return when all nodes are active.

        Raises:
            ConfigError: a node could not be configured, exited, or took too long.
        """

    def close(self) -> None:
        """Stop all nodes."""


def start_composed(specs: Sequence[NodeSpec], params_file: str = '') -> RunningGraph:
    """Load all nodes into one container in this process."""
    return _Composed(specs, _namespace(), params_file)


def start_processes(specs: Sequence[NodeSpec], params_file: str = '') -> RunningGraph:
    """Start each node as a separate process."""
    return _Processes(specs, _namespace(), params_file)


class _Composed:
    def __init__(self, specs: Sequence[NodeSpec], namespace: str, params_file: str) -> None:
        self.namespace = namespace
        self._names = [f'{resolve(namespace, spec.namespace)}/{spec.name}' for spec in specs]
        container = ComponentContainer(namespace=namespace)
        container.get_logger().set_level(30)  # warnings and worse: the table shows the rest
        self._spin = SpinThread(container)
        from_file = ['--params-file', params_file] if params_file else []
        try:
            for spec in specs:
                remaps = [f'{source}:={target}' for source, target in spec.remappings.items() if source != target]
                container.load(
                    spec.package,
                    spec.plugin,
                    node_name=spec.name,
                    namespace=resolve(namespace, spec.namespace),
                    remappings=remaps,
                    arguments=from_file,
                    parameters=_parameters(spec),
                )
        except ConfigError:
            self.close()
            raise

    def wait_until_ready(self, client: Watcher, timeout_s: float) -> None:
        _wait_until_active(client, self._names, timeout_s)

    def close(self) -> None:
        self._spin.stop()


class _Processes:
    def __init__(self, specs: Sequence[NodeSpec], namespace: str, params_file: str) -> None:
        self.namespace = namespace
        self._names = [f'{resolve(namespace, spec.namespace)}/{spec.name}' for spec in specs]
        self._running = [subprocess.Popen(_command(spec, namespace, params_file)) for spec in specs]

    def wait_until_ready(self, client: Watcher, timeout_s: float) -> None:
        _wait_until_active(client, self._names, timeout_s, self._check_alive)

    def close(self) -> None:
        for process in self._running:
            process.send_signal(signal.SIGINT)
        for process in self._running:
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _check_alive(self) -> None:
        for name, process in zip(self._names, self._running, strict=True):
            if process.poll() is not None:
                raise ConfigError(
                    f'node {name} exited with status {process.returncode} while starting; see its own message above'
                )


def _wait_until_active(
    client: Watcher, names: Sequence[str], timeout_s: float, check: Callable[[], None] = lambda: None
) -> None:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        check()
        statuses = dict(client.statuses)
        for name in names:
            if name in statuses and statuses[name].message.startswith('configure failed'):
                raise ConfigError(f'node {name}: {statuses[name].message}')
        if any(status.message.startswith(BUILDING) for status in statuses.values()):
            end = time.monotonic() + timeout_s  # the build of an engine takes minutes, and reports its progress
        if all(_state(statuses.get(name)) == 'active' for name in names):
            return
        time.sleep(_POLL_S)
    missing = [name for name in names if _state(client.statuses.get(name)) != 'active']
    raise ConfigError(f'nodes {", ".join(missing)} not active after {timeout_s:g} s; {client.explain()}')


def _state(status: DiagnosticStatus | None) -> str:
    values = status.values if status is not None else ()
    return next((pair.value for pair in values if pair.key == 'state'), '')


def _namespace() -> str:
    return f'/isaac_inference_run_{os.getpid()}_{next(_runs)}'


def _parameters(spec: NodeSpec) -> list[Parameter]:
    return [Parameter(name, value=value) for name, value in spec.parameters.items()]


def _command(spec: NodeSpec, namespace: str, params_file: str) -> list[str]:
    arguments = ['--ros-args', '-r', f'__ns:={resolve(namespace, spec.namespace)}', '-r', f'__node:={spec.name}']
    for source, target in spec.remappings.items():
        arguments += ['-r', f'{source}:={target}'] if source != target else []
    if params_file:
        arguments += ['--params-file', params_file]
    for name, value in spec.parameters.items():
        arguments += ['-p', f'{name}:={_yaml(value)}']
    return [sys.executable, '-c', _start(spec), *arguments]


def _yaml(value: Any) -> str:
    """A parameter's value as YAML that is read as the same type: text is quoted, be it empty, '1e3' or 'true'."""
    return json.dumps(to_ros_value(value), ensure_ascii=False)


def _start(spec: NodeSpec) -> str:
    """The Python line that is the node's executable, wherever that lies."""
    for entry in entry_points(group='console_scripts'):
        if entry.name == spec.executable and importlib.util.find_spec(entry.module):
            return f'from {entry.module} import {entry.attr} as main; main()'
    raise ConfigError(f'executable {spec.executable} of package {spec.package} is not installed; reinstall the package')
