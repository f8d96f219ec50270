# SPDX-License-Identifier: Apache-2.0
"""Running a node as a separate process, with a clean shutdown on SIGINT and SIGTERM."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from isaac_inference.errors import PerceptionError
from isaac_inference.ros.runtime.compat import shutdown_context
from isaac_inference.ros.runtime.container.memory import keep_freed_memory
from isaac_inference.ros.runtime.container.spin import SpinThread
from isaac_inference.ros.runtime.container.stop_request import StopRequest
from isaac_inference.ros.runtime.resources import dds_environment

_SWITCH_INTERVAL_S = 0.001  # a stage that wakes up waits at most this long for the interpreter lock


def tune_process() -> None:
    """Settings that every process of the pipeline makes once at start: interpreter lock and memory."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    keep_freed_memory()


def run_until_signal(create: Callable[[], Node], args: Sequence[str] | None = None) -> int:
    """Spin `create()` until SIGINT, SIGTERM or context shutdown; then destroy it while ROS still works.

    Returns:
        0 after a clean shutdown; 1 if the node could not be created, with the reason on stderr.
    """
    stop = StopRequest()
    stop.take_signals()
    rclpy.init(args=list(args) if args is not None else None, signal_handler_options=SignalHandlerOptions.NO)
    context = rclpy.get_default_context()
    context.on_shutdown(stop.request)
    try:
        node = create()
    except PerceptionError as error:
        print(f'error: {error}', file=sys.stderr)
        shutdown_context(context)
        return 1
    spin = SpinThread(node)
    stop.wait()
    stop.ignore_signals()  # a second Ctrl-C must not interrupt the clean shutdown
    spin.stop()
    shutdown_context(context)
    return 0


def node_main(node: Callable[..., Node]) -> Callable[..., None]:
    """The console-script function of a node class."""

    def main(args: Sequence[str] | None = None) -> None:
        tune_process()
        os.environ.update(dds_environment(os.environ))  # before the middleware starts
        sys.exit(run_until_signal(node, args))

    return main
