# SPDX-License-Identifier: Apache-2.0
"""Where the figures of a command go with `--json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_json(path: str | Path, figures: dict[str, Any]) -> None:
    """Writes figures to a file, whose folder is created if missing; '-': to stdout, '': nowhere.

    Raises:
        ValueError: NaN or infinity among them, which JSON does not have.
    """
    text = json.dumps(figures, indent=2, allow_nan=False)
    if path == '-':
        print(text)
    elif path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text + '\n', encoding='utf-8')
