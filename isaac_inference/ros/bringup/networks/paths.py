# SPDX-License-Identifier: Apache-2.0
"""Paths of models and cards as arguments and parameter files give them."""

from __future__ import annotations

import os

from isaac_inference.errors import PerceptionError
from isaac_inference.models import AnyCard, read_objects

MODEL = ('model', 'model_card')
"""The parameters by which every node is told its model."""


def absolute(path: str) -> str:
    """An absolute path, because the nodes run in another working directory; '' stays ''."""
    return os.path.abspath(os.path.expanduser(path)) if path else ''


def located(path: str) -> str:
    """A path of a model or card, absolute where there is such a file: a card may be the name of one that is shipped."""
    found = absolute(path)
    return found if os.path.isfile(found) else path


def card_of(model: str, model_card: str = '') -> AnyCard | None:
    """What the nodes will read; None without any, and for one that can't be read, which the nodes report."""
    try:
        return read_objects(located(model), located(model_card))
    except PerceptionError:
        return None
