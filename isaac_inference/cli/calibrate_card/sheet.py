# SPDX-License-Identifier: Apache-2.0
"""A contact sheet: what the best candidates find in some of the pictures, one row per candidate."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.card_choice.ranking import Entry, Ranking
from isaac_inference.evaluation.card_choice.trial import PictureResult
from isaac_inference.ops.drawing.boxes import draw_boxes
from isaac_inference.pictures import SourceFrame

_ROWS, _COLUMNS = 6, 4
_CELL_WH = (400, 300)
_TITLE, _GAP = 34, 6  # px: height of a row's title, space between cells
_PAPER, _INK, _CHOSEN = (255, 255, 255), (30, 30, 30), (40, 120, 20)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def write_sheet(path: str | Path, ranking: Ranking, pictures: Iterable[SourceFrame]) -> Path:
    """Writes the sheet: the best six candidates, on the four pictures in which all of them find most.

    Args:
        path: of the picture; its ending is the format. Its folder is created if missing.
        ranking: what is drawn.
        pictures: those that the ranking was made of.

    Raises:
        ConfigError: OpenCV cannot write a file of this name.
    """
    entries = ranking.entries[:_ROWS]
    places = _places(entries)
    names = {entries[0].results[place].name: place for place in places}
    images = {names[str(frame.name)]: frame.image for frame in pictures if str(frame.name) in names}
    rows = [
        _row(entry, rank, ranking, [(images[place], entry.results[place]) for place in places if place in images])
        for rank, entry in enumerate(entries, 1)
    ]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        written = cv2.imwrite(str(path), np.concatenate(rows))
    except cv2.error:
        written = False
    if not written:
        raise ConfigError(f'--sheet: {path}: OpenCV cannot write it; expected a name such as sheet.jpg')
    return path


def _places(entries: tuple[Entry, ...]) -> list[int]:
    """The pictures with the highest scores of the chosen candidate, in their order."""
    sums = [float(item.found.scores.sum()) for item in entries[0].results]
    return sorted(sorted(range(len(sums)), key=lambda place: -sums[place])[:_COLUMNS])


def _row(entry: Entry, number: int, ranking: Ranking, cells: list[tuple[np.ndarray, PictureResult]]) -> np.ndarray:
    """One candidate: its title, and its pictures side by side."""
    width, height = _CELL_WH
    row = np.full((_TITLE + height + _GAP, _COLUMNS * (width + _GAP), 3), _PAPER, np.uint8)
    unit = 'F1' if ranking.has_labels else 'confirmed boxes per picture'
    now = ', in force now' if entry.candidate.is_current else ''
    title = f'{number}. {entry.candidate.name}: {entry.candidate.prepares}  |  {entry.score:.3f} {unit}{now}'
    _write(row, title, _CHOSEN if number == 1 else _INK)
    for column, (image, result) in enumerate(cells):
        left = column * (width + _GAP)
        row[_TITLE : _TITLE + height, left : left + width] = _cell(image, result, entry)
    return row


def _write(row: np.ndarray, title: str, ink: tuple[int, int, int]) -> None:
    """The title as large as fits."""
    scale = 0.7
    while scale > 0.3 and cv2.getTextSize(title, _FONT, scale, 1)[0][0] > row.shape[1] - 16:
        scale -= 0.05
    cv2.putText(row, title, (8, _TITLE - 11), _FONT, scale, ink, 1, cv2.LINE_AA)


def _cell(image: np.ndarray, result: PictureResult, entry: Entry) -> np.ndarray:
    """One picture with the boxes found in it, as large as fits into a cell."""
    width, height = _CELL_WH
    ratio = min(width / image.shape[1], height / image.shape[0])
    size = (max(1, round(image.shape[1] * ratio)), max(1, round(image.shape[0] * ratio)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    labels = [entry.candidate.card.labels[index] for index in result.found.class_ids]
    texts = [f'{label} {score:.2f}' for label, score in zip(labels, result.found.scores, strict=True)]
    draw_boxes(small, result.found.boxes * ratio, labels, texts)
    cell = np.full((height, width, 3), 235, np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    cell[top : top + size[1], left : left + size[0]] = small
    return cell
