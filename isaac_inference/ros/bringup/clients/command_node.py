# SPDX-License-Identifier: Apache-2.0
"""Base class of the nodes that a command runs beside a graph."""

from __future__ import annotations

from typing import Any

from rclpy.parameter import Parameter

from isaac_inference.ros.runtime.container.spin import SpinThread
from isaac_inference.ros.runtime.node import PipelineNode


class CommandNode(PipelineNode):
    """A node that a command starts, once its settings are in place, and closes; missing input is not an error."""

    def __init__(self, node_name: str, **kwargs: Any) -> None:
        super().__init__(node_name, parameter_overrides=[Parameter('autostart', value=False)], **kwargs)
        self._spin: SpinThread | None = None

    def has_input(self) -> bool:
        return False

    def run(self) -> None:
        """Configure, activate, and spin in a separate thread."""
        self.trigger_configure()
        self.trigger_activate()
        self._spin = SpinThread(self)

    def close(self) -> None:
        """Stop and destroy the node."""
        if self._spin is not None:
            self._spin.stop()
