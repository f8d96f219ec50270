# SPDX-License-Identifier: Apache-2.0
"""One node, one executor, one thread."""

from __future__ import annotations

import contextlib
import threading

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node


class SpinThread:
    """Spins `node` in an executor and thread of its own; owns the node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, name=f'{node.get_name()} executor', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop spinning and destroy the node."""
        self._executor.shutdown()
        self._thread.join()
        self.node.destroy_node()

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()
