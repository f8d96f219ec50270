# SPDX-License-Identifier: Apache-2.0
"""An installed Python package that offers rclpy components, made of text."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

NODES = '''
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node

destroyed = []

class Full(Node):
    """Takes what rclpy takes."""
    def __init__(self, node_name='full', **kwargs):
        super().__init__(node_name, **kwargs)
        self.declare_parameter('size', 1)
    def destroy_node(self):
        destroyed.append(self.get_name())
        super().destroy_node()

class Fixed(Node):
    """Fixes its name and hands on the rest."""
    def __init__(self, **kwargs):
        super().__init__('fixed', **kwargs)
        self.declare_parameter('size', 1)

class Bare(Node):
    """Takes nothing."""
    def __init__(self):
        super().__init__('bare')
        self.declare_parameter('size', 1)

class BareLifecycle(LifecycleNode):
    """Takes nothing, too."""
    def __init__(self):
        super().__init__('bare_lifecycle')
        self.declare_parameter('size', 1)

class Partial(Node):
    """Takes its name under another keyword and a namespace."""
    def __init__(self, name='partial', *, namespace=''):
        super().__init__(name, namespace=namespace)
        self.declare_parameter('size', 1)

class GoesPast(Node):
    """Calls rclpy's class itself."""
    def __init__(self):
        Node.__init__(self, 'goes_past')

class Raises(Node):
    def __init__(self, node_name='raises', **kwargs):
        raise RuntimeError('no camera on this robot')

class NoNode:
    pass

def function():
    pass
'''
NAMES = ('Full', 'Fixed', 'Bare', 'BareLifecycle', 'Partial', 'GoesPast', 'Raises', 'NoNode', 'function')


@contextlib.contextmanager
def fake_package(folder: Path) -> Iterator[None]:
    """`fake_robot` with the components above, `Broken` of a module that can't be imported, and `Gone` of none."""
    (folder / 'fake_robot_nodes.py').write_text(NODES)
    (folder / 'fake_robot_broken.py').write_text('raise OSError("libgone.so: cannot open")')
    info = folder / 'fake_robot-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: fake_robot\nVersion: 1.0\n')
    lines = [f'fake_robot::{name} = fake_robot_nodes:{name}' for name in NAMES]
    lines += ['fake_robot::Broken = fake_robot_broken:Broken', 'fake_robot::Gone = fake_robot_nodes:Gone']
    (info / 'entry_points.txt').write_text('\n'.join(['[rclpy_components]', *lines, '']))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield
    sys.modules.pop('fake_robot_nodes', None)
