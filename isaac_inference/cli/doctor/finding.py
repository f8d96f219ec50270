# SPDX-License-Identifier: Apache-2.0
"""One line of the doctor's report, and helpers to make one."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """One line of the report; `advice` is given where something is wrong or missing, `fatal` where nothing will run."""

    subject: str
    fact: str
    advice: str = ''
    fatal: bool = False


def module_finding(name: str, advice: str, *, fatal: bool = True) -> Finding:
    """Version and location of a module; if it can't be imported, why not, with the advice."""
    try:
        module = importlib.import_module(name)
    except Exception as error:
        return Finding(name, f'{type(error).__name__}: {error}', advice, fatal)
    found = getattr(module, '__version__', '') or distribution_version(name.split('.')[0])
    return Finding(name, f'{found} at {Path(module.__file__ or "").parent}'.strip())


def distribution_version(*distributions: str) -> str:
    """Version of the first of these distributions that is installed, each also under its name as a ROS wheel; '' for
    none.
    """
    for distribution in distributions:
        for name in (distribution, f'ros-{distribution.replace("_", "-")}'):
            try:
                return version(name)
            except PackageNotFoundError:
                continue
    return ''
