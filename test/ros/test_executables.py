# SPDX-License-Identifier: Apache-2.0
"""The console scripts: light until a node is imported, and quiet if a signal comes before that."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from support.waiting import LIMIT_S

from isaac_inference.ros import executables
from isaac_inference.ros.bringup.node_list import MAIN_MODULES

# the import of the node, which takes a second or more, is made to take until the end
SCRIPT = """
import importlib.abc, sys
class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == 'rclpy':
            print('importing', flush=True)
            try:
                sys.stdin.read()
            except BaseException:  # as some libraries do around their own imports
                print('caught', flush=True)
sys.meta_path.insert(0, Slow())
from isaac_inference.ros.executables import preprocess_node
print('rclpy' in sys.modules, flush=True)
preprocess_node()
"""


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_node_is_imported_ends_it_quietly(number):
    with subprocess.Popen(
        [sys.executable, '-c', SCRIPT],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout.readline() == 'False\n', 'the script itself has imported rclpy'
            assert process.stdout.readline() == 'importing\n'
            process.send_signal(number)
            out, err = process.communicate(timeout=LIMIT_S)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (0, '', '')


def test_every_script_is_an_attribute_and_others_are_not():
    assert all(callable(getattr(executables, name)) for name in MAIN_MODULES)
    with pytest.raises(AttributeError, match='has no console script other_node; it has component_container, camera'):
        executables.other_node  # noqa: B018
