# SPDX-License-Identifier: Apache-2.0
"""Where the command line prints."""

from __future__ import annotations

import sys

from rich.console import Console

_PIPE_WIDTH = 150  # characters; a pipe or log file has no width of its own


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal, or wide enough for tables where there is none; brackets are plain text."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, markup=False, width=None if stream.isatty() else _PIPE_WIDTH)
