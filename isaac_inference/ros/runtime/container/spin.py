# SPDX-License-Identifier: Apache-2.0
"""One node, one executor, one thread."""

from __future__ import annotations

import threading
import traceback

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node


class SpinThread:
    """Spins `node` in its own executor and thread; owns the node. A callback that raises is only logged."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._stopping = False
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, name=f'{node.get_name()} executor', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop spinning and destroy the node."""
        self._stopping = True
        self._executor.create_task(lambda: None)  # wakes it; shutdown() would destroy what its thread works with
        self._thread.join()
        self._executor.shutdown()
        self.node.destroy_node()

    def _spin(self) -> None:
        while not self._stopping and self.node.context.ok():
            try:
                self._executor.spin_once()
            except ExternalShutdownException:
                return
            except Exception:
                if self.node.context.ok():
                    self.node.get_logger().error(f'a callback raised:\n{traceback.format_exc()}')
