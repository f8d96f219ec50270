# SPDX-License-Identifier: Apache-2.0
"""ROS for the length of one command."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

import rclpy
from rclpy.context import Context
from rclpy.signals import SignalHandlerOptions

from isaac_inference.ros.runtime.compat import shutdown_context
from isaac_inference.ros.runtime.container.process import tune_process
from isaac_inference.ros.runtime.container.stop_request import StopRequest
from isaac_inference.ros.runtime.resources import dds_environment


@contextlib.contextmanager
def default_ros(*arguments: str) -> Iterator[None]:
    """The default context, for a graph in this process, shut down at the end; Ctrl-C interrupts as usual.

    `arguments`: ROS arguments, such as '--log-level', 'warn'.
    """
    os.environ.update(dds_environment(os.environ))  # before the middleware starts, and for the processes we start
    options = ['--ros-args', *arguments] if arguments else None
    rclpy.init(args=options, signal_handler_options=SignalHandlerOptions.NO)
    tune_process()
    try:
        yield
    finally:
        shutdown_context(rclpy.get_default_context())


@contextlib.contextmanager
def ros_session() -> Iterator[tuple[Context, threading.Event]]:
    """A separate context, shut down at the end, and the event that SIGINT and SIGTERM set."""
    os.environ.update(dds_environment(os.environ))  # before the middleware starts
    tune_process()
    stop, context, request = threading.Event(), Context(), StopRequest()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    # the event is set by a thread of its own: a signal handler may interrupt whoever has its lock
    watcher = threading.Thread(target=_pass_on, args=(request, stop), name='stop request', daemon=True)
    watcher.start()
    try:
        with request.signals():
            yield context, stop
    finally:
        request.request()
        watcher.join()
        request.close()
        shutdown_context(context)


def _pass_on(request: StopRequest, stop: threading.Event) -> None:
    request.wait()
    stop.set()
