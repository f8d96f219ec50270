# SPDX-License-Identifier: Apache-2.0
"""Budgets from YAML: the presets in config/budgets, and files of the user's own; all that is wrong is said at once.

total_ms: 100
stages: {camera: 5, transport: 20, inference: 40}      # of STAGES; together at most the total
max_allowed_processing_time_ms: 90                     # default: total_ms
max_acceptable_consecutive_delay_ms: 500               # default: ten times total_ms
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from isaac_inference.errors import ConfigError
from isaac_inference.serving.budgets.budget import LASTING, STAGES, Budget

_ALLOWED, _LASTING = 'max_allowed_processing_time_ms', 'max_acceptable_consecutive_delay_ms'
_KEYS = ('total_ms', 'stages', _ALLOWED, _LASTING)
_ROUNDING_MS = 1e-6  # of decimal fractions that are added up


def read_budget(chosen: str, folder: Path) -> Budget:
    """The budget that a user names.

    Args:
        chosen: name of a preset, or path of a YAML file.
        folder: of the presets.

    Raises:
        ConfigError: there is no such preset (it lists what there is) or file, or all that is wrong with it.
    """
    path = Path(chosen).expanduser()
    if path.suffix not in ('.yaml', '.yml') and path.name == chosen:
        path = folder / f'{chosen}.yaml'
        if not path.is_file():
            raise ConfigError(_unknown_preset(chosen, folder))
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f'budget {chosen}: cannot be read: {error}; give the path of a YAML file, or one of the presets '
            f'{", ".join(presets(folder))}'
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(f'budget {path}: no YAML: {error}') from error
    return budget_of(content, path.stem, str(path))


def presets(folder: Path) -> list[str]:
    """Names of the budgets in a folder."""
    return sorted(path.stem for path in folder.glob('*.yaml'))


def budget_of(content: Any, name: str, origin: str) -> Budget:
    """A budget from what YAML gives.

    Args:
        content: of the file.
        name: of the budget.
        origin: where it is from, for errors.

    Raises:
        ConfigError: lists everything that is wrong.
    """
    if not isinstance(content, Mapping):
        raise ConfigError(f'budget {origin}: got {_kind(content)}, expected the keys {", ".join(_KEYS)}')
    problems = [_unknown(str(key), _KEYS, 'key') for key in content if key not in _KEYS]
    if 'total_ms' not in content:
        problems.append('total_ms: is missing; give the time from the camera to the output in ms')
    total = _time(content, 'total_ms', problems)
    allowed, lasting = _time(content, _ALLOWED, problems), _time(content, _LASTING, problems)
    stages = _stages(content.get('stages'), problems)
    if total is not None:
        if sum(stages.values()) > total + _ROUNDING_MS:
            parts = ' + '.join(f'{name} {value:g}' for name, value in stages.items())
            problems.append(
                f'stages: {parts} = {sum(stages.values()):g} ms, more than total_ms: {total:g}; lower a stage or raise '
                'the total'
            )
        if allowed is not None and allowed > total:
            problems.append(
                f'{_ALLOWED}: {allowed:g} is more than total_ms: {total:g}, so frames over the budget would not be '
                f'reported; give at most {total:g}'
            )
    if problems or total is None:
        raise ConfigError('\n'.join(f'budget {origin}: {problem}' for problem in problems))
    return Budget(
        name, total, total if allowed is None else allowed, LASTING * total if lasting is None else lasting, stages
    )


def _stages(given: Any, problems: list[str]) -> dict[str, float]:
    """The usable ones, in the order of the data."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        problems.append(f'stages: got {given!r}, expected a time in ms for any of {", ".join(STAGES)}')
        return {}
    problems += [_unknown(str(key), STAGES, 'stage') for key in given if key not in STAGES]
    found = {name: _time(given, name, problems, 'stages.') for name in STAGES if name in given}
    return {name: value for name, value in found.items() if value is not None}


def _time(given: Mapping[str, Any], key: str, problems: list[str], where: str = '') -> float | None:
    """A time in ms; None where there is none, or where it is wrong."""
    if key not in given:
        return None
    value = given[key]
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or value <= 0:
        problems.append(f'{where}{key}: got {value!r}, expected a time above 0 in ms')
        return None
    return float(value)


def _unknown(name: str, known: Iterable[str], what: str) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f'{name}: no such {what}, ' + (f'did you mean {close[0]}?' if close else f'there are: {", ".join(known)}')


def _unknown_preset(name: str, folder: Path) -> str:
    names = presets(folder)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f'did you mean {close[0]}? ' if close else ''
    return (
        f'budget {name}: no such preset; {hint}there are: {", ".join(names) or "none"} (in {folder}); or give the path '
        'of a YAML file of your own'
    )


def _kind(content: Any) -> str:
    return 'an empty file' if content is None else type(content).__name__
