# SPDX-License-Identifier: Apache-2.0
"""Collects what is wrong with a model or its cards, so that all of it is said at once."""

from __future__ import annotations

from types import TracebackType

from isaac_inference.errors import ModelError
from isaac_inference.models.onnx.reader import ModelFile, UnclearModelError


class Problems:
    """Takes each ModelError that is raised in a `with` block of it, and goes on after the block.

    Args:
        file: the model that they are about.
    """

    def __init__(self, file: ModelFile) -> None:
        self._file = file
        self.found: list[ModelError] = []

    def __bool__(self) -> bool:
        return bool(self.found)

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, ModelError):
            return False
        self.found.append(error)
        return True

    @property
    def unclear(self) -> list[UnclearModelError]:
        """Those that a line in a card may settle."""
        return [item for item in self.found if isinstance(item, UnclearModelError)]

    def error(self) -> ModelError:
        """One error that says all of them; the only one as it is."""
        if len(self.found) == 1:
            return self.found[0]
        parts = [f'{self._file.path}: {len(self.found)} problems:']
        for number, item in enumerate(self.found, 1):
            text = item.what_to_do() if isinstance(item, UnclearModelError) else str(item)
            text = text.replace(f'{self._file.path}: ', '').replace(f'Found:{self._file.describe()}\n', '')
            text = text.replace(f' Found:{self._file.describe()}', '')
            parts.append(f'  {number}. {text}')
        return ModelError('\n'.join((*parts, f'  Found:{self._file.describe()}')))
