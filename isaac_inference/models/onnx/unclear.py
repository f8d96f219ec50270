# SPDX-License-Identifier: Apache-2.0
"""The error for what a model file leaves open: what was found in it, and the line that a card must add."""

from __future__ import annotations

from isaac_inference.errors import ModelError
from isaac_inference.models.onnx.reader import ModelFile


def unclear(file: ModelFile, what: str, *lines: str) -> ModelError:
    """An error that lists the file's tensors and metadata, then the line or lines to add.

    Args:
        file: the model in question.
        what: what is not clear, as the start of a sentence.
        lines: YAML for the card; several lines are alternatives.
    """
    choices = '\n  or: '.join(f'`{line}`' for line in lines)
    card = file.path.with_suffix('.yaml').name
    return ModelError(
        f'{file.path}: {what}. Found:{file.describe()}\n  Add to the card {card} beside the model: {choices}'
    )
