# SPDX-License-Identifier: Apache-2.0
"""Tries a card's line on the file before anybody is told to add it: does it fit, and does what it reads make sense?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isaac_inference.errors import ConfigError
from isaac_inference.models.card.card_file import parse_card
from isaac_inference.models.card.sourced import CardValues, Sourced
from isaac_inference.models.onnx.reader import ModelFile, UnclearModelError
from isaac_inference.models.recognition.problems import Problems
from isaac_inference.models.recognition.tasks.base import Trial

Build = Callable[[CardValues], Trial]
"""Makes a card with further values, and says what that makes of a run; raises ModelError where they do not fit."""

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
        return UnclearModelError(file, problem.what, (), instead=problem.instead or _export_advice(file))
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
    instead = f'{was} tried on this file, and none works. {problem.instead or _export_advice(file)}'
    return UnclearModelError(file, problem.what, (), instead=instead)


def try_lines(lines: list[str], build: Build) -> str | None:
    """What a run with these lines in the card found, for people; None where they do not fit or give nonsense."""
    values: dict[str, Sourced[Any]] = {}
    try:
        for line in lines:
            values |= parse_card(line.partition('  #')[0], 'tried', None)
        trial = build(values)
    except ConfigError:
        return None
    return None if trial.wrong is not None else trial.shown


def _export_advice(file: ModelFile) -> str:
    """How to export a layout that is read here, by exporter."""
    producer = file.producer.lower()
    if 'Ultralytics' in file.metadata.get('author', '') or 'ultralytics' in producer:
        return 'Export it with `model.export(format="onnx")` of ultralytics, task detect, segment, pose or obb'
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
