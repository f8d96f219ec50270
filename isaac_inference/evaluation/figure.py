# SPDX-License-Identifier: Apache-2.0
"""Pictures of figures: panels to draw on, and the file; matplotlib is imported only when there is one to draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isaac_inference.errors import ConfigError


def new_figure(rows: int, columns: int, size: tuple[float, float], title: str = '', **style: Any) -> tuple[Any, Any]:
    """A matplotlib figure and its panels, as `pyplot.subplots` gives them.

    Args:
        rows: panels from top to bottom.
        columns: panels from left to right.
        size: width and height in inches.
        title: above all panels; '' for none.
        style: of the title, as `Figure.suptitle` takes it.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise ConfigError('plots need matplotlib, which is not installed: pip install matplotlib') from error
    matplotlib.use('Agg')  # a robot has no display
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(rows, columns, figsize=size, layout='constrained')
    if title:
        figure.suptitle(title, **style)
    return figure, axes


def save_figure(figure: Any, path: str | Path, dpi: int = 90) -> Path:
    """Writes a figure of `new_figure` to a file, creates its folder if missing, and closes the figure.

    Returns:
        The path.
    """
    from matplotlib import pyplot

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi)
    pyplot.close(figure)
    return path
