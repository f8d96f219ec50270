# SPDX-License-Identifier: Apache-2.0
"""True boxes of pictures from text files: one line per object, 'class center_x center_y width height'."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.accuracy.frame_record import Boxes


class LabelFolder:
    """The label files of a folder; the file of picture `a.jpg` is `a.txt`.

    An empty file means that the picture shows none of the objects; a missing file means that it is not labelled.

    Args:
        folder: where the files are; may be the pictures' own folder.
        classes: the model's class names; a line's class is an index into them.

    Raises:
        ConfigError: no such folder, or no label file in it.
    """

    def __init__(self, folder: str | Path, classes: Sequence[str]) -> None:
        self._folder = Path(folder).expanduser()
        self._classes = tuple(classes)
        if not self._folder.is_dir():
            raise ConfigError(f'labels {folder}: no such folder; expected one with a text file per picture')
        if not any(self._folder.glob('*.txt')):
            raise ConfigError(
                f'labels {folder}: no .txt file in this folder; expected <picture>.txt with one line per object: '
                'class center_x center_y width height, the last four as fractions of the picture (0 to 1)'
            )

    def boxes(self, picture: str, width: int, height: int) -> Boxes | None:
        """The true boxes of a picture in its pixels, all fully visible; None when there is no file for it.

        Args:
            picture: its file name.
            width, height: its size in px.

        Raises:
            ConfigError: a line that is malformed or names an unknown class.
        """
        path = self._folder / f'{Path(picture).stem}.txt'
        if not path.is_file():
            return None
        lines = path.read_text(encoding='utf-8').splitlines()
        rows = [self._row(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
        values = np.array([row[1:] for row in rows], float).reshape(-1, 4)
        centers, halves = values[:, :2], values[:, 2:] / 2
        corners = np.concatenate([centers - halves, centers + halves], axis=1) * (width, height, width, height)
        names = tuple(self._classes[int(row[0])] for row in rows)
        return Boxes(corners, names, np.ones(len(rows)), ('',) * len(rows))

    def _row(self, path: Path, number: int, line: str) -> tuple[float, ...]:
        wanted = f'{path}, line {number}: got {line!r}, expected "class center_x center_y width height"'
        try:
            values = tuple(map(float, line.split()))
        except ValueError:
            raise ConfigError(f'{wanted}, all numbers') from None
        if len(values) != 5 or not all(np.isfinite(values)):
            raise ConfigError(f'{wanted}, five finite numbers')
        if values[0] != int(values[0]) or not 0 <= values[0] < len(self._classes):
            raise ConfigError(f'{wanted}, the class a whole number from 0 to {len(self._classes) - 1} of this model')
        if values[3] < 0 or values[4] < 0 or max(map(abs, values[1:])) > 2:
            raise ConfigError(f'{wanted}, the last four as fractions of the picture from 0 to 1, not in pixels')
        return values
