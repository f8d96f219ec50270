# SPDX-License-Identifier: Apache-2.0
"""Tries a line of a card on the file before anybody is told to add it: does it fit, and do the boxes make sense?"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.card_file import parse_card
from isaac_inference.models.card.sourced import CardValues
from isaac_inference.models.onnx.reader import ModelFile, UnclearModelError
from isaac_inference.models.recognition.problems import Problems
from isaac_inference.models.recognition.read_outputs import decode_all
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.plausibility import implausible, implausibly_alike

Build = Callable[[CardValues], tuple[ModelCard, Mapping[str, np.ndarray]]]
"""Makes a card with further values; and the outputs of a run with it, {} where the model cannot be run here."""

_MOST_LINES = 4
_PLACEHOLDERS = ('first name', '<')  # of lines that a person must fill in


def tried(file: ModelFile, problems: Problems, build: Build) -> Problems:
    """The same problems, each with the lines that were found to work on this file and what a run with them found.

    Where a line in the card cannot settle one of the problems, no line can be tried, and they are returned as they are.

    Args:
        file: the model.
        problems: what is wrong with it; where there are several, a line is tried with the first line of each other.
        build: makes the card.
    """
    if not problems.unclear or len(problems.unclear) != len(problems.found):
        return problems
    checked = Problems(file)
    for problem in problems.unclear:
        others = [item.lines[0] for item in problems.unclear if item is not problem and item.lines]
        checked.found.append(_tried(file, problem, others, build))
    return checked


def _tried(file: ModelFile, problem: UnclearModelError, others: list[str], build: Build) -> UnclearModelError:
    """One problem with the lines that work."""
    if not problem.lines:
        return UnclearModelError(file, problem.what, (), instead=_export_advice(file))
    templates = tuple(line for line in problem.lines if any(word in line for word in _PLACEHOLDERS))
    found: dict[str, str] = {}
    for line in problem.lines:
        verdict = None if line in templates else try_lines([line, *others], build)
        if verdict is not None and len(found) < _MOST_LINES:
            found[line] = verdict
    if found or templates:
        return UnclearModelError(file, problem.what, (*templates, *found), found)
    count = len(problem.lines)
    was = 'One line for the card was' if count == 1 else f'{count} lines for the card were'
    instead = f'{was} tried on this file, and none works. {_export_advice(file)}'
    return UnclearModelError(file, problem.what, (), instead=instead)


def try_lines(lines: list[str], build: Build) -> str | None:
    """What a run with these lines in the card found, for people; None where they do not fit or give nonsense."""
    values: dict[str, object] = {}
    try:
        for line in lines:
            values |= parse_card(line.partition('  #')[0], 'tried', None)
        card, outputs = build(values)  # type: ignore[arg-type]
    except ConfigError:
        return None
    if not outputs:
        return 'fits the shapes; it could not be run here'
    found, wrong = _read(card, outputs)
    if found is None or wrong:
        return None
    return f'tried on a picture: best score {found.scores.max():.2f}' if len(found) else 'fits the shapes'


def nonsense(card: ModelCard, outputs: Mapping[str, np.ndarray]) -> str | None:
    """Why what a card makes of one run's outputs cannot be right; None where nothing speaks against it.

    Args:
        card: how to read the outputs.
        outputs: by name; {} where the model could not be run, which says nothing.
    """
    if not outputs:
        return None
    return _read(card, outputs)[1]


def _read(card: ModelCard, outputs: Mapping[str, np.ndarray]) -> tuple[Detections | None, str | None]:
    """What a card makes of one run's outputs, and why that cannot be right; None each where there is no such."""
    try:
        found = decode_all(card, outputs)
    except FrameError as error:
        return None, str(error)
    wrong = implausible(found, card.image.wh, found.best_score) or implausibly_alike(found, card.image.wh)
    return found, None if wrong is None else wrong.sentence


def _export_advice(file: ModelFile) -> str:
    """How to export a layout that is read here, by exporter."""
    producer = file.producer.lower()
    if 'Ultralytics' in file.metadata.get('author', '') or 'ultralytics' in producer:
        return 'Export it with `model.export(format="onnx")` of ultralytics, task detect, pose or obb'
    if 'tf2onnx' in producer:
        return (
            'Export a SavedModel of the Object Detection API with its postprocessing: `python -m tf2onnx.convert '
            '--saved-model DIR --output model.onnx`'
        )
    if 'paddle' in producer:
        return 'Export it with NMS: `python tools/export_model.py -c CONFIG exclude_nms=False`, then `paddle2onnx`'
    return (
        'Export it with its boxes decoded: as one output [N, boxes, 4 + classes] or as boxes and scores, '
        'or with NMS as boxes, scores and labels'
    )
