# SPDX-License-Identifier: Apache-2.0
"""Where nodes run: the component container, processes, and their executor threads."""

from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.container.spin import SpinThread

__all__ = ['SpinThread', 'node_main']
