# SPDX-License-Identifier: Apache-2.0
"""Where a model's YAML card is: beside the model, at a given path, or under a name in config/models."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from isaac_inference.errors import ModelError

_SUFFIXES = ('.yaml', '.yml')
_INSTALLED = Path('share') / 'isaac_inference' / 'config' / 'models'


def card_beside(model: Path) -> Path | None:
    """The card with the model's own name in the model's folder, or None."""
    return next((path for suffix in _SUFFIXES if (path := model.with_suffix(suffix)).is_file()), None)


def find_card(card: str | Path) -> Path:
    """The absolute path of a card given by path or by name in config/models; raises ModelError for none."""
    given = Path(card).expanduser()
    if given.is_file():
        return given.absolute()
    folders = card_folders()
    if given.name == str(card):
        for folder in folders:
            for name in (given.name, *(given.name + suffix for suffix in _SUFFIXES)):
                if (folder / name).is_file():
                    return folder / name
    names = sorted({path.stem for folder in folders for path in folder.glob('*.yaml')})
    raise ModelError(
        f'card: no file {given.absolute()}, and no card of that name in config/models; '
        f'there are: {", ".join(names) or "none"}'
    )


def card_folders() -> list[Path]:
    """The config/models folders that exist: of the source tree, of each ROS workspace, of the Python
    environment.
    """
    roots = [
        Path(prefix) / _INSTALLED for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if prefix
    ]
    roots = [Path(__file__).resolve().parents[3] / 'config' / 'models', *roots, Path(sys.prefix) / _INSTALLED]
    return [folder for folder in dict.fromkeys(roots) if folder.is_dir()]
