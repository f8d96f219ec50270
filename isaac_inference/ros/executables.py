# SPDX-License-Identifier: Apache-2.0
"""The console scripts of this package's nodes and of the container: `executables:preprocess_node`.

Importing a node takes a second or more. A signal that arrives meanwhile, as of Ctrl-C right after `ros2 launch`, ends
the process at once and quietly: nothing has been started that would have to be stopped. So this module imports
nothing itself.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
from collections.abc import Callable
from typing import Any

from isaac_inference.ros.bringup.node_list import MAIN_MODULES


def __getattr__(name: str) -> Callable[[], None]:
    """The function of one console script."""
    if name not in MAIN_MODULES:
        raise AttributeError(f'module {__name__} has no console script {name}; it has {", ".join(MAIN_MODULES)}')
    return functools.partial(_run, MAIN_MODULES[name])


def _run(module: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)  # until `main` takes them
    importlib.import_module(module).main()


def _end(number: int, frame: Any) -> None:
    os._exit(0)  # an exception could be caught by whatever is being imported
