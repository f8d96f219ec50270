# SPDX-License-Identifier: Apache-2.0
"""Where the command line prints, and how it shows progress."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_PIPE_WIDTH = 150  # characters; a pipe or log file has no width of its own


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal, or wide enough for tables where there is none; brackets are plain text."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, markup=False, width=None if stream.isatty() else _PIPE_WIDTH)


@contextlib.contextmanager
def progress(screen: Console, label: str, total: int | None) -> Iterator[Callable[[], None]]:
    """A progress bar that vanishes at the end; call what it yields after each step. `total` None: unknown length."""
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda: bar.advance(task)
