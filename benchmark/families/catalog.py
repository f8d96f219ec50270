# SPDX-License-Identifier: Apache-2.0
"""All families, and the making of their files."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark.families import exports, handmade
from benchmark.families.case import FamilyCase, MissingPackageError


def all_cases(real: bool = True) -> list[FamilyCase]:
    """Every case, sorted by folder and file; those of real exporters are left out unless `real`."""
    packages = (handmade, exports) if real else (handmade,)
    found: list[FamilyCase] = []
    for package in packages:
        for module in sorted(item.name for item in pkgutil.iter_modules(package.__path__)):
            found += importlib.import_module(f'{package.__name__}.{module}').cases()
    return found


def build_all(folder: Path, names: Sequence[str] = ()) -> Iterator[tuple[FamilyCase, str]]:
    """Build what is not in `folder` yet; each case with '' or the reason why it has no file.

    An export needs its project's packages, so a folder is filled by several runs, each in the environment of one
    project: `python -m benchmark.families FOLDER`.

    Args:
        folder: where NAME.onnx are written.
        names: the cases to build; all of them if empty.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for case in all_cases():
        if names and case.name not in names:
            continue
        if (folder / f'{case.name}.onnx').is_file():
            yield case, ''
            continue
        try:
            case.build(folder)
        except MissingPackageError as reason:
            yield case, f'not installed: {reason}'
        except Exception as error:  # an exporter's own failure must not end the others
            yield case, f'failed: {type(error).__name__}: {str(error)[:200]}'
        else:
            yield case, ''
