# SPDX-License-Identifier: Apache-2.0
"""How far the build of an engine is, on a screen or in a log."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from isaac_inference.engines.preparation import LOG_EVERY_S, BuildProgress, EnginePreparation

_POLL_S = 0.2


def build_engine(screen: Console, build: EnginePreparation) -> Any:
    """Show a build until it ends: a bar on a terminal, else a line for each phase and every ten seconds. Returns what
    was built.

    Raises:
        EngineError: the build failed; also when Ctrl-C ends it, since that ends the build.
    """
    try:
        with _display(screen) as show:
            while not build.wait(_POLL_S):
                show(build.poll())
        return build.result()
    except BaseException:
        build.cancel()
        raise


@contextlib.contextmanager
def _display(screen: Console) -> Iterator[Any]:
    """Something to call with each BuildProgress."""
    if screen.is_terminal:
        columns = (
            TextColumn('{task.description}'),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn('{task.fields[text]}'),
        )
        with Progress(*columns, console=screen, transient=True) as bar:
            task = bar.add_task('', total=None, text='')

            def draw(progress: BuildProgress) -> None:
                part = progress.fraction
                bar.update(
                    task,
                    description=progress.phase,
                    total=None if part is None else 1.0,
                    completed=part or 0.0,
                    text=progress.message,
                )

            yield draw
        return
    last: list[Any] = [None, 0.0]

    def write(progress: BuildProgress) -> None:
        if progress.phase != last[0] or progress.elapsed_s - last[1] >= LOG_EVERY_S:
            last[:] = progress.phase, progress.elapsed_s
            part = '' if progress.fraction is None else f' {100 * progress.fraction:.0f} %'
            screen.print(f'{progress.elapsed_s:6.0f} s  {progress.phase}{part}: {progress.message}')

    yield write
