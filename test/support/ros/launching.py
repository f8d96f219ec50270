# SPDX-License-Identifier: Apache-2.0
"""The real `ros2 launch`, where it is installed together with this package."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from support.waiting import LIMIT_S, Bell, wait_until

# a shell has what it starts in the background ignore Ctrl-C, and whatever that starts
_ROS2 = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from ros2cli.cli import main
sys.exit(main())
"""


def why_not() -> str:
    """Why nothing can be launched here; '' where it can."""
    for package in ('launch', 'launch_ros', 'ros2launch'):
        found = importlib.util.find_spec(package)
        if found is None or found.origin is None:  # the repository has a folder launch/
            return f'{package} is not installed; a ROS distribution has it'
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        if (Path(prefix) / 'lib/isaac_inference/component_container').exists():
            return ''
    return 'isaac_inference is not built by colcon; its install space must be sourced'


class Launched:
    """A running `ros2 launch` in a session of its own, as if in a terminal of its own."""

    def __init__(self, *words: str) -> None:
        self.lines: list[str] = []
        self._bell = Bell()
        self.process = subprocess.Popen(
            [sys.executable, '-c', _ROS2, 'launch', *words],
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            self._bell.ring()

    def found(self, expression: str) -> list[re.Match[str]]:
        """Where it has said something so far."""
        return [match for line in list(self.lines) if (match := re.search(expression, line))]

    def wait_for(self, expression: str, times: int = 1) -> list[re.Match[str]]:
        """Wait until it has said something so many times."""
        wait_until(
            lambda: len(self.found(expression)) >= times,
            f'{expression!r} is said {times} times',
            bell=self._bell,
            notes=lambda: '\n'.join(self.lines),
        )
        return self.found(expression)

    def interrupt(self) -> int:
        """Ctrl-C in its terminal; its exit code."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)
        return self.wait()

    def wait(self) -> int:
        """Its exit code, once it and all that it has started are at an end."""
        wait_until(lambda: self.process.poll() is not None, 'ros2 launch ends', notes=lambda: '\n'.join(self.lines))
        self._reader.join(LIMIT_S)
        return int(self.process.returncode)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.wait()


@contextlib.contextmanager
def launched(*words: str) -> Iterator[Launched]:
    """`ros2 launch WORDS`, killed at the end with all that it has started."""
    with contextlib.closing(Launched(*words)) as made:
        yield made
