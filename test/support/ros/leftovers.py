# SPDX-License-Identifier: Apache-2.0
"""What tests may leave running by mistake: nodes, and the threads that spin and serve them."""

from __future__ import annotations

import gc
import sys
import threading

_OURS = (' executor', ' worker', 'camera', 'recording writer')  # how the names of nodes' threads end


def live_threads() -> set[threading.Thread]:
    """The threads of nodes that run now."""
    return {thread for thread in threading.enumerate() if thread.name.endswith(_OURS)}


def live_nodes() -> list[str]:
    """The names of all nodes of this process that are not destroyed."""
    if 'rclpy.node' not in sys.modules:
        return []
    kind = sys.modules['rclpy.node'].Node
    return [node.get_fully_qualified_name() for node in gc.get_objects() if isinstance(node, kind) and _is_live(node)]


def _is_live(node: object) -> bool:
    from rclpy.exceptions import InvalidHandle

    try:
        with node.handle:  # type: ignore[attr-defined]
            return True
    except InvalidHandle:
        return False
