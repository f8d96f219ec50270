# SPDX-License-Identifier: Apache-2.0
"""A ROS context for one command, and an event that Ctrl-C sets instead of breaking in."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

import rclpy
from rclpy.context import Context
from rclpy.signals import SignalHandlerOptions

from isaac_inference.runtime.compat import shutdown_context
from isaac_inference.runtime.process import tune_process
from isaac_inference.runtime.resources import dds_environment


@contextlib.contextmanager
def ros_session() -> Iterator[tuple[Context, threading.Event]]:
    """A context of its own, shut down at the end, and the event that SIGINT and SIGTERM set."""
    os.environ.update(dds_environment(os.environ))  # before the middleware starts
    tune_process()
    stop, context = threading.Event(), Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: stop.set()) for number in numbers]
    try:
        yield context, stop
    finally:
        shutdown_context(context)
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
